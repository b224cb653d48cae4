"""What a child process of ours needs to be told before it becomes another program."""

import ctypes
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_PR_SET_NAME: Final = 15
_libc: Final = ctypes.CDLL(None)


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel ends the child when the thread that started it ends, even by SIGKILL."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def be_called(name: str) -> None:
    """This process's name for `ps -e` and `top`, which show its first 15 octets; a forked one has its parent's."""
    _libc.prctl(_PR_SET_NAME, name.encode())
