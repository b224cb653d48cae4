"""A load from its first call to its report: starts calls at their pace, shows how far it is, and judges."""

import asyncio
import resource
import ssl
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import aiohttp

from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.load.caller import Caller
from voicefleet.cli.load.figures import CallFigures, Limits, Report, report
from voicefleet.cli.load.media_thread import MediaThread
from voicefleet.cli.load.offer import offer, read_answer
from voicefleet.cli.output import progress, say_json, show, table
from voicefleet.net.dtls import DtlsIdentity
from voicefleet.wire.certificate import self_signed

ANSWER: Final = 10.0
"""Seconds for signaling to answer an offer."""
SWITCH: Final = 0.0005
"""Seconds that one of our threads may keep the others waiting; Python's own five are a quarter of a frame."""


@dataclass(frozen=True, slots=True)
class Door:
    """Where calls are started."""

    base_url: str
    api_key: str
    certificate: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """How many calls, how fast they start, and how long all of them last then. Times in seconds."""

    calls: int
    ramp: float
    duration: float
    limits: Limits


def load(door: Door, plan: Plan, *, as_json: bool) -> None:
    """Run it; raises `Failure` when something is beyond its limit."""
    sys.setswitchinterval(SWITCH)
    told = asyncio.run(measured(door, plan, quiet=as_json))
    beyond = told.beyond(plan.limits)
    if as_json:
        say_json(told.document() | {"beyond": beyond})
    else:
        _show(told)
    if beyond:
        raise Failure("; ".join(beyond), "see voicefleet status and voicefleet doctor", Exit.FAILED)


async def measured(door: Door, plan: Plan, *, quiet: bool) -> Report:
    """Make the calls, end them, and say how they fared."""
    media = MediaThread()
    media.start()
    identity = DtlsIdentity(*self_signed(time.time(), timedelta(days=1)))
    failed: list[CallFigures] = []
    began, used = time.monotonic(), _processor()
    total = plan.ramp + plan.duration
    try:
        with progress(f"{plan.calls} calls", total, quiet=quiet) as advance:
            async with asyncio.TaskGroup() as tasks, _http(door) as http:
                starting = [
                    tasks.create_task(_call(http, door, identity, plan.ramp * number / plan.calls, media, failed))
                    for number in range(plan.calls)
                ]
                tasks.create_task(_tell(began, total, media, failed, advance))
                await asyncio.gather(*starting)
    finally:
        media.stop()
    return report([*(each.figures for each in media.callers), *failed], _processor() - used)


def _http(door: Door) -> aiohttp.ClientSession:
    tls = ssl.create_default_context(cafile=door.certificate) if door.certificate else True
    return aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(ssl=tls, limit=0), timeout=aiohttp.ClientTimeout(total=ANSWER)
    )


async def _call(
    http: aiohttp.ClientSession,
    door: Door,
    identity: DtlsIdentity,
    after: float,
    media: MediaThread,
    failed: list[CallFigures],
) -> None:
    await asyncio.sleep(after)
    headers = {"Authorization": f"Bearer {door.api_key}", "Content-Type": "application/sdp"}
    offered_at = time.time()
    try:
        url = f"{door.base_url}/realtime/calls"
        async with http.post(url, data=offer(identity.fingerprint), headers=headers) as answer:
            text = await answer.text()
            if answer.status != 201:
                failed.append(CallFigures(failure=f"signaling answered {answer.status}"))
                return
        media.take(Caller(identity, read_answer(text), offered_at, time.time()))
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        failed.append(CallFigures(failure=f"signaling did not answer ({type(error).__name__})"))
    except ValueError as error:
        failed.append(CallFigures(failure=str(error)))


async def _tell(
    began: float, total: float, media: MediaThread, failed: list[CallFigures], advance: Callable[[float, str], None]
) -> None:
    while (passed := time.monotonic() - began) < total:
        lost = len(failed) + sum(each.figures.failure is not None for each in media.callers)
        advance(passed, f"{media.talking} talk" + (f", {lost} failed" if lost else ""))
        await asyncio.sleep(0.2)


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def _show(told: Report) -> None:
    document: dict[str, Any] = told.document()
    rows = [
        (name, document[key]["p50"], document[key]["p95"], document[key]["p99"], document[key].get("max"))
        for name, key in (
            ("set-up, offer to first audio back", "setupMs"),
            ("round trip of checks", "roundTripMs"),
            ("a frame out and back", "echoMs"),
            ("gap between packets of audio", "gapMs"),
        )
    ]
    show(
        table(
            f"{told.calls} calls, {document['failed']} failed; lost {told.lost} of {told.of} frames "
            f"({told.loss_percent:.3g} %)",
            ("milliseconds", "p50", "p95", "p99", "max"),
            rows,
        )
    )
    for why, count in told.failures.items():
        show(f"{count} failed: {why}")
    show(f"This program took {told.processor:.2f} ms of processor time for a second of one call.")
