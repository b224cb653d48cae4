"""What somebody asks of the fleet on this machine: to drain or kill one of its processes, to empty its session map.

A file in a directory that only its user can write to; `voicefleet up` looks there twice a second.
"""

from enum import StrEnum
from pathlib import Path
from typing import Final

SESSION_MAP: Final = "session-map"


class Request(StrEnum):
    """What can be asked for."""

    DRAIN = "drain"
    KILL = "kill"
    FLUSH = "flush"
    """Of the session map alone."""


class LocalRequests:
    """The directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, request: Request, name: str) -> None:
        """Ask for it; `name` is one of the fleet's processes."""
        if not name or "/" in name or name.startswith("."):
            raise ValueError(f"{name!r} is no name of a process")
        above = self._directory / request
        above.mkdir(mode=0o700, parents=True, exist_ok=True)
        (above / name).touch()

    def take(self) -> list[tuple[Request, str]]:
        """What was asked for since the last time."""
        taken = []
        for request in Request:
            for path in (self._directory / request).glob("*"):
                path.unlink(missing_ok=True)
                taken.append((request, path.name))
        return taken
