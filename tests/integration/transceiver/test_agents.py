"""What an agent can do to a call, through the seam, with a client that we did not write."""

import asyncio
from collections.abc import Sequence
from itertools import pairwise

import pytest

from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import DEADLINE, eventually
from tests.support.workers import direct_worker
from voicefleet.agents.echo import PcmEchoAgent
from voicefleet.agents.link import Voice
from voicefleet.core.media.frame import AudioFrame
from voicefleet.core.media.pacing import Flushed
from voicefleet.core.media.patience import ACCURATE, CONVERSATIONAL
from voicefleet.core.media.telephone_event import KeyPress
from voicefleet.net.pcm_port import PcmFrame
from voicefleet.net.sctp_adapter import Sent

RATE = 24_000


class ScriptedAgent:
    """Does nothing by itself; the test is its mind."""

    def __init__(self, pcm_rate: int | None = RATE) -> None:
        self.pcm_rate = pcm_rate
        self.voice: asyncio.Future[Voice] = asyncio.get_running_loop().create_future()
        self.leave: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self.pcm: list[PcmFrame] = []
        self.channels: list[tuple[str, bool]] = []
        self.messages: list[tuple[str, str | bytes]] = []
        self.cancelled = False

    async def attend(self, voice: Voice) -> None:
        pass

    async def run(self, voice: Voice) -> str:
        self.voice.set_result(voice)
        try:
            return await self.leave
        except asyncio.CancelledError:
            self.cancelled = True
            raise

    def on_audio(self, frames: Sequence[AudioFrame]) -> None:
        raise AssertionError("it asked for PCM")

    def on_pcm(self, frames: Sequence[PcmFrame]) -> None:
        self.pcm += frames

    def on_keys(self, keys: Sequence[KeyPress]) -> None:
        pass

    def on_channel(self, channel: str, opened: bool) -> None:
        self.channels.append((channel, opened))

    async def on_message(self, channel: str, message: str | bytes) -> None:
        self.messages.append((channel, message))
        if message == "fail":
            raise ValueError("as the test wanted")


async def test_an_agent_that_works_on_samples_is_heard_and_hears() -> None:
    async with direct_worker(agent=PcmEchoAgent) as worker, aiortc_caller() as caller:
        await caller.answer(worker.create(await caller.offer(), {}, []).answer)
        await caller.hears_its_tone()


async def test_a_minute_waits_and_is_dropped_at_once_to_the_sample() -> None:
    agent = ScriptedAgent()
    async with direct_worker(agent=lambda: agent) as worker, aiortc_caller() as caller:
        created = worker.create(await caller.offer(), {}, [])
        await caller.answer(created.answer)
        voice = await asyncio.wait_for(agent.voice, DEADLINE)
        assert voice.call_id == created.call_id
        second = bytes(2 * RATE)
        assert all(voice.say(second) for _ in range(60))
        await eventually(lambda: voice.queued_ms > 55_000, "what was said waits")
        assert not voice.say(second * 5), "a minute and no more"
        await eventually(lambda: voice.queued_ms < 59_500, "it leaves at its pace")
        flushed = await asyncio.wait_for(voice.hush(), DEADLINE)
        assert flushed.played_ms % 20 == 0 and flushed.played_ms >= 500
        assert flushed.played_ms + flushed.dropped_ms == pytest.approx(60_000, abs=0.01)
        assert voice.queued_ms == 0
        assert await voice.hush() == Flushed(flushed.played_ms, 0.0)


async def test_frames_come_with_the_moment_at_which_they_were_said() -> None:
    agent = ScriptedAgent()
    async with direct_worker(agent=lambda: agent) as worker, aiortc_caller() as caller:
        await caller.answer(worker.create(await caller.offer(), {}, []).answer)
        await eventually(lambda: len(agent.pcm) > 50, "a second was heard")
        moments = [frame.captured for frame in agent.pcm]
        assert all(0.0 < later - earlier < 0.1 for earlier, later in pairwise(moments))
        assert {len(frame.pcm) for frame in agent.pcm} == {2 * RATE // 50}


async def test_an_agent_chooses_what_matters_more_while_the_call_lives() -> None:
    agent = ScriptedAgent()
    async with direct_worker(agent=lambda: agent) as worker, aiortc_caller() as caller:
        created = worker.create(await caller.offer(), {}, [])
        await caller.answer(created.answer)
        voice = await asyncio.wait_for(agent.voice, DEADLINE)
        leg = worker.session(created.call_id).leg
        for profile in (ACCURATE, CONVERSATIONAL):
            voice.listen(profile)
            await eventually(lambda: leg.audio is not None and leg.audio.profile is profile, "it listens so")  # noqa: B023


async def test_events_go_both_ways_and_channels_come_and_go() -> None:
    agent = ScriptedAgent()
    async with direct_worker(agent=lambda: agent) as worker, aiortc_caller() as caller:
        await caller.answer(worker.create(await caller.offer(), {}, []).answer)
        await asyncio.wait_for(caller.open.wait(), DEADLINE)
        assert caller.channel is not None
        caller.channel.send("hello")
        await eventually(lambda: ("oai-events", "hello") in agent.messages, "the agent has the event")
        voice = agent.voice.result()
        assert voice.tell("oai-events", "good day") is Sent.SENT and voice.tell("none", "x") is Sent.NOT_OPEN
        assert await asyncio.wait_for(caller.messages.get(), DEADLINE) == "good day"
        caller.channel.close()
        await eventually(lambda: agent.channels == [("oai-events", True), ("oai-events", False)], "it is told")


async def test_an_agent_that_hangs_up_ends_the_call_and_says_why() -> None:
    agent = ScriptedAgent()
    async with direct_worker(agent=lambda: agent) as worker, aiortc_caller() as caller:
        await caller.answer(worker.create(await caller.offer(), {}, []).answer)
        await asyncio.wait_for(agent.voice, DEADLINE)
        await asyncio.wait_for(caller.open.wait(), DEADLINE)  # before that nobody can be told
        agent.leave.set_result("all was said")
        await asyncio.wait_for(worker.empty.wait(), DEADLINE)
        await caller.reaches("closed")
        assert not agent.cancelled


async def test_an_agent_that_fails_ends_its_own_call_and_no_other() -> None:
    agents: list[ScriptedAgent] = []

    def agent() -> ScriptedAgent:
        agents.append(ScriptedAgent())
        return agents[-1]

    async with direct_worker(agent=agent) as worker, aiortc_caller() as one, aiortc_caller() as other:
        for caller in (one, other):
            await caller.answer(worker.create(await caller.offer(), {}, []).answer)
            await asyncio.wait_for(caller.open.wait(), DEADLINE)
        assert one.channel is not None
        one.channel.send("fail")
        await one.reaches("closed")
        assert len(worker.sessions) == 1 and agents[0].cancelled and not agents[1].cancelled
        heard = len(agents[1].pcm)
        await eventually(lambda: len(agents[1].pcm) > heard + 25, "the other goes on")


async def test_the_caller_who_hangs_up_ends_its_agent() -> None:
    agent = ScriptedAgent()
    async with direct_worker(agent=lambda: agent) as worker:
        async with aiortc_caller() as caller:
            await caller.answer(worker.create(await caller.offer(), {}, []).answer)
            await asyncio.wait_for(agent.voice, DEADLINE)
            await asyncio.wait_for(caller.open.wait(), DEADLINE)
        await asyncio.wait_for(worker.empty.wait(), DEADLINE)
        await eventually(lambda: agent.cancelled, "its agent was told")
        assert not agent.voice.result().say(b"too late")
