"""Who has a port of this machine, from /proc: the name and process id, as far as this user may see them."""

import os
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_LISTENING: Final = "0A"
_TABLES: Final = {
    socket.SOCK_STREAM: ("/proc/net/tcp", "/proc/net/tcp6"),
    socket.SOCK_DGRAM: ("/proc/net/udp", "/proc/net/udp6"),
}


@dataclass(frozen=True, slots=True)
class Holder:
    """A process that has a port."""

    pid: int
    name: str

    def __str__(self) -> str:
        return f"{self.name} (process {self.pid})"


def port_is_free(host: str, port: int, kind: socket.SocketKind) -> bool:
    """Whether a socket could have this address now."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, kind) as probe:
        if kind is socket.SOCK_STREAM:  # as servers do: what is only waiting to be forgotten is no holder
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
        return True


def port_holder(port: int, kind: socket.SocketKind) -> Holder | None:
    """The process that listens on a port; None where nobody does, or another user's process."""
    inodes = {inode for table in _TABLES[kind] for inode in _inodes(table, port, kind)}
    if not inodes:
        return None
    links = {f"socket:[{inode}]" for inode in inodes}
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and _has(process, links):
            return Holder(int(process.name), _name(process))
    return None


def _inodes(table: str, port: int, kind: socket.SocketKind) -> Iterator[str]:
    try:
        lines = Path(table).read_text().splitlines()[1:]
    except OSError:
        return
    for line in lines:
        fields = line.split()
        local, state, inode = fields[1], fields[3], fields[9]
        if int(local.rpartition(":")[2], 16) == port and (kind is socket.SOCK_DGRAM or state == _LISTENING):
            yield inode


def _has(process: Path, links: set[str]) -> bool:
    try:
        return any(os.readlink(each) in links for each in (process / "fd").iterdir())
    except OSError:
        return False  # it ended, or is another user's


def _name(process: Path) -> str:
    try:
        words = (process / "cmdline").read_bytes().decode(errors="replace").split("\0")
        module = words[words.index("-m") + 1] if "-m" in words[:-1] else ""
        return module or Path(words[0]).name or (process / "comm").read_text().strip()
    except OSError:
        return "a process"
