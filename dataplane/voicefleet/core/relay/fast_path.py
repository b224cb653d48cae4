"""The seam to the kernel tier: what the packet loop tells it, and what it asks. Userspace is complete without it."""

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

    def close(self) -> None:
        """Detaches; every flow is in userspace again."""


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

    def close(self) -> None:
        """Nothing to detach."""
