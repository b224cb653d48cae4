"""Where a transcriber would go: what was said comes turn by turn, and the client is told as the Realtime protocol does.

Put your model into `transcribe`. It may block: it blocks this call's process only.
"""

import asyncio
from typing import Any

from voicefleet.agents.python import Turn, VoiceAgent


class Transcriber(VoiceAgent):
    """Writes down what the caller says."""

    async def on_turn(self, turn: Turn) -> None:
        """Send the words of one turn."""
        words = await asyncio.to_thread(self.transcribe, turn.pcm)
        self.tell(
            {"type": "conversation.item.input_audio_transcription.completed", "transcript": words, "content_index": 0}
        )

    async def on_event(self, event: dict[str, Any]) -> None:
        """The client may ask whether anybody is there."""
        if event.get("type") == "ping":
            self.tell({"type": "pong"})

    def transcribe(self, pcm: bytes) -> str:
        """A stub: how long it was."""
        return f"({len(pcm) / 2 / self.rate:.1f} seconds of speech)"
