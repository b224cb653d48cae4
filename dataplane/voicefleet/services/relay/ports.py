"""The sockets of a relay. The control process binds and keeps them; packet processes serve them.

So a packet process that dies loses no packet that has arrived and no place in the SO_REUSEPORT group: its successor
reads on where it stopped, and every client's packets go on to the same process number. Hop ports are written down and
taken again after a restart, so that transceivers' packets find the relay before it has sent them any.
"""

import json
import logging
import socket
from collections.abc import Iterable
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network, ip_address
from pathlib import Path
from typing import Final

from voicefleet.net.hop_socket import bind_hop
from voicefleet.net.public_socket import Address, bind_public, public_addresses
from voicefleet.net.tcp_stream import bind_tcp
from voicefleet.net.udp import local_address
from voicefleet.services.relay.messages import Role

_REMEMBERED: Final = "relay-hop-ports.json"
_log = logging.getLogger(__name__)


@dataclass(slots=True)
class ProcessPorts:
    """What one packet process serves."""

    sockets: list[tuple[Role, socket.socket]] = field(default_factory=list)

    def add(self, role: Role, bound: socket.socket) -> None:
        """One more."""
        self.sockets.append((role, bound))

    def of(self, role: Role) -> list[socket.socket]:
        """Those of one role."""
        return [bound for each, bound in self.sockets if each is role]

    def close(self) -> None:
        """Close them all in this process."""
        for _, bound in self.sockets:
            bound.close()


class PortInUse(OSError):
    """The public port belongs to somebody else."""


def bind_ports(
    listen: tuple[Address, ...],
    hop_listen: Address,
    hop_networks: Iterable[IPv4Network | IPv6Network],
    processes: int,
    state: Path | None,
    ice_tcp: bool = False,
) -> list[ProcessPorts]:
    """The sockets of each packet process. Addresses that this machine has not are left out, unless none remains."""
    ports = [ProcessPorts() for _ in range(processes)]
    bound = [_bind_public(address, ports, ice_tcp) for address in public_addresses(listen)]
    if not any(bound):
        raise PortInUse(f"none of {', '.join(map(str, listen))} is an address of this machine")
    remembered = _read(state)
    for process, each in enumerate(ports):
        for address in hop_addresses(hop_listen, hop_networks):
            preferred = remembered.get(f"{process} {address[0]}", 0)
            each.add(Role.HOP, bind_hop(address, preferred))
    remember_ports(state, ports)
    return ports


def hop_addresses(hop_listen: Address, hop_networks: Iterable[IPv4Network | IPv6Network]) -> list[Address]:
    """Where to listen for transceivers: a wildcard means a socket for each IP version that the hop networks have."""
    host, port = hop_listen
    if not ip_address(host).is_unspecified:
        return [hop_listen]
    versions = {network.version for network in hop_networks}
    return [("::" if version == 6 else "0.0.0.0", port) for version in sorted(versions)]


def _bind_public(address: Address, ports: list[ProcessPorts], ice_tcp: bool) -> bool:
    try:
        first = bind_public(address)
        if first is None:
            _log.info("not an address of this machine", extra={"address": str(address)})
            return False
        ports[0].add(Role.PUBLIC, first)
        chosen = local_address(first)  # whatever the system chose for a port 0
        for each in ports[1:]:
            other = bind_public(chosen)
            assert other is not None  # the first one is there
            each.add(Role.PUBLIC, other)
        for each in ports if ice_tcp else ():
            each.add(Role.TCP, bind_tcp(chosen))
    except OSError as error:
        raise PortInUse(f"{address[0]} port {address[1]}: {error.strerror}") from None
    return True


def _read(state: Path | None) -> dict[str, int]:
    try:
        ports = json.loads((state / _REMEMBERED).read_text()) if state else {}
    except (OSError, ValueError):
        return {}
    if not isinstance(ports, dict):
        return {}
    return {str(key): port for key, port in ports.items() if isinstance(port, int) and 0 < port < 65536}


def remember_ports(state: Path | None, ports: list[ProcessPorts]) -> None:
    """Write down the hop ports, for the next start."""
    if state is None:
        return
    chosen = {
        f"{process} {host}": port
        for process, each in enumerate(ports)
        for host, port in map(local_address, each.of(Role.HOP))
    }
    try:
        (state / _REMEMBERED).write_text(json.dumps(chosen))
    except OSError as error:
        _log.warning("hop ports cannot be remembered", extra={"reason": error.strerror})
