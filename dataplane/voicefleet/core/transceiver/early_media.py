"""Media that came before its keys: kept, so that the caller's first words are not lost.

A client may speak as soon as its side of the handshake is done; our side may still wait for a packet that was lost.
Bounded in octets, because anybody who passed a check can fill it.
"""

from typing import Final

from voicefleet.core.ice_lite import Path

LARGEST: Final = 24 * 1024
"""Octets: two seconds of speech; what comes later than that is no longer part of a conversation."""


class EarlyMedia:
    """What waits for the keys of one call."""

    __slots__ = ("_octets", "_packets", "dropped")

    def __init__(self) -> None:
        self._packets: list[tuple[float, Path, bytes]] = []
        self._octets = 0
        self.dropped = 0

    def keep(self, path: Path, packet: bytes, now: float) -> None:
        """Keep a packet with the moment of its arrival, if there is room."""
        if self._octets + len(packet) > LARGEST:
            self.dropped += 1
            return
        self._octets += len(packet)
        self._packets.append((now, path, packet))

    def take(self) -> list[tuple[float, Path, bytes]]:
        """Everything, in the order of arrival; it is empty then."""
        packets, self._packets, self._octets = self._packets, [], 0
        return packets
