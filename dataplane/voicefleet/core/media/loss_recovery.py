"""Asking the sender for what is missing (generic NACK, RFC 4585): when, how often, and whether it is any use.

Tells a packet that was overtaken on the way from one that was lost and sent again by when it comes, and learns from
both: how late overtaken packets come (so that they are not asked for), and whether the peer answers NACKs at all.
Memory is bounded by MAX_WANTED.
"""

from typing import Final

MAX_WANTED: Final = 128
"""More missing at once than 2.5 s of audio is an outage, not loss: only the newest are asked for."""
MAX_ATTEMPTS: Final = 5
RETRY_SPACING: Final = 0.02
"""Least time between two attempts for one packet, whatever the round trip: a sender needs a frame's time to notice."""
MAX_GUARD: Final = 0.02
"""The first attempt never waits longer for an overtaken packet: a late NACK costs a word, a needless one 16 octets."""
REORDERING_LIMIT: Final = 0.3
HOPELESS_AFTER: Final = 24
"""So many packets asked for in vain, and not one that came, say that the peer does not retransmit."""

_DECAY: Final = 0.98


class _Wanted:
    __slots__ = ("asked", "attempts", "missed")

    def __init__(self, missed: float) -> None:
        self.missed = missed
        self.asked = 0.0
        self.attempts = 0


class LossRecovery:
    """The packets of one sender that are missing and still of use. Sequence numbers are extended ones."""

    __slots__ = (
        "_guard",
        "_in_vain",
        "_next",
        "_wanted",
        "asked",
        "overtaken",
        "reordering",
        "retransmitted",
        "round_trip_sample",
    )

    def __init__(self) -> None:
        self._wanted: dict[int, _Wanted] = {}
        self._next = float("inf")
        self._guard = 0.0
        self._in_vain = 0
        self.reordering = 0.0
        """How late overtaken packets come, seconds: a peak that fades."""
        self.asked = 0
        """NACKed sequence numbers, each attempt counted."""
        self.retransmitted = 0
        self.overtaken = 0
        self.round_trip_sample: float | None = None
        """Time from the last NACK to the retransmission it brought; the owner takes it."""

    @property
    def answered(self) -> bool:
        """Whether asking is of use: false after many packets were asked for and none came."""
        return self._in_vain < HOPELESS_AFTER

    def missing(self, first: int, last: int, now: float) -> None:
        """Packets `first` to `last` (exclusive) were skipped by one that came."""
        for sequence in range(max(first, last - MAX_WANTED), last):
            self._wanted[sequence] = _Wanted(now)
        while len(self._wanted) > MAX_WANTED:
            del self._wanted[next(iter(self._wanted))]
        self._next = min(self._next, now + self._guard)

    def arrived(self, sequence: int, now: float, round_trip: float | None) -> bool:
        """A packet older than the newest came; whether it is a retransmission (as far as its time can tell)."""
        wanted = self._wanted.pop(sequence, None)
        if wanted is None:
            return False
        if wanted.attempts and now - wanted.asked >= 0.5 * (round_trip or 0.0):
            self._in_vain = 0
            self.retransmitted += 1
            if wanted.attempts == 1:  # after several attempts nobody knows which one it answers (Karn)
                self.round_trip_sample = now - wanted.asked
            return True
        self.overtaken += 1
        self.reordering = min(REORDERING_LIMIT, max(now - wanted.missed, self.reordering * _DECAY))
        self._guard = min(MAX_GUARD, self.reordering)
        return False

    def found(self, sequence: int) -> None:
        """Redundancy brought it."""
        self._wanted.pop(sequence, None)

    def forget_before(self, sequence: int) -> None:
        """Packets before this one are of no use any more."""
        for stale in [wanted for wanted in self._wanted if wanted < sequence]:
            if self._wanted.pop(stale).attempts:
                self._in_vain += 1
        if not self._wanted:
            self._next = float("inf")

    def fade(self) -> None:
        """To be called about once a second: what happened long ago counts less."""
        self.reordering *= 0.9
        self._guard = min(MAX_GUARD, self.reordering) if self.reordering > 0.005 else 0.0

    def deadline(self) -> float:
        """When `due` may have something to ask for."""
        return self._next if self._wanted else float("inf")

    def due(self, now: float, round_trip: float) -> list[int]:
        """Sequence numbers to NACK now."""
        if now < self._next or not self._wanted:
            return []
        spacing = max(RETRY_SPACING, round_trip)
        following = float("inf")
        asking = []
        for sequence, wanted in self._wanted.items():
            if not wanted.attempts:
                at = wanted.missed + self._guard
            elif wanted.attempts < MAX_ATTEMPTS:
                at = wanted.asked + spacing
            else:
                continue
            if at <= now:
                wanted.attempts += 1
                wanted.asked = now
                asking.append(sequence)
                at = now + spacing
            following = min(following, at)
        self._next = following
        self.asked += len(asking)
        return asking
