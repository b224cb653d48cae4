"""Calls of a client that we did not write to a worker without a relay."""

import asyncio
import gc
import json
import re
import secrets
import socket
import weakref
from collections import Counter

import pytest

from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import DEADLINE, eventually
from tests.support.lean_caller import offer_text
from tests.support.workers import RING, direct_worker
from voicefleet.services.transceiver.calls import Unavailable
from voicefleet.services.transceiver.record import EndCause
from voicefleet.services.transceiver.worker import Worker
from voicefleet.wire import stun
from voicefleet.wire.call_id import token_of
from voicefleet.wire.route_token import Route, TokenOpener, ice_password, mint


async def test_a_caller_hears_its_own_voice_and_its_messages_come_back() -> None:
    async with direct_worker() as worker, aiortc_caller() as caller:
        created = worker.create(await caller.offer(), {}, [])
        await caller.answer(created.answer)
        await caller.hears_its_tone()
        await asyncio.wait_for(caller.open.wait(), DEADLINE)
        assert caller.channel is not None
        caller.channel.send("hello")
        caller.channel.send(b"\0\1")
        assert [await asyncio.wait_for(caller.messages.get(), DEADLINE) for _ in range(2)] == ["hello", b"\0\1"]
        record = await worker.sessions[created.call_id].look()
        stages = (record.answer, record.first_check, record.dtls_done, record.first_audio_in, record.first_audio_out)
        assert all(stage is not None for stage in stages)
        assert list(stages) == sorted(stages)  # type: ignore[type-var]
        assert TokenOpener(RING).open(token_of(created.call_id)) == Route(*worker.hop, 1, 1)


async def test_two_callers_hear_each_only_themselves() -> None:
    async with direct_worker() as worker, aiortc_caller(440.0) as one, aiortc_caller(1000.0) as two:
        for caller in (one, two):
            await caller.answer(worker.create(await caller.offer(), {}, []).answer)
        await asyncio.gather(one.hears_its_tone(), two.hears_its_tone())


async def test_a_call_without_a_data_channel_works() -> None:
    async with direct_worker() as worker, aiortc_caller(channel=None) as caller:
        await caller.answer(worker.create(await caller.offer(), {}, []).answer)
        await caller.hears_its_tone()


async def test_of_calls_that_end_all_at_once_nothing_is_kept() -> None:
    many, looked, turns = 40, Counter[str](), Counter[str]()

    def left() -> int:
        gc.collect()
        return sum(session() is not None for session in sessions)

    async with direct_worker(
        many, on_looked=lambda record: looked.update([record.call_id]), on_turn=lambda: turns.update(["turn"])
    ) as worker:
        calls = [worker.create(offer_text(f"call{number}", channel=False), {}, []).call_id for number in range(many)]
        sessions = [weakref.ref(worker.session(call)) for call in calls]
        await eventually(lambda: looked.total() > many, "each was looked at, and the next round has begun")
        for call in calls:
            worker.call(call).end(EndCause.HUNG_UP, "hung up")
        before = turns.total()
        await eventually(lambda: left() == 0, "nothing of any call is left")
        assert turns.total() - before < many // 4, "nobody has to wait for the turn of each"


async def test_the_clients_goodbye_ends_the_call() -> None:
    async with direct_worker() as worker:
        async with aiortc_caller() as caller:
            await caller.answer(worker.create(await caller.offer(), {}, []).answer)
            await caller.reaches("connected")
            assert len(worker.sessions) == 1
        await asyncio.wait_for(worker.empty.wait(), DEADLINE)


async def test_our_goodbye_closes_the_clients_side() -> None:
    async with direct_worker() as worker, aiortc_caller() as caller:
        created = worker.create(await caller.offer(), {}, [])
        await caller.answer(created.answer)
        await asyncio.wait_for(caller.open.wait(), DEADLINE)
        worker.sessions[created.call_id].end(EndCause.HUNG_UP, "hung up")
        await caller.reaches("closed")
        assert not worker.sessions


async def test_a_client_is_told_why_before_its_call_ends() -> None:
    async with direct_worker() as worker, aiortc_caller() as caller:
        await caller.answer(worker.create(await caller.offer(), {}, []).answer)
        await asyncio.wait_for(caller.open.wait(), DEADLINE)
        await worker.say_goodbye("maintenance")
        await worker.stop("maintenance")
        event = json.loads(await asyncio.wait_for(caller.messages.get(), DEADLINE))
        assert (event["type"], event["reason"]) == ("voicefleet.goodbye", "maintenance") and event["event_id"]
        await caller.reaches("closed")


