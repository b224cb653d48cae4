"""A call is set up although the network loses what sets it up."""

import random

from tests.support.aiortc_caller import AiortcCaller, aiortc_caller
from tests.support.facts import eventually
from tests.support.nat import Nat, nat
from tests.support.workers import direct_worker
from voicefleet.services.transceiver.worker import Worker
from voicefleet.wire.demux import PacketKind, classify


async def call_through(worker: Worker, box: Nat, caller: AiortcCaller) -> None:
    direct = worker.direct
    assert direct is not None
    answer = worker.create(await caller.offer(), {}, []).answer
    theirs, ours = f"{direct.address} {direct.port} typ", f"{box.address[0]} {box.address[1]} typ"
    assert theirs in answer
    await caller.answer(answer.replace(theirs, ours))


async def test_lost_handshake_packets_are_repeated() -> None:
    """The ClientHello is lost twice, and so is each side's first later flight."""
    seen: list[int] = []

    def lose(datagram: bytes) -> bool:
        if classify(datagram) is not PacketKind.DTLS:
            return False
        seen.append(len(datagram))
        return len(seen) <= 2

    async with direct_worker() as worker, aiortc_caller() as caller:
        direct = worker.direct
        assert direct is not None
        async with nat(f"{direct.address}:{direct.port}") as box:
            box.lose = lose
            await call_through(worker, box, caller)
            await caller.hears_its_tone()
            assert len(seen) > 2


async def test_with_a_tenth_of_all_packets_lost_the_call_is_set_up_and_lost_audio_is_asked_for() -> None:
    chance = random.Random(3)
    async with direct_worker() as worker, aiortc_caller() as caller:
        direct = worker.direct
        assert direct is not None
        async with nat(f"{direct.address}:{direct.port}") as box:
            box.lose = lambda _datagram: chance.random() < 0.1
            await call_through(worker, box, caller)
            (session,) = worker.sessions.values()
            await eventually(
                lambda: session.leg.audio is not None and session.leg.audio.measurements().uplink.asked > 3,
                "frames are asked for",
            )
            box.lose = lambda _datagram: False
            await caller.hears_its_tone()
