"""The ready file of a local fleet: how scripts, and the other commands, find the fleets of this user on this machine.

Each fleet writes one in a directory that only the user can read, and another copy wherever `--ready-file` says.
"""

import json
import os
import stat
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voicefleet.cli.failure import Exit, Failure


@dataclass(frozen=True, slots=True)
class ReadyFile:
    """A fleet that is ready."""

    fleet: str
    pid: int
    """Of `voicefleet up`."""
    base_url: str
    api_key: str
    console: str
    key_file: Path
    """The fleet's key ring."""
    relays: tuple[str, ...] = ()
    processes: dict[str, int] = field(default_factory=dict)
    """Process ids by name."""
    logs: str = ""
    """The directory of their logs."""
    certificate: str = ""
    """What clients have to trust, where the base URL is https."""

    def document(self) -> dict[str, Any]:
        """As it is written."""
        return {
            "fleet": self.fleet,
            "pid": self.pid,
            "baseUrl": self.base_url,
            "apiKey": self.api_key,
            "console": self.console,
            "keyFile": str(self.key_file),
            "relays": list(self.relays),
            "processes": self.processes,
            "logs": self.logs,
            "certificate": self.certificate,
        }

    def write(self, path: Path) -> None:
        """A reader sees the whole file or none; only the user may read it."""
        partial = path.with_name(f".{path.name}.{os.getpid()}")
        partial.touch(mode=0o600)
        partial.write_text(json.dumps(self.document(), indent=2))
        partial.rename(path)


def read(path: Path) -> ReadyFile:
    """What a fleet wrote; a `Failure` if it is not there or not what it should be."""
    try:
        document = json.loads(path.read_text())
        return ReadyFile(
            document["fleet"],
            int(document["pid"]),
            document["baseUrl"],
            document["apiKey"],
            document["console"],
            Path(document["keyFile"]),
            tuple(document["relays"]),
            dict(document["processes"]),
            document["logs"],
            document["certificate"],
        )
    except FileNotFoundError:
        raise Failure(f"{path} does not exist", "start a fleet with voicefleet up", Exit.UNREACHABLE) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it says something else"
        raise Failure(
            f"{path} is not a ready file: {reason}", "give what voicefleet up --ready-file wrote", Exit.INVALID
        ) from None


def directory() -> Path:
    """Where this user's fleets say that they are ready."""
    above = os.environ.get("XDG_RUNTIME_DIR", "")
    path = Path(above) / "voicefleet" if above else Path(tempfile.gettempdir()) / f"voicefleet-{os.getuid()}"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    status = path.lstat()
    if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.getuid() or status.st_mode & 0o077:
        raise Failure(f"{path} is not a directory that belongs to you alone", "remove it")
    return path


def running() -> list[ReadyFile]:
    """The fleets of this user that run, the newest first; what killed ones left behind is removed."""
    found = []
    for path in sorted(directory().glob("*.json"), key=lambda each: each.stat().st_mtime, reverse=True):
        try:
            fleet = read(path)
        except Failure:
            continue
        if alive(fleet.pid):
            found.append(fleet)
        else:
            path.unlink(missing_ok=True)
    return found


def alive(pid: int) -> bool:
    """Whether a process runs; one that has ended and was not waited for does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False
