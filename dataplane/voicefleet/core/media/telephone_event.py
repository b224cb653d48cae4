"""Keys pressed on the caller's phone (RFC 4733): a run of packets for each, from which each key comes out once."""

from typing import Final, NamedTuple

KEYS: Final = "0123456789*#ABCD"

_END: Final = 0x80


class KeyPress(NamedTuple):
    """A key that was pressed."""

    key: str
    duration: float
    """Seconds; what the last packet that came says."""


class TelephoneEvents:
    """Reads the events of one SSRC. A key counts when its end comes, or the next event begins without one."""

    __slots__ = ("_clock_rate", "_duration", "_event", "_reported", "_timestamp")

    def __init__(self, clock_rate: int) -> None:
        self._clock_rate = clock_rate
        self._timestamp: int | None = None
        self._event = 0
        self._duration = 0
        self._reported = True

    def read(self, payload: bytes, timestamp: int) -> list[KeyPress]:
        """Keys that this packet completes; `timestamp` is the event's own, the same in all its packets."""
        if len(payload) < 4 or payload[0] >= len(KEYS):
            return []  # not an event, or one that is no key (flash, tones)
        presses = []
        if timestamp != self._timestamp:
            if self._timestamp is not None and timestamp - self._timestamp & 0x80000000:
                return []  # of an event before the current one
            if not self._reported:
                presses.append(self._press())
            self._timestamp, self._event, self._duration, self._reported = timestamp, payload[0], 0, False
        self._duration = max(self._duration, int.from_bytes(payload[2:4]))
        if payload[1] & _END and not self._reported:
            presses.append(self._press())
        return presses

    def _press(self) -> KeyPress:
        self._reported = True
        return KeyPress(KEYS[self._event], self._duration / self._clock_rate)
