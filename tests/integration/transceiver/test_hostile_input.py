"""What a hostile caller sends touches its own call and nobody else's, and a counter says what it was.

In each test somebody else is in a call meanwhile, and every frame that is said there comes back.
"""

import asyncio
import json
import random
import secrets
import socket
import struct
import zlib
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from tests.support.facts import DEADLINE, eventually, eventually_seen
from tests.support.lean_caller import LeanCaller, lean_caller, offer_text
from tests.support.workers import RING, direct_worker
from voicefleet.core.sdp.offer import MAX_OFFER, OfferError
from voicefleet.observability.health import served
from voicefleet.services.transceiver.api import internal_api
from voicefleet.services.transceiver.record import EndCause
from voicefleet.services.transceiver.worker import Worker
from voicefleet.services.transceiver.worker_calls import WorkerCalls
from voicefleet.wire import rtcp

BYSTANDER = 2.0
"""Seconds that somebody else talks."""


@asynccontextmanager
async def two_calls(*, channel: bool = False) -> AsyncIterator[tuple[Worker, LeanCaller]]:
    """A hostile caller, and one that nothing happens to while the block runs."""
    async with (
        direct_worker(capacity=2000) as worker,
        lean_caller(worker) as bystander,
        lean_caller(worker, channel=channel) as hostile,
    ):
        talking = asyncio.create_task(bystander.talk(BYSTANDER))
        yield worker, hostile
        await talking
        await bystander.everything_came_back()
        assert bystander.session.life.cause is None
        assert (await refusals(bystander)).total() == 0


async def refusals(caller: LeanCaller) -> Counter[str]:
    """What was refused of a call's packets, by reason."""
    record = await caller.session.look()
    refused = Counter(record.leg.refused) + Counter(record.refused)
    if record.leg.measurements is not None:
        refused += Counter(record.leg.measurements.refused)
    return refused


async def counted(caller: LeanCaller, reason: str, least: int) -> None:
    """Wait until so many packets were refused for that reason."""

    async def enough() -> bool:
        return (await refusals(caller))[reason] >= least

    await eventually_seen(enough, lambda: f"{least} packets are refused: {reason}")


async def still_heard(caller: LeanCaller) -> None:
    """What it says still comes back, whatever it sent."""
    before = len(caller.came_back)
    talking = asyncio.create_task(caller.talk(1.0))
    await eventually(lambda: len(caller.came_back) > before + 10, "the call goes on")
    await talking


async def test_garbage_behind_a_good_handshake() -> None:
    async with two_calls() as (worker, hostile):
        for first in range(256):
            for size in (0, 1, 11, 12, 40, 1200):
                hostile.send(bytes((first,)) + secrets.token_bytes(size))
            await asyncio.sleep(0.001)
        await counted(hostile, "neither_dtls_nor_media", 500)
        await counted(hostile, "malformed", 50)
        await eventually(lambda: worker.refused.total() > 10, "what looked like checks is counted")
        assert hostile.session.life.cause is None
        await still_heard(hostile)


async def test_replayed_and_forged_audio() -> None:
    async with two_calls() as (_, hostile):
        for _ in range(50):
            sealed = hostile.seal(hostile.frame())
            at = 12 + secrets.randbelow(len(sealed) - 12)
            hostile.send(sealed[:at] + bytes((sealed[at] ^ 1,)) + sealed[at + 1 :])
            for _ in range(5):
                hostile.send(sealed)
            await asyncio.sleep(0.005)
        await counted(hostile, "replayed", 200)
        await counted(hostile, "not_authentic", 50)
        await hostile.everything_came_back()


