"""The control process's side of one packet process: starts it, gives it its sockets, and starts it again if it dies."""

import asyncio
import logging
import socket
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from voicefleet.core.relay.flow_record import FlowRecord
from voicefleet.net.child_process import die_with_parent
from voicefleet.net.descriptor_channel import Closed, DescriptorChannel
from voicefleet.net.kernel_program import KernelHandles
from voicefleet.services.relay import messages
from voicefleet.services.relay.messages import Connection, Drain, Message, Pause, Paused, Remember, Resume, Take
from voicefleet.services.relay.ports import ProcessPorts

RESTART_PAUSE: Final = 0.1
"""Seconds before a packet process that died again and again is started once more; the first time there is none."""
LONG_LIFE: Final = 10.0
"""Seconds after which a death counts as the first one."""

_log = logging.getLogger(__name__)


class PacketWorker:
    """One packet process, for as long as the relay runs."""

    def __init__(
        self,
        number: int,
        counters: Path,
        ports: ProcessPorts,
        kernel: KernelHandles | None,
        records: Callable[[], Iterable[FlowRecord]],
        heard: Callable[[int, Message], None],
    ) -> None:
        self._number = number
        self._counters = counters
        self._ports = ports
        self._kernel = kernel
        self._records = records
        self._heard = heard
        self._channel: DescriptorChannel | None = None
        self._writing = False
        self._drain: Drain | None = None
        self._until = 0.0
        """When a packet process that is draining must have ended."""
        self._held = False
        """Whether it may not read."""
        self._paused: asyncio.Future[None] | None = None
        self._connections: list[tuple[Connection, socket.socket]] = []
        """Its ICE-TCP connections, while it is paused."""
        self._owed: list[socket.socket] = []
        """Sockets to be closed here once it has them."""
        self.restarts = 0

    async def run(self) -> None:
        """Keep it running until it ended because it was told to."""
        loop = asyncio.get_running_loop()
        while True:
            started = loop.time()
            status = await self._one_life()
            if self._drain is not None and (status == 0 or loop.time() >= self._until):
                return
            self.restarts += 1
            _log.error("packet process died", extra={"worker": self._number, "status": status})
            if loop.time() - started < LONG_LIFE:
                await asyncio.sleep(RESTART_PAUSE)

    def say(self, message: Message) -> None:
        """Tell the packet process; it is told nothing while it is being started again."""
        if self._channel is not None:
            try:
                self._channel.send(messages.encode(message))
            except Closed:
                return  # its death is noticed elsewhere
            self._write_later()

    def drain(self, seconds: float) -> None:
        """Let it end when its flows have."""
        self._drain = Drain(seconds)
        self._until = asyncio.get_running_loop().time() + seconds
        self.say(self._drain)

    def hold(self) -> None:
        """Let it not read before `resume`; before it is started."""
        self._held = True

    async def pause(self) -> list[tuple[Connection, socket.socket]]:
        """Let it stop reading; returns its ICE-TCP connections when it has told all that it knows."""
        self._held = True
        self._paused = asyncio.get_running_loop().create_future()
        if self._channel is not None:
            self.say(Pause())
            await self._paused
        return self._connections

    def adopt(self, connection: Connection, connected: socket.socket) -> None:
        """Let it go on with a connection."""
        if self._channel is not None:
            self._channel.send(messages.encode(connection), (connected,))
            self._owed.append(connected)
            self._write_later()
            self._settle()

    def resume(self) -> None:
        """Let it read again."""
        self._held = False
        self._let_go()
        self.say(Resume())

    def end(self) -> None:
        """Let it end at once: somebody else serves its sockets."""
        self.drain(0.0)

    async def _one_life(self) -> int:
        channel, theirs = DescriptorChannel.pair()
        loop = asyncio.get_running_loop()
        kernel = self._kernel
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *("-m", "voicefleet.services.relay.packet_process"),
                *(str(self._number), str(self._counters), str(theirs.fileno())),
                *(() if kernel is None else (kernel.text(),)),
                pass_fds=(theirs.fileno(), *(() if kernel is None else kernel.descriptors)),
                preexec_fn=die_with_parent,
            )
        self._channel = channel
        loop.add_reader(channel, self._read)
        try:
            self._give()
            for piece in messages.chunks(self._records()):
                self.say(Remember(piece))
            if not self._held:
                self.say(Resume())
            if self._drain is not None:
                self.say(Drain(self._until - loop.time()))
            return await process.wait()
        finally:
            self._channel = None
            loop.remove_reader(channel)
            loop.remove_writer(channel)
            self._writing = False
            channel.close()
            self._let_go()
            self._settle()
            if self._paused is not None and not self._paused.done():
                self._paused.set_result(None)  # it can tell no more
            if process.returncode is None:
                process.kill()
                await process.wait()

    def _give(self) -> None:
        roles = tuple(role for role, _ in self._ports.sockets)
        assert self._channel is not None
        self._channel.send(messages.encode(Take(roles)), [bound for _, bound in self._ports.sockets])
        self._write_later()

    def _read(self) -> None:
        channel = self._channel
        try:
            while channel is not None and (received := channel.receive()) is not None:
                message = messages.decode(received.message)
                if isinstance(message, Connection):
                    self._connections.append((message, received.sockets[0]))
                elif isinstance(message, Paused):
                    if self._paused is not None and not self._paused.done():
                        self._paused.set_result(None)
                else:
                    self._heard(self._number, message)
        except Closed:
            if channel is not None:
                asyncio.get_running_loop().remove_reader(channel)  # process.wait says the rest

    def _write_later(self) -> None:
        if self._channel is not None and self._channel.waiting and not self._writing:
            self._writing = True
            asyncio.get_running_loop().add_writer(self._channel, self._write)

    def _write(self) -> None:
        channel = self._channel
        try:
            if channel is not None:
                channel.flush()
        except Closed:
            pass
        self._settle()
        if channel is None or not channel.waiting:
            self._writing = False
            if channel is not None:
                asyncio.get_running_loop().remove_writer(channel)

    def _settle(self) -> None:
        if self._channel is None or not self._channel.waiting:
            for each in self._owed:
                each.close()
            self._owed.clear()

    def _let_go(self) -> None:
        """It serves its connections itself, or they are somebody else's, or gone."""
        for _, connected in self._connections:
            connected.close()
        self._connections = []
