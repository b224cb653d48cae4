"""A transceiver as a pod runs it: its process and the workers under it, with a client that we did not write."""

import asyncio
import json
import os
import re
import secrets
import signal
import socket
from pathlib import Path

import aiohttp
import pytest

from tests.support.aiortc_caller import AiortcCaller, aiortc_caller
from tests.support.facts import DEADLINE, eventually, eventually_seen
from tests.support.redis import redis_server
from tests.support.tiers import REDIS
from tests.support.transceiver_process import START_DEADLINE, TransceiverProcess, transceiver_process
from tests.support.workers import RING
from voicefleet.contract import InternalApi
from voicefleet.wire import stun
from voicefleet.wire.call_id import token_of
from voicefleet.wire.route_token import Route, TokenOpener, ice_password


async def call(pod: TransceiverProcess, caller: AiortcCaller) -> str:
    created = await pod.create(await caller.offer())
    assert created["status"] == 201, created
    await caller.answer(created["answer"])
    await caller.hears_its_tone()
    identity: str = created["id"]
    return identity


def route_of(identity: str) -> Route:
    return TokenOpener(RING).open(token_of(identity))


async def check(address: tuple[str, int], identity: str) -> stun.Message:
    """What is answered to a check for a call."""
    token = token_of(identity)
    password = ice_password(token, RING.keys[0])
    loop = asyncio.get_running_loop()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.setblocking(False)
        client.bind(("127.0.0.1", 0))
        async with asyncio.timeout(DEADLINE):
            while True:
                request = stun.binding_request(
                    secrets.token_bytes(12), f"{token.decode()}:peer", password, priority=1, controlling=1
                )
                await loop.sock_sendto(client, request, address)
                try:
                    async with asyncio.timeout(0.5):
                        return stun.decode(await loop.sock_recv(client, 2048))
                except TimeoutError:
                    continue


async def test_a_worker_that_is_killed_takes_only_its_own_calls_and_its_successor_refuses_them_at_once(
    tmp_path: Path,
) -> None:
    async with transceiver_process(tmp_path, WORKERS="2") as pod, aiortc_caller() as one, aiortc_caller() as other:
        await pod.all_up(2)
        identities = [await call(pod, one), await call(pod, other)]
        routes = [route_of(identity) for identity in identities]
        assert routes[0].port != routes[1].port, "calls are spread over the workers"
        assert (await pod.calls())["calls"] != []
        victims = await _workers_by_port(pod)
        os.kill(victims[routes[0].port], signal.SIGKILL)

        async def down() -> bool:
            return (await pod.look(identities[0]))[0] != 200

        await eventually_seen(down, lambda: "the call of the dead worker is gone")
        heard = len(other.heard)
        await eventually(lambda: len(other.heard) > heard + 24_000, "the other call goes on")
        assert (await pod.look(identities[1]))[0] == 200
        await pod.all_up(2)
        assert one.peer.remoteDescription is not None
        found = re.search(r"typ host", one.peer.remoteDescription.sdp)
        assert found is not None
        direct = one.remote_candidates()[0]
        answer = await check((direct.ip, direct.port), identities[0])
        assert answer.error is not None and answer.error[0] == 400
        shown = await pod.metrics()
        assert sum(shown[f"voicefleet_worker_restarts_total{{worker={number}}}"] for number in range(2)) == 1
        assert shown["voicefleet_calls_ended_total{cause=worker_died}"] == 1
        async with aiortc_caller() as third:
            route = route_of(await call(pod, third))
            assert route.port == routes[0].port and route.generation != routes[0].generation


async def test_a_worker_that_hangs_is_ended_and_started_again(tmp_path: Path) -> None:
    async with transceiver_process(tmp_path, WORKERS="1") as pod:
        await pod.all_up(1)
        hung = pod.workers()[0]
        os.kill(hung, signal.SIGSTOP)

        async def started_again() -> bool:
            return (await pod.metrics())["voicefleet_worker_restarts_total{worker=0}"] == 1

        await eventually_seen(started_again, lambda: "it is ended: " + "".join(pod.output), START_DEADLINE)
        assert not _lives(hung)
        await pod.all_up(1)
        async with aiortc_caller() as caller:
            await call(pod, caller)


