"""The addresses that this machine has, for answering from the one that a client talked to.

A socket bound to a wildcard answers from whatever address the route prefers, which on a machine with several is not the
one that the client knows. A socket for each address costs nothing per packet; reading the destination of each packet
(IP_PKTINFO) costs a tenth of what forwarding it does.
"""

import ipaddress

import ifaddr


def local_addresses(family: int) -> list[str]:
    """The addresses of this IP version (4 or 6) that a client may reach: neither link-local nor multicast."""
    found = []
    for adapter in ifaddr.get_adapters():
        for each in adapter.ips:
            text = each.ip if isinstance(each.ip, str) else each.ip[0]
            address = ipaddress.ip_address(text)
            if address.version == family and not address.is_link_local and not address.is_multicast:
                found.append(str(address))
    return sorted(set(found))
