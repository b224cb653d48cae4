"""A file or directory that is read again when it changes, as Kubernetes swaps a mounted Secret or ConfigMap.

Noticing is by `stat`, at most every two seconds: it works on every file system, through the `..data` symlink that a
kubelet swaps, and from an epoll loop as well as from asyncio. A reading that fails after the first one changes nothing
but a log line and a counter; the last good value stays. `refresh` never raises and never waits.
"""

import asyncio
import logging
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voicefleet import contract

POLL: Final = 2.0
"""Seconds between looks. A kubelet itself takes up to a minute and a half to bring a change."""

_SWAPPED: Final = "..data"

_log = logging.getLogger(__name__)
_Value = TypeVar("_Value")
_Stat = tuple[str, int, int, int, int]


class FirstLoadError(Exception):
    """A file that a service cannot start without could not be read; says which and why, never what is in it."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.reason = reason


class WatchedFile(Generic[_Value]):
    """The value that a path holds, as of its last good reading. `read` raises ValueError or OSError for a bad file."""

    def __init__(self, path: Path, read: Callable[[Path], _Value], name: str) -> None:
        self.path = path
        self.name = name
        """What the file is, in log lines and as the metric label `file`."""
        self.loads = 0
        self.failures = 0
        """Different bad states that were seen; one that stays bad counts once."""
        self.failure: str | None = None
        """Why the file as it is now cannot be used; None while it can."""
        self._read = read
        self._next_look = float("-inf")
        self._seen: tuple[_Stat, ...] | None = None
        self._value = self._first()

    @property
    def value(self) -> _Value:
        """What the last good reading gave."""
        return self._value

    def refresh(self, now: float) -> _Value | None:
        """The new value if the file changed to a good one since the last call, else None."""
        if now < self._next_look:
            return None
        self._next_look = now + POLL
        return self.look()

    def look(self) -> _Value | None:
        """`refresh` without waiting for the next due look, for a SIGHUP or an operator's request."""
        seen: tuple[_Stat, ...] | None = None
        try:
            # The look comes before the reading: a change in between is found by the next look.
            seen = _fingerprint(self.path)
            if seen == self._seen and self.failure is None:
                return None
            value = self._read(self.path)
        except (OSError, ValueError) as error:
            self._failed(_reason(error), changed=seen != self._seen)
            self._seen = seen
            return None
        self._seen = seen
        self._value = value
        self._loaded()
        return value

    async def changes(self) -> AsyncIterator[_Value]:
        """Each new value, for asyncio; runs until it is cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            # In a thread: a directory may hold thousands of files, and calls do not wait for them.
            value = await asyncio.to_thread(self.refresh, loop.time())
            if value is not None:
                yield value
            await asyncio.sleep(POLL)

    def _first(self) -> _Value:
        try:
            self._seen = _fingerprint(self.path)
            value = self._read(self.path)
        except (OSError, ValueError) as error:
            raise FirstLoadError(self.path, _reason(error)) from None
        self._loaded()
        return value

    def _loaded(self) -> None:
        if self.loads:
            _log.info("%s: read again", self.name, extra={"path": str(self.path)})
        self.loads += 1
        self.failure = None

    def _failed(self, reason: str, *, changed: bool) -> None:
        if not changed and reason == self.failure:
            return
        self.failures += 1
        self.failure = reason
        _log.error("%s: %s; the last good one stays", self.name, reason, extra={"path": str(self.path)})


class FileMetrics(Collector):
    """The metrics of all files that one process watches."""

    def __init__(self, *files: WatchedFile[Any]) -> None:
        self._files = files

    def collect(self) -> Iterator[Metric]:
        """One sample a file; the registry calls it."""
        name, label = contract.Metric, ["file"]
        loads = CounterMetricFamily(name.FILE_LOADS, "Good readings of a watched file.", labels=label)
        failures = CounterMetricFamily(name.FILE_FAILURES, "Bad states of a file; the last good stayed.", labels=label)
        good = GaugeMetricFamily(name.FILE_GOOD, "1 while the file as it is now can be used.", labels=label)
        for file in self._files:
            loads.add_metric([file.name], file.loads)
            failures.add_metric([file.name], file.failures)
            good.add_metric([file.name], float(file.failure is None))
        yield from (loads, failures, good)


def _fingerprint(path: Path) -> tuple[_Stat, ...]:
    """Changes whenever the content may have: followed through symlinks, for a directory over its visible files."""
    if not path.is_dir():
        return (_stat(str(path), path.name),)
    with suppress(OSError):
        # What a kubelet mounts never changes in place: it swaps this link, however many files are behind it.
        return (_stat(str(path / _SWAPPED), os.readlink(path / _SWAPPED)),)
    with os.scandir(path) as entries:
        visible = [(entry.name, entry.path) for entry in entries if not entry.name.startswith(".")]
    return tuple(_stat(where, name) for name, where in sorted(visible))


def _stat(path: str, name: str) -> _Stat:
    status = os.stat(path)
    return (name, status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)


def _reason(error: OSError | ValueError) -> str:
    """OSErrors are told without their path, which stands beside it."""
    return (error.strerror if isinstance(error, OSError) else None) or str(error)
