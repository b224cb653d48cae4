"""What strangers try at the front door: false secrets, false addresses, tricks in paths and forms, size, slowness."""

import asyncio
import hashlib
import json
import secrets
import time
from contextlib import AsyncExitStack
from ipaddress import ip_network

import pytest

from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import DEADLINE
from tests.support.signaling import MANY, signaling
from tests.support.workers import RING
from voicefleet.core.rate_limit import Rate
from voicefleet.services.signaling import call_request
from voicefleet.services.signaling.api_keys import ApiKeys
from voicefleet.services.signaling.call_request import MAX_OFFER
from voicefleet.services.signaling.client_places import ClientPlaces
from voicefleet.services.signaling.rate_limits import RateLimits
from voicefleet.wire.client_secret import ClientSecret, seal
from voicefleet.wire.keyring import FleetKey, KeyRing

KEY = "vf-a-key-of-the-test"
KEYS = ApiKeys({hashlib.sha256(KEY.encode()).digest(): "shop"})
BEARER = {"Authorization": f"Bearer {KEY}"}
SDP = {"Content-Type": "application/sdp"}
CALLS = "/v1/realtime/calls"


def secret_of(ring: KeyRing, life: float = 60.0) -> str:
    secret = ClientSecret("shop", int(time.time() + life), {"type": "realtime"})
    return seal(secret, ring.keys[0], ring.fleet_tag, secrets.token_bytes)


def forged() -> str:
    """Sealed with a key that the forger made up, under the number of the fleet's own."""
    return secret_of(KeyRing(RING.fleet, (FleetKey(1, bytes(32), 0.0, None),)))


def altered() -> str:
    good = secret_of(RING)
    at = len(good) // 2
    return good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]


def of_another_fleet() -> str:
    """The same secret key, but another fleet's name: what a copied key ring would make."""
    return secret_of(KeyRing("another", RING.keys))


@pytest.mark.parametrize(
    ("presented", "code"),
    [
        (forged, "invalid_api_key"),
        (altered, "invalid_api_key"),
        (of_another_fleet, "invalid_api_key"),
        (lambda: secret_of(RING, -1.0), "expired_client_secret"),
    ],
    ids=["forged", "altered", "of another fleet", "expired"],
)
async def test_a_false_secret_opens_no_door(presented: object, code: str) -> None:
    assert callable(presented)
    headers = {"Authorization": f"Bearer {presented()}"} | SDP
    async with signaling(KEYS) as fleet, aiortc_caller() as caller:
        offer = await caller.offer()
        answer = await fleet.http.post(CALLS, data=offer, headers=headers)
        assert (answer.status, (await answer.json())["error"]["code"]) == (401, code)
        assert (await fleet.http.post("/whip", data=offer, headers=headers)).status == 401
        assert (await fleet.http.get("/v1/relays", headers=headers)).status == 401
        assert not fleet.workers[0].sessions


async def test_a_secret_that_has_served_is_worth_nothing_once_it_has_expired() -> None:
    headers = {"Authorization": f"Bearer {secret_of(RING, 3.0)}"} | SDP
    async with signaling(KEYS, (1000,)) as fleet, aiortc_caller() as caller:
        offer = await caller.offer()
        assert (await fleet.http.post(CALLS, data=offer, headers=headers)).status == 201
        async with asyncio.timeout(DEADLINE):
            while (answer := await fleet.http.post(CALLS, data=offer, headers=headers)).status == 201:  # noqa: ASYNC110
                await asyncio.sleep(0.3)
        assert (answer.status, (await answer.json())["error"]["code"]) == (401, "expired_client_secret")


