"""The kernel tier as the control process has it: loads the program, puts it on interfaces, and takes it off again.

The program forwards only while its lease is renewed, so a relay that was killed leaves nothing behind that forwards
for longer than `LEASE_SECONDS`; the next relay with the same public port replaces it, wherever it was.
"""

import errno
import os
import socket
import time
from collections.abc import Iterable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import Final, NamedTuple, Self

from voicefleet.net import kernel_layout as layout
from voicefleet.net.kernel_layout import Left, Role
from voicefleet.net.libbpf import BpfObject, BpfRefused, Filter, NoLibbpf
from voicefleet.net.local_addresses import local_addresses
from voicefleet.net.routes import Routes, interfaces_with

Address = tuple[str, int]

OBJECT: Final = Path(__file__).with_name("bpf") / "relay.o"
"""Made by dataplane/bpf/hatch_build.py when the package is built, where clang is."""
LEASE_SECONDS: Final = 30.0
"""As long as a client's consent (RFC 7675)."""
RENEW_EVERY: Final = 5.0
PRIORITY: Final = 0x5646
"""Among an interface's filters: "VF"; behind those of network plugins, which begin at 1. The handle is the port."""
_HEADERS_PER_FLOW: Final = 2
"""Room for downlink headers: a flow has a second one only while keys rotate."""
_NOT_ALLOWED: Final = (errno.EPERM, errno.EACCES)


class NoKernelTier(Exception):
    """Why the kernel does not forward for this relay."""


class KernelHandles(NamedTuple):
    """What a packet process needs of the program that the control process loaded: descriptors, and the filter."""

    program: int
    uplink: int
    downlink: int
    carried: int
    handle: int

    def text(self) -> str:
        """For the packet process's command line."""
        return ",".join(map(str, self))

    @classmethod
    def parse(cls, text: str) -> Self:
        """What `text` said."""
        return cls(*map(int, text.split(",")))

    @property
    def descriptors(self) -> tuple[int, ...]:
        """Those to be inherited."""
        return self.program, self.uplink, self.downlink, self.carried

    @property
    def filter(self) -> Filter:
        """The program's place on interfaces."""
        return Filter(self.handle, PRIORITY)


class KernelProgram:
    """The loaded program."""

    def __init__(self, port: int, flows: int, path: Path = OBJECT) -> None:
        """`port` is the public one, which names the program's place on interfaces. Raises `NoKernelTier`."""
        if not path.exists():
            raise NoKernelTier("this installation has no kernel program: it was built where no clang was")
        self.flows: Final = flows
        entries = {layout.UPLINK: flows, layout.DOWNLINK: flows * _HEADERS_PER_FLOW}
        try:
            self._object = BpfObject(path, layout.PROGRAM, entries)
            self._maps = {
                name: self._object.map(name)
                for name in (
                    *(layout.UPLINK, layout.DOWNLINK, layout.PORTS),
                    *(layout.LEASE, layout.CARRIED, layout.LEFT),
                )
            }
        except NoLibbpf as error:
            raise NoKernelTier(error.strerror) from None
        except BpfRefused as error:
            needs = "; it takes CAP_BPF and CAP_NET_ADMIN" if error.errno in _NOT_ALLOWED else ""
            raise NoKernelTier(f"the kernel does not load the program: {error.strerror}{needs}") from None
        for name, sizes in layout.SIZES.items():
            if (self._maps[name].key_size, self._maps[name].value_size) != sizes:
                self._object.close()
                raise NoKernelTier(f"{path} is not of this version")
        uplink, downlink, carried = (
            self._maps[name].descriptor for name in (layout.UPLINK, layout.DOWNLINK, layout.CARRIED)
        )
        self.handles: Final = KernelHandles(self._object.program, uplink, downlink, carried, port)
        self._program_id: int | None = None

    def serve(self, public: Iterable[int], hop: Iterable[int]) -> None:
        """Look at packets for these UDP ports, and at no others."""
        roles = bytearray(layout.PORT_ROLES)
        for ports, role in ((public, Role.PUBLIC), (hop, Role.HOP)):
            for port in ports:
                roles[port] = role
        self._maps[layout.PORTS].put(layout.FIRST, bytes(roles))

    def attach(self, interfaces: Iterable[int]) -> None:
        """Put it on these, and in the place of a killed relay's wherever that left it; raises `NoKernelTier`."""
        place = self.handles.filter
        wanted = set(interfaces) | {index for index, _ in socket.if_nameindex() if place.attached(index) is not None}
        for interface in sorted(wanted):
            try:
                place.attach(interface, self.handles.program)
                self._program_id = place.attached(interface)
            except OSError as error:
                self.close()
                needs = "; it takes CAP_NET_ADMIN" if error.errno in _NOT_ALLOWED else ""
                name = socket.if_indextoname(interface)
                raise NoKernelTier(f"the program cannot be put on {name}: {error.strerror}{needs}") from None

    def attached(self) -> list[int]:
        """The interfaces that it is on."""
        place = self.handles.filter
        mine = self._program_id
        return [index for index, _ in socket.if_nameindex() if mine is not None and place.attached(index) == mine]

    def renew(self) -> None:
        """Let it forward for another `LEASE_SECONDS`."""
        self._maps[layout.LEASE].put(layout.FIRST, layout.seconds(time.monotonic() + LEASE_SECONDS))

    def left(self) -> Iterator[tuple[Left, int]]:
        """How many packets it left to userspace, by reason."""
        for reason in Left:
            values = self._maps[layout.LEFT].get(reason.to_bytes(4, "little"))
            assert values is not None
            yield reason, layout.count_of(values)

    def close(self) -> None:
        """Take it off all interfaces, unless a successor has its place there by now."""
        for interface in self.attached():
            try:
                self.handles.filter.detach(interface)
            except OSError:
                pass  # the interface went away
        self._object.close()


def remove_left_behind(port: int) -> None:
    """Take the program of a killed relay with this public port off all interfaces; as far as this process may."""
    place = Filter(port, PRIORITY)
    try:
        for interface, _ in socket.if_nameindex():
            if place.attached(interface) is not None:
                place.detach(interface)
    except OSError:
        pass  # it goes on to forward nothing when its lease is over


def public_interfaces(listen: Iterable[Address]) -> set[int]:
    """The Ethernet interfaces that carry the addresses listened on; for a wildcard all of its IP version."""
    addresses: set[str] = set()
    for host, _ in listen:
        address = ip_address(host)
        addresses.update(local_addresses(address.version) if address.is_unspecified else [host])
    routes = Routes()
    try:
        return {index for index in interfaces_with(addresses) if routes.usable(index)}
    finally:
        routes.close()


def open_kernel_tier(listen: Iterable[Address], port: int, flows: int, path: Path = OBJECT) -> KernelProgram:
    """The program, loaded and on the interfaces that clients come in by; raises `NoKernelTier` with the reason."""
    if os.uname().sysname != "Linux":
        raise NoKernelTier("this is not Linux")
    interfaces = public_interfaces(listen)
    if not interfaces:
        raise NoKernelTier("no Ethernet interface carries an address that the relay listens on")
    program = KernelProgram(port, flows, path)
    program.renew()
    program.attach(interfaces)
    return program
