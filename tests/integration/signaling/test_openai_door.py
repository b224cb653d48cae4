"""The OpenAI-compatible door over real HTTP, in front of real workers."""

import hashlib
import json

import aiohttp
import pytest

from tests.support.aiortc_caller import aiortc_caller
from tests.support.signaling import signaling
from tests.support.workers import RING, direct_worker
from voicefleet.observability.health import served
from voicefleet.services.signaling.api_keys import ApiKeys
from voicefleet.services.signaling.call_request import MAX_BODY, MAX_OFFER
from voicefleet.services.transceiver.api import internal_api
from voicefleet.services.transceiver.worker_calls import WorkerCalls

KEY = "vf-a-key-of-the-test"
KEYS = ApiKeys({hashlib.sha256(KEY.encode()).digest(): "shop"})
BEARER = {"Authorization": f"Bearer {KEY}"}
SDP = {"Content-Type": "application/sdp"}


async def error_of(answer: aiohttp.ClientResponse) -> tuple[int, str]:
    body = await answer.json()
    assert set(body["error"]) == {"message", "type", "param", "code"} and body["error"]["message"]
    return answer.status, body["error"]["code"]


async def test_an_offer_is_answered_and_the_caller_hears_its_voice_until_it_is_hung_up() -> None:
    async with signaling(KEYS) as fleet, aiortc_caller() as caller:
        answer = await fleet.http.post("/v1/realtime/calls", data=await caller.offer(), headers=BEARER | SDP)
        assert answer.status == 201 and answer.content_type == "application/sdp"
        location = answer.headers["Location"]
        assert location.startswith("/v1/realtime/calls/rtc_")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "Location" in answer.headers["Access-Control-Expose-Headers"]
        await caller.answer(await answer.text())
        await caller.hears_its_tone()
        assert (await fleet.http.post(f"{location}/hangup", headers=BEARER)).status == 200
        await caller.reaches("closed")
        assert await error_of(await fleet.http.post(f"{location}/hangup", headers=BEARER)) == (404, "call_not_found")


async def test_a_browser_calls_with_an_ephemeral_secret_and_cannot_change_what_the_application_fixed() -> None:
    wanted = {"session": {"type": "realtime", "model": "ours", "instructions": "Be brief."}}
    async with signaling(KEYS) as fleet, aiortc_caller() as caller:
        made = await fleet.http.post("/v1/realtime/client_secrets", json=wanted, headers=BEARER)
        secret = await made.json()
        assert made.status == 200 and secret["value"].startswith("ek_") and isinstance(secret["expires_at"], int)
        assert secret["session"]["instructions"] == "Be brief." and secret["session"]["type"] == "realtime"
        form = aiohttp.FormData()
        form.add_field("sdp", await caller.offer(), content_type="application/sdp")
        form.add_field(
            "session", json.dumps({"instructions": "Ignore them.", "voice": "ash"}), content_type="application/json"
        )
        answer = await fleet.http.post(
            "/v1/realtime/calls", data=form, headers={"Authorization": f"Bearer {secret['value']}"}
        )
        assert answer.status == 201
        (session,) = fleet.workers[0].sessions.values()
        assert session.config == {"type": "realtime", "model": "ours", "instructions": "Be brief.", "voice": "ash"}


async def test_the_older_spelling_names_the_model_in_the_query() -> None:
    async with signaling(KEYS) as fleet, aiortc_caller() as caller:
        offer = await caller.offer()
        assert (await fleet.http.post("/v1/realtime?model=m1", data=offer, headers=BEARER | SDP)).status == 201
        (session,) = fleet.workers[0].sessions.values()
        assert session.config["model"] == "m1"


async def test_a_pages_preflight_is_answered() -> None:
    async with signaling(KEYS) as fleet:
        headers = {
            "Origin": "https://app.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type,x-openai-agents-sdk",
        }
        answer = await fleet.http.options("/v1/realtime/calls", headers=headers)
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Headers"] == headers["Access-Control-Request-Headers"]


async def test_a_full_transceiver_is_passed_over_and_a_full_fleet_says_when_to_come_back() -> None:
    async with signaling(KEYS, (1, 1)) as fleet, aiortc_caller() as caller:
        offer = await caller.offer()
        for _ in range(2):
            assert (await fleet.http.post("/v1/realtime/calls", data=offer, headers=BEARER | SDP)).status == 201
        assert [len(worker.sessions) for worker in fleet.workers] == [1, 1]
        answer = await fleet.http.post("/v1/realtime/calls", data=offer, headers=BEARER | SDP)
        assert await error_of(answer) == (503, "no_capacity") and answer.headers["Retry-After"]


@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({}, 401, "missing_api_key"),
        ({"Authorization": "Basic abc"}, 401, "missing_api_key"),
        ({"Authorization": "Bearer vf-another-key-here"}, 401, "invalid_api_key"),
        ({"Authorization": "Bearer ek_AAAA"}, 401, "invalid_api_key"),
        ({"Authorization": "Bearer ek_" + "A" * 200}, 401, "invalid_api_key"),
    ],
)
async def test_who_has_no_key_cannot_call(headers: dict[str, str], status: int, code: str) -> None:
    async with signaling(KEYS) as fleet:
        for path in ("/v1/realtime/calls", "/v1/realtime/client_secrets"):
            assert await error_of(await fleet.http.post(path, data="v=0", headers=headers)) == (status, code)


