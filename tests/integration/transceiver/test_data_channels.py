"""Data channels of every kind that a client may open, and of a client that floods."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiortc import RTCDataChannel

from tests.support.aiortc_caller import AiortcCaller, aiortc_caller
from tests.support.facts import DEADLINE, eventually
from tests.support.workers import direct_worker
from voicefleet.core.transceiver import flood_gate
from voicefleet.services.transceiver.worker import Worker

LONG = "x" * 60_000
"""Near what a message may be long; it crosses in fifty packets."""


@asynccontextmanager
async def connected(worker: Worker, caller: AiortcCaller) -> AsyncIterator[str]:
    created = worker.create(await caller.offer(), {}, [])
    await caller.answer(created.answer)
    yield created.call_id


async def opened(channel: RTCDataChannel) -> None:
    await eventually(lambda: channel.readyState == "open", "the channel is open")


@pytest.mark.parametrize(
    "options",
    [{}, {"ordered": False}, {"ordered": False, "maxRetransmits": 0}, {"negotiated": True, "id": 4}],
    ids=["ordered", "unordered", "unreliable", "negotiated"],
)
async def test_text_and_octets_come_back_over_a_channel_of_any_kind(options: dict[str, object]) -> None:
    async with direct_worker() as worker, aiortc_caller(channel=None) as caller:
        channel = caller.peer.createDataChannel("oai-events", **options)  # type: ignore[arg-type]
        echoed: list[str | bytes] = []
        channel.on("message", echoed.append)
        async with connected(worker, caller):
            await opened(channel)
            sent: list[str | bytes] = ["hello", b"\0\1\xff", LONG]
            for message in sent:
                channel.send(message)
            await eventually(lambda: len(echoed) == len(sent), "all is echoed")
            assert set(echoed) == set(sent)


async def test_several_channels_are_kept_apart() -> None:
    async with direct_worker() as worker, aiortc_caller(channel=None) as caller:
        channels = [caller.peer.createDataChannel(f"channel-{number}") for number in range(5)]
        echoed: dict[str, list[str]] = {channel.label: [] for channel in channels}
        for channel in channels:
            channel.on("message", echoed[channel.label].append)
        async with connected(worker, caller):
            for channel in channels:
                await opened(channel)
                channel.send(f"to {channel.label}")
            await eventually(lambda: all(echoed.values()), "each has its answer")
            assert echoed == {label: [f"to {label}"] for label in echoed}


async def test_a_client_that_floods_is_told_and_loses_its_channel_and_keeps_its_audio(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # A client that obeys congestion control never gets there, and aiortc does; so less is already a flood here.
    monkeypatch.setattr(flood_gate, "RATE", 20.0)
    monkeypatch.setattr(flood_gate, "BURST", 40.0)
    monkeypatch.setattr(flood_gate, "PATIENCE", 10)
    monkeypatch.setattr(flood_gate, "FORGIVEN", 0.1)
    async with direct_worker() as worker, aiortc_caller() as caller, connected(worker, caller) as call:
        await asyncio.wait_for(caller.open.wait(), DEADLINE)
        assert caller.channel is not None
        session = worker.session(call)
        events: list[dict[str, object]] = []

        async def listen() -> None:
            while True:
                message = await caller.messages.get()
                if isinstance(message, str) and message.startswith("{"):
                    events.append(json.loads(message))

        listening = asyncio.create_task(listen())
        async with asyncio.timeout(DEADLINE):
            while caller.channel.readyState == "open":
                caller.channel.send(LONG)
                await asyncio.sleep(0.01)
        await eventually(lambda: bool(events), "it is told")
        listening.cancel()
        assert events[0]["type"] == "voicefleet.data_channel_closed" and events[0]["reason"]
        assert session.refused["sctp_flood"] > 0
        await caller.hears_its_tone()
        assert call in worker.sessions
