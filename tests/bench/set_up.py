"""From the answer to the first words: what a caller waits for, in round trips, on a path of 100 ms.

The path is a box between caller and worker that holds each datagram for 50 ms; it also notes what passes and when, so a
stage is what was on the wire and not what somebody says of himself. Two callers: one that checks at once, and a real
Chromium, whose own pauses show. The agent speaks as soon as it can be heard.

`python -m tests.bench.set_up` writes docs/figures/set_up.md.
"""

import asyncio
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from tests.bench.report import Bar, Report, Row, figure, machine
from tests.support.chromium import chromium_page
from tests.support.facts import DEADLINE, eventually
from tests.support.greeter import Greeter
from tests.support.lean_caller import LeanCaller
from tests.support.nat import Address, Nat
from tests.support.workers import direct_worker
from voicefleet.contract import Component
from voicefleet.observability import logs
from voicefleet.services.transceiver.worker import Worker
from voicefleet.wire.demux import PacketKind, classify

TITLE = "Set-up: round trips from the answer to the first words, for a caller that checks at once and for Chromium"
FIGURES = Path(__file__).parents[2] / "docs" / "figures" / "set_up.md"

ROUND_TRIP: Final = 0.1
BAR: Final = 2.3
"""Round trips."""
OFFER = """async () => {
    const context = new AudioContext(), out = context.createMediaStreamDestination()
    const pc = new RTCPeerConnection()
    window.calls = [...(window.calls || []), pc]
    pc.addTrack(out.stream.getAudioTracks()[0], out.stream)
    await pc.setLocalDescription()
    return pc.localDescription.sdp
}"""
ANSWER = "sdp => calls.at(-1).setRemoteDescription({type: 'answer', sdp})"
HANG_UP = "() => calls.at(-1).close()"


class Stages(NamedTuple):
    """Milliseconds after the answer, where the caller is."""

    check_sent: float
    check_answered: float
    handshake_begun: float
    """The server's ClientHello is there."""
    handshake_answered: float
    """The caller's first flight leaves."""
    first_audio: float


NAMES: Final = Stages(
    "the first check leaves",  # type: ignore[arg-type]
    "it is answered",  # type: ignore[arg-type]
    "the server's ClientHello is there",  # type: ignore[arg-type]
    "it is answered",  # type: ignore[arg-type]
    "the first packet of audio is there",  # type: ignore[arg-type]
)


@dataclass(frozen=True, slots=True)
class Passed:
    """A datagram in the box."""

    at: float
    outwards: bool
    """From the caller."""
    kind: PacketKind


class Tap(Nat):
    """A path that notes what passes; inwards, when it comes out."""

    def __init__(self, server: Address) -> None:
        super().__init__(server)
        self.delay = ROUND_TRIP / 2
        self.passed: list[Passed] = []

    def pass_on(self, side: Any, data: bytes, source: Address) -> None:
        outwards = side is not self._outer_side
        at = time.monotonic() + (0.0 if outwards else self.delay)
        self.passed.append(Passed(at, outwards, classify(data)))
        super().pass_on(side, data, source)

    def first(self, kind: PacketKind, outwards: bool) -> float | None:
        """When the first of its kind passed."""
        return next((each.at for each in self.passed if each.kind is kind and each.outwards is outwards), None)

    def stages(self, answered: float) -> Stages:
        """What was seen of a call."""
        moments = (
            self.first(PacketKind.STUN, True),
            self.first(PacketKind.STUN, False),
            self.first(PacketKind.DTLS, False),
            self.first(PacketKind.DTLS, True),
            self.first(PacketKind.RTP, False),
        )
        return Stages(*(1000 * (moment - answered) for moment in moments if moment is not None))


Caller = Callable[[Worker, Tap], Awaitable[float]]
"""Has a call through the tap; when its answer was there."""


async def at_once(worker: Worker, tap: Tap) -> float:
    """A caller that loses no time."""
    caller = LeanCaller(worker)
    await caller.open(tap.address)
    try:
        answered = time.monotonic()
        checking = asyncio.ensure_future(caller.check())
        await _heard(tap)
        await checking
    finally:
        caller.close()
    return answered


