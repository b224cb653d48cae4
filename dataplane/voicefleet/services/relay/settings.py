"""What a relay is told when it starts."""

from ipaddress import ip_address
from typing import Annotated

from pydantic import Field, model_validator

from voicefleet.contract import Port
from voicefleet.core.directory import PublicAddress
from voicefleet.net.service_settings import ServiceSettings
from voicefleet.net.setting_types import Address, Duration, HostPort, Network


class RelaySettings(ServiceSettings):
    """The settings of one relay pod or local process."""

    pool: str = "main"
    """The pool it belongs to."""
    listen: Address = HostPort("0.0.0.0", Port.RELAY)
    """The public UDP port."""
    public_addresses: tuple[str, ...] = ()
    """Where clients reach that port; the address listened on, if that is no wildcard."""
    hop_listen: Address = HostPort("0.0.0.0", 0)
    """Where transceivers answer to; each packet process takes a port of its own, so 0 is right."""
    hop_networks: Annotated[tuple[Network, ...], Field(min_length=1)]
    """Networks that a route token may point into: those of the transceivers' pods."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Packet processes; 0 makes it one for each core that this container may use."""
    drain_deadline: Duration = 30.0
    """How long live flows are forwarded after SIGTERM."""

    @property
    def advertised(self) -> tuple[PublicAddress, ...]:
        """What clients are told."""
        return tuple(
            PublicAddress(address, self.listen.port) for address in self.public_addresses or (self.listen.host,)
        )

    @model_validator(mode="after")
    def _reachable(self) -> "RelaySettings":
        if not self.public_addresses and ip_address(self.listen.host).is_unspecified:
            raise ValueError(
                "VOICEFLEET_PUBLIC_ADDRESSES is not set; it is needed when VOICEFLEET_LISTEN is a wildcard"
            )
        return self
