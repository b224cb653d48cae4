"""Network namespaces for one test, wired together, with addresses that exist nowhere else; and away again.

A socket belongs to the namespace in which it was made, and stays there: so tests keep one process and make each socket
inside `entered()`. Nothing may be awaited in there.
"""

import ctypes
import itertools
import os
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from voicefleet.net.udp import udp_socket

_CLONE_NEWNET: Final = 0x40000000
_libc: Final = ctypes.CDLL(None, use_errno=True)
_numbers: Final = itertools.count()


class Namespace:
    """One, by the name that `ip netns` knows."""

    def __init__(self, name: str, prefix: tuple[str, ...] = ()) -> None:
        """`prefix` is put before each command line, in the namespace."""
        self.name = name
        self._prefix = prefix
        self.path = Path("/run/netns") / name

    @contextmanager
    def entered(self) -> Iterator[None]:
        """What this thread does here, it does inside."""
        own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
        inside = os.open(self.path, os.O_RDONLY)
        try:
            _setns(inside)
            try:
                yield
            finally:
                _setns(own)
        finally:
            os.close(own)
            os.close(inside)

    def run(self, *command: str) -> str:
        """Runs a program inside; its output."""
        return _run(*self.enter, *command)

    def ip(self, arguments: str) -> None:
        """`ip` with these arguments, inside."""
        _run("ip", "-n", self.name, *arguments.split())

    @property
    def enter(self) -> tuple[str, ...]:
        """What a command line begins with to run inside."""
        return ("nsenter", f"--net={self.path}", *self._prefix)

    def udp(self, host: str, port: int = 0) -> socket.socket:
        """A bound socket inside."""
        with self.entered():
            return udp_socket((host, port))


def _setns(descriptor: int) -> None:
    if _libc.setns(descriptor, _CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "setns")


def _run(*command: str) -> str:
    ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, f"{' '.join(command)}: {ran.stderr.strip()}"
    return ran.stdout


@contextmanager
def namespaces(*roles: str) -> Iterator[tuple[Namespace, ...]]:
    """One for each role, with loopback up; gone at the end, with every interface and program in them."""
    prefix = f"vf-{os.getpid()}-{next(_numbers)}"
    made = [Namespace(f"{prefix}-{role}") for role in roles]
    try:
        for each in made:
            _run("ip", "netns", "add", each.name)
            each.ip("link set lo up")
        yield tuple(made)
    finally:
        for each in made:
            subprocess.run(("ip", "netns", "del", each.name), capture_output=True, check=False)


def wire(left: Namespace, left_interface: str, right: Namespace, right_interface: str, *, offload: bool = True) -> None:
    """A cable between two of them. Without `offload` packets have finished checksums, as on a real cable."""
    left.ip(f"link add {left_interface} type veth peer name {right_interface} netns {right.name}")
    for end, interface in ((left, left_interface), (right, right_interface)):
        if not offload:
            end.run("ethtool", "-K", interface, "tx", "off")
        end.ip(f"link set {interface} up")


def address(end: Namespace, interface: str, *addresses: str) -> None:
    """Gives an interface addresses, in the form address/length; IPv6 ones are usable at once."""
    for each in addresses:
        end.ip(f"address add {each} dev {interface}" + (" nodad" if ":" in each else ""))