async def chromium(page: Any, worker: Worker, tap: Tap) -> float:
    """A page's."""
    created = worker.create(await page.evaluate(OFFER), {}, [])
    assert worker.direct is not None
    theirs = f"{worker.direct.address} {worker.direct.port} typ"
    answer = created.answer.replace(theirs, f"{tap.address[0]} {tap.address[1]} typ")
    answered = time.monotonic()
    await page.evaluate(ANSWER, answer)
    await _heard(tap)
    await page.evaluate(HANG_UP)
    return answered


async def _heard(tap: Tap) -> None:
    await eventually(lambda: tap.first(PacketKind.RTP, False) is not None, "audio comes", DEADLINE)


async def measure(caller: Caller, calls: int) -> list[Stages]:
    """Several calls, one after the other."""
    seen = []
    async with direct_worker(2 * calls, agent=Greeter) as worker:
        assert worker.direct is not None
        for number in range(calls + 1):
            tap = Tap((worker.direct.address, worker.direct.port))
            await tap.open()
            try:
                answered = await caller(worker, tap)
                if number:  # the first one warms up
                    seen.append(tap.stages(answered))
            finally:
                await asyncio.sleep(2 * ROUND_TRIP)  # for the goodbye
                tap.lose = lambda _datagram: True
                await asyncio.sleep(ROUND_TRIP)  # for what is on its way
                tap.close()
    return seen


async def both(calls: int) -> dict[str, list[Stages]]:
    """Either caller's calls."""
    logs.configure(Component.TRANSCEIVER, format="text", level="error")
    seen = {"at once": await measure(at_once, calls)}
    if shutil.which("chromium") is None:
        return seen
    with tempfile.TemporaryDirectory() as folder:
        async with chromium_page(Path(folder, "no-microphone.wav")) as page:
            await page.goto("about:blank")
            seen["Chromium"] = await measure(partial(chromium, page), calls)
    return seen


def run(quick: bool) -> Report:
    """A quick run has fewer calls."""
    seen = asyncio.run(both(5 if quick else 15))
    rows = [
        Row(f"{who}: {name}", "median after the answer", median(each[place] for each in stages), "ms")
        for who, stages in seen.items()
        for place, name in enumerate(NAMES)
    ]
    took = {who: median(each.first_audio for each in stages) / 1000 / ROUND_TRIP for who, stages in seen.items()}
    rows += [Row(who, "first audio", trips, "round trips") for who, trips in took.items()]
    bars = [Bar.at_most("first audio for a caller that checks at once, round trips", took["at once"], BAR)]
    notes = [] if "Chromium" in took else ["no Chromium on this machine"]
    return Report("set_up", rows, bars, notes)


def page(seen: dict[str, list[Stages]]) -> str:
    """The figures as documentation."""
    lines = [
        "# Set-up",
        "",
        "From the answer's arrival at the caller to the first packet of audio that it receives, on a path of",
        "100 ms of round trip: a box between caller and worker that holds each datagram for 50 ms and notes what",
        f"passes. Medians of {len(next(iter(seen.values())))} calls, in ms after the answer; written by",
        "`python -m tests.bench.set_up`, checked by `scripts/bench set_up`. Two round trips are what the",
        "protocols ask for: a check and its answer, with the ClientHello behind it; then the caller's flight and",
        "ours, with audio behind it.",
        "",
        "| | " + " | ".join(f"a caller that checks {who}" if who == "at once" else who for who in seen) + " |",
        "|---|" + "--:|" * len(seen),
    ]
    for place, name in enumerate(NAMES):
        cells = (f"{median(each[place] for each in stages):.0f}" for stages in seen.values())
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    trips = (f"{median(each.first_audio for each in stages) / 1000 / ROUND_TRIP:.2f}" for stages in seen.values())
    lines += ["| in round trips | " + " | ".join(trips) + " |", ""]
    here = machine()
    lines.append(f"On {here['cpu']}, {here['cores']} cores, load {figure(float(here['load']))}.")
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page."""
    FIGURES.write_text(page(asyncio.run(both(15))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
