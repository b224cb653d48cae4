"""What a child process of ours needs to be told before it becomes another program."""

import ctypes
import signal
from typing import Final

_PR_SET_PDEATHSIG: Final = 1
_libc: Final = ctypes.CDLL(None)


def die_with_parent() -> None:
    """For `preexec_fn`: the kernel ends the child when the thread that started it ends, even by SIGKILL."""
    _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
