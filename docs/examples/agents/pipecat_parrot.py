"""A Pipecat pipeline that says back what it heard; put your own services in the parrot's place.

Run it with a Python that has pipecat-ai: docs/how-to/pipecat.md.
"""

from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InputTransportMessageFrame,
    InterruptionFrame,
    OutputTransportMessageUrgentFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
    UserStartedSpeakingFrame,
    UserStoppedSpeakingFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.workers.runner import WorkerRunner

from voicefleet.agents.pipecat import PipecatAgent, VoicefleetTransport
from voicefleet.agents.python import Mode, TurnRules


class SaysBack(FrameProcessor):
    """Where speech recognition, a model and speech synthesis would be."""

    def __init__(self) -> None:
        super().__init__()
        self._heard: list[InputAudioRawFrame] | None = None

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        """Twice, so that there is time to interrupt."""
        await super().process_frame(frame, direction)
        match frame:
            case InterruptionFrame():
                await self.tell({"type": "parrot.interrupted"})
            case UserStartedSpeakingFrame():
                self._heard = []
            case InputAudioRawFrame() if self._heard is not None:
                self._heard.append(frame)
            case UserStoppedSpeakingFrame() if self._heard:
                words = b"".join(each.audio for each in self._heard)
                rate, self._heard = self._heard[0].sample_rate, None
                await self.push_frame(TTSStartedFrame())
                await self.push_frame(TTSAudioRawFrame(2 * words, rate, 1))
                await self.push_frame(TTSStoppedFrame())
            case InputTransportMessageFrame(message={"type": "ping"}):
                await self.tell({"type": "pong"})
        await self.push_frame(frame, direction)

    async def tell(self, message: dict[str, str]) -> None:
        """To the client's data channel."""
        await self.push_frame(OutputTransportMessageUrgentFrame(message))


class Parrot(PipecatAgent):
    """Takes turns by voicefleet's ear."""

    turns = TurnRules(Mode.MEANING)

    async def run_bot(self, transport: VoicefleetTransport) -> None:
        """Nothing here is voicefleet's but the transport."""
        worker = PipelineWorker(
            Pipeline([transport.input(), SaysBack(), transport.output()]),
            params=PipelineParams(audio_in_sample_rate=24_000, audio_out_sample_rate=24_000),
        )

        @transport.event_handler("on_client_disconnected")
        async def gone(_transport: VoicefleetTransport, _call: object) -> None:
            await worker.cancel()

        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()
