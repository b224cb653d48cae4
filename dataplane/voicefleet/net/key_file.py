"""The fleet's key ring as a Kubernetes Secret mounts it, re-read when it changes, without a restart.

A file that is gone, malformed, or of another fleet keeps the ring in use, is logged and counted. No octet of a secret
reaches a log line or an error.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from voicefleet.net.watched_file import FirstLoadError, WatchedFile
from voicefleet.wire.keyring import KeyRing, KeyRingError

LARGEST: Final = 64 * 1024
"""Octets; eight keys take less than two thousand."""


class KeyFileError(FirstLoadError):
    """The key ring could not be read when the service started."""


class AcceptedRing:
    """The ring in use without the keys whose time is over; the same object until something changes."""

    def __init__(self, keys: "KeyFile", clock: Callable[[], float]) -> None:
        self._keys = keys
        self._clock = clock
        self._take(clock())

    def __call__(self) -> KeyRing:
        """The ring to open things with."""
        now = self._clock()
        if now >= self._until or self._keys.value is not self._source:
            self._take(now)
        return self._ring

    def _take(self, now: float) -> None:
        self._source = self._keys.value
        self._ring = self._source.accepted(now)
        ends = (key.accept_until for key in self._ring.keys)
        self._until = min((end for end in ends if end is not None and end > now), default=float("inf"))


class KeyFile(WatchedFile[KeyRing]):
    """The ring in use: `.value`, and `.refresh(now)` for a new one."""

    def __init__(self, path: Path, fleet: str | None = None) -> None:
        self._fleet = fleet
        try:
            super().__init__(path, self._parse, "key ring")
        except FirstLoadError as error:
            raise KeyFileError(error.path, error.reason) from None
        self._fleet = self.value.fleet

    def _parse(self, path: Path) -> KeyRing:
        with path.open("rb") as file:
            document = file.read(LARGEST + 1)
        if len(document) > LARGEST:
            raise KeyRingError("document", f"longer than {LARGEST} octets")
        ring = KeyRing.parse(document)
        if self._fleet is not None and ring.fleet != self._fleet:
            raise KeyRingError("fleet", f"{ring.fleet!r}, but this part belongs to {self._fleet!r}")
        return ring
