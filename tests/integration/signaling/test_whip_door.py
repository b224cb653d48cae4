"""The WHIP door over real HTTP in front of a real worker: aiortc as the peer, and GStreamer's client as it comes."""

import asyncio
import hashlib
import os
import signal
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from tests.support import tiers
from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import eventually, eventually_seen
from tests.support.namespace import ADDRESS, in_own_network
from tests.support.signaling import Signaling, signaling
from voicefleet.core.place import Place
from voicefleet.core.steering.policy import Policy
from voicefleet.core.steering.redirect import OtherRegion
from voicefleet.net.geo import PlacedNetwork, PlacedNetworks
from voicefleet.net.setting_types import parse_network
from voicefleet.services.signaling.api_keys import ApiKeys
from voicefleet.services.signaling.call_request import MAX_OFFER
from voicefleet.services.signaling.client_places import ClientPlaces

KEY = "vf-a-key-of-the-test"
KEYS = ApiKeys({hashlib.sha256(KEY.encode()).digest(): "shop"})
BEARER = {"Authorization": f"Bearer {KEY}"}
SDP = {"Content-Type": "application/sdp"}
FRAGMENT = {"Content-Type": "application/trickle-ice-sdpfrag"}
NEW_CREDENTIALS = "a=ice-ufrag:fresh\r\na=ice-pwd:freshfreshfreshfreshfresh\r\n"
CANDIDATE = "m=audio 9 RTP/AVP 0\r\na=mid:audio0\r\na=candidate:1 1 UDP 2015363327 192.0.2.7 40000 typ host\r\n"


async def problem_of(answer: aiohttp.ClientResponse) -> tuple[int, str]:
    assert answer.content_type == "application/problem+json"
    body = await answer.json(content_type=None)
    assert body["status"] == answer.status and body["title"] and body["detail"]
    assert body["type"].startswith("urn:voicefleet:problem:")
    return answer.status, body["type"].rpartition(":")[2]


async def test_a_call_is_a_resource_that_is_made_changed_and_deleted() -> None:
    async with signaling(KEYS) as fleet, aiortc_caller(channel=None) as caller:
        made = await fleet.http.post("/whip", data=await caller.offer(), headers=BEARER | SDP)
        assert made.status == 201 and made.content_type == "application/sdp"
        location, etag = made.headers["Location"], made.headers["ETag"]
        assert location.startswith("/whip/rtc_") and etag.startswith('"') and made.headers["Accept-Patch"]
        assert made.headers["Link"] == '<stun:stun.example:3478>; rel="ice-server"'
        assert "transceiver;dur=" in made.headers["Server-Timing"]
        await caller.answer(await made.text())
        await caller.hears_its_tone()

        trickled = await fleet.http.patch(location, data=CANDIDATE, headers=BEARER | FRAGMENT | {"If-Match": etag})
        assert trickled.status == 204
        restarted = await fleet.http.patch(
            location, data=NEW_CREDENTIALS, headers=BEARER | FRAGMENT | {"If-Match": "*"}
        )
        assert restarted.status == 200 and restarted.content_type == FRAGMENT["Content-Type"]
        fragment, answer = await restarted.text(), await made.text()
        assert _value(fragment, "ice-ufrag") != _value(answer, "ice-ufrag")
        assert len(_value(fragment, "ice-pwd")) == 32 and "a=candidate:" in fragment
        assert restarted.headers["ETag"] != etag
        late = await fleet.http.patch(location, data=CANDIDATE, headers=BEARER | FRAGMENT | {"If-Match": etag})
        assert await problem_of(late) == (412, "precondition_failed")
        now = BEARER | FRAGMENT | {"If-Match": restarted.headers["ETag"]}
        assert (await fleet.http.patch(location, data=CANDIDATE, headers=now)).status == 204

        caller.heard = caller.heard[:0]
        await caller.hears_its_tone()
        assert (await fleet.http.delete(location, headers=BEARER)).status == 200
        await caller.reaches("closed")
        assert await problem_of(await fleet.http.delete(location, headers=BEARER)) == (404, "call_not_found")
        assert await problem_of(await fleet.http.patch(location, headers=now)) == (404, "call_not_found")


async def test_a_browser_client_that_sends_the_etag_as_etag_and_an_empty_fragment_goes_on() -> None:
    async with signaling(KEYS) as fleet, aiortc_caller() as caller:
        made = await fleet.http.post("/whip", data=await caller.offer(), headers=BEARER | SDP)
        headers = BEARER | {"ETag": made.headers["ETag"]}
        assert (await fleet.http.patch(made.headers["Location"], headers=headers)).status == 204


