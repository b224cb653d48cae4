"""The agent's side: one call in one process, until the worker closes the socket or the agent hangs up."""

import asyncio
import contextlib
import json
import os
import socket
from collections.abc import Coroutine
from typing import Any, Final

from voicefleet.agents.python.agent import Turn, VoiceAgent
from voicefleet.agents.python.messages import PID, PLAYED, SECONDS, Kind, Reader, written, written_json
from voicefleet.agents.turn_taking import TurnTaking
from voicefleet.core.turns.detector import TurnEnded, TurnStarted

ALIVE_EVERY: Final = 1.0
GOODBYE: Final = 1.0
"""Seconds for `on_end`."""
_READ: Final = 256 * 1024


class ServedCall:
    """`Call` for the agent; reads and writes the socket."""

    def __init__(self, end: socket.socket, agent: type[VoiceAgent]) -> None:
        end.setblocking(False)
        self._end = end
        self._loop = asyncio.get_running_loop()
        self._reader = Reader()
        self._kind = agent
        self._agent: VoiceAgent | None = None
        self._turns = TurnTaking(agent.rate, agent.rules)
        self._answering: asyncio.Task[None] | None = None
        self._asked: list[asyncio.Future[tuple[float, float]]] = []
        self._out: asyncio.Queue[bytes] = asyncio.Queue()
        self._waiting: asyncio.Queue[tuple[Kind, bytes]] = asyncio.Queue()
        self._said = False
        self._heard_before = 0.0
        self._tasks = asyncio.TaskGroup()
        self._begun: list[asyncio.Task[None]] = []
        self.id = ""
        self.config: dict[str, Any] = {}

    async def run(self) -> None:
        """Serve the call; an exception of the agent's ends it."""
        self._put(written(Kind.HELLO, PID.pack(os.getpid())))
        async with self._tasks as tasks:
            background = [tasks.create_task(each) for each in (self._write(), self._read(), self._beat())]
            try:
                while True:
                    kind, payload = await self._waiting.get()
                    if kind is Kind.END:
                        break
                    await self._take(kind, payload)
            finally:
                if self._answering is not None:
                    self._answering.cancel()
                for task in background:
                    task.cancel()
            if self._agent is not None:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(GOODBYE):
                        await self._agent.on_end()
            for task in self._begun:
                task.cancel()

    # What the agent does.

    def say(self, pcm: bytes) -> None:
        """Queue PCM at the worker."""
        if len(pcm) % 2:
            raise ValueError("PCM of 16 bit has an even number of octets")
        self._said = True
        self._put(written(Kind.SAY, pcm))

    def finish(self) -> None:
        """The rest of a frame need not wait for more."""
        self._put(written(Kind.FINISH))

    async def hush(self) -> float:
        """Drop what has not left."""
        played, _ = await self._ask(Kind.HUSH)
        self._said = False
        return played

    async def silent(self) -> None:
        """Until all that was said has left."""
        while (queued := (await self._ask(Kind.QUEUED))[1]) > 0:  # noqa: ASYNC110 - the queue is another process's
            await asyncio.sleep(min(0.5, max(0.01, queued / 1000)))

    def tell(self, event: dict[str, Any]) -> None:
        """To the client's data channel."""
        self._put(written_json(Kind.TELL, event))

    def last_word(self, ago: float) -> None:
        """The caller's turn is over, and its last word was so many seconds before the newest sound."""
        self._put(written(Kind.LAST_WORD, SECONDS.pack(ago)))

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this beside the call."""
        self._begun.append(self._tasks.create_task(work))

    def hang_up(self, reason: str) -> None:
        """End the call."""
        self._put(written_json(Kind.HANG_UP, {"reason": reason}))

    # What comes from the worker.

    async def _take(self, kind: Kind, payload: bytes) -> None:
        agent = self._agent
        if kind is Kind.START:
            fields = json.loads(payload)
            self.id, self.config = fields["id"], fields["config"]
            self._agent = self._kind(self)
            await self._agent.on_start()
        elif agent is None:
            return
        elif kind is Kind.AUDIO:
            (captured,) = SECONDS.unpack_from(payload)
            pcm = payload[SECONDS.size :]
            await agent.on_audio(pcm, captured)
            for turn in self._turns.hear(pcm, pcm, len(pcm) / 2 / agent.rate):
                await self._turn(agent, turn)
        elif kind is Kind.KEY:
            await agent.on_key(json.loads(payload)["key"])
        elif kind is Kind.EVENT:
            await agent.on_event(json.loads(payload))

    async def _turn(self, agent: VoiceAgent, turn: TurnStarted | TurnEnded) -> None:
        if isinstance(turn, TurnStarted):
            self.tell({"type": "input_audio_buffer.speech_started", "audio_start_ms": round(1000 * turn.at)})
            await agent.on_speech()
            if agent.rules.interrupt_response:
                await self._interrupt(agent)
            return
        self.tell({"type": "input_audio_buffer.speech_stopped", "audio_end_ms": round(1000 * turn.at)})
        self.last_word(self._turns.at - turn.at)
        sounds = b"".join(self._turns.take())
        if self._answering is not None:
            self._answering.cancel()
        spoken = Turn(sounds, len(sounds) / 2 / agent.rate, turn.silence)
        self._answering = self._tasks.create_task(_cancellable(agent.on_turn(spoken)))

    async def _interrupt(self, agent: VoiceAgent) -> None:
        speaking = self._answering is not None and not self._answering.done()
        if self._answering is not None:
            self._answering.cancel()
            self._answering = None
        if not self._said:
            return
        played, dropped = await self._ask(Kind.HUSH)
        self._said = False
        if dropped > 0 or speaking:
            await agent.on_interrupted(played - self._heard_before)
        self._heard_before = played

    async def _ask(self, kind: Kind) -> tuple[float, float]:
        answer: asyncio.Future[tuple[float, float]] = self._loop.create_future()
        self._asked.append(answer)
        self._put(written(kind))
        return await answer

    # The socket.

    def _put(self, message: bytes) -> None:
        self._out.put_nowait(message)

    async def _write(self) -> None:
        with contextlib.suppress(ConnectionError):  # the call is over, as `_read` sees too
            while True:
                await self._loop.sock_sendall(self._end, await self._out.get())

    async def _read(self) -> None:
        while data := await self._loop.sock_recv(self._end, _READ):
            for kind, payload in self._reader.feed(data):
                if kind is Kind.PLAYED:
                    played, waiting = PLAYED.unpack(payload)
                    answer = self._asked.pop(0)
                    if not answer.done():  # whoever asked was cancelled meanwhile: the caller spoke
                        answer.set_result((played, waiting))
                else:
                    self._waiting.put_nowait((kind, payload))
        self._waiting.put_nowait((Kind.END, b""))

    async def _beat(self) -> None:
        while True:
            self._put(written(Kind.ALIVE))
            await asyncio.sleep(ALIVE_EVERY)


async def _cancellable(answer: Coroutine[Any, Any, None]) -> None:
    """A turn that is cut off is no failure of the call."""
    with contextlib.suppress(asyncio.CancelledError):
        await answer
