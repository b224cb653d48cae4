"""A flow: one client address and the transceiver that its packets go to. Everything per flow that a relay remembers.

All of it can be lost: the next STUN check, the session map or the next packet of the transceiver brings it back.
"""

from enum import IntEnum
from typing import TYPE_CHECKING, Protocol, TypeAlias

if TYPE_CHECKING:
    from voicefleet.core.relay.hop_peer import HopPeer

Client: TypeAlias = tuple[str, int] | tuple[str, int, int, int] | tuple[str, int, str]
"""What a socket calls its sender: (host, port), for IPv6 with flow label and scope, for ICE-TCP with "tcp"."""

Buffer: TypeAlias = bytes | memoryview

TCP = "tcp"


class Via(Protocol):
    """The local end that a client's packets arrive at, and that its answers must leave by."""

    @property
    def local(self) -> tuple[str, int]:
        """Local address and port: what the client believes to talk to."""

    @property
    def send(self) -> "Send":
        """Sends one packet to a client; raises OSError when the socket would not take it."""


class Send(Protocol):
    """`socket.sendto`, or what looks like it."""

    def __call__(self, payload: Buffer, client: Client, /) -> object: ...


class FlowState(IntEnum):
    """How much is proven about a flow."""

    PENDING = 0
    """The client proved that it knows the token's password; the transceiver has not answered yet."""
    CONFIRMED = 1
    """The transceiver answered, or vouched for the client."""
    ENDED = 2
    """Out of the table; whoever still holds it forgets it."""


class Flow:
    """State of one flow; the packet loop reads `header`, `peer`, `via` and `client` and writes `seen`, nothing else."""

    __slots__ = (
        "accelerated",
        "allowance",
        "check",
        "check_at",
        "client",
        "due",
        "generation",
        "header",
        "peer",
        "refused",
        "replies",
        "seen",
        "ssrc",
        "state",
        "token",
        "via",
    )

    def __init__(self, client: Client, via: Via, peer: "HopPeer", header: bytes, now: float) -> None:
        self.client = client
        self.via = via
        self.peer = peer
        self.header = header
        """The hop header of every uplink packet, made once."""
        self.replies: tuple[bytes, ...] = ()
        """The headers under which the transceiver is known to answer; more than one only while keys rotate."""
        self.state = FlowState.PENDING
        self.seen = now
        """When the client was heard last. Downlink does not count: it would keep a flow whose client is gone."""
        self.token = b""
        """Empty for a flow that came back without a check; the next check fills it in."""
        self.generation = -1
        self.ssrc = -1
        """Whose packets these are when they come from another address; -1 until the first RTP or RTCP packet."""
        self.check = b""
        """Transaction of the last verified check: what a refusal answers."""
        self.check_at = now
        self.allowance = 0
        """Packets other than checks that a pending flow may still forward."""
        self.refused = False
        """The transceiver said that it restarted since the token was minted: checks are refused."""
        self.due = 0
        """The second at which the table looks at it next."""
        self.accelerated = False
        """Whether the kernel forwards it."""

    @property
    def tcp(self) -> bool:
        """Whether the client came over ICE-TCP."""
        return len(self.client) == 3

    def __repr__(self) -> str:
        return f"Flow({self.client[0]} {self.client[1]} -> {self.peer.address}, {self.state.name.lower()})"


def udp_client(host: str, port: int) -> Client:
    """The key under which a UDP socket reports a client that only the hop header or the session map names."""
    return (host, port, 0, 0) if ":" in host else (host, port)
