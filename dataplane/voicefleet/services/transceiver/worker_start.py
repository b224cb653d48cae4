"""How the pod's process starts a worker's: the command line that one writes and the other reads.

By itself here, so that the pod's process need not import what only a worker runs.
"""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from socket import socket
from typing import Final

PROGRAM: Final = "voicefleet.services.transceiver.worker_process"
ALLOCATOR: Final = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_TRIM_THRESHOLD_": str(16 * 1024 * 1024),
    "GLIBC_TUNABLES": "glibc.malloc.hugetlb=1",
}
"""For glibc, which reads it before anything of ours runs; who sets one of them decides himself. By itself it gives each
thread an arena that keeps what a crowd of calls once needed: 94, 65 and 32 MB were seen. The interpreter's lock keeps
threads from allocating at once. The third asks for huge pages: each packet touches what its call has in tens of places,
and of hundreds of calls the processor knows few pages by heart: 350 calls take 46% of a core instead of 57%."""
HEAP_OF_A_CALL: Final = 256 * 1024
"""Octets, with codecs; without them half as much."""
MOST_RESERVED: Final = 64 * 1024 * 1024
"""Octets: a worker that may hold more calls gets the memory for the rest when they come."""
_NONE: Final = "-"


def reserved(calls: int) -> int:
    """Octets that a worker has at hand for so many calls when it starts."""
    return min(calls * HEAP_OF_A_CALL, MOST_RESERVED)


@dataclass(frozen=True, slots=True)
class WorkerStart:
    """What a worker is given."""

    generation: int
    channel: socket
    hop: socket
    web_sockets: socket
    """Where its callers' WebSockets come in."""
    direct: socket | None

    @property
    def descriptors(self) -> tuple[int, ...]:
        """What it inherits."""
        sockets = (self.channel, self.hop, self.web_sockets, self.direct)
        return tuple(each.fileno() for each in sockets if each is not None)

    def command(self) -> list[str]:
        """Its command line."""
        direct = _NONE if self.direct is None else str(self.direct.fileno())
        inherited = (self.channel, self.hop, self.web_sockets)
        return [
            sys.executable,
            "-m",
            PROGRAM,
            str(self.generation),
            *(str(each.fileno()) for each in inherited),
            direct,
        ]

    @staticmethod
    def environment() -> dict[str, str]:
        """The settings as the pod has them; who set the allocator's by hand knows why."""
        return {**ALLOCATOR, **os.environ}

    @classmethod
    def read(cls, arguments: Sequence[str]) -> "WorkerStart":
        """What follows the program's name in `command`."""
        generation, channel, hop, web_sockets, direct = arguments
        return cls(
            int(generation),
            socket(fileno=int(channel)),
            socket(fileno=int(hop)),
            socket(fileno=int(web_sockets)),
            None if direct == _NONE else socket(fileno=int(direct)),
        )
