"""Signaling and a transceiver worker over real HTTP, inside the test's own process."""

import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
from prometheus_client import CollectorRegistry

from tests.support.workers import RING, direct_worker, relayed_worker
from voicefleet.agents.echo import EchoAgent
from voicefleet.agents.link import Agent, Asked
from voicefleet.core.directory import Directory, HopWorker, RelayEntry, TransceiverEntry
from voicefleet.core.rate_limit import Rate
from voicefleet.core.steering.policy import Policy
from voicefleet.core.steering.redirect import OtherRegion
from voicefleet.core.steering.steering import Steering
from voicefleet.observability.health import served
from voicefleet.observability.traces import NO_TRACES, Traces
from voicefleet.services.signaling.api_keys import ApiKeys
from voicefleet.services.signaling.application import application
from voicefleet.services.signaling.callers import Admission
from voicefleet.services.signaling.client_places import ClientPlaces
from voicefleet.services.signaling.console_door import ConsoleDoor
from voicefleet.services.signaling.fleet_door import FleetDoor, Surroundings
from voicefleet.services.signaling.front_desk import FrontDesk
from voicefleet.services.signaling.front_door import front_door
from voicefleet.services.signaling.live_calls import LiveCalls
from voicefleet.services.signaling.metrics import SignalingMetrics
from voicefleet.services.signaling.openai_door import OpenAIDoor
from voicefleet.services.signaling.operators import Operators
from voicefleet.services.signaling.placement import Placement
from voicefleet.services.signaling.rate_limits import RateLimits
from voicefleet.services.signaling.socket_door import SocketDoor
from voicefleet.services.signaling.steering_door import SteeringDoor
from voicefleet.services.signaling.transceiver_client import TransceiverClient
from voicefleet.services.signaling.whip_door import WhipDoor
from voicefleet.services.transceiver.api import internal_api
from voicefleet.services.transceiver.worker import Worker
from voicefleet.services.transceiver.worker_calls import WorkerCalls

MANY: Final = Rate(1e6, 1_000_000)
POLICY: Final = Policy()
NO_PLACES: Final = ClientPlaces()


@dataclass(frozen=True, slots=True)
class Signaling:
    """A running signaling, the workers behind it, and an HTTP client with its address as base."""

    http: aiohttp.ClientSession
    workers: Sequence[Worker]
    port: int
    metrics: CollectorRegistry


def _entry(name: str, worker: Worker, port: int, direct: bool) -> TransceiverEntry:
    return TransceiverEntry(
        id=name,
        shard="main",
        region="",
        place=None,
        api=("127.0.0.1", port),
        capacity=worker.limits.calls,
        free=worker.limits.calls,
        workers=(HopWorker(*worker.hop, worker.generation),),
        direct=direct,
    )


@asynccontextmanager
async def signaling(
    keys: ApiKeys | None,
    capacities: Sequence[int] = (10,),
    *,
    relays: Sequence[RelayEntry] = (),
    policy: Policy = POLICY,
    places: ClientPlaces = NO_PLACES,
    limits: RateLimits | None = None,
    media_host: str = "127.0.0.1",
    other_regions: Sequence[OtherRegion] = (),
    agent: Callable[[], Agent] = EchoAgent,
    direct: bool = True,
    relayed_link: Callable[[Asked], Agent] | None = None,
    traces: Traces = NO_TRACES,
    **door_options: Any,
) -> AsyncIterator[Signaling]:
    """Signaling in front of one worker for each capacity; `keys` None is open mode.

    Clients reach the workers without a relay; with `direct` off nobody says that they do.
    With a `relayed_link` the workers have that agent, and only relays reach them.
    """
    async with AsyncExitStack() as stack:
        workers = [
            await stack.enter_async_context(
                direct_worker(capacity, agent=agent, host=media_host)
                if relayed_link is None
                else relayed_worker(relayed_link)
            )
            for capacity in capacities
        ]
        ports = [
            await stack.enter_async_context(served(internal_api(WorkerCalls(worker), lambda: RING), "127.0.0.1", 0))
            for worker in workers
        ]
        client = TransceiverClient(lambda: RING, time.time)
        stack.push_async_callback(client.close)
        directory = Directory()
        for number, (worker, port) in enumerate(zip(workers, ports, strict=True)):
            directory.heard(_entry(f"transceiver-{number}", worker, port, direct), time.monotonic())
        for relay in relays:
            directory.heard(relay, time.monotonic())
        steering = Steering(directory, policy, random.Random(1))
        registry = CollectorRegistry()
        desk = FrontDesk(
            admission=Admission(lambda: keys, lambda: RING),
            places=places,
            limits=limits or RateLimits(MANY, MANY, knocks=MANY),
            placement=Placement(client, steering, time.monotonic),
            live=LiveCalls(client, directory, lambda: RING),
            metrics=SignalingMetrics(registry),
            policy=lambda: steering.policy,
            region="here",
            other_regions=other_regions,
            traces=traces,
        )
        operators = Operators(desk, lambda: RING, frozenset({"operator"}))
        ice_servers = ("stun:stun.example:3478",)
        doors = (
            OpenAIDoor(desk),
            SocketDoor(desk),
            WhipDoor(desk, ice_servers),
            SteeringDoor(desk, steering, operators, ice_servers),
            FleetDoor(desk, directory, client, operators, Surroundings(lambda: RING.fleet, lambda: None)),
            ConsoleDoor(operators, directory, open_mode=keys is None),
        )
        app = application(doors, open_mode=keys is None)
        port = await stack.enter_async_context(front_door(app, "127.0.0.1", 0, **door_options))
        http = await stack.enter_async_context(aiohttp.ClientSession(f"http://127.0.0.1:{port}"))
        yield Signaling(http, workers, port, registry)
