"""The console's page and what it asks for, over plain HTTP."""

import asyncio
import hashlib

from tests.support.aiortc_caller import aiortc_caller
from tests.support.signaling import signaling
from voicefleet.services.signaling.api_keys import ApiKeys

KEY, OPERATOR = "vf-a-key-of-the-test", "vf-an-operators-key"
KEYS = ApiKeys({hashlib.sha256(key.encode()).digest(): name for key, name in ((KEY, "shop"), (OPERATOR, "operator"))})
BEARER = {"Authorization": f"Bearer {KEY}"}
SDP = {"Content-Type": "application/sdp"}


async def test_the_page_is_served_and_runs_no_script_but_its_own() -> None:
    async with signaling(KEYS) as fleet:
        pages = await asyncio.gather(
            *(fleet.http.get(path) for path in ("/", "/console/console.js", "/console/console.css"))
        )
        assert [page.status for page in pages] == [200, 200, 200]
        assert all("default-src 'self'" in page.headers["Content-Security-Policy"] for page in pages)
        assert "Talk" in await pages[0].text()
        assert (await fleet.http.get("/console/index.html")).status == 404


async def test_who_is_there_and_where_a_call_runs_is_for_operators() -> None:
    async with signaling(KEYS) as fleet, aiortc_caller() as caller:
        asked = {"Authorization": f"Bearer {OPERATOR}"}
        started = await fleet.http.post("/v1/realtime/calls", data=await caller.offer(), headers=BEARER | SDP)
        call = f"/console/calls/{started.headers['Location'].rpartition('/')[2]}"
        view = await (await fleet.http.get("/console/fleet", headers=asked)).json()
        (transceiver,) = view["transceivers"]
        assert (transceiver["id"], transceiver["draining"]) == ("transceiver-0", False)
        assert transceiver["stale"], "no Redis tells this directory that it is there"
        found = await (await fleet.http.get(call, headers=asked)).json()
        assert found["transceiver"]["id"] == "transceiver-0" and found["record"]["answer"] > 0
        for path in ("/console/fleet", call):
            assert (await fleet.http.get(path, headers=BEARER)).status == 403
            assert (await fleet.http.get(path)).status == 401
        assert (await fleet.http.get("/console/calls/rtc_no_such", headers=asked)).status == 404
