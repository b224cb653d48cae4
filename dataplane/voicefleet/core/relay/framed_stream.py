"""Packets in a byte stream (RFC 4571: each behind its length in two octets), and what waits to be written to one.

A reader of the other side that is slow costs a bounded amount: media that is older than the bound's worth is dropped,
STUN and DTLS never are. A stream that claims a packet longer than any call sends is ended.
"""

from collections import deque
from typing import Final

from voicefleet.core.relay.flow import Buffer

MEDIA_WAITING: Final = 25
"""Media packets that wait for a slow reader: half a second of voice. Later it would be heard too late anyway."""
CONTROL_WAITING: Final = 64
"""STUN and DTLS packets that wait: several handshakes. A reader that leaves more unread is none."""
_LENGTH: Final = 2
_FIRST_OF_MEDIA: Final = 128


class BrokenStream(ValueError):
    """The stream cannot be read or written any further."""


class FrameReader:
    """Octets in, packets out."""

    __slots__ = ("_buffer", "_longest")

    def __init__(self, longest: int, buffer: bytes = b"") -> None:
        self._longest = longest
        self._buffer = buffer

    @property
    def rest(self) -> bytes:
        """What has come of the next packet."""
        return self._buffer

    def feed(self, octets: bytes) -> list[bytes]:
        """The packets that are whole now; raises `BrokenStream` for one that is too long."""
        data = self._buffer + octets if self._buffer else octets
        packets: list[bytes] = []
        at, end = 0, len(data)
        while at + _LENGTH <= end:
            length = data[at] << 8 | data[at + 1]
            if length > self._longest:
                raise BrokenStream(f"a packet of {length} octets, at most {self._longest} pass")
            if at + _LENGTH + length > end:
                break
            at += _LENGTH
            if length:
                packets.append(data[at : at + length])
            at += length
        self._buffer = data[at:]
        return packets


class FrameQueue:
    """Packets that the socket has not taken yet."""

    __slots__ = ("_control", "_frames", "_media", "_started")

    def __init__(self, started: bytes = b"") -> None:
        self._started = started
        """The rest of a frame that has been written in part: it has to be finished."""
        self._frames: deque[bytes] = deque()
        self._media = 0
        self._control = 0

    def __len__(self) -> int:
        return self._media + self._control + bool(self._started)

    def push(self, packet: Buffer) -> int:
        """Let a packet wait; how many older ones were dropped for it. Raises `BrokenStream` if control piles up."""
        self._frames.append(frame(packet))
        if packet[0] < _FIRST_OF_MEDIA:
            self._control += 1
            if self._control > CONTROL_WAITING:
                raise BrokenStream("the other side does not read")
            return 0
        self._media += 1
        if self._media <= MEDIA_WAITING:
            return 0
        for at, each in enumerate(self._frames):
            if _is_media(each):
                del self._frames[at]
                break
        self._media -= 1
        return 1

    def next(self) -> bytes:
        """What to write now; empty when nothing waits."""
        if not self._started and self._frames:
            self._started = self._frames.popleft()
            if _is_media(self._started):
                self._media -= 1
            else:
                self._control -= 1
        return self._started

    def written(self, octets: int) -> None:
        """So many octets of `next` were taken."""
        self._started = self._started[octets:]

    def all(self, most: int) -> bytes | None:
        """Everything that waits, for whoever goes on with the stream; without the media if it is more than `most`
        octets, and None if it still is."""
        for frames in (self._frames, [each for each in self._frames if not _is_media(each)]):
            octets = self._started + b"".join(frames)
            if len(octets) <= most:
                return octets
        return None

    def cut(self, octets: bytes) -> None:
        """A frame that was written in part, of which this is left."""
        self._started = octets


def frame(packet: Buffer) -> bytes:
    """A packet with its length before it."""
    return len(packet).to_bytes(_LENGTH) + packet


def _is_media(framed: bytes) -> bool:
    return framed[_LENGTH] >= _FIRST_OF_MEDIA
