"""Traces of a call's set-up, read by OpenTelemetry's own classes; and calls that nobody traces, or whose collector is
away."""

import signal
import socket
import time
from pathlib import Path

import aiohttp
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from tests.support.aiortc_caller import AiortcCaller, aiortc_caller
from tests.support.facts import eventually_seen
from tests.support.local_fleet import RunningFleet, local_fleet
from tests.support.otlp_collector import collector
from tests.support.transceiver_process import BEARER, transceiver_process
from voicefleet.contract import HealthPath, InternalApi

STAGES = ["answer", "first_check", "dtls_done", "first_audio_in", "first_audio_out"]
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
FLEET = """
apiVersion: voicefleet.dev/v1alpha1
kind: VoiceFleet
metadata: {name: traced}
spec: {monitoring: {otlpEndpoint: "%s"}}
---
apiVersion: voicefleet.dev/v1alpha1
kind: RelayPool
metadata: {name: edge}
spec: {fleetRef: traced}
---
apiVersion: voicefleet.dev/v1alpha1
kind: TransceiverShard
metadata: {name: main}
spec: {fleetRef: traced}
"""


async def call(fleet: RunningFleet, caller: AiortcCaller, **headers: str) -> str:
    """A call through signaling and a relay that hears its tone, and hangs up; its id."""
    asked = fleet.bearer | {"Content-Type": "application/sdp", **headers}
    url = f"{fleet.base_url}/realtime/calls"
    async with aiohttp.ClientSession() as http:
        async with http.post(url, data=await caller.offer(), headers=asked) as answer:
            text, location = await answer.text(), answer.headers.get("Location", "")
            assert answer.status == 201, text
        await caller.answer(text)
        await caller.hears_its_tone()
        identity = location.rpartition("/")[2]
        async with http.post(f"{url}/{identity}/hangup", headers=fleet.bearer) as ended:
            assert ended.status == 200
    return identity


async def test_a_call_is_one_trace_with_all_stages_in_their_order(tmp_path: Path) -> None:
    async with collector() as traces:
        (tmp_path / "fleet.yaml").write_text(FLEET % traces.endpoint)
        started = time.time_ns()
        async with local_fleet(tmp_path, file=tmp_path / "fleet.yaml") as fleet, aiortc_caller() as caller:
            identity = await call(fleet, caller, traceparent=f"00-{TRACE}-{PARENT}-01")
            set_up, whole = await traces.one("set-up"), await traces.one("call")
        assert whole.span.parent_span_id.hex() == PARENT, "the caller's own span is above"
        assert (whole.service, set_up.service) == ("voicefleet-signaling", "voicefleet-transceiver")
        assert {each.trace for each in traces.seen} == {TRACE}
        assert [each.span.name for each in traces.below(whole)] == ["admission", "body", "steering", "transceiver"]
        asked = await traces.one("ask")
        assert asked in traces.below(traces.below(whole)[-1]) and set_up in traces.below(asked)
        stages = traces.below(set_up)
        assert [each.span.name for each in stages][:3] == STAGES[:3]
        assert sorted(each.span.name for each in stages) == sorted(STAGES)
        moment = set_up.span.start_time_unix_nano
        assert started < moment and asked.span.start_time_unix_nano <= moment <= asked.span.end_time_unix_nano
        for stage in stages:
            assert abs(stage.span.start_time_unix_nano - moment) < 2_000, "each begins where the one before ended"
            moment = stage.span.end_time_unix_nano
        assert moment < time.time_ns() and abs(set_up.span.end_time_unix_nano - moment) < 2_000
        assert whole.noted == {
            "voicefleet.call": identity,
            "voicefleet.pool": "edge",
            "voicefleet.transceiver": "main-transceiver-1",
            "voicefleet.asked": 1,
            "voicefleet.door": "openai",
            "voicefleet.result": "answered",
        }
        assert set_up.noted["voicefleet.call"] == identity and set_up.noted["voicefleet.shard"] == "main"
        told = str(traces.seen)
        assert "127.0.0.1" not in told and fleet.ready["apiKey"] not in told


async def test_a_histogram_of_set_ups_leads_to_the_trace(tmp_path: Path) -> None:
    async with collector() as traces, transceiver_process(tmp_path, WORKERS="1", OTLP_ENDPOINT=traces.endpoint) as pod:
        async with aiortc_caller() as caller:
            offer = {"offer": await caller.offer()}
            header = BEARER | {"traceparent": f"00-{TRACE}-{PARENT}-01"}
            async with pod.http.post(pod.api + InternalApi.SESSIONS, json=offer, headers=header) as created:
                body = await created.json()
            await caller.answer(body["answer"])
            await caller.hears_its_tone()

        async def ended() -> bool:
            return (await pod.metrics()).get("voicefleet_calls_ended_total{cause=client_left}") == 1

        await eventually_seen(ended, lambda: "the call has ended: " + "".join(pod.output))
        assert (await traces.one("set-up")).span.parent_span_id.hex() == PARENT
        address = pod.environment["VOICEFLEET_HEALTH_LISTEN"]
        accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
        async with pod.http.get(f"http://{address}{HealthPath.METRICS}", headers=accept) as shown:
            text = await shown.text()
            families = list(text_string_to_metric_families(text))  # type: ignore[no-untyped-call]
        found = {
            sample.labels["stage"]: sample.exemplar.labels["trace_id"]
            for family in families
            for sample in family.samples
            if sample.exemplar is not None
        }
        assert found == dict.fromkeys(STAGES, TRACE)


async def test_a_collector_that_takes_everything_and_answers_nothing_costs_no_call_anything(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:  # accepts, and never reads
        endpoint = f"http://127.0.0.1:{hole.getsockname()[1]}"
        async with transceiver_process(tmp_path, WORKERS="1", OTLP_ENDPOINT=endpoint) as pod:
            for _ in range(2):
                async with aiortc_caller() as caller:
                    created = await pod.create(await caller.offer())
                    await caller.answer(created["answer"])
                    await caller.hears_its_tone()

            async def ended() -> bool:
                return (await pod.metrics()).get("voicefleet_calls_ended_total{cause=client_left}") == 2

            await eventually_seen(ended, lambda: "both calls have ended: " + "".join(pod.output))
            assert await pod.end(signal.SIGTERM) == 0, "nor does its end wait for the collector"
