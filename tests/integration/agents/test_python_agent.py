"""A user's class as the agent of real calls: the examples, and agents that block, leak, raise and exit."""

import asyncio
import json
import subprocess
import sys
from array import array
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from structlog.testing import capture_logs

from tests.support.aiortc_caller import AiortcCaller, aiortc_caller
from tests.support.facts import DEADLINE, eventually
from tests.support.python_agents import EXAMPLES, nursery
from tests.support.spoken_audio import speech
from tests.support.starvation import starvation
from tests.support.tiers import SPEECH
from tests.support.workers import direct_worker
from voicefleet.agents.python.link import PythonLink
from voicefleet.agents.python.nursery import AgentCode, NotReady, Nursery
from voicefleet.services.transceiver.record import EndCause
from voicefleet.services.transceiver.worker import Worker

MEGA = 1024 * 1024
BAD = '''
import os, time
from voicefleet.agents.python import VoiceAgent

class Bad(VoiceAgent):
    """Hums, and does on an event what the event says."""
    async def on_start(self):
        self.tell({"type": "pid", "pid": os.getpid()})
        self.say(bytes(range(48)) * 50 * 1000)
    async def on_event(self, event):
        match event["type"]:
            case "block":
                time.sleep(3600)
            case "leak":
                self.kept = []
                while True:
                    self.kept.append(bytearray(1024 * 1024))
            case "raise":
                raise RuntimeError("as it was told")
            case "exit":
                os._exit(7)
            case "ping":
                self.tell({"type": "pong"})
'''


def silent(_first: int, samples: int, _rate: int) -> bytes:
    return bytes(2 * samples)


async def call(worker: Worker, caller: AiortcCaller) -> str:
    """A call that is up, with its data channel; its id."""
    created = worker.create(await caller.offer(), {}, [])
    await caller.answer(created.answer)
    async with asyncio.timeout(DEADLINE):
        await caller.open.wait()
    return created.call_id


@asynccontextmanager
async def call_with(example: str) -> AsyncIterator[AiortcCaller]:
    """The caller of a worker whose agent is that example; silent until it is told to speak."""
    async with (
        nursery(example) as agents,
        direct_worker(agent=lambda: PythonLink(agents)) as worker,
        aiortc_caller() as caller,
    ):
        caller.says = silent
        await call(worker, caller)
        yield caller


async def told(caller: AiortcCaller, kind: str) -> dict[str, Any]:
    """The next event of a kind."""
    async with asyncio.timeout(DEADLINE):
        while True:
            event: dict[str, Any] = json.loads(await caller.messages.get())
            if event["type"] == kind:
                return event


def tell(caller: AiortcCaller, kind: str) -> None:
    assert caller.channel is not None
    caller.channel.send(json.dumps({"type": kind}))


async def test_the_smallest_agent_hums_at_its_pace() -> None:
    async with call_with("tone:Tone") as caller:
        await caller.hears_its_tone()  # of the same 440 Hz


@pytest.mark.needs(SPEECH)
async def test_a_parrot_takes_turns_and_is_quiet_when_it_is_spoken_to() -> None:
    words = array("h", speech(2.0, 8_000))  # aiortc asks for so many

    class Speaker:
        def __init__(self) -> None:
            self.begun: int | None = None
            self.talks = False

        def __call__(self, first: int, samples: int, _rate: int) -> bytes:
            if not self.talks:
                self.begun = None
                return bytes(2 * samples)
            if self.begun is None:
                self.begun = first
            at = (first - self.begun) % len(words)
            piece = words[at : at + samples]
            return (piece + array("h", bytes(2 * (samples - len(piece))))).tobytes()

    speaker = Speaker()
    async with call_with("parrot:Parrot") as caller:
        caller.says = speaker
        speaker.talks = True
        await told(caller, "input_audio_buffer.speech_started")
        await asyncio.sleep(1.5)
        speaker.talks = False
        await told(caller, "input_audio_buffer.speech_stopped")
        loud = partial(_loud, caller)
        await eventually(loud, "the parrot says it back")
        speaker.talks = True
        interrupted = await told(caller, "parrot.interrupted")
        assert 0 < interrupted["played_ms"] < 4000
        speaker.talks = False
        assert (await told(caller, "parrot.done"))["seconds"] > 0.3


def _loud(caller: AiortcCaller) -> bool:
    last = caller.heard[-9600:]
    return len(last) > 0 and max(map(abs, last)) > 2000


@pytest.mark.needs(SPEECH)
async def test_a_transcriber_tells_the_client_what_was_said_turn_by_turn() -> None:
    words = array("h", speech(2.0, 8_000))  # aiortc asks for so many
    async with call_with("transcriber:Transcriber") as caller:
        begun: list[int] = []

        def once(first: int, samples: int, _rate: int) -> bytes:
            begun.append(first)
            piece = words[first - begun[0] :][:samples]
            return (piece + array("h", bytes(2 * (samples - len(piece))))).tobytes()

        tell(caller, "ping")
        await told(caller, "pong")
        caller.says = once
        transcript = (await told(caller, "conversation.item.input_audio_transcription.completed"))["transcript"]
        assert transcript.endswith("seconds of speech)")