async def test_a_call_is_measured_while_it_lives_and_observed_when_it_has_ended(tmp_path: Path) -> None:
    async with transceiver_process(tmp_path, WORKERS="1") as pod:
        async with aiortc_caller() as caller:
            identity = await call(pod, caller)
            status, record = await pod.look(identity)
            assert status == 200 and record["leg"]["measurements"]["uplink"]["heard"] > 40
            assert record["dtls_done"] > record["first_check"] > 0

        async def ended() -> bool:
            return (await pod.metrics()).get("voicefleet_calls_ended_total{cause=client_left}") == 1

        await eventually_seen(ended, lambda: "the call has ended: " + "".join(pod.output))
        shown = await pod.metrics()
        assert shown["voicefleet_call_seconds_count"] == 1
        assert shown["voicefleet_call_setup_seconds_count{stage=first_audio_in}"] == 1
        assert shown["voicefleet_call_mos_bucket{direction=uplink}{le=4.0}"] == 0
        assert not any("rtc_" in name for name in shown), "no label names a call"
        assert shown["voicefleet_transceiver_calls{worker=0}"] == 0
        line = next(line for line in pod.output if "call ended" in line)
        assert identity in line and "mos" in line


async def test_a_full_pod_refuses_with_a_reason_and_takes_calls_again(tmp_path: Path) -> None:
    async with transceiver_process(tmp_path, WORKERS="1", SESSIONS="1") as pod, aiortc_caller() as caller:
        offer = await caller.offer()
        first = await pod.create(offer)
        refused = await pod.create(offer)
        assert (refused["status"], refused["cause"]) == (503, "slots")
        assert (await pod.metrics())["voicefleet_calls_refused_total{cause=slots}"] == 1
        async with pod.http.delete(f"{pod.api}/v1/sessions/{first['id']}") as answer:
            assert answer.status == 204

        async def taken() -> bool:
            return bool((await pod.create(offer))["status"] == 201)

        await eventually_seen(taken, lambda: "there is room again")


async def test_ice_is_restarted_over_the_api_by_another_offer_of_the_same_client(tmp_path: Path) -> None:
    async with transceiver_process(tmp_path, WORKERS="2") as pod, aiortc_caller() as caller:
        identity = await call(pod, caller)
        offer = caller.peer.localDescription.sdp
        url = f"{pod.api}/v1/sessions/{identity}/restart"
        async with pod.http.post(url, json={"offer": offer, "relays": []}) as answer:
            body = await answer.json()
            assert answer.status == 200 and body["id"] == identity
        ufrag = re.search(r"a=ice-ufrag:(\S+)", body["answer"])
        assert ufrag is not None and ufrag[1] != token_of(identity).decode()
        route = TokenOpener(RING).open(ufrag[1].encode())
        assert (route.port, route.generation) == (route_of(identity).port, route_of(identity).generation)
        async with pod.http.post(url, json={"offer": offer.replace("opus", "speex"), "relays": []}) as answer:
            assert answer.status == 422
        stranger = identity[:-4] + ("AAAA" if identity[-4:] != "AAAA" else "BBBB")
        async with pod.http.post(url.replace(identity, stranger), json={"offer": offer, "relays": []}) as answer:
            assert answer.status == 404
        await caller.hears_its_tone()


async def test_an_offer_that_cannot_be_served_is_refused_with_its_line_across_processes(tmp_path: Path) -> None:
    async with transceiver_process(tmp_path, WORKERS="1") as pod, aiortc_caller() as caller:
        refused = await pod.create((await caller.offer()).replace("a=setup:actpass", "a=setup:sideways"))
        assert refused["status"] == 422 and refused["line"] > 0 and "sideways" in refused["reason"]


