"""The agent that says what it hears: encoded frames and messages go back as they came. For demos and tests."""

from voicefleet.agents.link import Voice
from voicefleet.core.media.frame import AudioFrame, FrameKind


class EchoAgent:
    """Passes Opus through untouched, so it costs a node next to nothing."""

    def __init__(self) -> None:
        self._voice: Voice | None = None

    def on_start(self, voice: Voice) -> None:
        """Begin to echo."""
        self._voice = voice

    def on_audio(self, frame: AudioFrame) -> None:
        """Say the frame back; what was lost is left out, as a gap of the same length."""
        if self._voice is not None and frame.kind is FrameKind.HEARD:
            self._voice.say(frame.payload)

    def on_channel(self, channel: str) -> None:
        """Nothing is said on a new channel."""

    def on_message(self, channel: str, message: str | bytes) -> None:
        """Send a message back on its channel."""
        if self._voice is not None:
            self._voice.tell(channel, message)

    def on_end(self, reason: str) -> None:
        """Fall silent."""
        self._voice = None
