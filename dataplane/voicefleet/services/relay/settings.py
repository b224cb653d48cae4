"""What a relay is told when it starts."""

from typing import Annotated

from pydantic import Field

from voicefleet.contract import Port
from voicefleet.net.service_settings import ServiceSettings
from voicefleet.net.setting_types import Address, Duration, HostPort, Network


class RelaySettings(ServiceSettings):
    """The settings of one relay pod or local process."""

    pool: str = "main"
    """The pool it belongs to."""
    listen: Address = HostPort("0.0.0.0", Port.RELAY)
    """The public UDP port."""
    hop_listen: Address = HostPort("0.0.0.0", 0)
    """Where transceivers answer to; each packet process takes a port of its own, so 0 is right."""
    hop_networks: Annotated[tuple[Network, ...], Field(min_length=1)]
    """Networks that a route token may point into: those of the transceivers' pods."""
    workers: Annotated[int, Field(ge=0, le=64)] = 0
    """Packet processes; 0 makes it one for each core that this container may use."""
    drain_deadline: Duration = 30.0
    """How long live flows are forwarded after SIGTERM."""
