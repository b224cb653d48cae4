"""The worker's side of a call whose agent is a class of the user's: audio and events to its process, its words back.

Nothing that the agent does can hold up the worker: the socket is written without waiting, and audio that an agent does
not take is dropped after some seconds, for itself.
"""

import asyncio
import contextlib
import json
import os
from collections.abc import Sequence
from typing import Final

from voicefleet.agents.link import Voice
from voicefleet.agents.python.messages import PID, PLAYED, SECONDS, Kind, Malformed, Reader, written, written_json
from voicefleet.agents.python.nursery import Nursery
from voicefleet.core.media.frame import AudioFrame
from voicefleet.core.media.telephone_event import KeyPress
from voicefleet.net.pcm_port import PcmFrame
from voicefleet.net.sctp_adapter import EVENTS
from voicefleet.observability import logs

BACKLOG: Final = 5.0
"""Seconds of the caller's audio that wait for an agent which is busy; what comes then is dropped."""
UNTOLD: Final = 200
"""Events that wait for the client's data channel to open."""
PATIENCE: Final = 30.0
"""Seconds without a sign of life until an agent counts as stuck, and its call ends."""
_READ: Final = 256 * 1024


class AgentGone(Exception):
    """The agent's process has ended, is stuck, or speaks something else."""


class PythonLink:
    """One call's."""

    def __init__(self, nursery: Nursery) -> None:
        self.pcm_rate: int | None = nursery.rate
        self._nursery = nursery
        self._voice: Voice | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._before: list[bytes] = []
        self.dropped = 0
        """Pieces of audio that the agent did not take."""
        self._untaken = False
        self._open = False
        self._process: int | None = None
        self._untold: list[str] = []

    async def attend(self, voice: Voice) -> None:
        """Nothing needs to be prepared: a process is there within milliseconds."""
        self._voice = voice

    async def run(self, voice: Voice) -> str:
        """Serve the caller until the agent hangs up; raises `AgentGone` or `NotReady`."""
        reader, writer = await asyncio.open_connection(sock=await self._nursery.open())
        try:
            writer.write(written_json(Kind.START, {"id": voice.call_id, "config": voice.config}))
            writer.writelines(self._before)
            self._writer = writer
            return await self._listen(voice, reader)
        finally:
            self._writer = None
            if self.dropped:
                logs.for_session(__name__, voice.call_id).warning("agent was too slow", dropped=self.dropped)
            writer.close()
            if self._process is not None:
                self._nursery.bury(self._process)

    # From the call.

    def on_audio(self, frames: Sequence[AudioFrame]) -> None:
        """Does not happen: this agent wants PCM."""

    def on_pcm(self, frames: Sequence[PcmFrame]) -> None:
        """To the agent, as long as it takes it."""
        for frame in frames:
            if frame.pcm:
                self._send(written(Kind.AUDIO, SECONDS.pack(frame.captured) + frame.pcm), droppable=True)

    def on_keys(self, keys: Sequence[KeyPress]) -> None:
        """To the agent."""
        for key in keys:
            self._send(written_json(Kind.KEY, {"key": key.key}))

    def on_channel(self, channel: str, opened: bool) -> None:
        """What the agent told before its client could hear it is told now."""
        if channel == EVENTS:
            self._open = opened
            untold, self._untold = self._untold, []
            if opened and self._voice is not None:
                for event in untold:
                    self._voice.tell(EVENTS, event)

    async def on_message(self, channel: str, message: str | bytes) -> None:
        """A JSON object is an event; others are not for agents."""
        if channel != EVENTS:
            return
        try:
            event = json.loads(message)
        except ValueError:
            event = None
        if isinstance(event, dict):
            self._send(written_json(Kind.EVENT, event))
        elif self._voice is not None:
            error = {"type": "invalid_request_error", "message": "An event is a JSON object."}
            self._voice.tell(EVENTS, json.dumps({"type": "error", "error": error}))

    def _send(self, message: bytes, droppable: bool = False) -> None:
        writer = self._writer
        if writer is None:
            if len(self._before) < 50 * BACKLOG:
                self._before.append(message)
            return
        waiting = writer.transport.get_write_buffer_size()
        if droppable and waiting > BACKLOG * 2 * (self.pcm_rate or 0):
            self.dropped += 1
            return
        writer.write(message)

    # From the agent.

    async def _listen(self, voice: Voice, reader: asyncio.StreamReader) -> str:
        messages = Reader()
        while True:
            try:
                async with asyncio.timeout(PATIENCE):
                    data = await reader.read(_READ)
            except TimeoutError:
                raise AgentGone(f"the agent gave no sign of life for {PATIENCE:.0f} s") from None
            except ConnectionError:
                data = b""
            if not data:
                raise AgentGone("the agent's process has ended; its output says why")
            try:
                for kind, payload in messages.feed(data):
                    if kind is Kind.HANG_UP:
                        return str(json.loads(payload)["reason"])
                    await self._take(voice, kind, payload)
            except Malformed as error:
                raise AgentGone(f"the agent's process sent {error}") from None

    async def _take(self, voice: Voice, kind: Kind, payload: bytes) -> None:
        match kind:
            case Kind.HELLO:
                with contextlib.suppress(OSError):  # it is gone already
                    self._process = os.pidfd_open(PID.unpack(payload)[0])
            case Kind.SAY:
                if not voice.say(payload) and not self._untaken:
                    self._untaken = True
                    logs.for_session(__name__, voice.call_id).warning("agent says more than a minute ahead")
            case Kind.FINISH:
                voice.finish()
            case Kind.HUSH:
                flushed = await voice.hush()
                self._send(written(Kind.PLAYED, PLAYED.pack(flushed.played_ms, flushed.dropped_ms)))
            case Kind.QUEUED:
                self._send(written(Kind.PLAYED, PLAYED.pack(0.0, voice.queued_ms)))
            case Kind.TELL:
                self._tell(voice, payload.decode())
            case Kind.LAST_WORD:
                voice.last_word(SECONDS.unpack(payload)[0])
            case _:
                pass

    def _tell(self, voice: Voice, event: str) -> None:
        if self._open:
            voice.tell(EVENTS, event)
        elif len(self._untold) < UNTOLD:
            self._untold.append(event)
