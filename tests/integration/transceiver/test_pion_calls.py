"""Calls of Pion, a stack that shares no code with ours, with aiortc or with libwebrtc."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.support.facts import DEADLINE, eventually
from tests.support.nat import nat
from tests.support.pion import RED, PionCaller, pion_caller
from tests.support.relay_process import RelayProcess, relay_process
from tests.support.tiers import GO
from tests.support.workers import RING, direct_worker
from voicefleet.core.media.patience import ACCURATE
from voicefleet.core.sdp.answer import RelayAddress
from voicefleet.services.transceiver.worker import Worker

pytestmark = pytest.mark.needs(GO)


async def call(worker: Worker, caller: PionCaller, via: tuple[str, int] | None = None) -> str:
    """Start a call, perhaps through a NAT."""
    created = worker.create(await caller.offer(), {}, [])
    await caller.answer(created.answer if via is None else through(worker, created.answer, via))
    return created.call_id


def through(worker: Worker, answer: str, via: tuple[str, int]) -> str:
    direct = worker.direct
    assert direct is not None
    theirs = f"{direct.address} {direct.port} typ"
    assert theirs in answer
    return answer.replace(theirs, f"{via[0]} {via[1]} typ")


async def test_a_caller_hears_its_own_voice_and_its_messages_come_back() -> None:
    async with direct_worker() as worker, pion_caller() as caller:
        await call(worker, caller)
        await caller.hears(440.0)
        await asyncio.wait_for(caller.open.wait(), DEADLINE)
        caller.send("hello")
        caller.send(b"\0\1")
        assert [await asyncio.wait_for(caller.messages.get(), DEADLINE) for _ in range(2)] == ["hello", b"\0\1"]


async def test_hanging_up_ends_the_call() -> None:
    async with direct_worker() as worker:
        async with pion_caller() as caller:
            await call(worker, caller)
            await caller.reaches("connected")
        await asyncio.wait_for(worker.empty.wait(), DEADLINE)


async def test_an_ice_restart_leads_to_the_same_call_and_the_audio_goes_on() -> None:
    async with direct_worker() as worker, pion_caller() as caller:
        call_id = await call(worker, caller)
        await caller.hears(440.0)
        session = worker.session(call_id)
        restarted = worker.restart(session, await caller.offer(restart=True), [])
        assert restarted.call_id == call_id
        await caller.answer(restarted.answer)
        since = len(caller.packets)
        await caller.hears(440.0, since=since + 50)
        record = await session.look()
        assert record.leg.restarts == 1
        assert caller.missing() <= 25, "half a second at most: Pion closes its sockets before it opens others"


async def test_what_the_network_loses_is_asked_for_and_sent_again_both_ways() -> None:
    chance = random.Random(7)
    async with direct_worker() as worker, pion_caller() as caller:
        direct = worker.direct
        assert direct is not None
        async with nat(f"{direct.address}:{direct.port}") as box:
            call_id = await call(worker, caller, box.address)
            await caller.hears(440.0)
            # On a busy machine an answer takes longer than a conversation would wait for it.
            worker.session(call_id).listen(ACCURATE)
            box.lose = lambda datagram: datagram[0] > 127 and chance.random() < 0.1
            audio = worker.session(call_id).leg.audio
            assert audio is not None
            await eventually(
                lambda: (
                    audio.measurements().uplink.retransmitted > 10 and audio.measurements().downlink.retransmitted > 10
                ),
                "lost frames are sent again both ways",
            )
            assert caller.asked > 0
            await caller.hears(440.0)


async def test_a_caller_that_says_each_frame_twice_is_heard_whole_although_frames_are_lost() -> None:
    chance = random.Random(9)
    async with direct_worker() as worker, pion_caller(redundant=True) as caller:
        direct = worker.direct
        assert direct is not None
        async with nat(f"{direct.address}:{direct.port}") as box:
            call_id = await call(worker, caller, box.address)
            await eventually(lambda: len(caller.packets) > 50, "audio comes back")
            box.lose = lambda datagram: datagram[0] > 127 and chance.random() < 0.1
            audio = worker.session(call_id).leg.audio
            assert audio is not None
            await eventually(lambda: audio.measurements().uplink.recovered_by_redundancy > 5, "copies fill gaps")
            # Loss in the other direction makes our side send copies, too.
            await eventually(lambda: caller.packets[-1].payload_type == RED, "the answer is redundant")
            await eventually(lambda: audio.measurements().downlink.copies > 20, "copies are sent")
            await caller.hears(440.0)


@asynccontextmanager
async def two_relays(directory: Path) -> AsyncIterator[dict[int, RelayProcess]]:
    """By their public ports."""
    folders = directory / "one", directory / "other"
    for folder in folders:
        folder.mkdir()
    async with relay_process(folders[0], RING) as one, relay_process(folders[1], RING) as other:
        yield {relay.address[1]: relay for relay in (one, other)}


def over_relays(worker: Worker, answer: str) -> str:
    """The answer without the way around them."""
    assert worker.direct is not None
    direct = f"{worker.direct.address} {worker.direct.port} typ"
    return "".join(line for line in answer.splitlines(keepends=True) if direct not in line)


def offered(relay: RelayProcess) -> RelayAddress:
    return RelayAddress(*relay.address)


async def test_when_the_relay_of_a_live_call_is_killed_the_other_one_carries_it_on(tmp_path: Path) -> None:
    async with (
        two_relays(tmp_path) as relays,
        direct_worker() as worker,
        pion_caller(renominate=True) as caller,
    ):
        created = worker.create(await caller.offer(), {}, [offered(relay) for relay in relays.values()])
        await caller.answer(over_relays(worker, created.answer))
        await caller.hears(440.0)
        ice = worker.session(created.call_id).leg.ice
        await eventually(lambda: len({path.relay for path in ice.paths}) == 2, "it checks by both relays")
        _, used = await caller.selected()
        before = ice.chosen
        await relays.pop(used).end(signal.SIGKILL)
        await eventually(lambda: ice.chosen is not None and ice.chosen != before, "the way to the caller has changed")
        assert ice.chosen is not None and before is not None and ice.chosen.relay != before.relay
        (left,) = relays
        await _until_selected(caller, left)
        await caller.hears(440.0, since=len(caller.packets))
        assert set(caller.states) <= {"connecting", "connected", "disconnected"}, "one call, without a new connection"
        assert ice.rounds == 0


async def test_an_ice_restart_leads_over_another_relay(tmp_path: Path) -> None:
    async with two_relays(tmp_path) as relays, direct_worker() as worker, pion_caller() as caller:
        one, other = relays.values()
        created = worker.create(await caller.offer(), {}, [offered(one)])
        await caller.answer(over_relays(worker, created.answer))
        await caller.hears(440.0)
        assert (await caller.selected())[1] == one.address[1]
        session = worker.session(created.call_id)
        restarted = worker.restart(session, await caller.offer(restart=True), [offered(other)])
        await caller.answer(over_relays(worker, restarted.answer))
        await _until_selected(caller, other.address[1])
        await one.end(signal.SIGKILL)
        await caller.hears(440.0, since=len(caller.packets))
        assert session.leg.ice.rounds == 1


async def _until_selected(caller: PionCaller, port: int) -> None:
    async with asyncio.timeout(2 * DEADLINE):
        while (await caller.selected())[1] != port:  # noqa: ASYNC110 - a selection has no event here
            await asyncio.sleep(0.1)
