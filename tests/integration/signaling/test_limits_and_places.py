"""Who may call how often, where callers are taken to be, and what is told of it: over real HTTP."""

import asyncio
import hashlib
import socket
import time
from ipaddress import ip_network
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import make_mocked_request
from structlog.testing import capture_logs

from tests.support.aiortc_caller import aiortc_caller
from tests.support.directories import FRANKFURT, PARIS, TOKYO, VIRGINIA, relay
from tests.support.facts import eventually
from tests.support.signaling import MANY, Signaling, signaling
from tests.support.workers import RING
from voicefleet.cli.command import run
from voicefleet.core.countries import place_of_country
from voicefleet.core.place import Place
from voicefleet.core.rate_limit import Rate
from voicefleet.core.steering.policy import PlaceSource, Policy
from voicefleet.net.geo import PlacedNetwork, PlacedNetworks
from voicefleet.services.signaling.api_keys import ApiKeys
from voicefleet.services.signaling.client_places import ClientPlaces
from voicefleet.services.signaling.rate_limits import RateLimits

KEY, OPERATOR = "vf-a-key-of-the-test", "vf-an-operators-key"
KEYS = ApiKeys({hashlib.sha256(key.encode()).digest(): name for key, name in ((KEY, "shop"), (OPERATOR, "operator"))})
BEARER = {"Authorization": f"Bearer {KEY}"}
SDP = {"Content-Type": "application/sdp"}
LOOPBACK = [ip_network("127.0.0.0/8")]
RELAYS = (
    relay("fra-0", FRANKFURT, pool="fra", region="eu"),
    relay("par-0", PARIS, pool="par", region="eu"),
    relay("jp-0", TOKYO, pool="jp", region="jp"),
    relay("us-0", VIRGINIA, pool="us", region="us"),
)


def value(fleet: Signaling, name: str, **labels: str) -> float:
    return fleet.metrics.get_sample_value(f"voicefleet_signaling_{name}", labels) or 0.0


async def test_a_key_that_calls_too_often_is_told_when_to_come_back() -> None:
    limits = RateLimits(Rate(0.01, 2), MANY, knocks=MANY)
    async with signaling(KEYS, limits=limits) as fleet, aiortc_caller() as caller:
        offer = await caller.offer()
        calls = [await fleet.http.post("/v1/realtime/calls", data=offer, headers=BEARER | SDP) for _ in range(3)]
        assert [call.status for call in calls] == [201, 201, 429]
        assert 90 <= int(calls[-1].headers["Retry-After"]) <= 100
        assert (await calls[-1].json())["error"]["type"] == "rate_limit_error"
        other = await fleet.http.post("/whip", data=offer, headers=SDP | {"Authorization": f"Bearer {OPERATOR}"})
        assert other.status == 201, "another key has its own limit"
        assert value(fleet, "calls_total", door="openai", result="refused", reason="rate_limit_exceeded") == 1


async def test_a_network_that_calls_or_guesses_too_often_is_held_whoever_it_claims_to_be() -> None:
    proxied = ClientPlaces(trusted_proxies=LOOPBACK)
    limits = RateLimits(MANY, Rate(0.01, 1), knocks=Rate(0.01, 5))
    async with signaling(KEYS, limits=limits, places=proxied) as fleet, aiortc_caller() as caller:
        offer = await caller.offer()
        from_one = BEARER | SDP | {"X-Forwarded-For": "6.6.6.6, 198.51.100.7"}
        from_next = BEARER | SDP | {"X-Forwarded-For": "7.7.7.7, 198.51.100.99"}
        from_other = BEARER | SDP | {"X-Forwarded-For": "203.0.113.1"}
        sent = [
            await fleet.http.post("/v1/realtime/calls", data=offer, headers=each)
            for each in (from_one, from_next, from_other)
        ]
        assert [answer.status for answer in sent] == [201, 429, 201]
        guesses = [
            (
                await fleet.http.post("/v1/realtime/calls", headers=from_one | {"Authorization": f"Bearer guess {n}"})
            ).status
            for n in range(5)
        ]
        assert guesses == [401, 401, 401, 429, 429], "five requests of the network, two of which were the calls"


async def test_the_nearest_relays_are_offered_and_one_audit_line_says_so() -> None:
    home = PlacedNetworks([PlacedNetwork(ip_network("198.51.100.0/24"), Place(52.5, 13.4))])
    places = ClientPlaces(trusted_proxies=LOOPBACK, networks=home)
    async with signaling(KEYS, relays=RELAYS, places=places) as fleet, aiortc_caller() as caller:
        offer = await caller.offer()
        with capture_logs() as lines:
            headers = BEARER | SDP | {"X-Forwarded-For": "198.51.100.7"}
            answer = await fleet.http.post("/v1/realtime/calls", data=offer, headers=headers)
            assert answer.status == 201 and "transceiver;dur=" in answer.headers["Server-Timing"]
            refused = await fleet.http.post("/v1/realtime/calls", data=b"v=0", headers=headers)
            assert refused.status == 400
        audit = [line for line in lines if line["event"] == "call"]
        assert len(audit) == 2
        good, bad = audit
        assert good["session"].startswith("rtc_") and good["transceiver"] == "transceiver-0" and good["asked"] == 1
        assert (good["key"], good["network"], good["place_source"]) == ("shop", "198.51.100.0/24", "configured")
        assert (good["pool"], good["relays"], good["kilometres"]) == ("fra", ["fra-0", "par-0"], 422)
        assert (bad["result"], bad["reason"]) == ("refused", "offer_not_served") and "session" not in bad
        assert KEY not in str(audit) and "v=0" not in str(audit)
        assert value(fleet, "relay_pools_total", pool="fra") == 2
        assert value(fleet, "places_total", source="configured", ground="database") == 2
        assert value(fleet, "relay_kilometres_bucket", le="500.0") == 2
        assert value(fleet, "stage_seconds_count", stage="total") == 2


