"""Signaling and a transceiver worker over real HTTP, inside the test's own process."""

import random
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import aiohttp

from tests.support.workers import RING, direct_worker
from voicefleet.core.directory import Directory, HopWorker, TransceiverEntry
from voicefleet.core.steering.policy import Policy
from voicefleet.core.steering.steering import Steering
from voicefleet.observability.health import served
from voicefleet.services.signaling.api_keys import ApiKeys
from voicefleet.services.signaling.application import application
from voicefleet.services.signaling.callers import Admission
from voicefleet.services.signaling.openai_door import OpenAIDoor
from voicefleet.services.signaling.placement import Placement
from voicefleet.services.signaling.transceiver_client import TransceiverClient
from voicefleet.services.transceiver.api import internal_api
from voicefleet.services.transceiver.calls import WorkerCalls
from voicefleet.services.transceiver.worker import Worker


@dataclass(frozen=True, slots=True)
class Signaling:
    """A running signaling, the workers behind it, and an HTTP client with its address as base."""

    http: aiohttp.ClientSession
    workers: Sequence[Worker]


def _entry(name: str, worker: Worker, port: int) -> TransceiverEntry:
    return TransceiverEntry(
        id=name,
        shard="main",
        region="",
        place=None,
        api=("127.0.0.1", port),
        capacity=worker.limits.calls,
        free=worker.limits.calls,
        workers=(HopWorker(*worker.hop, worker.generation),),
    )


@asynccontextmanager
async def signaling(keys: ApiKeys | None, capacities: Sequence[int] = (10,)) -> AsyncIterator[Signaling]:
    """Signaling in front of one worker for each capacity; `keys` None is open mode."""
    async with AsyncExitStack() as stack:
        workers = [await stack.enter_async_context(direct_worker(capacity)) for capacity in capacities]
        ports = [
            await stack.enter_async_context(served(internal_api(WorkerCalls(worker), lambda: RING), "127.0.0.1", 0))
            for worker in workers
        ]
        client = TransceiverClient(lambda: RING, time.time)
        stack.push_async_callback(client.close)
        directory = Directory()
        for number, (worker, port) in enumerate(zip(workers, ports, strict=True)):
            directory.heard(_entry(f"transceiver-{number}", worker, port), time.monotonic())
        steering = Steering(directory, Policy(), random.Random(1))
        placement = Placement(client, directory, lambda: RING, time.monotonic, steering)
        door = OpenAIDoor(Admission(lambda: keys, lambda: RING), placement)
        port = await stack.enter_async_context(served(application(door, console=True), "127.0.0.1", 0))
        http = await stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{port}"))
        yield Signaling(http, workers)
