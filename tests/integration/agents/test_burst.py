"""A model that says a minute in three seconds, to a caller whose network loses one packet in fifty."""

import json
import random
from contextlib import AsyncExitStack
from itertools import pairwise

import pytest

from tests.support.facts import eventually
from tests.support.model_sound import melody, pitch, spans
from tests.support.nat import nat
from tests.support.pion import pion_caller
from tests.support.realtime_model import Speech, model_server
from tests.support.starvation import starvation
from tests.support.tiers import GO
from tests.support.workers import direct_worker
from voicefleet.agents.realtime.link import RealtimeLink
from voicefleet.agents.realtime.models import ModelPlan, Models

MINUTE = 60.0
TONES = (500.0, 700.0, 900.0, 1100.0)
NOBODY_INTERRUPTS = {"type": "realtime", "audio": {"input": {"turn_detection": None}}}
RATE = 48_000
FRAME = 0.02


@pytest.mark.needs(GO)
@pytest.mark.timeout(240)
async def test_a_minute_of_speech_in_three_seconds_is_heard_whole_and_in_order_although_packets_are_lost() -> None:
    chance = random.Random(11)
    async with AsyncExitStack() as stack:
        model = await stack.enter_async_context(model_server(Speech(melody(MINUTE), pace=MINUTE / 3)))
        caller = await stack.enter_async_context(pion_caller())
        starved = stack.enter_context(starvation())
        models = Models(ModelPlan([model.url]))
        async with direct_worker(link=lambda asked: RealtimeLink(models, asked.config)) as worker:
            direct = worker.direct
            assert direct is not None
            async with nat(f"{direct.address}:{direct.port}") as box:
                created = worker.create(await caller.offer(), NOBODY_INTERRUPTS, [])
                theirs = f"{direct.address} {direct.port} typ"
                await caller.answer(created.answer.replace(theirs, f"{box.address[0]} {box.address[1]} typ"))
                await eventually(lambda: caller.open.is_set(), "the call is up")
                lost = 0

                def lose(datagram: bytes) -> bool:
                    nonlocal lost
                    loses = datagram[0] > 127 and chance.random() < 0.02
                    lost += loses
                    return loses

                box.lose = lose
                caller.send(json.dumps({"type": "response.create"}))
                await eventually(lambda: bool(model.conversations[0].said), "the model speaks")
                said = model.conversations[0].said
                await eventually(lambda: set(said.values()) == {MINUTE * 1000}, "the model has said it, long before")
                session = worker.session(created.call_id)
                assert session.queued_ms > MINUTE * 500
                await eventually(lambda: session.queued_ms == 0, "all of it was played", deadline=120.0)
                await eventually(lambda: caller.missing() == 0, "what was lost was sent again")
            audio = session.leg.audio
            assert audio is not None and lost > 30 and audio.measurements().downlink.retransmitted > 20
        waited = starved.worst(0.5, threads=3)
    heard = caller.heard()
    found = spans(heard, RATE, gap=FRAME)
    silences = [after[0] - before[1] for before, after in pairwise(found)]
    jumps = caller.jumps(round(found[0][0] / FRAME), round(found[-1][1] / FRAME))
    gaps = [round(1000 * gap) for gap in silences + jumps if gap]
    print(f"{lost} packets lost; gaps: {gaps} ms; waited for a processor for {1000 * waited:.0f} ms of 500 at most")
    # A decoder lets speech that breaks off ring on for a frame.
    told = sum(end - start for start, end in found)
    assert MINUTE - 0.06 <= told <= MINUTE + 0.07 + FRAME * len(silences), "all of it, and once"
    # On the media's own clock. What is lost makes no gap. Two threads share the work, and a third may hold the
    # interpreter; so only a machine that kept them from running for longer can make one.
    assert min(jumps) >= 0 and max(gaps, default=0) <= 20 + 1000 * waited
    ends = [*(round((end - FRAME) * RATE) for _, end in found[:-1]), round(found[-1][1] * RATE)]
    speech = [
        sample for (start, _), end in zip(found, ends, strict=True) for sample in heard[round(start * RATE) : end]
    ]
    middles = [speech[int((second + 0.4) * RATE) :][: RATE // 10] for second in range(int(MINUTE))]
    assert [pitch(middle, TONES, RATE) for middle in middles] == [
        TONES[second % len(TONES)] for second in range(int(MINUTE))
    ], "in order"
