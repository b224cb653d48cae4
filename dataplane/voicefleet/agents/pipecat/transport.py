"""A call as a Pipecat transport: its input pushes what the caller says, its output plays what the pipeline says.

The output gives the call a fifth of a second ahead, so what Pipecat believes to be said is what is heard, and an
interruption drops that as well: it is silent within a frame of the pipeline's `InterruptionFrame`.
"""

import asyncio
from typing import Any, Final

from pipecat.audio.dtmf.types import KeypadEntry
from pipecat.audio.utils import create_stream_resampler
from pipecat.frames.frames import (
    CancelFrame,
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InputDTMFFrame,
    InputTransportMessageFrame,
    InterruptionFrame,
    OutputAudioRawFrame,
    OutputTransportMessageFrame,
    OutputTransportMessageUrgentFrame,
    StartFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
    VADUserStoppedSpeakingFrame,
)
from pipecat.processors.frame_processor import FrameDirection
from pipecat.transports.base_input import BaseInputTransport
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import BaseTransport, TransportParams

from voicefleet.agents.python.agent import Call

AHEAD: Final = 0.2
"""Seconds of speech that wait in the call: a pipeline that is late by as much is not heard to be."""
MOST_EARLY: Final = 100
"""Messages and keys that wait for a pipeline to begin."""
_KEYS: Final = {entry.value: entry for entry in KeypadEntry}


class CallInput(BaseInputTransport):
    """From the caller to the pipeline, at the rate that the pipeline wants."""

    def __init__(self, transport: "VoicefleetTransport", rate: int, params: TransportParams) -> None:
        super().__init__(params)
        self._transport = transport
        self._rate = rate
        self._begun = False
        self._early: list[Frame] = []
        """What came before the pipeline began, other than sound, which would be late."""
        self._resampler = create_stream_resampler()

    async def start(self, frame: StartFrame) -> None:
        """The pipeline is there."""
        await super().start(frame)
        await self.set_transport_ready(frame)
        await self._transport.connected()
        self._begun = True
        early, self._early = self._early, []
        for each in early:
            await self.push_frame(each)

    async def stop(self, frame: EndFrame) -> None:
        """It ends, after what it has to say."""
        self._begun = False
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        """It ends at once."""
        self._begun = False
        await super().cancel(frame)

    async def heard(self, pcm: bytes) -> None:
        """The next of the caller's audio."""
        if not self._begun:
            return
        if self.sample_rate != self._rate:
            pcm = await self._resampler.resample(pcm, self._rate, self.sample_rate)
        if pcm:
            await self.push_audio_frame(InputAudioRawFrame(pcm, self.sample_rate, 1))

    async def speech_began(self, *, interrupt: bool) -> None:
        """By our ear."""
        if self._begun:
            await self.broadcast_frame(UserStartedSpeakingFrame)
            if interrupt:
                await self.broadcast_interruption()

    async def speech_ended(self) -> None:
        """Likewise."""
        if self._begun:
            await self.broadcast_frame(UserStoppedSpeakingFrame)

    async def pressed(self, key: str) -> None:
        """Pipecat knows twelve keys; A to D are not among them."""
        if key in _KEYS:
            await self._push(InputDTMFFrame(_KEYS[key]))

    async def told(self, event: dict[str, Any]) -> None:
        """A message of the client's, such as RTVI's."""
        await self._push(InputTransportMessageFrame(event))

    async def _push(self, frame: Frame) -> None:
        if self._begun:
            await self.push_frame(frame)
        elif len(self._early) < MOST_EARLY:
            self._early.append(frame)


class CallOutput(BaseOutputTransport):
    """From the pipeline to the caller."""

    def __init__(self, call: Call, params: TransportParams, ears: bool) -> None:
        """`ears`: the pipeline has its own, and its turns are told to the call's measurements."""
        super().__init__(params)
        self._call = call
        self._ears = ears
        self._until = 0.0
        """When what was given to the call will have been heard."""
        self._cut = 0
        """The newest interruption; frames are numbered in the order in which they were made."""
        self._silent_for = 0.0

    async def start(self, frame: StartFrame) -> None:
        """The pipeline is there."""
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        """Play this; returns when the call wants more."""
        if frame.id < self._cut and frame.interruptible:
            return False  # it was taken from the queue before that was emptied
        loop = asyncio.get_running_loop()
        self._call.say(frame.audio)
        self._until = max(self._until, loop.time()) + len(frame.audio) / 2 / self.sample_rate
        ahead = self._until - loop.time() - AHEAD
        if ahead > 0:
            await asyncio.sleep(ahead)
        return True

    async def stop(self, frame: EndFrame) -> None:
        """The pipeline ends when its last word was heard."""
        await super().stop(frame)
        self._call.finish()
        await self._call.silent()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """As every output does; what waits in the call is a part of what an interruption drops."""
        if isinstance(frame, InterruptionFrame):
            self._cut = frame.id
        await super().process_frame(frame, direction)
        if isinstance(frame, InterruptionFrame):
            self._until = 0.0
            await self._call.hush()
        elif isinstance(frame, VADUserStoppedSpeakingFrame):
            self._silent_for = frame.stop_secs
        elif isinstance(frame, UserStoppedSpeakingFrame) and self._ears:
            self._call.last_word(self._silent_for)

    async def send_message(self, frame: OutputTransportMessageFrame | OutputTransportMessageUrgentFrame) -> None:
        """To the client's data channel."""
        if isinstance(frame.message, dict):
            self._call.tell(frame.message)


class VoicefleetTransport(BaseTransport):
    """One call. Events: `on_client_connected(transport, call)` when the pipeline has begun, and
    `on_client_disconnected(transport, call)` when the caller is gone."""

    def __init__(self, call: Call, rate: int, *, ears: bool = True) -> None:
        super().__init__()
        self.call = call
        """Its `id` and `config`; `hang_up`."""
        self.over = asyncio.Event()
        """The bot has ended."""
        params = TransportParams(
            audio_in_enabled=True,
            audio_out_enabled=True,
            audio_out_sample_rate=rate,
            audio_out_10ms_chunks=2,
            audio_out_end_silence_secs=0,  # the end is awaited instead
        )
        self._in = CallInput(self, rate, params)
        self._out = CallOutput(call, params, ears)
        self._register_event_handler("on_client_connected")
        self._register_event_handler("on_client_disconnected")

    def input(self) -> CallInput:
        """Where the pipeline begins."""
        return self._in

    def output(self) -> CallOutput:
        """Where it speaks."""
        return self._out

    async def connected(self) -> None:
        """The pipeline hears the caller."""
        await self._call_event_handler("on_client_connected", self.call)

    async def disconnected(self) -> None:
        """The caller is gone; returns when the bot has ended."""
        await self._call_event_handler("on_client_disconnected", self.call)
        await self.over.wait()