async def test_audio_with_header_extensions_longer_than_the_packet() -> None:
    async with two_calls() as (_, hostile):
        header = struct.Struct("!BBHLLHH")
        for number in range(50):
            lying = header.pack(0x90, 111, 100 + number, 960 * number, hostile.ssrc, 0xBEDE, 1)
            # An element that says it is longer than its extension, under a seal that is right.
            hostile.send(hostile.seal(lying + b"\x3f\xff\xff\xff" + bytes(60)))
            # One that is longer than the packet cannot be sealed by libsrtp: somebody wrote it by hand.
            hostile.send(lying[:-2] + b"\xff\xff" + secrets.token_bytes(80))
            hostile.send(bytes((0x9F,)) + lying[1:] + secrets.token_bytes(20))
            padded = header.pack(0xA0, 111, 150 + number, 960 * number, hostile.ssrc, 0, 0)
            hostile.send(hostile.seal(padded + bytes(20) + b"\xff"))  # more padding than packet
            await asyncio.sleep(0.002)
        await counted(hostile, "malformed", 100)
        await counted(hostile, "bad_length", 50)
        hostile.sent = 300  # behind the numbers that were used above
        assert hostile.session.life.cause is None
        await still_heard(hostile)


async def test_a_flood_of_reports() -> None:
    async with two_calls() as (_, hostile):
        assert hostile.keys is not None
        nack = rtcp.Nack(hostile.ssrc, hostile.session.ssrc, tuple(range(0, 60_000, 17))[:200])
        report = rtcp.encode([rtcp.ReceiverReport(hostile.ssrc, ()), nack])
        for burst in range(100):
            for _ in range(50):
                hostile.send(hostile.keys.seal_rtcp(report))
            hostile.send(hostile.keys.seal_rtcp(b"\x81\xcd\xff\xff" + secrets.token_bytes(4 + burst % 8 * 4)))
            await asyncio.sleep(0.005)
        await counted(hostile, "truncated", 50)
        assert hostile.session.life.cause is None
        await still_heard(hostile)


async def test_a_flood_on_the_data_channel_costs_the_channel_and_not_the_audio() -> None:
    async with two_calls(channel=True) as (_, hostile):
        chance = random.Random(1)
        async with asyncio.timeout(DEADLINE):
            while (await refusals(hostile))["sctp_flood"] < 2000:
                for _ in range(400):
                    hostile.send_sctp(sctp_heartbeat(chance.randbytes(200)))
                await asyncio.sleep(0.01)
        assert hostile.session.life.cause is None
        await still_heard(hostile)


def sctp_heartbeat(information: bytes) -> bytes:
    """Any packet that is well-formed: it has to be looked at."""
    parameter = struct.pack("!HH", 1, 4 + len(information)) + information
    chunk = struct.pack("!BBH", 4, 0, 4 + len(parameter)) + parameter
    packet = struct.pack("!HHLL", 5000, 5000, 1, 0) + chunk
    return packet[:8] + struct.pack("<L", zlib.crc32(packet)) + packet[12:]


async def test_a_thousand_calls_that_never_finish_their_handshake() -> None:
    async with two_calls() as (worker, hostile):
        direct = worker.direct
        assert direct is not None
        half_open = [LeanCaller(worker) for _ in range(1000)]
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            for number, call in enumerate(half_open):
                client.sendto(call.binding_request(), (direct.address, direct.port))
                if number % 20 == 0:
                    await asyncio.sleep(0)
        await still_heard(hostile)
        async with lean_caller(worker) as newcomer:
            await still_heard(newcomer)
        for call in half_open:
            assert call.session.life.cause is None
            call.session.end(EndCause.HUNG_UP, "the test is over")
        await eventually(lambda: len(worker.sessions) == 2, "they are gone")


async def test_an_offer_of_a_megabyte_is_refused_at_the_door() -> None:
    async with two_calls() as (worker, _):
        large = offer_text("lean", channel=False) + "a=x:" + "y" * 1_000_000
        with pytest.raises(OfferError):
            worker.create(large, {}, [])
        bearer = {"Authorization": f"Bearer {RING.keys[0].api_bearer}"}
        async with (
            served(internal_api(WorkerCalls(worker), lambda: RING), "127.0.0.1", 0) as port,
            aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=bearer) as http,
        ):
            for offer, statuses in ((large, (400, 413)), (large[: MAX_OFFER + 1], (400,)), ("x" * 2**21, (413,))):
                async with http.post("/v1/sessions", data=json.dumps({"offer": offer})) as answer:
                    assert answer.status in statuses, await answer.text()
        assert len(worker.sessions) == 2
