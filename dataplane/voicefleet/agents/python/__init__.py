"""Your own agent in Python: a class of yours serves each call, in a process of its own.

from voicefleet.agents.python import Turn, VoiceAgent

class Parrot(VoiceAgent):
    async def on_turn(self, turn: Turn) -> None:
        self.say(turn.pcm)
"""

from voicefleet.agents.python.agent import Turn, VoiceAgent
from voicefleet.core.turns.rules import Mode, TurnRules

__all__ = ["Turn", "VoiceAgent", "Mode", "TurnRules"]
