"""What a relay is told when it starts."""

from dataclasses import replace
from enum import StrEnum
from ipaddress import ip_address
from typing import Annotated, Literal

from pydantic import Field, model_validator

from voicefleet.contract import Port
from voicefleet.core.directory import PublicAddress
from voicefleet.core.relay.limits import Limits
from voicefleet.net.cpu_quota import usable_cores
from voicefleet.net.service_settings import ServiceSettings
from voicefleet.net.setting_types import Address, Duration, HostPort, Network


class Datapath(StrEnum):
    """Which tier a relay is told to forward by."""

    AUTO = "Auto"
    """The kernel where it can, else userspace."""
    KERNEL = "Kernel"
    """The kernel, or do not start."""
    USERSPACE = "Userspace"


class RelaySettings(ServiceSettings):
    """The settings of one relay pod or local process."""

    pool: str = "main"
    """The pool it belongs to."""
    listen: Annotated[tuple[Address, ...], Field(min_length=1)] = (
        HostPort("0.0.0.0", Port.RELAY),
        HostPort("::", Port.RELAY),
    )
    """The public UDP port, of IPv4 and IPv6; an address that the machine has not is left out."""
    ice_tcp: bool = False
    """Whether ICE-TCP is served on the same port number, for networks that let no UDP through."""
    public_addresses: tuple[str, ...] = ()
    """Where clients reach that port; the addresses listened on, if they are no wildcards."""
    hop_listen: Address = HostPort("0.0.0.0", 0)
    """Where transceivers answer to; each packet process takes a port of its own, so 0 is right."""
    hop_networks: Annotated[tuple[Network, ...], Field(min_length=1)]
    """Networks that a route token may point into: those of the transceivers' pods."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Packet processes; 0 makes it one for each core that this container may use."""
    drain_deadline: Duration = 30.0
    """How long live flows are forwarded after SIGTERM."""
    datapath: Datapath = Datapath.AUTO
    """What forwards confirmed flows: `Kernel` is a program in the kernel (it takes CAP_BPF and CAP_NET_ADMIN; without
    them a relay does not start), `Userspace` the packet processes, `Auto` the kernel where it can be."""
    max_flows: Annotated[int, Field(ge=100, le=10_000_000)] = 50_000
    """Flows that the relay remembers at most; each takes about a kilobyte. At the bound, old flows stay."""
    flow_idle: Annotated[Duration, Field(ge=1.0)] = 30.0
    """How long a client may be silent until its flow is forgotten; consent lasts 30 s (RFC 7675)."""
    client_address: Literal["kept", "hidden"] = "kept"
    """`hidden` where a balancer shows its own addresses instead of the clients': no bounds per source then."""

    @property
    def packet_processes(self) -> int:
        """How many there are."""
        return self.workers or usable_cores()

    def limits(self) -> Limits:
        """The bounds of one packet process."""
        limits = Limits(flows=-(-self.max_flows // self.packet_processes), idle=self.flow_idle)
        return (
            limits
            if self.client_address == "kept"
            else replace(limits, per_address=0, per_network=0, tcp_per_address=0)
        )

    @property
    def advertised(self) -> tuple[PublicAddress, ...]:
        """What clients are told."""
        if self.public_addresses:
            port = self.listen[0].port
            return tuple(self._advertised(address, port) for address in self.public_addresses)
        return tuple(self._advertised(*each) for each in self.listen)

    def _advertised(self, address: str, port: int) -> PublicAddress:
        return PublicAddress(address, port, port if self.ice_tcp else None)

    @model_validator(mode="after")
    def _reachable(self) -> "RelaySettings":
        if not self.public_addresses and any(ip_address(each.host).is_unspecified for each in self.listen):
            raise ValueError(
                "VOICEFLEET_PUBLIC_ADDRESSES is not set; it is needed when VOICEFLEET_LISTEN is a wildcard"
            )
        return self
