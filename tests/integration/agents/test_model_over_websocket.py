"""A client of the WebSocket door talks to a model behind the fleet, with the official `openai` package."""

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus

import pytest

from tests.support.facts import eventually
from tests.support.model_sound import melody, pitch, spans, tone_pcm
from tests.support.realtime_model import ModelServer, Speech, Stall, model_server
from tests.support.signaling import Signaling, signaling
from tests.support.socket_client import KEYS, Listener, client_of, session_of
from tests.support.tone import buzz, hush
from voicefleet.agents.realtime.link import RealtimeLink
from voicefleet.agents.realtime.models import ModelPlan, Models
from voicefleet.core.media.g711 import Law, decode, encode

DETECTION = {"type": "server_vad"}


@asynccontextmanager
async def fleet_with(model: ModelServer) -> AsyncIterator[Signaling]:
    """A fleet whose agent is that model."""
    models = Models(ModelPlan([model.url]))
    async with signaling(KEYS, relayed_link=lambda asked: RealtimeLink(models, asked.config, asked.door)) as fleet:
        yield fleet


def sound_of(heard: Listener, decoded: Callable[[bytes], bytes] = bytes) -> memoryview:
    """What the client was told to play."""
    deltas = heard.all("response.output_audio.delta")
    return memoryview(decoded(b"".join(base64.b64decode(delta["delta"]) for delta in deltas))).cast("h")


async def says_something(heard: Listener, rate: int = 24_000, encoded: Callable[[bytes], bytes] = bytes) -> None:
    """A word and a silence, as fast as it goes."""
    said = encoded(buzz(0, rate, rate) + hush(0, rate, rate))
    for at in range(0, len(said), 4800):
        await heard.connection.input_audio_buffer.append(audio=base64.b64encode(said[at : at + 4800]).decode())


@pytest.mark.parametrize(
    ("kind", "rate", "encoded", "decoded"),
    [
        ("audio/pcm", 24_000, bytes, bytes),
        ("audio/pcmu", 8_000, lambda pcm: encode(pcm, Law.MU), lambda audio: decode(audio, Law.MU)),
    ],
)
async def test_the_python_client_talks_to_a_model_in_its_own_format(
    kind: str, rate: int, encoded: Callable[[bytes], bytes], decoded: Callable[[bytes], bytes]
) -> None:
    async with (
        model_server(Speech(melody(4), "four notes")) as model,
        fleet_with(model) as fleet,
        client_of(fleet) as client,
        client.realtime.connect(model="theirs") as connection,
    ):
        heard = Listener(connection)
        await heard.told("session.created")
        await connection.session.update(session=session_of(kind, DETECTION))
        assert (await heard.told("session.updated"))["session"]["audio"]["output"]["format"]["type"] == kind
        (conversation,) = model.conversations
        assert model.requests[0].query["model"] == "theirs"
        assert conversation.session["audio"]["input"]["format"] == {"type": "audio/pcm", "rate": 24_000}
        await says_something(heard, rate, encoded)
        done = await heard.told("response.done")
        sound = sound_of(heard, decoded)
        ((start, end),) = spans(sound.tolist(), rate, gap=0.02)
        assert end - start == pytest.approx(4.0, abs=0.06)
        tones = (500.0, 700.0, 900.0, 1100.0)
        middles = [sound[int((start + second + 0.4) * rate) :][: rate // 10].tolist() for second in range(4)]
        assert [pitch(middle, tones, rate) for middle in middles] == list(tones)
        (item,) = {delta["item_id"] for delta in heard.all("response.output_audio.delta")}
        assert item == done["response"]["output"][0]["id"]
        assert heard.all("response.output_audio.delta")[-1]["voicefleet"]["ahead_ms"] > 1000
        assert not heard.all("output_audio_buffer.started"), "the client plays, and knows"


async def test_a_client_that_interrupts_truncates_by_itself_and_hears_nothing_late() -> None:
    async with (
        model_server(Speech(tone_pcm(20.0), pace=10.0, late=5), Stall()) as model,
        fleet_with(model) as fleet,
        client_of(fleet) as client,
        client.realtime.connect(model="theirs") as connection,
    ):
        heard = Listener(connection)
        await says_something(heard)
        first = await heard.told("response.output_audio.delta", 10)
        await says_something(heard)
        await heard.told("response.done")
        told = len(heard.all("response.output_audio.delta"))
        (conversation,) = model.conversations
        assert conversation.truncated == [], "what was played only the client knows"
        await connection.conversation.item.truncate(item_id=first["item_id"], content_index=0, audio_end_ms=700)
        await heard.told("conversation.item.truncated")
        assert conversation.truncated == [(first["item_id"], 0, 700)]
        assert 100 * told <= conversation.said[first["item_id"]] - 500, "five late deltas were not passed on"


async def test_a_model_that_is_lost_is_replaced_and_one_that_is_missing_is_told() -> None:
    async with (
        model_server(Speech(melody(8), lose_after=5), Speech(melody(1), "again")) as model,
        fleet_with(model) as fleet,
        client_of(fleet) as client,
    ):
        async with client.realtime.connect(model="theirs") as connection:
            heard = Listener(connection)
            await says_something(heard)
            assert (await heard.told("voicefleet.model_connection"))["state"] == "lost"
            assert (await heard.told("voicefleet.model_connection", 2))["state"] == "restored"
            await says_something(heard)
            assert (await heard.told("response.output_audio_transcript.done"))["transcript"] == "again"
        model.refusals.extend([(HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "120"})] * 3)
        async with client.realtime.connect(model="theirs") as connection:
            heard = Listener(connection)
            assert (await heard.told("error"))["error"]["code"] == "no_model_available"
            await heard.told("voicefleet.goodbye")
        await eventually(lambda: not fleet.workers[0].calls, "both calls are over")
