"""Two processes of one machine that speak with each other before either knows the other: a door with a name, and a
descriptor channel that tasks can wait on.

The name is an abstract Unix socket: it belongs to the network namespace, as a port does, needs no directory that both
see, and is gone with its owner, however that ends. Anybody in the namespace may knock, so who does must prove itself.
"""

import asyncio
import socket
from collections.abc import Callable
from typing import Final

from voicefleet.net.descriptor_channel import DescriptorChannel, Received

_BACKLOG: Final = 8


class Conversation:
    """One of the two ends, for one task."""

    def __init__(self, end: socket.socket) -> None:
        self._channel = DescriptorChannel(end)

    async def say(self, message: bytes, *sockets: socket.socket) -> None:
        """Returns when it is on its way; raises `Closed`."""
        self._channel.send(message, sockets)
        while self._channel.waiting:
            loop = asyncio.get_running_loop()
            await self._ready(loop.add_writer, loop.remove_writer)
            self._channel.flush()

    async def hear(self) -> Received:
        """The next message; raises `Closed`."""
        while (received := self._channel.receive()) is None:
            loop = asyncio.get_running_loop()
            await self._ready(loop.add_reader, loop.remove_reader)
        return received

    def close(self) -> None:
        """The other end notices."""
        self._channel.close()

    async def _ready(self, watch: Callable[..., object], leave: Callable[..., object]) -> None:
        ready = asyncio.Event()
        watch(self._channel, ready.set)
        try:
            await ready.wait()
        finally:
            leave(self._channel)


def open_door(name: str) -> socket.socket:
    """A listener; raises OSError if somebody has the name."""
    door = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        door.setblocking(False)
        door.bind(f"\0{name}")
        door.listen(_BACKLOG)
    except OSError:
        door.close()
        raise
    return door


async def answer(door: socket.socket) -> Conversation:
    """With the next one who knocks."""
    connected, _ = await asyncio.get_running_loop().sock_accept(door)
    return Conversation(connected)


def knock(name: str) -> Conversation | None:
    """With whoever has the name; None if nobody does."""
    end = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        end.setblocking(False)
        end.connect(f"\0{name}")
        return Conversation(end)
    except OSError:
        end.close()
        return None