@pytest.mark.parametrize("crime", ["block", "leak", "raise", "exit"])
async def test_an_agent_that_misbehaves_hurts_its_own_call_only(tmp_path: Path, crime: str) -> None:
    (tmp_path / "bad.py").write_text(BAD)
    async with AsyncExitStack() as stack:
        agents = await stack.enter_async_context(nursery("bad:Bad", tmp_path, memory=256 * MEGA))
        worker = await stack.enter_async_context(direct_worker(agent=lambda: PythonLink(agents)))
        guilty, innocent = [await stack.enter_async_context(aiortc_caller()) for _ in range(2)]
        guilty_call, innocent_call = [await call(worker, each) for each in (guilty, innocent)]
        pids = [(await told(each, "pid"))["pid"] for each in (guilty, innocent)]
        assert pids[0] != pids[1]
        await eventually(lambda: len(innocent.came) > 25, "the innocent agent is heard")
        first, since = len(innocent.came), asyncio.get_running_loop().time()
        starved = stack.enter_context(starvation())
        stack.enter_context(capture_logs())  # rendered for a terminal, a traceback holds up this process for 0.2 s
        tell(guilty, crime)
        if crime == "block":
            await asyncio.sleep(0.5)
            assert guilty_call in _calls(worker), "it may be busy, and is not given up at once"
            worker.session(guilty_call).end(EndCause.HUNG_UP, "the caller hung up")
        else:
            await eventually(lambda: guilty_call not in _calls(worker), "the guilty agent's call has ended")
        await eventually(lambda: not Path(f"/proc/{pids[0]}").exists(), "the guilty process is gone")
        tell(innocent, "ping")
        await told(innocent, "pong")
        assert innocent_call in _calls(worker)
        await eventually(lambda: innocent.came[-1] > since + 1.0, "its voice goes on")
        until = len(innocent.came)
        apart = list(pairwise(innocent.came[first:until]))
        longest = max(later - earlier for earlier, later in apart)
        unexplained = max(later - earlier - starved.waited(earlier, later) for earlier, later in apart)
        silences = innocent.silences(first, until)
        jumps = [(later - earlier) / 48 - 20 for earlier, later in pairwise(innocent.stamps[first:until])]
        waited = starved.worst(0.5, threads=3)
        print(
            f"{crime}: the other caller heard silences of {silences} ms and jumps of {max(jumps):.0f} ms; its packets"
            f" were {1000 * longest:.0f} ms apart at most, {1000 * unexplained:.0f} ms without waiting for a processor;"
            f" it waited for {1000 * waited:.0f} ms within half a second at most"
        )
        # On the media's own clock nothing is missing: two threads share the work, and a third may hold the interpreter.
        # Packets come on time, as far as there is a processor for it.
        assert min(jumps) >= 0 and max(silences + jumps) <= 20 + 1000 * waited
        assert unexplained <= 0.1
        newcomer = await stack.enter_async_context(aiortc_caller())
        await call(worker, newcomer)
        await told(newcomer, "pid")


def _calls(worker: Worker) -> set[str]:
    return {session.call_id for session in worker.sessions.values()}


async def test_changed_code_serves_new_calls_and_live_ones_keep_theirs(tmp_path: Path) -> None:
    code = tmp_path / "bad.py"
    code.write_text(BAD)
    async with AsyncExitStack() as stack:
        agents = await stack.enter_async_context(nursery("bad:Bad", tmp_path, reload=True))
        worker = await stack.enter_async_context(direct_worker(agent=lambda: PythonLink(agents)))
        old = await stack.enter_async_context(aiortc_caller())
        await call(worker, old)
        await told(old, "pid")
        code.write_text(BAD.replace('"pong"', '"pong of the new code"'))

        async def answers_anew() -> bool:
            async with aiortc_caller() as new:
                await agents.ready.wait()
                await call(worker, new)
                tell(new, "ping")
                async with asyncio.timeout(DEADLINE):
                    while (kind := json.loads(await new.messages.get())["type"]) == "pid":
                        pass
                return bool(kind == "pong of the new code")

        async with asyncio.timeout(DEADLINE):
            while not await answers_anew():
                pass
        tell(old, "ping")
        await told(old, "pong")


async def test_code_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text("import no_such_module\n")
    why = await refusal(AgentCode("broken:Agent", tmp_path), "no_such_module")
    assert why.startswith("broken:Agent: ")


async def test_a_python_that_is_missing_or_lacks_what_agents_need_is_named(tmp_path: Path) -> None:
    bare = tmp_path / "bare"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", bare], check=True)
    bare_python = bare / "bin" / "python"
    why = await refusal(AgentCode("parrot:Parrot", EXAMPLES, interpreter=bare_python), "numpy")
    assert str(bare_python) in why
    await refusal(AgentCode("parrot:Parrot", EXAMPLES, interpreter=tmp_path / "none"), "can't be started")


async def refusal(code: AgentCode, part: str) -> str:
    """What somebody is told who wants an agent of that code, once it says what is expected."""
    made = Nursery(code)
    running = asyncio.create_task(made.run())
    try:

        async def named() -> str:
            try:
                (await made.open()).close()
            except NotReady as why:
                return str(why)
            return ""

        async with asyncio.timeout(DEADLINE):
            while part not in (why := await named()):  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        return why
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
