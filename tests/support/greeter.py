"""An agent that speaks first, so that what a caller waits for is the set-up and nothing else."""

from voicefleet.agents.link import InlineAgent, InlineVoice
from voicefleet.core.media.frame import AudioFrame


class Greeter(InlineAgent):
    """Says something as soon as it can be heard."""

    def on_start(self, voice: InlineVoice) -> None:
        for _ in range(5):
            voice.say(b"\x78" + bytes(60))

    def on_audio(self, frame: AudioFrame) -> None:
        """It does not listen."""

    def on_message(self, channel: str, message: str | bytes) -> None:
        """Nor read."""
