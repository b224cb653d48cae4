"""What becomes of spans: dropped where nobody takes them, and none where nobody asks."""

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from opentelemetry.proto.trace.v1.trace_pb2 import Status

from tests.support.aiortc_caller import aiortc_caller
from tests.support.facts import eventually
from tests.support.otlp_collector import Collector, collector
from tests.support.signaling import signaling
from voicefleet.observability.otlp import OtlpTraces
from voicefleet.observability.traces import NO_TRACES, Traces, traces
from voicefleet.services.signaling.api_keys import ApiKeys
from voicefleet.services.transceiver.call_traces import CallTraces

KEY = "vf-a-key-of-the-test"
KEYS = ApiKeys({hashlib.sha256(KEY.encode()).digest(): "shop"})
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
QUEUE, BATCH = 2048, 512
"""OpenTelemetry's own defaults."""


@asynccontextmanager
async def collected() -> AsyncIterator[tuple[Collector, Traces]]:
    """Traces, and where they arrive."""
    async with collector() as arriving:
        sent = OtlpTraces(arriving.endpoint, "test", "here")
        try:
            yield arriving, sent
        finally:
            await asyncio.to_thread(sent.close)


def call_traces(sent: Traces) -> CallTraces:
    """Of a pod whose clocks stand: it is 1000 s by the wall's and 100 s by the machine's."""
    return CallTraces(sent, "main", "transceiver-1", clock=lambda: 1000.0, monotonic=lambda: 100.0)


async def test_stages_begin_where_the_one_before_ended_in_the_order_in_which_they_came() -> None:
    figures = {"age": 9.0, "setup_answer": 0.01, "setup_first_check": 0.05, "setup_dtls_done": 0.2}
    greeted = figures | {"setup_first_audio_out": 0.25, "setup_first_audio_in": 0.5}
    async with collected() as (arriving, sent):
        calls = call_traces(sent)
        calls.taken("rtc_1", 0, f"00-{TRACE}-{PARENT}-01")
        calls.looked("rtc_1", figures, 90.0)
        calls.looked("rtc_1", greeted, 90.0)
        assert calls.ended("rtc_1", greeted, 90.0, "hung_up") == TRACE
        assert calls.ended("rtc_1", greeted, 90.0, "hung_up") == "", "nothing is kept of a call that has ended"
        whole = await arriving.one("set-up")
        stages = arriving.below(whole)
    came = [(each.span.name, each.span.start_time_unix_nano, each.span.end_time_unix_nano) for each in stages]
    moments = [0, 10, 50, 200, 250, 500]
    names = ["answer", "first_check", "dtls_done", "first_audio_out", "first_audio_in"]
    expected = [(990_000 + moment) * 1_000_000 for moment in moments]
    assert came == list(zip(names, expected, expected[1:], strict=False))
    assert (whole.span.start_time_unix_nano, whole.span.end_time_unix_nano) == (expected[0], expected[-1])


@pytest.mark.parametrize(
    ("cause", "figures", "failed"),
    [
        ("silence", {"setup_answer": 0.01}, True),
        ("hung_up", {"setup_answer": 0.01}, False),
        ("silence", {"setup_answer": 0.01, "setup_first_check": 0.1, "setup_dtls_done": 0.2}, False),
    ],
)
async def test_a_set_up_whose_media_never_were_secured_has_failed(
    cause: str, figures: dict[str, float], failed: bool
) -> None:
    async with collected() as (arriving, sent):
        calls = call_traces(sent)
        calls.taken("rtc_1", 0, "")
        assert calls.ended("rtc_1", figures, 90.0, cause)
        whole = await arriving.one("set-up")
    assert (whole.span.status.code == Status.STATUS_CODE_ERROR) is failed
    assert whole.span.parent_span_id == b"", "without a parent it is a trace of its own"


async def test_a_call_that_died_with_its_worker_leaves_no_stages_that_nobody_knows() -> None:
    async with collected() as (_, sent):
        calls = call_traces(sent)
        calls.taken("rtc_1", 0, f"00-{TRACE}-{PARENT}-01")
        assert calls.ended("rtc_1", {}, 0.0, "worker_died") == ""


async def test_a_client_that_does_not_sample_its_trace_is_not_traced() -> None:
    async with collected() as (arriving, sent):
        unsampled = sent.begin("call", f"00-{TRACE}-{PARENT}-00")
        assert unsampled.trace_id == "" and unsampled.traceparent.endswith("-00"), "nor is it by the transceiver"
        unsampled.end()
        for nonsense in ("", "x", f"00-{'0' * 32}-{PARENT}-01", "00-" * 2000, "\0"):
            sent.begin("own", nonsense).end()
        await eventually(lambda: len(arriving.named("own")) == 5, "those without a good parent are traces of their own")
        assert not arriving.named("call") and TRACE not in {each.trace for each in arriving.seen}


async def test_of_more_spans_than_the_queue_holds_the_rest_is_dropped_and_nobody_waits() -> None:
    async with collected() as (arriving, sent):
        for _ in range(3 * QUEUE):
            sent.begin("one of many").end()  # this loop is the collector's as well: it cannot answer meanwhile
        await eventually(lambda: len(arriving.seen) >= QUEUE, "what the queue held has come")
        await asyncio.to_thread(sent.close)
        assert len(arriving.seen) <= QUEUE + 2 * BATCH


async def test_a_call_that_nobody_takes_shows_whom_signaling_asked() -> None:
    async with collected() as (arriving, sent), signaling(KEYS, (10, 10), traces=sent) as fleet, aiortc_caller() as one:
        for worker in fleet.workers:
            worker.draining = True
        headers = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/sdp"}
        async with fleet.http.post("/whip", data=await one.offer(), headers=headers) as answer:
            assert answer.status == 503
        whole = await arriving.one("call")
        await eventually(lambda: len(arriving.named("ask")) == 2, "both were asked")
        assert whole.span.status.code == Status.STATUS_CODE_ERROR and whole.noted["voicefleet.result"] == "failed"
        for asked in arriving.named("ask"):
            assert asked.span.status.code == Status.STATUS_CODE_ERROR and asked.trace == whole.trace
        assert {each.noted["voicefleet.transceiver"] for each in arriving.named("ask")} == {
            "transceiver-0",
            "transceiver-1",
        }


def test_without_an_endpoint_or_without_the_library_nobody_traces(monkeypatch: pytest.MonkeyPatch) -> None:
    assert traces(None, "test", "here") is NO_TRACES
    monkeypatch.setitem(sys.modules, "voicefleet.observability.otlp", None)
    assert traces("http://127.0.0.1:9", "test", "here") is NO_TRACES
    span = NO_TRACES.begin("call", f"00-{TRACE}-{PARENT}-01")
    assert (span.traceparent, span.trace_id) == ("", "")