async def test_relays_may_be_fetched_ahead_and_kept_for_a_minute() -> None:
    places = ClientPlaces(trusted_proxies=LOOPBACK, believe_hints=True)
    async with signaling(KEYS, relays=RELAYS, places=places) as fleet:
        answer = await fleet.http.get("/v1/relays?place=48.9,2.3", headers=BEARER)
        assert answer.status == 200 and answer.headers["Cache-Control"] == "private, max-age=60"
        body = await answer.json()
        assert [each["id"] for each in body["relays"]] == ["par-0", "fra-0"]
        assert body["relays"][0]["addresses"] == [{"address": "192.0.2.1", "udp": 3478, "tcp": None}]
        assert body["ice_lite"] and body["ice_servers"] == [{"urls": ["stun:stun.example:3478"]}]
        assert 55 <= body["expires_at"] - time.time() <= 61
        hinted = await fleet.http.get("/v1/relays", headers=BEARER | {"CF-IPCountry": "JP"})
        assert (await hinted.json())["relays"][0]["id"] == "jp-0"
        assert (await fleet.http.get("/v1/relays")).status == 401


def test_hints_count_only_where_they_are_believed_and_what_is_configured_wins() -> None:
    request = make_mocked_request("POST", "/?place=1,2", {"CF-IPCountry": "JP"})
    assert ClientPlaces().client(request, "k").source is PlaceSource.UNKNOWN
    assert ClientPlaces(believe_hints=True).client(request, "k").place == Place(1, 2)
    for text in ("/?place=nan,1", "/?place=91,1", "/?place=x", "/?place="):
        assert ClientPlaces(believe_hints=True).client(make_mocked_request("GET", text), "k").place is None
    country = make_mocked_request("GET", "/", {"CF-IPCountry": "jp"})
    assert ClientPlaces(believe_hints=True).client(country, "k").place == place_of_country("JP")
    networks = PlacedNetworks([PlacedNetwork(ip_network("198.51.100.0/24"), Place(5, 5))])
    told = ClientPlaces(networks=networks, believe_hints=True).locate("198.51.100.1", "k", Place(1, 2))
    assert (told.place, told.source) == (Place(5, 5), PlaceSource.CONFIGURED)


async def test_operators_are_told_in_words_why_calls_go_where_they_go_and_nobody_else_is() -> None:
    policy = Policy(allowed_regions=frozenset({"eu", ""}))
    networks = PlacedNetworks([PlacedNetwork(ip_network("198.51.100.0/24"), Place(52.5, 13.4))])
    async with signaling(KEYS, relays=RELAYS, policy=policy, places=ClientPlaces(networks=networks)) as fleet:
        question = {"address": "198.51.100.7"}
        for bearer in (OPERATOR, RING.keys[0].api_bearer):
            answer = await fleet.http.post(
                "/v1/steering/explain", json=question, headers={"Authorization": f"Bearer {bearer}"}
            )
            told = await answer.json()
            assert answer.status == 200 and told["relays"][0]["id"] == "fra-0" and told["network"] == "198.51.100.0/24"
            words = "\n".join(told["explanation"])
            assert "a configured network" in words and "422 km away" in words
            assert "pool jp: outside of the allowed regions." in words and "10 of 10 free" in words
        ephemeral = await (await fleet.http.post("/v1/realtime/client_secrets", headers=BEARER)).json()
        for bearer, status in ((KEY, 403), (ephemeral["value"], 403), ("vf-guess-guess-guess", 401)):
            answer = await fleet.http.post(
                "/v1/steering/explain", json=question, headers={"Authorization": f"Bearer {bearer}"}
            )
            assert answer.status == status
        for bad in ({}, {"address": "nonsense"}, {"address": "198.51.100.7", "what": 1}, {"address": ["x"]}, [1]):
            answer = await fleet.http.post(
                "/v1/steering/explain", json=bad, headers={"Authorization": f"Bearer {OPERATOR}"}
            )
            assert answer.status == 400, bad


