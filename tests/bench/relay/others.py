"""How busy everybody else was: a figure means little on a shared machine without it."""

import os
import time
from pathlib import Path


class Others:
    """Processor time of processes that this one did not start, from now on."""

    def __init__(self) -> None:
        self._since = time.monotonic()
        self._before = _times()

    def cores(self) -> float:
        """Cores that they kept busy on average; only those that lived throughout."""
        now = _times()
        own = _descendants(os.getpid(), {pid: parent for pid, (_, parent) in now.items()})
        used = sum(
            seconds - self._before[pid][0]
            for pid, (seconds, _) in now.items()
            if pid in self._before and pid not in own
        )
        return used / (time.monotonic() - self._since)


def _times() -> dict[int, tuple[float, int]]:
    """Processor seconds and parent of each process, with the time of its children that have ended."""
    found: dict[int, tuple[float, int]] = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue  # it has ended
        ticks = sum(map(int, fields[11:15]))
        found[int(path.parent.name)] = (ticks / os.sysconf("SC_CLK_TCK"), int(fields[1]))
    return found


def _descendants(pid: int, parents: dict[int, int]) -> set[int]:
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found
