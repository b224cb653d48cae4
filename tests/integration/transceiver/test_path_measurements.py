"""Calls tell how far their clients are from the relays that they check; Chromium, in the regions' test, from both."""

from pathlib import Path

from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import eventually_seen
from tests.support.redis import linked, redis_server
from tests.support.relay_process import relay_process
from tests.support.transceiver_process import transceiver_process
from tests.support.workers import RING
from voicefleet.contract import InternalApi
from voicefleet.core.steering.round_trips import RoundTrips
from voicefleet.net.round_trips import RoundTripReader

NETWORK = "198.51.100.0/24"


async def test_a_call_measures_its_relay_for_the_network_that_signaling_named(tmp_path: Path) -> None:
    directories = [tmp_path / name for name in ("relay", "pod")]
    for each in directories:
        each.mkdir()
    async with (
        redis_server() as redis,
        linked(redis.url) as link,
        relay_process(directories[0], RING, POOL="near") as relay,
        transceiver_process(directories[1], REDIS_URL=redis.url, WORKERS="1") as pod,
        aiortc_caller() as caller,
    ):
        relays = [{"address": relay.address[0], "port": relay.address[1]}]
        body = {"offer": await caller.offer(), "relays": relays, "network": NETWORK}
        async with pod.http.post(pod.api + InternalApi.SESSIONS, json=body) as answer:
            assert answer.status == 201
            # Without the transceiver's own candidate: all of the call goes through relays.
            told = (await answer.json())["answer"].splitlines(keepends=True)
        port = str(relay.address[1])
        kept = [line for line in told if not line.startswith("a=candidate:") or line.split()[5] == port]
        assert len(kept) < len(told)
        await caller.answer("".join(kept))
        measured = RoundTrips()
        reader = RoundTripReader(link, RING.fleet, measured)

        async def known() -> bool:
            await reader.take()
            return [(network, pool) for network, pool, _ in measured] == [(NETWORK, "near")]

        await eventually_seen(known, lambda: f"the pool is measured: {[*measured]}")
        # No distance on one machine; far less than a second, however busy it is.
        assert all(0.0 < each.milliseconds < 1000.0 for _, _, each in measured)
        await caller.hears_its_tone()