async def test_regions_that_may_not_be_left_give_a_clear_503_when_they_are_down() -> None:
    policy = Policy(allowed_regions=frozenset({"eu"}))
    down = (relay("fra-0", FRANKFURT, region="eu", draining=True), relay("us-0", VIRGINIA, region="us"))
    async with signaling(KEYS, relays=down, policy=policy) as fleet, aiortc_caller() as caller:
        answer = await fleet.http.post("/v1/realtime/calls", data=await caller.offer(), headers=BEARER | SDP)
        body = await answer.json()
        assert answer.status == 503 and body["error"]["code"] == "no_relay_in_allowed_regions"
        assert "eu" in body["error"]["message"] and not fleet.workers[0].sessions


async def test_a_call_that_needs_a_relay_while_none_is_known_is_refused_and_told_when_to_come_back() -> None:
    down = (relay("fra-0", FRANKFURT, draining=True),)
    for relays, why in (((), "No relay is known"), (down, "No relay takes calls")):
        async with signaling(KEYS, relays=relays, direct=False) as fleet, aiortc_caller() as caller:
            offer = await caller.offer()
            for path in ("/v1/realtime/calls", "/whip"):
                answer = await fleet.http.post(path, data=offer, headers=BEARER | SDP)
                assert answer.status == 503 and int(answer.headers["Retry-After"]) > 0
                assert why in await answer.text() and "no_relay" in await answer.text()
            assert (await fleet.http.get("/v1/relays", headers=BEARER)).status == 503
            assert not fleet.workers[0].sessions
            assert value(fleet, "calls_total", door="whip", result="failed", reason="no_relay") == 1
            async with fleet.http.ws_connect("/v1/realtime?model=m", headers=BEARER) as socket:
                assert (await socket.receive_json())["type"] == "session.created", "a WebSocket needs no relay"


@pytest.mark.parametrize(
    "header",
    [
        b"PROXY TCP4 198.51.100.7 127.0.0.1 4711 80\r\n",
        b"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c" + bytes((198, 51, 100, 7, 127, 0, 0, 1, 1, 2, 0, 80)),
    ],
)
async def test_a_proxy_tells_the_clients_address_in_front_of_the_request(header: bytes) -> None:
    networks = PlacedNetworks([PlacedNetwork(ip_network("198.51.100.0/24"), Place(35.7, 139.7))])
    places = ClientPlaces(networks=networks)
    async with signaling(KEYS, relays=RELAYS, places=places, proxies=LOOPBACK) as fleet:
        reader, writer = await asyncio.open_connection("127.0.0.1", fleet.port)
        request = f"GET /v1/relays HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {KEY}\r\n\r\n".encode()
        for piece in (header[:9], header[9:] + request[:20], request[20:]):
            writer.write(piece)
            await writer.drain()
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        assert b'"jp-0"' in await reader.read(600)
        writer.write(request)  # the next request on the same connection has no header of its own
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        writer.close()


async def test_a_connection_of_a_proxy_without_its_header_is_closed() -> None:
    async with signaling(KEYS, proxies=LOOPBACK, silence=0.2) as fleet:
        for said in (b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"PROX"):
            reader, writer = await asyncio.open_connection("127.0.0.1", fleet.port)
            writer.write(said)
            try:
                assert await asyncio.wait_for(reader.read(), 30) == b""
            except ConnectionError:
                pass
            writer.close()


async def test_connections_that_say_nothing_are_closed_and_keep_nobody_from_calling() -> None:
    async with signaling(KEYS, relays=RELAYS, silence=1.0) as fleet:
        silent = []
        for number in range(300):
            connection = socket.create_connection(("127.0.0.1", fleet.port))
            connection.setblocking(False)
            if number % 2:
                connection.send(b"POST /whip HTTP/1.1\r\nHost: x\r\nContent-Le")
            silent.append(connection)
        assert (await fleet.http.get("/v1/relays", headers=BEARER)).status == 200

        def closed() -> bool:
            return all(_ended(connection) for connection in silent)

        await eventually(closed, "all of them are closed")
        for connection in silent:
            connection.close()


def _ended(connection: socket.socket) -> bool:
    try:
        return connection.recv(4096) == b""
    except BlockingIOError:
        return False
    except ConnectionError:
        return True


async def test_open_mode_says_so_on_the_console_page() -> None:
    async with signaling(None) as fleet:
        assert "anybody who reaches this address may call" in await (await fleet.http.get("/")).text()
    async with signaling(KEYS) as fleet, aiohttp.ClientSession() as http:
        page = await (await http.get(f"http://127.0.0.1:{fleet.port}/")).text()
        assert "anybody" not in page and "<!-- notice" not in page


async def test_the_command_line_prints_the_same_words(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    key_file = tmp_path / "ring.json"
    key_file.write_bytes(RING.dump())
    async with signaling(KEYS, relays=RELAYS) as fleet:
        url = f"http://127.0.0.1:{fleet.port}"
        command = ["trace", "198.51.100.7", "--url", url, "--key-file", str(key_file)]
        assert await asyncio.to_thread(run, [*command, "--place", "35,139"]) == 0
        told = capfd.readouterr().out
        assert "relay jp-0" in told and "10 of 10 free" in told
        assert await asyncio.to_thread(run, [*command, "--place", "here"]) == 2
        command[1] = "nonsense"
        assert await asyncio.to_thread(run, command) == 2
        assert "no IP address" in capfd.readouterr().err