async def test_a_stranger_who_claims_other_addresses_is_still_held_to_his_own() -> None:
    limits = RateLimits(MANY, Rate(0.001, 2), knocks=MANY)
    places = ClientPlaces(trusted_proxies=(ip_network("192.0.2.0/24"),))
    async with signaling(KEYS, limits=limits, places=places) as fleet, aiortc_caller() as caller:
        offer, statuses = await caller.offer(), []
        for number in range(4):
            claimed = {"X-Forwarded-For": f"203.0.{number}.1", "Forwarded": f"for=198.51.{number}.1"}
            statuses.append((await fleet.http.post(CALLS, data=offer, headers=BEARER | SDP | claimed)).status)
        assert statuses == [201, 201, 429, 429]


async def test_a_trusted_proxys_clients_each_have_their_own_limit_whatever_they_put_in_front() -> None:
    limits = RateLimits(MANY, Rate(0.001, 1), knocks=MANY)
    places = ClientPlaces(trusted_proxies=(ip_network("127.0.0.0/8"),))
    async with signaling(KEYS, limits=limits, places=places) as fleet, aiortc_caller() as caller:
        offer = await caller.offer()

        async def call(forwarded: str) -> int:
            headers = BEARER | SDP | {"X-Forwarded-For": forwarded}
            return (await fleet.http.post(CALLS, data=offer, headers=headers)).status

        assert await call("203.0.113.1") == 201
        assert await call("198.51.100.1") == 201
        # What stands to the left of the address that the proxy saw was written by the client.
        assert await call("8.8.8.8, 203.0.113.1") == 429


RAW = [
    "GET /../../etc/passwd HTTP/1.1",
    "GET //etc/passwd HTTP/1.1",
    "GET /console/..%2f..%2f..%2fapplication.py HTTP/1.1",
    "GET /%2e%2e/application.py HTTP/1.1",
    "GET /console/console.js%00.html HTTP/1.1",
    "POST /v1/realtime/calls/%00/hangup HTTP/1.1",
    "POST /v1/realtime/calls/rtc_%0d%0aSet-Cookie:x/hangup HTTP/1.1",
    f"POST /v1/realtime/calls/rtc_{'A' * 4000}/hangup HTTP/1.1",
    "DELETE /whip/..%2f..%2fv1%2fsessions HTTP/1.1",
    "GET http://169.254.169.254/latest/meta-data HTTP/1.1",
    "CONNECT 169.254.169.254:80 HTTP/1.1",
    f"GET /{'a' * 20_000} HTTP/1.1",
    "NONSENSE",
]


@pytest.mark.parametrize("line", RAW, ids=[line[:40] for line in RAW])
async def test_tricks_in_a_path_find_nothing(line: str) -> None:
    async with signaling(KEYS) as fleet:
        reader, writer = await asyncio.open_connection("127.0.0.1", fleet.port)
        head = f"{line}\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        writer.write(head.encode())
        answer = await asyncio.wait_for(reader.read(), DEADLINE)
        writer.close()
        status = int(answer.split(b" ", 2)[1])
        assert 400 <= status < 500, answer
        assert b"root:" not in answer and b"Set-Cookie" not in answer and b"Traceback" not in answer


def _form(*parts: tuple[str, bytes]) -> bytes:
    return b"".join(b"--x\r\n%s\r\n\r\n%s\r\n" % (head.encode(), body) for head, body in parts) + b"--x--\r\n"


def _field(name: str, more: str = "") -> str:
    return f'Content-Disposition: form-data; name="{name}"{more}'


