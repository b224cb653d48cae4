"""The signaling process: settings in, one HTTP application, its probes; SIGTERM ends it when requests have ended."""

import asyncio
import gc
import random
import signal
import time
from contextlib import AsyncExitStack
from typing import Any, Final

from voicefleet.contract import Component
from voicefleet.core.directory import Directory
from voicefleet.core.steering.round_trips import RoundTrips
from voicefleet.core.steering.steering import Steering
from voicefleet.net.configuration import load_or_exit
from voicefleet.net.directory import DirectoryReader
from voicefleet.net.geo import GeoDatabase, PlacedNetworks, open_geo_database
from voicefleet.net.key_file import AcceptedRing, KeyFile
from voicefleet.net.local_requests import LocalRequests
from voicefleet.net.redis_link import RedisLink
from voicefleet.net.round_trips import RoundTripReader
from voicefleet.net.setting_types import BUNDLED_DATABASE
from voicefleet.net.shared_rate_limit import SharedRateLimit
from voicefleet.net.watched_file import FileMetrics, WatchedFile
from voicefleet.observability import health, logs, metrics
from voicefleet.observability.traces import traces
from voicefleet.services.signaling.api_keys import ApiKeys, read_api_keys
from voicefleet.services.signaling.application import application
from voicefleet.services.signaling.callers import Admission
from voicefleet.services.signaling.client_places import ClientPlaces
from voicefleet.services.signaling.console_door import ConsoleDoor
from voicefleet.services.signaling.fleet_door import FleetDoor, Surroundings
from voicefleet.services.signaling.front_desk import FrontDesk
from voicefleet.services.signaling.front_door import front_door, https
from voicefleet.services.signaling.live_calls import LiveCalls
from voicefleet.services.signaling.metrics import SignalingMetrics
from voicefleet.services.signaling.openai_door import OpenAIDoor
from voicefleet.services.signaling.operators import Operators
from voicefleet.services.signaling.placement import Placement
from voicefleet.services.signaling.rate_limits import RateLimits
from voicefleet.services.signaling.settings import SignalingSettings
from voicefleet.services.signaling.socket_door import SocketDoor
from voicefleet.services.signaling.steering_door import SteeringDoor
from voicefleet.services.signaling.transceiver_client import TransceiverClient
from voicefleet.services.signaling.whip_door import WhipDoor

FIRST_LOOK: Final = 1.0
"""Seconds that the first reading of the directory may take before calls are answered without it."""
STALE: Final = 10.0
"""Seconds without a turn of the loop until a kubelet should restart this process."""