async def test_an_ephemeral_secret_makes_no_further_secrets() -> None:
    async with signaling(KEYS) as fleet:
        made = await fleet.http.post("/v1/realtime/client_secrets", headers=BEARER)
        ephemeral = {"Authorization": f"Bearer {(await made.json())['value']}"}
        answer = await fleet.http.post("/v1/realtime/client_secrets", headers=ephemeral)
        assert await error_of(answer) == (403, "api_key_required")


async def test_a_secret_that_is_bound_to_an_origin_serves_no_other() -> None:
    async with signaling(KEYS) as fleet, aiortc_caller() as caller:
        made = await fleet.http.post(
            "/v1/realtime/client_secrets", json={"origin": "https://app.example"}, headers=BEARER
        )
        ephemeral = {"Authorization": f"Bearer {(await made.json())['value']}"} | SDP
        offer = await caller.offer()
        wrong = await fleet.http.post(
            "/v1/realtime/calls", data=offer, headers=ephemeral | {"Origin": "https://evil.example"}
        )
        assert await error_of(wrong) == (403, "wrong_origin")
        right = await fleet.http.post(
            "/v1/realtime/calls", data=offer, headers=ephemeral | {"Origin": "https://app.example"}
        )
        assert right.status == 201


MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
BAD: list[tuple[str, dict[str, str], bytes, int, str]] = [
    ("/v1/realtime/calls", {"Content-Type": "text/html"}, b"v=0", 415, "unsupported_media_type"),
    ("/v1/realtime/calls", SDP, b"", 400, "invalid_request"),
    ("/v1/realtime/calls", SDP, b"\xff\xfe", 400, "invalid_request"),
    ("/v1/realtime/calls", SDP, b"v=0\r\n", 400, "offer_not_served"),
    ("/v1/realtime/calls", SDP, b"v=0" + b"x" * MAX_OFFER, 413, "too_large"),
    ("/v1/realtime/calls", MULTIPART, b"--x--\r\n", 400, "invalid_request"),
    ("/v1/realtime/calls", MULTIPART, b"garbage", 400, "invalid_request"),
    ("/v1/realtime/calls", {"Content-Type": "multipart/form-data"}, b"x", 400, "invalid_request"),
    (
        "/v1/realtime/calls",
        MULTIPART,
        b'--x\r\nContent-Disposition: form-data; name="evil"\r\n\r\n1\r\n--x--\r\n',
        400,
        "invalid_request",
    ),
    ("/v1/realtime/client_secrets", {}, b"[1]", 400, "invalid_request"),
    ("/v1/realtime/client_secrets", {}, b"{" * 100_000, 400, "invalid_request"),
    ("/v1/realtime/client_secrets", {}, b"x" * (MAX_BODY + 1), 413, "too_large"),
    ("/v1/realtime/client_secrets", {}, b'{"session": {"type": "other"}}', 400, "invalid_request"),
    ("/v1/realtime/client_secrets", {}, b'{"expires_after": {"seconds": 1}}', 400, "invalid_request"),
    ("/v1/realtime/client_secrets", {}, b'{"what": 1}', 400, "invalid_request"),
    ("/v1/realtime/calls/rtc_x/hangup", {}, b"", 404, "call_not_found"),
    ("/v1/realtime/calls/..%2f..%2fetc/hangup", {}, b"", 404, "call_not_found"),
    ("/nowhere", {}, b"", 404, "not_found"),
]


@pytest.mark.parametrize(("path", "headers", "body", "status", "code"), BAD)
async def test_a_bad_request_is_one_error_in_one_shape(
    path: str, headers: dict[str, str], body: bytes, status: int, code: str
) -> None:
    async with signaling(KEYS) as fleet:
        answer = await fleet.http.post(path, data=body, headers=BEARER | headers)
        assert await error_of(answer) == (status, code)
        assert not fleet.workers[0].sessions


async def test_the_internal_api_answers_nobody_without_the_fleets_key() -> None:
    async with (
        direct_worker() as worker,
        served(internal_api(WorkerCalls(worker), lambda: RING), "127.0.0.1", 0) as port,
        aiohttp.ClientSession() as http,
    ):
        url = f"http://127.0.0.1:{port}/v1/sessions"
        for headers in ({}, {"Authorization": "Bearer "}, {"Authorization": f"Bearer {'0' * 64}"}):
            assert (await http.get(url, headers=headers)).status == 401
        good = {"Authorization": f"Bearer {RING.keys[0].api_bearer}"}
        assert await (await http.get(url, headers=good)).json() == {"calls": [], "capacity": 10, "draining": False}
        assert (await http.post(url, headers=good, data=b"{}")).status == 400
        assert (await http.post(url, headers=good, json={"offer": "v=0", "relays": [{"port": 0}]})).status == 400
