"""Agents that say what they hear, for demos, tests and measurements."""

import asyncio
from collections.abc import Sequence
from typing import Final

from voicefleet.agents.link import InlineAgent, InlineVoice, Voice
from voicefleet.core.media.frame import AudioFrame, FrameKind
from voicefleet.core.media.telephone_event import KeyPress
from voicefleet.net.pcm_port import PcmFrame

PCM_RATE: Final = 24_000
"""What speech models take."""


class EchoAgent(InlineAgent):
    """Passes frames back as they came, between two packets: it costs a node next to nothing."""

    def __init__(self) -> None:
        self._voice: InlineVoice | None = None

    def on_start(self, voice: InlineVoice) -> None:
        """Begin to echo."""
        self._voice = voice

    def on_audio(self, frame: AudioFrame) -> None:
        """Say the frame back; what was lost is left out, as a gap of the same length."""
        if self._voice is not None and frame.kind is FrameKind.HEARD and frame.payload:
            self._voice.say(frame.payload)

    def on_message(self, channel: str, message: str | bytes) -> None:
        """Send a message back on its channel."""
        if self._voice is not None:
            self._voice.tell(channel, message)


class PcmEchoAgent:
    """Says back what was decoded, encoded anew: what an agent costs that works on samples, without the agent."""

    def __init__(self, rate: int = PCM_RATE) -> None:
        self.pcm_rate: int | None = rate
        self._voice: Voice | None = None

    async def attend(self, voice: Voice) -> None:
        """There is nothing to prepare."""

    async def run(self, voice: Voice) -> str:
        """Echo until the caller hangs up."""
        self._voice = voice
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            self._voice = None
        return "nothing is left to say"

    def on_audio(self, frames: Sequence[AudioFrame]) -> None:
        """Does not happen: this agent wants PCM."""

    def on_pcm(self, frames: Sequence[PcmFrame]) -> None:
        """Say it back, concealed losses and all."""
        if self._voice is not None:
            for frame in frames:
                if frame.pcm:
                    self._voice.say(frame.pcm)

    def on_keys(self, keys: Sequence[KeyPress]) -> None:
        """Keys are not echoed."""

    def on_channel(self, channel: str, opened: bool) -> None:
        """Nothing is said on a new channel."""

    async def on_message(self, channel: str, message: str | bytes) -> None:
        """Send a message back on its channel."""
        if self._voice is not None:
            self._voice.tell(channel, message)