async def test_sigterm_drains_and_tells_the_caller_why(tmp_path: Path) -> None:
    async with transceiver_process(tmp_path, WORKERS="2", DRAIN_DEADLINE="1s") as pod, aiortc_caller() as caller:
        await call(pod, caller)
        await asyncio.wait_for(caller.open.wait(), DEADLINE)
        assert await pod.end(signal.SIGTERM) == 0, "".join(pod.output)
        events = [json.loads(await asyncio.wait_for(caller.messages.get(), DEADLINE)) for _ in range(2)]
        assert [event["type"] for event in events] == ["session.created", "voicefleet.goodbye"]
        await caller.reaches("closed")


async def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    async with transceiver_process(tmp_path, WORKERS="2") as pod:
        await pod.all_up(2)
        workers = pod.workers()
        assert len(workers) == 2
        await pod.end(signal.SIGKILL)
        await eventually(lambda: not any(_lives(pid) for pid in workers), "they have ended")


@pytest.mark.needs(REDIS)
async def test_a_live_call_can_be_looked_up_in_the_session_map(tmp_path: Path) -> None:
    async with (
        redis_server() as redis,
        aiortc_caller() as caller,
        transceiver_process(tmp_path, WORKERS="1", REDIS_URL=redis.url) as pod,
        redis.client() as client,
    ):
        identity = await call(pod, caller)
        key = f"vf:{{{RING.fleet}}}:session:{identity}"

        async def measured() -> bool:
            return '"uplink_mos"' in (await client.get(key) or "")

        await eventually_seen(measured, lambda: "its measurements are there")
        await caller.close()

        async def removed() -> bool:
            return await client.get(key) is None

        await eventually_seen(removed, lambda: "it is removed")


async def _workers_by_port(pod: TransceiverProcess) -> dict[int, int]:
    """Which process serves which hop port: that of its inherited socket."""
    inodes = {}
    for line in Path("/proc/net/udp").read_text().splitlines()[1:]:
        fields = line.split()
        inodes[fields[9]] = int(fields[1].rpartition(":")[2], 16)
    found = {}
    for pid in pod.workers():
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            inode = re.fullmatch(r"socket:\[(\d+)\]", os.readlink(descriptor))
            if inode is not None and inode[1] in inodes:
                found[inodes[inode[1]]] = pid
    return found


def _lives(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2][:3]
    except FileNotFoundError:
        return False


async def test_a_websocket_reaches_the_worker_that_took_its_call_and_no_stranger_does(tmp_path: Path) -> None:
    async with transceiver_process(tmp_path, WORKERS="2") as pod:
        url = ""
        for _ in range(4):
            async with pod.http.post(
                pod.api + InternalApi.SESSIONS, json={"offer": "", "session": {"model": "ours"}}
            ) as taken:
                call = (await taken.json())["id"]
            url = f"{pod.api}{InternalApi.SESSIONS}/{call}/socket"
            async with (
                pod.http.ws_connect(f"{url}?as=websocket") as caller,
                pod.http.ws_connect(f"{url}?as=sideband") as beside,
            ):
                created = await caller.receive_json(timeout=DEADLINE)
                assert created["type"] == "session.created" and created["session"]["model"] == "ours"
                await beside.send_json({"type": "session.update", "session": {"instructions": "Be brief."}})
                while (told := await caller.receive_json(timeout=DEADLINE))["type"] != "session.updated":
                    pass
                assert told["session"]["instructions"] == "Be brief."
            with pytest.raises(aiohttp.WSServerHandshakeError) as gone:
                while True:  # until the worker knows that its client has left
                    async with pod.http.ws_connect(f"{url}?as=sideband"):
                        await asyncio.sleep(0.05)
            assert gone.value.status == 404
        async with aiohttp.ClientSession() as stranger:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await stranger.ws_connect(f"{url}?as=sideband")
            assert refused.value.status == 401
