"""A client's own address behind proxies: headers are believed only as far as trusted proxies wrote them. Pure.

Each proxy appends what it saw, so the list is read from its end: an address that a trusted proxy reports is trusted in
turn only if it is one of the proxies itself. Whatever a client wrote in front of that is never looked at.
"""

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

Network = IPv4Network | IPv6Network
Address = IPv4Address | IPv6Address

MAX_HOPS: Final = 32
"""Proxies in a row; what is longer is no path."""
_PAIR: Final = re.compile(r'\s*([!#$%&\'*+.^_`|~0-9A-Za-z-]+)=("(?:[^"\\]|\\.)*"|[^\s;,"]+)\s*')


def client_address(
    peer: str, trusted: Sequence[Network], forwarded: Sequence[str] = (), x_forwarded_for: Sequence[str] = ()
) -> str:
    """The client's address: the peer's, or what trusted proxies report. Values are the headers' lines in their order.

    `Forwarded` (RFC 7239) wins where both are there. What cannot be read ends the walk at the last proxy that could.
    """
    parsed = parse_address(peer)
    if parsed is None or not _trusts(trusted, parsed):
        return str(parsed) if parsed is not None else peer
    hops = _forwarded_for(forwarded) if forwarded else [part for line in x_forwarded_for for part in line.split(",")]
    current = parsed
    for hop in reversed(hops[-MAX_HOPS:]):
        reported = parse_address(hop)
        if reported is None:
            break
        current = reported
        if not _trusts(trusted, current):
            break
    return str(current)


def parse_address(text: str) -> Address | None:
    """An address as these headers spell it: with a port, in brackets, in quotes. IPv4 inside of IPv6 is IPv4."""
    text = text.strip().strip('"')
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        address = ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


def _trusts(trusted: Sequence[Network], address: Address) -> bool:
    return any(address.version == network.version and address in network for network in trusted)


def _forwarded_for(lines: Sequence[str]) -> list[str]:
    """The `for` of each element; an element without one stands as an empty hop, which ends the walk."""
    hops = []
    for line in lines:
        for element in _split_unquoted(line, ","):
            pairs = {}
            for part in _split_unquoted(element, ";"):
                match = _PAIR.fullmatch(part)
                if match is not None:
                    pairs[match[1].lower()] = match[2]
            hops.append(pairs.get("for", ""))
    return hops


def _split_unquoted(text: str, separator: str) -> list[str]:
    parts, start, quoted, escaped = [], 0, False, False
    for place, character in enumerate(text):
        if escaped:
            escaped = False
        elif quoted and character == "\\":
            escaped = True
        elif character == '"':
            quoted = not quoted
        elif character == separator and not quoted:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]