async def test_draining_lets_the_live_call_go_on_and_ends_with_it() -> None:
    async with direct_worker() as worker, aiortc_caller() as caller:
        offer = await caller.offer()
        await caller.answer(worker.create(offer, {}, []).answer)
        await caller.reaches("connected")
        drain = asyncio.create_task(worker.drain(600.0))
        await caller.hears_its_tone()
        assert not drain.done()
        with pytest.raises(Unavailable, match="draining"):
            worker.create(offer, {}, [])
        await caller.close()
        await asyncio.wait_for(drain, DEADLINE)


async def test_draining_ends_at_the_deadline_all_the_same() -> None:
    async with direct_worker() as worker, aiortc_caller() as caller:
        worker.create(await caller.offer(), {}, [])
        await asyncio.wait_for(worker.drain(0.01), DEADLINE)
        assert len(worker.sessions) == 1


async def test_a_client_whose_certificate_is_not_the_one_of_its_offer_gets_no_call() -> None:
    async with direct_worker() as worker, aiortc_caller() as caller:
        offer = await caller.offer()
        # each digest of the offer, also one that happens to begin so
        forged = re.sub(
            r"(a=fingerprint:\S+ )(..)", lambda match: match[1] + ("01" if match[2] == "00" else "00"), offer
        )
        await caller.answer(worker.create(forged, {}, []).answer)
        await asyncio.wait_for(worker.empty.wait(), DEADLINE)
        assert len(caller.heard) == 0


async def test_a_full_worker_and_a_draining_one_say_so() -> None:
    async with direct_worker(capacity=1) as worker, aiortc_caller() as caller:
        offer = await caller.offer()
        worker.create(offer, {}, [])
        with pytest.raises(Unavailable, match="all 1 slots"):
            worker.create(offer, {}, [])
        worker.draining = True
        with pytest.raises(Unavailable, match="draining"):
            worker.create(offer, {}, [])


def check(token: str, password: bytes) -> bytes:
    return stun.binding_request(secrets.token_bytes(12), f"{token}:peer", password, priority=1, controlling=1)


async def exchange(worker: Worker, datagram: bytes) -> bytes:
    """What the worker answers to a datagram from a socket that it has never seen."""
    loop = asyncio.get_running_loop()
    direct = worker.direct
    assert direct is not None
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.bind(("127.0.0.1", 0))
        await loop.sock_sendto(client, datagram, (direct.address, direct.port))
        return await asyncio.wait_for(loop.sock_recv(client, 2048), DEADLINE)


async def test_a_call_of_the_worker_that_was_here_before_is_refused_at_once() -> None:
    async with direct_worker(generation=2) as worker:
        token = mint(Route(*worker.hop, 1, 77), RING.keys[0], RING.fleet_tag)
        password = ice_password(token.encode(), RING.keys[0])
        data = await exchange(worker, check(token, password))
        refusal = stun.decode(data)
        assert refusal.error is not None and refusal.error[0] == 400
        assert refusal.integrity_at is not None and stun.integrity_ok(data, refusal.integrity_at, password)


async def test_nobody_who_cannot_sign_gets_an_answer() -> None:
    async with direct_worker() as worker, aiortc_caller() as caller:
        created = worker.create(await caller.offer(), {}, [])
        token = token_of(created.call_id).decode()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await exchange(worker, check(token, b"a guess"))
        assert worker.refused["not_authentic"] == 1
        # and the one who can does, so it was not the path that swallowed it
        answer = stun.decode(await exchange(worker, check(token, ice_password(token.encode(), RING.keys[0]))))
        assert answer.cls is stun.Class.SUCCESS


async def test_a_client_that_checks_the_moment_it_has_its_answer_is_never_refused() -> None:
    """The event loop takes the call, the media loop answers the check: it may come before the one told the other."""
    async with direct_worker(capacity=300) as worker, aiortc_caller() as caller:
        offer, direct = await caller.offer(), worker.direct
        assert direct is not None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.settimeout(DEADLINE)
            for _ in range(300):
                token = token_of(worker.create(offer, {}, []).call_id).decode()
                client.sendto(check(token, ice_password(token.encode(), RING.keys[0])), (direct.address, direct.port))
                while (answer := client.recv(2048))[0] > 3:
                    pass  # the ClientHello
                assert stun.decode(answer).cls is stun.Class.SUCCESS


async def test_garbage_touches_no_call() -> None:
    async with direct_worker() as worker, aiortc_caller() as caller:
        await caller.answer(worker.create(await caller.offer(), {}, []).answer)
        await caller.reaches("connected")
        direct = worker.direct
        assert direct is not None
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for size in (0, 1, 19, 20, 100, 1200, 9000):
                for first in (0, 22, 100, 128, 200):
                    stranger.sendto(bytes([first]) + secrets.token_bytes(size), (direct.address, direct.port))
        await caller.hears_its_tone()
        assert worker.refused["unknown_path"] > 0