async def test_what_may_be_done_is_told_without_a_key_and_readable_for_a_page() -> None:
    async with signaling(KEYS) as fleet:
        told = await fleet.http.options("/whip", headers={"Origin": "https://app.example"})
        assert told.status == 204 and told.headers["Accept-Post"] == "application/sdp"
        assert "PATCH" in told.headers["Access-Control-Allow-Methods"]
        exposed = told.headers["Access-Control-Expose-Headers"]
        assert {"Access-Control-Allow-Methods", "Location", "ETag", "Link"} <= set(exposed.split(", "))
        assert told.headers["Link"]
        preflight = await fleet.http.options(
            "/whip/rtc_x",
            headers={
                "Origin": "https://app.example",
                "Access-Control-Request-Method": "PATCH",
                "Access-Control-Request-Headers": "authorization,content-type,etag",
            },
        )
        assert preflight.status == 204 and "etag" in preflight.headers["Access-Control-Allow-Headers"]
        assert (await fleet.http.options("/whip/rtc_x")).headers["Accept-Patch"] == FRAGMENT["Content-Type"]


BAD: list[tuple[str, str, Mapping[str, str], bytes, int, str]] = [
    ("POST", "/whip", {}, b"v=0", 415, "unsupported_media_type"),
    ("POST", "/whip", SDP, b"", 400, "invalid_request"),
    ("POST", "/whip", SDP, b"v=0\r\n", 400, "offer_not_served"),
    ("POST", "/whip", SDP, b"v=0" + b"x" * MAX_OFFER, 413, "too_large"),
    ("GET", "/whip", {}, b"", 405, "method_not_allowed"),
    ("PUT", "/whip/rtc_x", {}, b"", 405, "method_not_allowed"),
    ("DELETE", "/whip/rtc_x", {}, b"", 404, "call_not_found"),
    ("DELETE", "/whip/..%2f..", {}, b"", 404, "call_not_found"),
    ("PATCH", "/whip/rtc_x", FRAGMENT, b"", 428, "precondition_required"),
    ("PATCH", "/whip/rtc_x", FRAGMENT | {"If-Match": '"1"'}, b"", 404, "call_not_found"),
    ("PATCH", "/whip/rtc_x", {"If-Match": '"1"', "Content-Type": "text/plain"}, b"x", 415, "unsupported_media_type"),
    ("PATCH", "/whip/rtc_x", FRAGMENT | {"If-Match": "*"}, b"a=mid:0\r\n", 400, "invalid_request"),
    ("PATCH", "/whip/rtc_x", FRAGMENT | {"If-Match": '"1"'}, b"not sdp", 400, "invalid_request"),
    ("PATCH", "/whip/rtc_x", FRAGMENT | {"If-Match": '"1"'}, b"\xff", 400, "invalid_request"),
    ("PATCH", "/whip/rtc_x", FRAGMENT | {"If-Match": '"1"'}, b"a=x\r\n" * 5000, 413, "too_large"),
    ("PATCH", "/whip/rtc_x", FRAGMENT | {"If-Match": "*"}, NEW_CREDENTIALS.encode(), 404, "call_not_found"),
]


@pytest.mark.parametrize(("method", "path", "headers", "body", "status", "code"), BAD)
async def test_a_bad_request_is_told_in_problem_details(
    method: str, path: str, headers: Mapping[str, str], body: bytes, status: int, code: str
) -> None:
    async with signaling(KEYS) as fleet:
        answer = await fleet.http.request(method, path, data=body, headers={**BEARER, **headers})
        assert await problem_of(answer) == (status, code)
        assert status != 405 or "OPTIONS" in answer.headers["Allow"]


@pytest.mark.parametrize(("method", "path"), [("POST", "/whip"), ("PATCH", "/whip/rtc_x"), ("DELETE", "/whip/rtc_x")])
async def test_who_has_no_key_can_do_nothing(method: str, path: str) -> None:
    async with signaling(KEYS) as fleet:
        answer = await fleet.http.request(method, path, data=b"v=0", headers=SDP)
        assert await problem_of(answer) == (401, "missing_api_key") and answer.headers["WWW-Authenticate"] == "Bearer"


async def test_an_ice_restart_with_the_credentials_of_the_call_is_none() -> None:
    async with signaling(KEYS) as fleet, aiortc_caller() as caller:
        offer = await caller.offer()
        made = await fleet.http.post("/whip", data=offer, headers=BEARER | SDP)
        same = f"a=ice-ufrag:{_value(offer, 'ice-ufrag')}\r\na=ice-pwd:{_value(offer, 'ice-pwd')}\r\n"
        answer = await fleet.http.patch(
            made.headers["Location"], data=same, headers=BEARER | FRAGMENT | {"If-Match": "*"}
        )
        assert await problem_of(answer) == (422, "restart_not_served")


