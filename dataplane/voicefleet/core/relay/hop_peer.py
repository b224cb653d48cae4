"""A transceiver's worker as one packet process sees it: its address, its flows' answers, and whether it lives.

It is asked (ping) only while it has flows and is silent. It counts as gone when it left several pings unanswered for
the given time; one datagram from it brings it back.
"""

from enum import Enum, auto
from typing import NamedTuple, TypeAlias

from voicefleet.core.relay.flow import Flow
from voicefleet.core.relay.limits import Limits

HopAddress: TypeAlias = tuple[str, int]

_PINGS_BEFORE_GONE = 3
"""A verdict needs that many unanswered pings, whatever time has passed: it may be this process that stood still."""
_DOUBTS = 256
"""Flows that wait for one pong; further ones ask again with their next check."""


class Verdict(Enum):
    """What the clock asks for."""

    NOTHING = auto()
    PING = auto()
    GONE = auto()


class Doubt(NamedTuple):
    """A flow whose token names another start of the worker than the one known here; a later pong decides."""

    flow: Flow
    since: float


class HopPeer:
    """State of one transceiver worker; the packet loop reads `replies`, fills `lane` and writes `heard`."""

    __slots__ = (
        "address",
        "doubts",
        "flows",
        "generation",
        "gone_at",
        "heard",
        "hinted_at",
        "lane",
        "last_ping",
        "nonce",
        "pinged_since",
        "pings",
        "replies",
    )

    def __init__(self, address: HopAddress, now: float) -> None:
        self.address = address
        self.replies: dict[bytes, Flow] = {}
        """Downlink: the first 32 octets of a datagram -> the flow that it belongs to."""
        self.lane: list[tuple[bytes, bytes]] = []
        """Packets of this wake-up, (hop header, payload), that the loop has not sent yet."""
        self.flows = 0
        """Flows that point here, pending ones included."""
        self.heard = now
        self.generation = -1
        """Which start of the worker it is, once it told."""
        self.gone_at: float | None = None
        self.hinted_at = 0.0
        """When the network or the directory last said that it is gone."""
        self.pings = 0
        """How many were sent since it was heard last."""
        self.pinged_since = 0.0
        self.last_ping = 0.0
        self.nonce = b""
        self.doubts: list[Doubt] = []

    @property
    def gone(self) -> bool:
        """Whether checks for it are refused."""
        return self.gone_at is not None and self.heard <= self.gone_at

    def judge(self, now: float, limits: Limits) -> Verdict:
        """What is due at `now`."""
        if self.heard >= self.pinged_since:
            self.pings = 0
        if not self.gone:
            self.gone_at = None
        if not self.flows:
            return Verdict.NOTHING
        hinted = self.hinted_at > self.heard
        pause = limits.ping_every / 2 if hinted else limits.ping_every
        patience = limits.gone_after_hint if hinted else limits.gone_after
        if self.pings == 0 and not hinted and now - self.heard < limits.ping_after and not self.doubts:
            return Verdict.NOTHING
        if self.gone_at is None and self.pings >= _PINGS_BEFORE_GONE and now - self.pinged_since >= patience:
            self.gone_at = now
            return Verdict.GONE
        return Verdict.PING if now - self.last_ping >= pause else Verdict.NOTHING

    def pinged(self, nonce: bytes, now: float) -> None:
        """Notes that a ping is on its way."""
        if self.pings == 0:
            self.pinged_since = now
        self.pings += 1
        self.last_ping = now
        self.nonce = nonce

    def hint(self, now: float) -> None:
        """Somebody says that it is gone: it is asked at once, and given less time."""
        self.hinted_at = now

    def lost(self, now: float) -> bool:
        """Takes it for gone at once (its port is closed); False if it was so already."""
        if self.gone:
            return False
        self.gone_at = max(now, self.heard)
        return True

    def doubt(self, flow: Flow, now: float) -> None:
        """A token names another start of this worker: the next pong decides which of both is over."""
        if len(self.doubts) < _DOUBTS:
            self.doubts.append(Doubt(flow, now))

    def settle(self) -> list[Flow]:
        """The flows in doubt that the pong to the latest ping decides about."""
        settled = [doubt.flow for doubt in self.doubts if doubt.since <= self.last_ping]
        self.doubts = [doubt for doubt in self.doubts if doubt.since > self.last_ping]
        return settled

    def __repr__(self) -> str:
        return f"HopPeer({self.address[0]} {self.address[1]}, {self.flows} flows{', gone' if self.gone else ''})"
