"""The smallest agent: it hums, until a key is pressed."""

import math
from array import array

from voicefleet.agents.python import VoiceAgent


class Tone(VoiceAgent):
    """Hums an A."""

    hertz = 440

    async def on_start(self) -> None:
        """Five seconds of it: what is said early is played at its pace."""
        samples = range(5 * self.rate)
        wave = (round(8000 * math.sin(2 * math.pi * self.hertz * at / self.rate)) for at in samples)
        self.say(array("h", wave).tobytes())

    async def on_key(self, key: str) -> None:
        """Any key of the telephone ends it."""
        self.hang_up(f"the caller pressed {key}")
