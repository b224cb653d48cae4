"""A real Chromium through relays: of two one dies, over IPv6, and from another port in mid-call."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.browser_call import BrowserCall
from tests.support.chromium import chromium_page
from tests.support.facts import eventually_seen
from tests.support.nat import nat
from tests.support.relay_process import RelayProcess, relay_processes
from tests.support.workers import RING, relayed_worker
from voicefleet.core.sdp.answer import RelayAddress


async def test_a_call_goes_on_through_the_other_relay_when_the_one_that_it_uses_is_killed(tmp_path: Path) -> None:
    async with _call(tmp_path, "127.0.0.1", "127.0.0.1") as (call, relays):
        await call.begin([RelayAddress(*relay.address) for relay in relays])
        used = tuple((await call.stats())["remote"])
        (killed,) = (relay for relay in relays if relay.address == used)
        (other,) = (relay for relay in relays if relay.address != used)
        await killed.end(signal.SIGKILL)

        async def switched() -> bool:
            return tuple((await call.stats())["remote"]) == other.address

        await eventually_seen(switched, lambda: "Chromium has chosen the other relay")
        await call.hears(0.3)
        assert (await call.stats())["state"] == "connected"


async def test_a_call_over_ipv6(tmp_path: Path) -> None:
    async with _call(tmp_path, "::1") as (call, (relay,)):
        await call.begin([RelayAddress(*relay.address)])
        assert tuple((await call.stats())["remote"]) == relay.address
        await call.hears(0.3)


async def test_a_call_goes_on_when_a_nat_gives_it_another_port(tmp_path: Path) -> None:
    async with _call(tmp_path, "127.0.0.1") as (call, (relay,)), nat(f"127.0.0.1:{relay.address[1]}") as box:
        await call.begin([RelayAddress(*box.address)])
        await box.rebind()
        await call.hears(0.3)
        assert (await call.stats())["state"] == "connected"


@asynccontextmanager
async def _call(directory: Path, *hosts: str) -> AsyncIterator[tuple[BrowserCall, list[RelayProcess]]]:
    """A page, a worker, and a relay at each of these addresses."""
    async with (
        relayed_worker() as worker,
        relay_processes(directory, RING, *hosts) as relays,
        chromium_page(directory / "no-microphone.wav") as page,
    ):
        yield BrowserCall(page, worker), relays