async def test_a_client_that_is_much_nearer_to_another_region_is_sent_there_once() -> None:
    tokyo = OtherRegion("jp", "https://jp.voice.example", Place(35.7, 139.7))
    at_home = ClientPlaces(networks=PlacedNetworks([PlacedNetwork(parse_network("127.0.0.0/8"), Place(34.7, 135.5))]))
    async with signaling(KEYS, places=at_home, other_regions=[tokyo]) as fleet, aiortc_caller() as caller:
        offer = await caller.offer()
        sent = await fleet.http.post("/whip", data=offer, headers=BEARER | SDP, allow_redirects=False)
        assert sent.status == 307 and sent.headers["Location"] == "https://jp.voice.example/whip?redirected=here"
        assert not fleet.workers[0].sessions
        here = await fleet.http.post("/whip?redirected=jp", data=offer, headers=BEARER | SDP)
        assert here.status == 201
    kept = Policy(allowed_regions=frozenset({"here"}))
    async with signaling(KEYS, places=at_home, policy=kept, other_regions=[tokyo]) as fleet:
        refused = await fleet.http.post("/whip", data=offer, headers=BEARER | SDP, allow_redirects=False)
        assert await problem_of(refused) == (503, "no_relay_in_allowed_regions")


NO_UPNP = "".join(
    f"void *gupnp_simple_igd_{name}(void) {{ return 0; }}\n"
    for name in ("thread_new", "get_type", "add_port", "remove_port_local")
)
"""Debian 12's libnice brings libsoup 3 in by way of UPnP, and whip-client, with libsoup 2, refuses to run beside it."""


@asynccontextmanager
async def gstreamer_client(fleet: Signaling, directory: Path, *more: str) -> AsyncIterator[None]:
    """whip-client as it comes, with a test tone; ended by SIGINT as its user would."""
    (directory / "stub.c").write_text(NO_UPNP)
    library = "libgupnp-igd-1.0.so.4"
    compiler = await asyncio.create_subprocess_exec(
        "gcc", "-shared", "-fPIC", f"-Wl,-soname,{library}", "-o", library, "stub.c", cwd=directory
    )
    assert await compiler.wait() == 0
    pipeline = (
        "audiotestsrc is-live=true wave=sine freq=440 ! audioconvert ! audioresample ! opusenc ! rtpopuspay pt=100 ! "
        "queue ! application/x-rtp,media=audio,encoding-name=OPUS,payload=100"
    )
    log = directory / "client.log"
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(
            "whip-client", "-u", f"http://127.0.0.1:{fleet.port}/whip", "-t", KEY, "-A", pipeline, "-o", *more,
            stdout=output, stderr=output, env={**os.environ, "LD_LIBRARY_PATH": str(directory)},
        )  # fmt: skip
        try:
            yield
        except AssertionError as error:
            raise AssertionError(f"{error}; the client said: {log.read_text()[-1500:]}") from error
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            try:
                await asyncio.wait_for(process.wait(), 30)
            except TimeoutError:
                process.kill()
                await process.wait()


@pytest.mark.needs(tiers.WHIP_CLIENT, tiers.NETWORKS)
@pytest.mark.parametrize("more", [(), ("-n",)], ids=["trickle", "no-trickle"])
def test_gstreamers_client_calls_without_bundle_is_heard_and_hangs_up(more: tuple[str, ...], tmp_path: Path) -> None:
    async def call() -> None:
        async with signaling(KEYS, media_host=ADDRESS) as fleet:
            worker = fleet.workers[0]
            async with gstreamer_client(fleet, tmp_path, *more):
                await eventually(lambda: bool(worker.sessions), "the call is taken")
                (session,) = worker.sessions.values()
                assert session.offer.bundle is None and session.offer.audio is not None

                async def heard() -> bool:
                    measurements = (await session.look()).leg.measurements
                    return measurements is not None and measurements.uplink.packets > 50

                await eventually_seen(heard, lambda: "its audio arrives")
            await eventually(lambda: not worker.sessions, "its DELETE ended the call")
            assert session.life.cause == "hung_up"

    in_own_network(call)  # libnice makes no pairs with loopback addresses


def _value(text: str, name: str) -> str:
    return next(line.partition(":")[2] for line in text.splitlines() if line.startswith(f"a={name}:"))
