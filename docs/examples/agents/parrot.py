"""Takes turns: says back what it heard once the caller is done, and is quiet when it is spoken to."""

import asyncio

from voicefleet.agents.python import Turn, VoiceAgent


class Parrot(VoiceAgent):
    """Says everything twice, so that there is time to interrupt."""

    async def on_turn(self, turn: Turn) -> None:
        """This is cancelled, and what is left of it dropped, when the caller speaks again."""
        for _ in range(2):
            await self.say_all(turn.pcm)
            await asyncio.sleep(0.3)
        self.tell({"type": "parrot.done", "seconds": turn.seconds})

    async def on_interrupted(self, played_ms: float) -> None:
        """So much was heard."""
        self.tell({"type": "parrot.interrupted", "played_ms": round(played_ms)})
