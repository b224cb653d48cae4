"""Messages with sockets in them between two processes of one machine: SOCK_SEQPACKET and SCM_RIGHTS.

A message arrives whole or not at all, in order, with its descriptors. Both ends are non-blocking: what the other end
does not take now waits here, up to a bound, so that whoever forwards packets never waits for whoever administers.
"""

import array
import os
import socket
from collections import deque
from collections.abc import Sequence
from typing import Final, NamedTuple, Self

LARGEST: Final = 128 * 1024
"""Octets of one message; half of what the kernel's default buffer takes."""
DESCRIPTORS: Final = 200
"""Descriptors in one message; the kernel's bound is 253 (SCM_MAX_FD)."""
_BUFFER: Final = 1024 * 1024


class Received(NamedTuple):
    """One message and the sockets that came with it, open and non-blocking."""

    message: bytes
    sockets: tuple[socket.socket, ...]


class Closed(ConnectionError):
    """The other end is gone."""


class DescriptorChannel:
    """One end of the channel."""

    def __init__(self, end: socket.socket, waiting: int = 10_000) -> None:
        end.setblocking(False)
        end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _BUFFER)
        self._socket = end
        self._bound = waiting
        self._waiting: deque[tuple[bytes, Sequence[socket.socket]]] = deque()
        self.lost = 0
        """Messages that found no room, because the other end takes nothing."""

    @classmethod
    def pair(cls) -> tuple[Self, socket.socket]:
        """This process's end, and the one to give to a child."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        return cls(ours), theirs

    @property
    def waiting(self) -> bool:
        """Whether something has not been taken by the kernel yet: call `flush` when the channel is writable."""
        return bool(self._waiting)

    def fileno(self) -> int:
        """For epoll and event loops."""
        return self._socket.fileno()

    def send(self, message: bytes, sockets: Sequence[socket.socket] = ()) -> None:
        """Send now, or as soon as the other end takes it. Sockets must stay open until `waiting` is false."""
        if len(message) > LARGEST or len(sockets) > DESCRIPTORS:
            raise ValueError(f"{len(message)} octets with {len(sockets)} sockets do not fit one message")
        if len(self._waiting) >= self._bound:
            self.lost += 1
            return
        self._waiting.append((message, sockets))
        self.flush()

    def flush(self) -> None:
        """Send what is waiting, as far as the other end takes it; raises `Closed`."""
        while self._waiting:
            message, sockets = self._waiting[0]
            descriptors = array.array("i", [each.fileno() for each in sockets])
            ancillary = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, descriptors)] if sockets else []
            try:
                self._socket.sendmsg([message], ancillary)
            except BlockingIOError:
                return
            except OSError as error:
                raise Closed(str(error)) from None
            self._waiting.popleft()

    def receive(self) -> Received | None:
        """The next message, or None when there is none now; raises `Closed`."""
        try:
            message, ancillary, flags, _ = self._socket.recvmsg(
                LARGEST, socket.CMSG_SPACE(DESCRIPTORS * array.array("i").itemsize), socket.MSG_CMSG_CLOEXEC
            )
        except BlockingIOError:
            return None
        except OSError as error:
            raise Closed(str(error)) from None
        descriptors = array.array("i")
        for level, kind, data in ancillary:
            if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
                descriptors.frombytes(data[: len(data) - len(data) % descriptors.itemsize])
        if not message:
            raise Closed("the other end closed the channel")
        if flags & (socket.MSG_CTRUNC | socket.MSG_TRUNC):
            for descriptor in descriptors:
                os.close(descriptor)
            raise Closed("a message was cut off: too few descriptors are allowed here")
        received = tuple(socket.socket(fileno=descriptor) for descriptor in descriptors)
        for each in received:
            each.setblocking(False)
        return Received(message, received)

    def close(self) -> None:
        """Close this end; the other one notices."""
        self._socket.close()