FORMS = {
    "the offer twice": _form((_field("sdp"), b"v=0"), (_field("sdp"), b"v=0")),
    "a part without a name": _form(("Content-Disposition: form-data", b"v=0")),
    "a part without a head": b"--x\r\n\r\nv=0\r\n--x--\r\n",
    "a part whose head is none": b"--x\r\n[[], {}]--x--",
    "a file's name that climbs": _form((_field("evil", '; filename="../../etc/passwd"'), b"v=0")),
    "a form within the form": _form(
        (_field("sdp") + "\r\nContent-Type: multipart/mixed; boundary=y", b"--y\r\n\r\nv=0\r\n--y--")
    ),
    "a transfer encoding that is none": _form((_field("sdp") + "\r\nContent-Transfer-Encoding: zip", b"v=0")),
    "a bomb": _form((_field("sdp") + "\r\nContent-Encoding: gzip", b"\x1f\x8b\x08" + bytes(100))),
    "a session nested without end": _form(
        (_field("sdp"), b"v=0"), (_field("session") + "\r\nContent-Type: application/json", b"[" * 100_000)
    ),
    "a session that is no object": _form((_field("sdp"), b"v=0"), (_field("session"), b"[1]")),
    "an end that never comes": b'--x\r\nContent-Disposition: form-data; name="sdp"\r\n\r\nv=0',
    "a thousand parts": _form(*[(_field("sdp"), b"v=0")] * 1000),
}


@pytest.mark.parametrize("body", FORMS.values(), ids=list(FORMS))
async def test_a_forms_tricks_are_refused_in_words(body: bytes) -> None:
    async with signaling(KEYS) as fleet:
        headers = BEARER | {"Content-Type": "multipart/form-data; boundary=x"}
        answer = await fleet.http.post(CALLS, data=body, headers=headers)
        assert answer.status in (400, 413, 415)
        assert json.loads(await answer.text())["error"]["message"]
        assert not fleet.workers[0].sessions


@pytest.mark.parametrize("chunked", [False, True], ids=["with its length told", "in chunks"])
@pytest.mark.parametrize("path", [CALLS, "/whip", "/v1/realtime/client_secrets"])
async def test_an_offer_of_ten_megabytes_is_not_read(path: str, chunked: bool) -> None:
    sent, ten = 0, 10 * 1024 * 1024
    async with signaling(KEYS) as fleet:
        reader, writer = await asyncio.open_connection("127.0.0.1", fleet.port)
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {ten}"
        head = f"POST {path} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/sdp\r\n"
        writer.write(f"{head}{length}\r\n\r\n".encode())
        piece = b"v=0" + b"x" * (16 * 1024 - 3)
        answered = asyncio.ensure_future(reader.readline())
        try:
            while sent < ten and not answered.done():
                writer.write(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
                await writer.drain()
                sent += len(piece)
                await asyncio.sleep(0)
        except ConnectionError:
            pass  # it stopped listening, which is the point
        line = await asyncio.wait_for(answered, DEADLINE)
        writer.close()
        assert b" 413 " in line
        assert sent < ten


async def test_a_body_that_comes_too_slowly_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call_request, "BODY_DEADLINE", 0.3)
    async with signaling(KEYS) as fleet:
        for head in ("application/sdp", "multipart/form-data; boundary=x"):
            reader, writer = await asyncio.open_connection("127.0.0.1", fleet.port)
            writer.write(
                f"POST {CALLS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\nContent-Type: {head}\r\n"
                f"Content-Length: {MAX_OFFER}\r\n\r\nv".encode()
            )
            line = await asyncio.wait_for(reader.readline(), DEADLINE)
            writer.close()
            assert b" 408 " in line


async def test_a_thousand_connections_that_say_nothing_cost_others_nothing_and_are_closed() -> None:
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(signaling(KEYS, silence=5.0))
        caller = await stack.enter_async_context(aiortc_caller())
        offer = await caller.offer()
        silent = []
        for number in range(1000):
            reader, writer = await asyncio.open_connection("127.0.0.1", fleet.port)
            if number % 2:
                writer.write(b"POST /v1/realtime/calls HTTP/1.1\r\nHost: half of a he")
            stack.callback(writer.close)
            silent.append(reader)
        answer = await fleet.http.post(CALLS, data=offer, headers=BEARER | SDP)
        assert answer.status == 201
        endings = await asyncio.wait_for(asyncio.gather(*(_ended(each) for each in silent)), DEADLINE)
        assert len(endings) == 1000


async def _ended(reader: asyncio.StreamReader) -> None:
    try:
        while await reader.read(4096):
            pass
    except ConnectionError:
        pass
