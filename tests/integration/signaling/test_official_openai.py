"""The official `openai` packages, of Python and of npm, with only the base URL changed."""

import asyncio
import hashlib
import json

import openai
import pytest
from openai.types.realtime import RealtimeSessionCreateRequestParam

from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import DEADLINE
from tests.support.npm_packages import official_clients
from tests.support.signaling import Signaling, signaling
from tests.support.tiers import NODE
from voicefleet.services.signaling.api_keys import ApiKeys

KEY = "vf-a-key-of-the-test"
KEYS = ApiKeys({hashlib.sha256(KEY.encode()).digest(): "shop"})
SESSION: RealtimeSessionCreateRequestParam = {"type": "realtime", "model": "ours", "instructions": "Be brief."}


def client_of(fleet: Signaling, key: str = KEY) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(api_key=key, base_url=f"http://127.0.0.1:{fleet.port}/v1", max_retries=0)


@pytest.mark.parametrize("session", [SESSION, None], ids=["as a form with a session", "as plain SDP"])
async def test_the_python_client_starts_a_call_and_hangs_it_up(
    session: RealtimeSessionCreateRequestParam | None,
) -> None:
    async with signaling(KEYS) as fleet, client_of(fleet) as client, aiortc_caller() as caller:
        given = {} if session is None else {"session": session}
        answer = await client.realtime.calls.create(sdp=await caller.offer(), **given)  # type: ignore[arg-type]
        call = answer.response.headers["Location"].split("/")[-1]
        await caller.answer(answer.text)
        await asyncio.wait_for(caller.open.wait(), DEADLINE)
        (running,) = fleet.workers[0].sessions.values()
        assert running.config == (session or {"type": "realtime"})
        await client.realtime.calls.hangup(call)
        await caller.reaches("closed")
        with pytest.raises(openai.NotFoundError) as gone:
            await client.realtime.calls.hangup(call)
        assert gone.value.code == "call_not_found"


async def test_the_python_client_makes_a_secret_and_a_browser_calls_with_it() -> None:
    async with signaling(KEYS) as fleet, client_of(fleet) as application, aiortc_caller() as caller:
        secret = await application.realtime.client_secrets.create(
            session=SESSION, expires_after={"anchor": "created_at", "seconds": 60}
        )
        assert secret.value.startswith("ek_") and secret.session.type == "realtime"
        assert secret.session.instructions == "Be brief."
        async with client_of(fleet, secret.value) as browser:
            answer = await browser.realtime.calls.create(sdp=await caller.offer())
            await caller.answer(answer.text)
            await caller.reaches("connected")
            with pytest.raises(openai.PermissionDeniedError):
                await browser.realtime.client_secrets.create()


async def test_the_python_client_reads_our_refusals() -> None:
    async with signaling(KEYS, (0,)) as fleet, client_of(fleet) as client, aiortc_caller() as caller:
        offer = await caller.offer()
        with pytest.raises(openai.InternalServerError) as full:
            await client.realtime.calls.create(sdp=offer)
        assert (full.value.status_code, full.value.code) == (503, "no_capacity")
        with pytest.raises(openai.BadRequestError) as bad:
            await client.realtime.calls.create(sdp="nonsense")
        assert (bad.value.code, bad.value.param) == ("invalid_request", "sdp")
        async with client_of(fleet, "vf-not-a-key-of-anybody") as stranger:
            with pytest.raises(openai.AuthenticationError) as unknown:
                await stranger.realtime.calls.create(sdp=offer)
            assert unknown.value.code == "invalid_api_key"


@pytest.mark.needs(NODE)
async def test_the_npm_client_makes_secrets_and_hangs_up() -> None:
    folder = await asyncio.to_thread(official_clients)
    async with signaling(KEYS) as fleet, aiortc_caller() as caller:
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/sdp"}
        call = (
            (await fleet.http.post("/v1/realtime/calls", data=await caller.offer(), headers=headers))
            .headers["Location"]
            .split("/")[-1]
        )
        program = await asyncio.create_subprocess_exec(
            *("node", "application.mjs", f"http://127.0.0.1:{fleet.port}/v1", KEY, call),
            cwd=folder,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        said, error = await asyncio.wait_for(program.communicate(), 2 * DEADLINE)
        assert program.returncode == 0, error.decode()
        report = json.loads(said)
        assert report["secret"]["value"].startswith("ek_") and report["secret"]["session"]["model"] == "ours"
        assert report["again"] == {"kind": "NotFoundError", "status": 404, "code": "call_not_found"}
        assert report["stranger"] == {"kind": "AuthenticationError", "status": 401, "code": "invalid_api_key"}
        assert not fleet.workers[0].sessions
