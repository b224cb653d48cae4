"""A Pipecat pipeline as the agent of each call; needs `pipecat-ai`, in a Python of the user's (`interpreter`).

from voicefleet.agents.pipecat import PipecatAgent, VoicefleetTransport

class Bot(PipecatAgent):
    async def run_bot(self, transport: VoicefleetTransport) -> None:
        pipeline = Pipeline([transport.input(), stt, llm, tts, transport.output()])
        ...
"""

from voicefleet.agents.pipecat.agent import PipecatAgent
from voicefleet.agents.pipecat.transport import VoicefleetTransport

__all__ = ["PipecatAgent", "VoicefleetTransport"]
