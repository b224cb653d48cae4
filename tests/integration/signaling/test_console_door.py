"""The console's page and what it asks for, over plain HTTP."""

import asyncio
import hashlib

from tests.support.signaling import signaling
from voicefleet.services.signaling.api_keys import ApiKeys

KEY = "vf-a-key-of-the-test"
KEYS = ApiKeys({hashlib.sha256(KEY.encode()).digest(): "shop"})


async def test_the_page_is_served_and_runs_no_script_but_its_own() -> None:
    async with signaling(KEYS) as fleet:
        pages = await asyncio.gather(
            *(fleet.http.get(path) for path in ("/", "/console/console.js", "/console/console.css"))
        )
        assert [page.status for page in pages] == [200, 200, 200]
        assert all("default-src 'self'" in page.headers["Content-Security-Policy"] for page in pages)
        assert "Talk" in await pages[0].text()
        assert (await fleet.http.get("/console/index.html")).status == 404


async def test_nothing_can_be_broken_where_no_fleet_of_this_machine_listens() -> None:
    async with signaling(KEYS) as fleet:
        asked = {"Authorization": f"Bearer {KEY}"}
        wish = {"action": "kill", "target": "transceiver-0"}
        assert (await fleet.http.post("/console/break", json=wish, headers=asked)).status == 405
        assert "data-breakable" not in await (await fleet.http.get("/")).text()
