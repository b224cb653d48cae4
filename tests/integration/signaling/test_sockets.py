"""Calls over WebSocket and sidebands, with the official `openai` package: only the base URL is changed."""

import asyncio
import base64
import json
import math
from array import array
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import aiohttp
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import DEADLINE, eventually
from tests.support.signaling import signaling
from tests.support.socket_client import KEY, KEYS, Listener, client_of, session_of
from tests.support.tone import buzz, hush
from voicefleet.agents.parrot import Parrot
from voicefleet.core.media.g711 import Law, decode, encode
from voicefleet.core.realtime.client_events import MAX_MESSAGE, Door

DETECTION = {"type": "server_vad", "silence_duration_ms": 300, "prefix_padding_ms": 200}


def spoken(rate: int, encoded: Callable[[bytes], bytes]) -> bytes:
    """A second of a quiet room, one and a half of a voice, and a second of the room again."""
    return encoded(hush(0, rate, rate) + buzz(0, rate * 3 // 2, rate) + hush(0, rate, rate))


def loudness(pcm: bytes) -> float:
    samples = array("h", pcm)
    return math.sqrt(sum(sample * sample for sample in samples) / max(1, len(samples)))


@pytest.mark.parametrize(
    ("kind", "rate", "encoded", "decoded"),
    [
        ("audio/pcm", 24_000, bytes, bytes),
        ("audio/pcmu", 8_000, lambda pcm: encode(pcm, Law.MU), lambda audio: decode(audio, Law.MU)),
        ("audio/pcma", 8_000, lambda pcm: encode(pcm, Law.A), lambda audio: decode(audio, Law.A)),
    ],
)
async def test_the_python_client_talks_over_a_websocket_and_hears_its_turn_back(
    kind: str, rate: int, encoded: Callable[[bytes], bytes], decoded: Callable[[bytes], bytes]
) -> None:
    async with (
        signaling(KEYS) as fleet,
        client_of(fleet) as client,
        client.realtime.connect(model="ours") as connection,
    ):
        heard = Listener(connection)
        assert (await heard.told("session.created"))["session"]["model"] == "ours"
        (call,) = fleet.workers[0].sockets.values()
        await connection.session.update(session=session_of(kind, DETECTION))
        assert (await heard.told("session.updated"))["session"]["audio"]["output"]["format"]["type"] == kind
        said = spoken(rate, encoded)
        for at in range(0, len(said), 5000):
            await connection.input_audio_buffer.append(audio=base64.b64encode(said[at : at + 5000]).decode())
        started = await heard.told("input_audio_buffer.speech_started")
        assert abs(started["audio_start_ms"] - 800) < 150
        done = await heard.told("response.done")
        assert done["response"]["status"] == "completed"
        deltas = heard.all("response.output_audio.delta")
        audio = decoded(b"".join(base64.b64decode(delta["delta"]) for delta in deltas))
        assert 1.6 < len(audio) / (2 * rate) < 2.6 and loudness(audio) > 1000
        assert deltas[0]["voicefleet"]["start_ms"] == 0 and deltas[-1]["voicefleet"]["ahead_ms"] > 0
        assert {delta["item_id"] for delta in deltas} == {done["response"]["output"][0]["id"]}
        turn = await heard.told("voicefleet.turn")
        assert turn["item_id"] == started["item_id"] and turn["stages"]["end_of_turn"] > 0
        assert not heard.all("output_audio_buffer.started")
        item = done["response"]["output"][0]["id"]
        await connection.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=100)
        assert (await heard.told("conversation.item.truncated"))["audio_end_ms"] == 100
        await connection.close()
        await eventually(
            lambda: call.life.cause is not None and not fleet.workers[0].calls, "the call ends with its client"
        )
        assert call.record().turns == 1


async def test_push_to_talk_and_errors_over_a_websocket() -> None:
    async with (
        signaling(KEYS) as fleet,
        client_of(fleet) as client,
        client.realtime.connect(model="ours") as connection,
    ):
        heard = Listener(connection)
        await connection.session.update(session=session_of("audio/pcm", None))
        await heard.told("session.updated")
        await connection.input_audio_buffer.commit()
        assert (await heard.told("error"))["error"]["code"] == "input_audio_buffer_commit_empty"
        await connection.send({"type": "output_audio_buffer.clear", "event_id": "mine"})
        wrong = (await heard.told("error", 2))["error"]
        assert (wrong["code"], wrong["event_id"]) == ("invalid_event_for_connection", "mine")
        await connection.send({"type": "input_audio_buffer.append", "audio": "no base64!"})
        assert (await heard.told("error", 3))["error"]["param"] == "audio"
        await connection.input_audio_buffer.append(audio=base64.b64encode(buzz(0, 24_000, 24_000)).decode())
        await connection.input_audio_buffer.commit()
        await connection.response.create()
        await heard.told("response.done")
        sound = b"".join(base64.b64decode(each["delta"]) for each in heard.all("response.output_audio.delta"))
        assert sound == buzz(0, 24_000, 24_000)


async def test_who_may_not_call_or_finds_no_place_is_refused_on_the_handshake() -> None:
    async with signaling(KEYS, (1,)) as fleet, client_of(fleet, "vf-nobody") as stranger, client_of(fleet) as client:
        with pytest.raises(InvalidStatus) as unknown:
            await stranger.realtime.connect(model="ours").enter()
        assert unknown.value.response.status_code == 401
        async with client.realtime.connect(model="ours") as first:
            await Listener(first).told("session.created")
            with pytest.raises(InvalidStatus) as full:
                await client.realtime.connect(model="ours").enter()
            assert full.value.response.status_code == 503
        answer = await fleet.http.get("/v1/realtime?model=ours", headers={"Authorization": f"Bearer {KEY}"})
        assert answer.status == 426
        with pytest.raises(InvalidStatus) as gone:
            await client.realtime.connect(call_id="rtc_" + "A" * 24).enter()
        assert gone.value.response.status_code == 404


async def test_a_browser_names_its_secret_as_a_subprotocol() -> None:
    async with signaling(KEYS) as fleet, client_of(fleet) as application:
        secret = (await application.realtime.client_secrets.create(session={"type": "realtime", "model": "ours"})).value
        protocols = ("realtime", f"openai-insecure-api-key.{secret}", "openai-agents-sdk.0.20.0")
        async with fleet.http.ws_connect("/v1/realtime?model=other", protocols=protocols) as socket:
            assert socket.protocol == "realtime"
            assert (await socket.receive_json(timeout=DEADLINE))["session"]["model"] == "ours"
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await fleet.http.ws_connect("/v1/realtime?call_id=rtc_x", protocols=protocols)
        assert refused.value.status == 403


async def test_a_message_that_is_too_large_ends_its_own_call_only() -> None:
    async with (
        signaling(KEYS) as fleet,
        client_of(fleet) as client,
        client.realtime.connect(model="ours") as good,
        client.realtime.connect(model="ours") as bad,
    ):
        steady, _ = Listener(good), await Listener(bad).told("session.created")
        with suppress(ConnectionClosed):  # it may be refused before all of it is sent
            await bad.send({"type": "input_audio_buffer.append", "audio": "A" * (MAX_MESSAGE + 1)})
        await eventually(lambda: fleet.workers[0].calls == 1, "the call of the large message has ended")
        await good.session.update(session=session_of("audio/pcm", None))
        await steady.told("session.updated")


async def test_an_application_watches_and_steers_a_call_beside_its_caller() -> None:
    async with (
        signaling(KEYS, agent=lambda: Parrot(Door.WEBRTC, {})) as fleet,
        client_of(fleet) as client,
        aiortc_caller() as caller,
    ):
        answer = await client.realtime.calls.create(sdp=await caller.offer())
        await caller.answer(answer.text)
        call = answer.response.headers["Location"].split("/")[-1]
        await asyncio.wait_for(caller.open.wait(), DEADLINE)
        created = json.loads(await asyncio.wait_for(caller.messages.get(), DEADLINE))
        async with client.realtime.connect(call_id=call) as one, client.realtime.connect(call_id=call) as two:
            first, second = Listener(one), Listener(two)
            assert (await first.told("session.created"))["session"] == created["session"]
            await second.told("session.created")
            tool = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
            asked: Any = {**session_of("audio/pcm", None), "tools": [tool]}
            await one.session.update(session=asked)
            for listener in (first, second):
                assert (await listener.told("session.updated"))["session"]["tools"] == [tool]
            told = json.loads(await asyncio.wait_for(caller.messages.get(), DEADLINE))
            assert told["type"] == "session.updated" and told["session"]["tools"] == [tool]
            await two.send({"type": "input_audio_buffer.append", "audio": "", "event_id": "mine"})
            assert (await second.told("error"))["error"]["event_id"] == "mine"
            await one.response.create()
            await second.told("response.done")
            await first.told("output_audio_buffer.stopped")
            assert not first.all("error")
        caller.channel.send(json.dumps({"type": "response.create"}))  # type: ignore[union-attr]
        async with asyncio.timeout(DEADLINE):
            while json.loads(await caller.messages.get())["type"] != "response.done":
                pass
        running = fleet.workers[0].sessions[call]
        assert running.life.cause is None
        async with client.realtime.connect(call_id=call) as watching:
            listener = Listener(watching)
            await listener.told("session.created")
            await client.realtime.calls.hangup(call)
            await eventually(listener._task.done, "who watches is told that the call is over")
