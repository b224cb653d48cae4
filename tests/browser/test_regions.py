"""Calls of a real Chromium from three regions, over real processes and real distances."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Page

from tests.support.chromium import chromium_page
from tests.support.facts import eventually_seen
from tests.support.long_cable import TUN
from tests.support.regions import KEY, Fleet, relay_of, three_regions
from tests.support.tiers import NETWORKS

PATIENCE = 60.0
"""Seconds for what clients and directory do by their own timers: consent, heartbeats, expiry."""
FAR = ("nyc", "sin")
"""Regions whose calls have Frankfurt's relay as the second."""
CALL = """async ({url, key}) => {
    window.pc?.close();
    const pc = window.pc = new RTCPeerConnection();
    const context = window.context ??= new AudioContext();
    const tone = context.createOscillator(), out = context.createMediaStreamDestination();
    tone.connect(out);
    tone.start();
    pc.addTrack(out.stream.getAudioTracks()[0], out.stream);
    await pc.setLocalDescription(await pc.createOffer());
    const answer = await fetch(url + "/v1/realtime/calls", {
        method: "POST",
        headers: {Authorization: "Bearer " + key, "Content-Type": "application/sdp"},
        body: pc.localDescription.sdp,
    });
    const text = await answer.text();
    if (answer.status === 201) await pc.setRemoteDescription({type: "answer", sdp: text});
    return {status: answer.status, text};
}"""
HOW = """async () => {
    const stats = [...(await window.pc.getStats()).values()];
    const transport = stats.find((one) => one.type === "transport");
    const pair = stats.find((one) => one.id === transport?.selectedCandidatePairId);
    const relay = stats.find((one) => one.id === pair?.remoteCandidateId);
    const heard = stats.find((one) => one.type === "inbound-rtp");
    return {relay: relay?.address, heard: heard?.packetsReceived ?? 0, state: window.pc.connectionState};
}"""


class Caller:
    """A browser in a region."""

    def __init__(self, page: Page, fleet: Fleet, region: str) -> None:
        self._page = page
        self._fleet = fleet
        self.region = region
        self.how: dict[str, Any] = {}

    async def call(self, replica: int) -> list[str]:
        """Start a call; the addresses of the relays that the answer offers, best first."""
        arguments = {"url": self._fleet.signaling[replica], "key": KEY}
        answer: dict[str, Any] = {}

        async def taken() -> bool:
            # Transceivers that have no processor time to spare say 503: a client comes back in a moment.
            answer.update(await self._page.evaluate(CALL, arguments))
            assert answer["status"] in (201, 503), answer
            return bool(answer["status"] == 201)

        await eventually_seen(taken, lambda: f"the call is taken: {answer}", PATIENCE)
        return [line.split()[4] for line in answer["text"].splitlines() if line.startswith("a=candidate:")]

    async def hears_through(self, relay: str) -> None:
        """Wait until audio goes on coming back by this relay."""
        heard = -1

        async def so() -> bool:
            nonlocal heard
            self.how = await self._page.evaluate(HOW)
            if self.how["relay"] != relay:
                heard = -1
                return False
            heard = self.how["heard"] if heard < 0 else heard
            return bool(self.how["heard"] > heard + 50)

        await eventually_seen(so, lambda: f"{self.region} hears its voice through {relay}: {self.how}", PATIENCE)


@asynccontextmanager
async def _caller(directory: Path, fleet: Fleet, region: str) -> AsyncIterator[Caller]:
    async with chromium_page(directory / "no-microphone.wav", namespace=fleet.clients[region]) as page:
        await page.goto(f"{fleet.signaling[0]}/openapi.json")
        yield Caller(page, fleet, region)


@pytest.mark.needs(NETWORKS)
@pytest.mark.skipif(not Path(TUN).exists(), reason=f"{TUN} is not there: distances are made with it")
async def test_calls_of_each_region_land_on_its_relay_and_leave_it_only_while_it_is_dead(tmp_path: Path) -> None:
    async with three_regions(tmp_path) as fleet:
        await asyncio.gather(*(_lands(tmp_path, fleet, region, "fra", number) for number, region in enumerate(FAR)))
        async with _caller(tmp_path, fleet, "fra") as caller:
            assert (await caller.call(replica=0))[:2] == [relay_of("fra"), relay_of("nyc")]
            await caller.hears_through(relay_of("fra"))
            for replica in range(2):
                # Chromium checks the second relay only where the first has not answered within some 50 ms.
                await _measured(fleet, "fra", replica, {"fra"})
            await fleet.relays["fra"].kill()
            await caller.hears_through(relay_of("nyc"))

            async def lead(relay: str) -> bool:
                told = [await fleet.explain("fra", replica) for replica in range(2)]
                return all(each["relays"][0]["addresses"][0]["address"] == relay for each in told)

            await eventually_seen(
                lambda: lead(relay_of("nyc")), lambda: "both replicas have noticed that a relay is dead", PATIENCE
            )
            assert (await caller.call(replica=1))[0] == relay_of("nyc")
            await caller.hears_through(relay_of("nyc"))
            await fleet.relays["fra"].start()
            await eventually_seen(
                lambda: lead(relay_of("fra")),
                lambda: "both replicas send new calls to the relay that is back",
                PATIENCE,
            )
            assert (await caller.call(replica=0))[0] == relay_of("fra")
            await caller.hears_through(relay_of("fra"))


async def _lands(directory: Path, fleet: Fleet, region: str, second: str, replica: int) -> None:
    """A call of a region's client is offered its relay before the second, and takes it."""
    async with _caller(directory, fleet, region) as caller:
        assert (await caller.call(replica))[:2] == [relay_of(region), relay_of(second)]
        await caller.hears_through(relay_of(region))


async def _measured(fleet: Fleet, region: str, replica: int, pools: set[str]) -> None:
    """Wait until a replica knows how far the region's network is from these pools."""
    words: list[str] = []

    async def so() -> bool:
        words[:] = (await fleet.explain(region, replica))["explanation"]
        return all(any(f"pool {pool} " in line and "ms measured" in line for line in words) for pool in pools)

    await eventually_seen(so, lambda: f"replica {replica} knows the round trips: {words}", PATIENCE)
