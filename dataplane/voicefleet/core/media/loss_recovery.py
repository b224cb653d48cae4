"""Asking the sender for what is missing (generic NACK, RFC 4585): when, how often, and whether it is any use.

Tells a packet that was overtaken on the way from one that was lost and sent again by when it comes, and learns from
both: how late overtaken packets come (so that they are not asked for), and whether the peer answers NACKs at all.
Memory is bounded by MAX_WANTED.
"""

from typing import Final

from voicefleet.core.media.patience import FIRST_GUESS, MARGIN

MAX_WANTED: Final = 128
"""More missing at once than 2.5 s of audio is an outage, not loss: only the newest are asked for."""
MAX_ATTEMPTS: Final = 5
LEAST_SPACING: Final = 0.02
"""Least time between two attempts for one packet, whatever the round trip: a sender needs a frame's time to notice."""
MAX_GUARD: Final = 0.02
"""The first attempt never waits longer for an overtaken packet: a late NACK costs a word, a needless one 16 octets."""
REORDERING_LIMIT: Final = 0.3
HOPELESS_AFTER: Final = 24
"""So many packets asked for in vain, and not one that came, say that the peer does not retransmit."""

_FADE: Final = 0.97
"""A second later a peak of lateness counts so much less: half after 23 s, since the latest packets are the rarest."""
_NO_REORDERING: Final = 0.005


class _Wanted:
    __slots__ = ("asked", "attempts", "first_asked", "missed")

    def __init__(self, missed: float) -> None:
        self.missed = missed
        self.first_asked = self.asked = 0.0
        self.attempts = 0


class LossRecovery:
    """The packets of one sender that are missing and still of use. Sequence numbers are extended ones."""

    __slots__ = (
        "_given_up",
        "_in_vain",
        "_next",
        "_wanted",
        "asked",
        "guard",
        "overtaken",
        "reordering",
        "retransmitted",
        "round_trip_sample",
    )

    def __init__(self) -> None:
        self._wanted: dict[int, _Wanted] = {}
        self._given_up: dict[int, _Wanted] = {}
        self._next = float("inf")
        self._in_vain = 0
        self.guard = 0.0
        """How long a packet may be overdue before it is asked for."""
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
        self._next = min(self._next, now + self.guard)

    def arrived(self, sequence: int, now: float, round_trip: float | None) -> bool:
        """A packet older than the newest came; whether it is a retransmission (as far as its time can tell).

        One that comes too late to be of use still teaches how late packets come.
        """
        wanted = self._wanted.pop(sequence, None) or self._given_up.pop(sequence, None)
        if wanted is None:
            return False
        if wanted.attempts and now - wanted.first_asked >= 0.5 * (round_trip or 0.0):
            self._in_vain = 0
            self.retransmitted += 1
            if wanted.attempts == 1:  # after several attempts nobody knows which one it answers (Karn)
                self.round_trip_sample = now - wanted.asked
            return True
        self.overtaken += 1
        self.reordering = min(REORDERING_LIMIT, max(now - wanted.missed, self.reordering))
        self._set_guard()
        return False

    def found(self, sequence: int) -> None:
        """Redundancy brought it."""
        self._wanted.pop(sequence, None)

    def forget_before(self, sequence: int) -> None:
        """Packets before this one are of no use any more."""
        if not self._wanted:
            return
        for stale in [wanted for wanted in self._wanted if wanted < sequence]:
            wanted = self._wanted.pop(stale)
            self._given_up[stale] = wanted
            if wanted.attempts:
                self._in_vain += 1
        while len(self._given_up) > MAX_WANTED:
            del self._given_up[next(iter(self._given_up))]

    def fade(self) -> None:
        """To be called about once a second: what happened long ago counts less."""
        self.reordering *= _FADE
        self._set_guard()

    def deadline(self) -> float:
        """When `due` may have something to ask for."""
        return self._next if self._wanted else float("inf")

    def due(self, now: float, round_trip: float | None, patience: float) -> list[int]:
        """Sequence numbers to NACK now: those whose answer can come before the gap is given up."""
        if now < self._next or not self._wanted:
            return []
        expected = round_trip or 0.0
        spacing = max(LEAST_SPACING, (FIRST_GUESS if round_trip is None else round_trip) * 1.1 + MARGIN)
        following = float("inf")
        asking = []
        for sequence, wanted in self._wanted.items():
            at = wanted.asked + spacing if wanted.attempts else wanted.missed + self.guard
            if at + expected > wanted.missed + patience or wanted.attempts >= MAX_ATTEMPTS:
                continue
            if at <= now:
                if not wanted.attempts:
                    wanted.first_asked = now
                wanted.attempts += 1
                wanted.asked = now
                asking.append(sequence)
                at = now + spacing
            following = min(following, at)
        self._next = following
        self.asked += len(asking)
        return asking

    def _set_guard(self) -> None:
        self.guard = min(MAX_GUARD, self.reordering) if self.reordering > _NO_REORDERING else 0.0
