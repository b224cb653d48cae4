"""The official `@openai/agents` package in a real Chromium, on a page of another origin, with only the URL changed."""

import hashlib
import json
from pathlib import Path

import pytest
from aiohttp import web
from openai import AsyncOpenAI

from tests.support.chromium import chromium_page, speech
from tests.support.facts import eventually, eventually_seen
from tests.support.npm_packages import official_clients
from tests.support.signaling import signaling
from tests.support.tiers import NODE, SPEECH
from voicefleet.agents.parrot import Parrot
from voicefleet.core.realtime.client_events import Door
from voicefleet.observability.health import served
from voicefleet.services.signaling.api_keys import ApiKeys

KEY = "vf-a-key-of-the-test"
KEYS = ApiKeys({hashlib.sha256(KEY.encode()).digest(): "shop"})
BUNDLE = "node_modules/@openai/agents-realtime/dist/bundle/openai-realtime-agents.umd.js"
CALL = """async ({url, secret}) => {
    const {RealtimeAgent, RealtimeSession, OpenAIRealtimeWebRTC} = window.OpenAIAgentsRealtime;
    const audio = document.createElement("audio");
    audio.autoplay = true;
    const transport = new OpenAIRealtimeWebRTC({baseUrl: url, audioElement: audio});
    const agent = new RealtimeAgent({name: "helper", instructions: "Be brief."});
    window.session = new RealtimeSession(agent, {transport});
    window.heard = [];
    window.session.on("transport_event", (event) => window.heard.push(event.type));
    await window.session.connect({apiKey: secret, url});
    window.audio = audio;
    return transport.callId;
}"""
PLAYS = """async () => {
    const stats = await window.session.transport.connectionState.peerConnection.getStats();
    return [...stats.values()].some((one) => one.type === "inbound-rtp" && one.totalAudioEnergy > 0);
}"""


@pytest.mark.needs(SPEECH, NODE)
async def test_the_official_agents_package_calls_from_a_page_of_another_origin(tmp_path: Path) -> None:
    bundle = official_clients() / BUNDLE
    site = web.Application()

    async def page_of_the_application(_request: web.Request) -> web.Response:
        return web.Response(text="<script src=/agents.js></script>", content_type="text/html")

    async def agents(_request: web.Request) -> web.FileResponse:
        return web.FileResponse(bundle)

    site.add_routes([web.get("/", page_of_the_application), web.get("/agents.js", agents)])
    async with (
        signaling(KEYS, agent=lambda: Parrot(Door.WEBRTC, {})) as fleet,
        served(site, "127.0.0.1", 0) as site_port,
        AsyncOpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{fleet.port}/v1") as application,
        chromium_page(speech(tmp_path / "speech.wav")) as page,
    ):
        secret = await application.realtime.client_secrets.create(session={"type": "realtime", "model": "ours"})
        await page.goto(f"http://127.0.0.1:{site_port}/")
        url = f"http://127.0.0.1:{fleet.port}/v1/realtime/calls"
        call = await page.evaluate(CALL, {"url": url, "secret": secret.value})
        (session,) = fleet.workers[0].sessions.values()
        assert call == session.call_id and call.startswith("rtc_")
        assert session.config["model"] == "ours"

        async def plays() -> bool:
            return bool(await page.evaluate(PLAYS))

        await eventually_seen(plays, lambda: "the page plays what it said")

        async def took_a_turn() -> bool:
            heard = await page.evaluate("() => window.heard")
            return {"session.created", "session.updated", "input_audio_buffer.speech_started"} <= set(heard)

        await eventually_seen(took_a_turn, lambda: "its session was taken, and the caller's speech is noticed")
        await page.evaluate("() => window.session.close()")
        await eventually(lambda: not fleet.workers[0].sessions, "the call has ended with the page's session")
        wrong = await page.evaluate(
            f"async () => {{ try {{ await ({CALL})({json.dumps({'url': url, 'secret': 'ek_' + 'A' * 80})}) }}"
            " catch (error) { return String(error.message ?? error) } }"
        )
        assert "ephemeral secret is not valid" in str(wrong)