async def serve(settings: SignalingSettings) -> None:
    """Answer clients until SIGTERM or SIGINT."""
    log = logs.logger(__name__)
    key_file = KeyFile(settings.key_file)
    ring = AcceptedRing(key_file, time.time)
    keys = (
        None
        if settings.open or settings.api_keys_directory is None
        else WatchedFile[ApiKeys](settings.api_keys_directory, read_api_keys, "api keys")
    )
    if keys is None:
        log.warning("open mode: anybody who reaches this address may call; for local use only")
    state = health.Health()
    serving = state.condition("serving")
    placing = state.condition("directory")
    heart = state.heart("loop", STALE)
    registry = metrics.registry(Component.SIGNALING)
    registry.register(state)
    link = RedisLink(settings.redis())
    state_file = settings.state_directory / "directory.json" if settings.state_directory is not None else None
    reader = DirectoryReader(link, ring().fleet, state=state_file)
    registry.register(link)
    registry.register(reader)
    client = TransceiverClient(ring, time.time)
    traced = traces(settings.otlp_endpoint, Component.SIGNALING, settings.id)
    measured = RoundTrips()
    round_trips = RoundTripReader(link, ring().fleet, measured)
    registry.register(round_trips)
    steering = Steering(reader.directory, settings.policy(), random.Random(), measured)
    geo = _geo(settings)
    followed: list[WatchedFile[Any]] = [file for file in (key_file, keys, geo) if file is not None]
    registry.register(FileMetrics(*followed))
    desk = FrontDesk(
        admission=Admission(keys=lambda: keys.value if keys is not None else None, ring=ring),
        places=ClientPlaces(
            settings.trusted_proxies,
            PlacedNetworks(settings.placed_networks()),
            lambda: geo.value if geo is not None else None,
            settings.believe_place_hints,
        ),
        limits=RateLimits(settings.key_rate(), settings.network_rate(), SharedRateLimit(link, ring().fleet)),
        placement=Placement(client, steering, time.monotonic),
        live=LiveCalls(client, reader.directory, ring),
        metrics=SignalingMetrics(registry),
        policy=lambda: steering.policy,
        region=settings.region,
        other_regions=settings.regions(),
        traces=traced,
    )
    operators = Operators(desk, ring, frozenset(settings.operator_keys))
    surroundings = Surroundings(lambda: ring().fleet, lambda: link.state, followed)
    local = LocalRequests(settings.local_requests) if settings.local_requests is not None else None
    console = ConsoleDoor(operators, reader.directory, open_mode=keys is None, local=local)
    doors = (
        OpenAIDoor(desk),
        SocketDoor(desk),
        WhipDoor(desk, settings.ice_servers),
        SteeringDoor(desk, steering, operators, settings.ice_servers),
        FleetDoor(desk, reader.directory, client, operators, surroundings),
        *((console,) if settings.console else ()),
    )
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    async with AsyncExitStack() as stack, asyncio.TaskGroup() as tasks:
        stack.push_async_callback(asyncio.to_thread, traced.close)
        stack.push_async_callback(client.close)
        await stack.enter_async_context(health.served(health.application(state, registry), *settings.health_listen))
        background = [tasks.create_task(_follow(file)) for file in followed]
        background += [tasks.create_task(each.run()) for each in (link, reader, round_trips)]
        background.append(tasks.create_task(heart.beat_while_running()))
        # Who calls in the first moment shall not hear that nobody is there; without Redis that moment passes, too.
        await reader.wait(_somebody_is_there, FIRST_LOOK)
        background.append(tasks.create_task(_until_calls_can_be_placed(reader, placing)))
        app = application(doors, open_mode=keys is None)
        proxies = settings.trusted_proxies if settings.proxy_protocol else ()
        tls = https(settings.tls_directory) if settings.tls_directory is not None else None
        port = await stack.enter_async_context(front_door(app, *settings.signaling_listen, proxies=proxies, tls=tls))
        gc.collect()
        gc.freeze()  # a look through all that lives as long as the process would hold up every caller
        serving.holds()
        log.info("signaling serves", host=settings.signaling_listen.host, port=port)
        await stopping.wait()
        serving.fails("stopping")
        for task in background:
            task.cancel()


async def _until_calls_can_be_placed(reader: DirectoryReader, placing: health.Condition) -> None:
    """Ready once there is somebody to place a call on; later changes are for the answer of each call."""
    placing.fails("no transceiver and relay are known yet")
    await reader.wait(_somebody_is_there)
    placing.holds()


def _geo(settings: SignalingSettings) -> WatchedFile[GeoDatabase] | None:
    path = settings.geo_database
    if path == BUNDLED_DATABASE and not path.exists():
        # As in an image that somebody built without it: what is known of clients by other means goes on to count.
        logs.logger(__name__).warning("no geo database is bundled here; places come from networks and round trips only")
        return None
    return None if path is None else open_geo_database(path)


def _somebody_is_there(directory: Directory) -> bool:
    return bool(directory.transceivers() and directory.relays())


async def _follow(file: WatchedFile[Any]) -> None:
    async for _ in file.changes():
        pass  # whoever needs the value asks for it


def main() -> None:
    """The entry point."""
    settings = load_or_exit(SignalingSettings)
    logs.configure(Component.SIGNALING, format=settings.log_format, level=settings.log_level)
    asyncio.run(serve(settings))


if __name__ == "__main__":
    main()
