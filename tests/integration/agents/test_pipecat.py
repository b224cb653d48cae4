"""The real pipecat-ai as the agent of real calls, in a Python of its own: frames, interruptions, turns, 24 kHz."""

import asyncio
import json
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from tests.support.aiortc_caller import AiortcCaller, aiortc_caller
from tests.support.facts import DEADLINE, eventually
from tests.support.local_fleet import local_fleet
from tests.support.pipecat_environment import pipecat_python
from tests.support.python_agents import EXAMPLES, nursery
from tests.support.spoken_audio import speech
from tests.support.tiers import SPEECH
from tests.support.workers import direct_worker
from voicefleet.agents.python.link import PythonLink
from voicefleet.services.transceiver.worker import Worker

IMPORT: Final = 120.0
"""Seconds for Pipecat's many modules, on a slow machine that compiles them first."""
OWN_EARS: Final = """
from pipecat.audio.vad.silero import SileroVADAnalyzer
from pipecat.frames.frames import BotStoppedSpeakingFrame, EndWorkerFrame, Frame, UserStoppedSpeakingFrame
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.audio.vad_processor import VADProcessor
from pipecat.turns.user_start import VADUserTurnStartStrategy
from pipecat.turns.user_stop import SpeechTimeoutUserTurnStopStrategy
from pipecat.turns.user_turn_processor import UserTurnProcessor
from pipecat.turns.user_turn_strategies import UserTurnStrategies
from pipecat.workers.runner import WorkerRunner

from pipecat_parrot import SaysBack
from voicefleet.agents.pipecat import PipecatAgent


class SaysBackOnce(SaysBack):
    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        if isinstance(frame, UserStoppedSpeakingFrame):
            await self.tell({"type": "said back"})
            await self.push_frame(EndWorkerFrame(reason="enough"))


class Parrot(PipecatAgent):
    async def run_bot(self, transport):
        stop = SpeechTimeoutUserTurnStopStrategy(wait_for_transcript=False)
        turns = UserTurnStrategies(start=[VADUserTurnStartStrategy()], stop=[stop])
        ears = VADProcessor(vad_analyzer=SileroVADAnalyzer()), UserTurnProcessor(user_turn_strategies=turns)
        worker = PipelineWorker(Pipeline([transport.input(), *ears, SaysBackOnce(), transport.output()]))
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(worker)
        await runner.run()
"""


class Speaker:
    """Says its words over and over while it `talks`, and then nothing."""

    def __init__(self) -> None:
        self.talks = False
        self._words = array("h")
        self._begun: int | None = None

    def __call__(self, first: int, samples: int, rate: int) -> bytes:
        if not self._words:
            self._words = array("h", speech(2.0, rate))
        if not self.talks:
            self._begun = None
            return bytes(2 * samples)
        if self._begun is None:
            self._begun = first
        at = (first - self._begun) % len(self._words)
        piece = self._words[at : at + samples]
        return (piece + array("h", bytes(2 * (samples - len(piece))))).tobytes()

    async def says_something(self) -> None:
        """Long enough for Pipecat's measure of loudness, which looks back."""
        self.talks = True
        await asyncio.sleep(3.0)
        self.talks = False


@asynccontextmanager
async def call_with(name: str, path: Path) -> AsyncIterator[tuple[AiortcCaller, Speaker, Worker]]:
    """A caller of a pipeline, and what makes it speak."""
    speaker = Speaker()
    async with (
        nursery(name, path, interpreter=pipecat_python(), deadline=IMPORT) as agents,
        direct_worker(agent=lambda: PythonLink(agents)) as worker,
        aiortc_caller() as caller,
    ):
        caller.says = speaker
        created = worker.create(await caller.offer(), {}, [])
        await caller.answer(created.answer)
        async with asyncio.timeout(DEADLINE):
            await caller.open.wait()
        assert caller.channel is not None
        caller.channel.send('{"type": "ping"}')
        await told(caller, "pong")
        yield caller, speaker, worker


async def told(caller: AiortcCaller, kind: str) -> dict[str, Any]:
    """The next event of a kind."""
    async with asyncio.timeout(DEADLINE):
        while True:
            event: dict[str, Any] = json.loads(await caller.messages.get())
            if event["type"] == kind:
                return event


def hears_speech(caller: AiortcCaller) -> bool:
    return _loudest(caller, 9600) > 2000


def hears_speech_of(caller: AiortcCaller, seconds: float) -> bool:
    """Whether so much of what was heard is loud."""
    loud = sum(1 for at in range(0, len(caller.heard), 960) if max(map(abs, caller.heard[at : at + 960])) > 500)
    return loud * 0.02 > seconds


def _loudest(caller: AiortcCaller, samples: int) -> int:
    last = caller.heard[-samples:]
    return max(map(abs, last)) if len(last) else 0


@pytest.mark.needs(SPEECH)
async def test_a_pipecat_pipeline_takes_turns_by_our_ear_and_is_silent_when_it_is_interrupted() -> None:
    async with call_with("pipecat_parrot:Parrot", EXAMPLES) as (caller, speaker, _):
        await speaker.says_something()
        await eventually(lambda: hears_speech(caller), "the pipeline says it back")
        speaker.talks = True
        await told(caller, "parrot.interrupted")
        await eventually(lambda: _loudest(caller, 9600) < 200, "the pipeline is silent, although it was to say more")
        speaker.talks = False
        await eventually(lambda: hears_speech(caller), "and says back what it was interrupted with")


@pytest.mark.needs(SPEECH)
async def test_a_pipecat_pipeline_with_ears_of_its_own_speaks_to_its_end_and_then_hangs_up(tmp_path: Path) -> None:
    (tmp_path / "pipecat_parrot.py").write_text((EXAMPLES / "pipecat_parrot.py").read_text())
    (tmp_path / "own_ears.py").write_text(OWN_EARS)
    async with call_with("own_ears:Parrot", tmp_path) as (caller, speaker, worker):
        await speaker.says_something()
        await told(caller, "said back")
        assert worker.sessions, "it is to be heard first"
        await eventually(lambda: not worker.sessions, "the call has ended with its pipeline")
        assert hears_speech_of(caller, 1.0), "what it said was heard before"


@pytest.mark.needs(SPEECH)
async def test_a_laptops_fleet_runs_the_example_by_the_python_that_has_pipecat(tmp_path: Path) -> None:
    agent = ("--agent", f"{EXAMPLES / 'pipecat_parrot.py'}:Parrot", "--agent-python", str(pipecat_python()))
    async with local_fleet(tmp_path, options=agent) as fleet, aiortc_caller() as caller:
        caller.says = speaker = Speaker()
        await fleet.call(caller)
        async with asyncio.timeout(DEADLINE):
            await caller.open.wait()
        await speaker.says_something()
        await eventually(lambda: hears_speech(caller), "the pipeline says it back")
