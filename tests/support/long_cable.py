"""A cable between two namespaces on which a packet takes as long as it is from where it came.

Two TUN interfaces, and a thread that carries whole IP packets from one to the other: not every kernel that tests run on
has netem.
"""

import fcntl
import heapq
import os
import select
import struct
import threading
import time
from collections.abc import Callable
from typing import Final, Self

from tests.support.namespaces import Namespace

TUN: Final = "/dev/net/tun"
_TUNSETIFF: Final = 0x400454CA
_IFF_TUN: Final = 0x0001
_IFF_NO_PI: Final = 0x1000
_LARGEST: Final = 65536


class LongCable:
    """From the near end to the far end takes `seconds(source address)`; the way back takes no time."""

    def __init__(
        self,
        near: Namespace,
        near_interface: str,
        far: Namespace,
        far_interface: str,
        seconds: Callable[[bytes], float],
    ) -> None:
        self._near = _interface(near, near_interface)
        self._far = _interface(far, far_interface)
        self._seconds = seconds
        self._stop, self._stopped = os.pipe()
        self._thread = threading.Thread(target=self._carry, name=f"cable {near_interface}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._stopped)
        self._thread.join()
        for descriptor in (self._near, self._far, self._stop):
            os.close(descriptor)

    def _carry(self) -> None:
        waiting: list[tuple[float, int, bytes]] = []
        count = 0
        while True:
            pause = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
            ready, _, _ = select.select((self._near, self._far, self._stop), (), (), pause)
            if self._stop in ready:
                return
            if self._far in ready:
                _write(self._near, os.read(self._far, _LARGEST))
            if self._near in ready:
                packet = os.read(self._near, _LARGEST)
                count += 1
                heapq.heappush(waiting, (time.monotonic() + self._seconds(packet[12:16]), count, packet))
            now = time.monotonic()
            while waiting and waiting[0][0] <= now:
                _write(self._far, heapq.heappop(waiting)[2])


def _interface(namespace: Namespace, name: str) -> int:
    with namespace.entered():
        descriptor = os.open(TUN, os.O_RDWR)
        fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN | _IFF_NO_PI))
    namespace.ip(f"link set {name} up")
    return descriptor


def _write(descriptor: int, packet: bytes) -> None:
    try:
        os.write(descriptor, packet)
    except OSError:
        pass  # the interface is going away, or it is nothing that IP would carry
