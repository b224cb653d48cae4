"""The seam to the kernel tier: what the packet loop tells it, and what it asks. Userspace is complete without it."""

from enum import StrEnum
from typing import NamedTuple, Protocol

from voicefleet.core.relay.flow import Flow


class FastFlow(NamedTuple):
    """What the kernel saw of one flow since it was installed."""

    last_seen: float
    """Monotonic seconds of the client's last packet; 0 before the first."""
    uplink_packets: int
    uplink_bytes: int
    downlink_packets: int
    downlink_bytes: int


class Refused(StrEnum):
    """Why a flow stays in userspace."""

    TCP = "tcp"
    FULL = "full"
    """The maps have no room."""
    NO_ROUTE = "no_route"
    """No way over an Ethernet interface: client or transceiver is on this machine, or nowhere."""
    ADDRESS = "address"
    """Link-local addresses, and IP versions that nothing is bound to."""
    SYSTEM = "system"


class FastTotals(NamedTuple):
    """What the kernel did for one packet process."""

    flows: int = 0
    """Installed now."""
    uplink_packets: int = 0
    uplink_bytes: int = 0
    downlink_packets: int = 0
    downlink_bytes: int = 0


class FastPath(Protocol):
    """Forwards a confirmed flow's packets other than STUN without waking the packet loop.

    Everything that it needs is in the flow: `client`, `via.local` (the public address and port that the client sends
    to), `peer.address` (the hop address), `header` (uplink) and `replies` (downlink headers, which may grow: then the
    flow is installed again). Installing a flow twice replaces it; removing an unknown one does nothing. None of the
    methods raises: what the kernel refuses stays in userspace.
    """

    def install(self, flow: Flow) -> bool:
        """Takes a flow over; False when it stays in userspace."""

    def remove(self, flow: Flow) -> None:
        """Gives a flow back to userspace."""

    def seen(self, flow: Flow) -> FastFlow | None:
        """Counters of one flow; None when it is not installed."""

    def totals(self) -> FastTotals:
        """What it did since this packet process began."""

    def refusals(self) -> dict[Refused, int]:
        """How many flows it did not take, by reason."""

    def close(self) -> None:
        """Every flow is in userspace again."""


class NoFastPath:
    """The userspace tier alone."""

    def install(self, flow: Flow) -> bool:
        """Leaves the flow in userspace."""
        return False

    def remove(self, flow: Flow) -> None:
        """Nothing to give back."""

    def seen(self, flow: Flow) -> FastFlow | None:
        """Nothing was ever installed."""
        return None

    def totals(self) -> FastTotals:
        """Nothing was done."""
        return FastTotals()

    def refusals(self) -> dict[Refused, int]:
        """Nothing was asked for."""
        return dict.fromkeys(Refused, 0)

    def close(self) -> None:
        """Nothing to give back."""
