"""How many calls a transceiver worker holds on one core, beside stock aiortc and a plain Pion echo server.

The server has one core, the callers (tests/clients/pion/load, a spinning thread that is lighter than any server) have
another. A number of calls is held if the server takes less than 80% of its core, no frame is lost either way, and, of
ours, the 99th percentile of the sending clock's error is at most 2 ms. Stock aiortc and Pion need only keep what they
are given: their clocks are shown, not judged. Frames carry numbers where the server passes them through; arrival times
are the kernel's. Our callers are behind a relay, as in a fleet: the generator speaks the hop's protocol and bundles
what comes within 0.1 ms, as a relay does; Pion's and aiortc's have sockets of their own. Our packet path is compiled,
as in the image, and where it says so it is not. Servers in Python run on the image's Python where this machine has it.
The search goes up until a number is not held twice, and what is reported was held for a window.
"""

import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from tests.bench.report import Bar, Report, Row
from tests.bench.transceiver_load import (
    Callers,
    Meter,
    Running,
    Server,
    callers,
    interpreter,
    pion,
    stock,
    transceiver,
    write_headers,
)
from tests.support.lean_caller import offer_text
from tests.support.pion import write_frames
from tests.support.spoken_audio import speech
from voicefleet.net.opus import OpusEncoder

TITLE = "Transceiver: calls a core, passed through and by PCM, beside stock aiortc and Pion; memory; set-ups"

SHARE: Final = 0.8
"""Of a core."""
CLOCK: Final = 2.0
"""Milliseconds; the 99th percentile of the sending clock's error."""
SETTLE: Final = 2.5
"""Seconds until jitter buffers have found their depth."""
RATE: Final = 24_000
ECHO, INTERPRETED, PCM, IDLE = "echo", "echo, not compiled", "echo through PCM", "idle"
STOCK, PION = "stock aiortc", "Pion echo"
REFUSALS: Final = 300
WINDOWS: Final = 5
"""In a search at most, so that what is compared is measured within minutes."""


@dataclass(frozen=True, slots=True)
class Held:
    """A window with so many calls."""

    calls: int
    share: float
    """Of a core, that the server took."""
    lost: int
    """Frames that never came back, and gaps in what the server numbered."""
    clock: float
    delay: float
    others: float
    """Cores that somebody else took meanwhile: a busy machine shows here."""
    callers: float
    """Milliseconds; how late the callers' own clock was, 99th percentile."""

    def kept(self, clock: float) -> bool:
        """Whether these calls were held."""
        return self.share < SHARE and self.lost == 0 and self.clock <= clock


def frames() -> list[bytes]:
    """Speech, as a browser encodes it."""
    voice, encoder = speech(20.0, RATE), OpusEncoder(RATE)
    encoded = [encoder.encode(voice[at : at + RATE // 25]) for at in range(0, len(voice) - RATE // 25 + 1, RATE // 25)]
    return [frame for frame in encoded if frame]


class Trial:
    """One server and its callers."""

    def __init__(self, server: Server, calling: Callers, seconds: float) -> None:
        self.server = server
        self.calling = calling
        self.calls = 0
        self.setups: list[dict[str, Any]] = []
        self._seconds = seconds

    def grow(self, calls: int, *, talk: bool = True, channel: bool = False) -> None:
        """Have so many calls in all."""
        if calls > self.calls:
            made = self.calling.ask("call", count=calls - self.calls, abreast=8, talk=talk, channel=channel)
            assert made["failed"] == 0, f"{made['failed']} calls were not set up: {made['reasons']}"
            self.calls = calls
            time.sleep(SETTLE)

    def shrink(self, calls: int) -> None:
        """Hang up until there are so many."""
        if calls < self.calls:
            self.calling.ask("hang up", count=self.calls - calls)
            self.calls = calls
            time.sleep(SETTLE)

    def window(self) -> Held:
        """Measure for a while."""
        busy, began = busy_cores(), time.monotonic()
        ours = self.server.processor
        with Meter(self.server) as meter:
            told = self.calling.ask("measure", seconds=self._seconds)
        span = time.monotonic() - began
        taken = (self.server.processor - ours) / span + told["own_processor"]
        return Held(
            self.calls,
            meter.share,
            told["lost"] + told["gaps"] + told["unsent"],
            told["clock_error"]["p99"],
            told["delay"]["p50"],
            max(0.0, (busy_cores() - busy) / span - taken),
            told["own_lateness"]["p99"],
        )

    def search(self, what: str, first: int, most: int, clock: float) -> tuple[Held | None, list[Held]]:
        """The largest number of calls that is held, and all windows."""
        best, windows, calls, failures = None, list[Held](), first, 0
        for _ in range(WINDOWS):
            self.grow(calls)
            self.shrink(calls)
            held = self.window()
            windows.append(held)
            print(f"{what}: {held}", file=sys.stderr, flush=True)
            if held.kept(clock):
                best, failures = held, 0
                room = 0.77 / max(held.share, 0.05)
                if room < 1.03 or calls >= most:
                    break
                calls = min(most, max(calls + 10, int(calls * min(room, 2.0)) // 5 * 5))
            else:
                failures += 1
                if failures == 3:
                    break
                floor = best.calls if best is not None else 0
                calls = floor + (calls - floor) * 2 // 3 // 5 * 5 if failures > 1 or held.share >= SHARE else calls
                if calls <= floor:
                    break
        return best, windows


def busy_cores() -> float:
    """Seconds of processor time of the whole machine so far."""
    fields = [int(part) for part in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return (sum(fields[:8]) - fields[3] - fields[4]) / os.sysconf("SC_CLK_TCK")


@contextmanager
def trial(
    server: Running,
    speaking: Path,
    seconds: float,
    *,
    numbered: bool,
    relayed: bool = False,
    telephone: bool = False,
    naps: bool = False,
) -> Iterator[Trial]:
    """A server on the first core and callers on the second."""
    cores = sorted(os.sched_getaffinity(0))
    assert len(cores) >= 2, "the server and its callers need a core each"
    with server(cores[0]) as running, callers(cores[1], running) as calling:
        calling.ask("speak", frames=str(speaking), number=numbered, telephone=telephone, naps=naps)
        if relayed:
            headers = write_headers(speaking.with_name("headers"))
            calling.ask("relay", hop=f"127.0.0.1:{running.hop}", headers=str(headers))
        yield Trial(running, calling, seconds)


@dataclass(frozen=True, slots=True)
class Contender:
    """What is measured for the calls that it holds."""

    what: str
    server: Running
    first: int
    """Calls to begin with."""
    most: int
    numbered: bool = True
    """Whether frames come back as they were sent."""
    clock: float = float("inf")
    relayed: bool = False
    telephone: bool = False
    """Whether callers speak G.711 instead of Opus."""
    naps: bool = False
    """Whether the callers' program leaves its core to others between two packets."""

    def trial(self, speaking: Path, seconds: float) -> AbstractContextManager[Trial]:
        """With its server."""
        return trial(
            self.server,
            speaking,
            seconds,
            numbered=self.numbered,
            relayed=self.relayed,
            telephone=self.telephone,
            naps=self.naps,
        )


@dataclass(frozen=True, slots=True)
class Found:
    """What a contender holds, and what a call costs it."""

    calls: int
    cost: float
    """Milliseconds of processor time a second for each call, with the most calls that were held, else the fewest."""
    rows: list[Row]
    notes: list[str]


def capacity(contender: Contender, speaking: Path, seconds: float) -> Found:
    """The largest number of calls that a server holds."""
    what = contender.what
    with contender.trial(speaking, seconds) as one:
        best, windows = one.search(what, contender.first, contender.most, contender.clock)
    notes = [
        f"{what}: {held.calls} calls, {held.share:.0%} of a core, {held.lost} lost, clock p99 {held.clock:.2f} ms, "
        f"there and back {held.delay:.2f} ms, others {held.others:.2f} cores"
        for held in windows
    ]
    told = best or min(windows, key=lambda held: held.calls)
    cost = 1000 * told.share / told.calls
    if best is None:
        return Found(0, cost, [Row(what, "calls held on a core", 0, "calls")], notes)
    rows = [
        Row(what, "calls held on a core", best.calls, "calls"),
        Row(what, "processor", 100 * best.share, "% of a core"),
        Row(what, "processor a call", cost, "ms a second"),
        Row(what, "sending clock's error, p99", best.clock, "ms"),
        *([Row(what, "there and back, p50", best.delay, "ms")] if contender.numbered else []),
    ]
    return Found(best.calls, cost, rows, notes)


def passthrough(quick: bool) -> Report:
    """Frames as they come; beside Pion and stock aiortc, and the same without machine code."""
    contenders = (
        Contender(PION, pion, 250, 2000),
        Contender(ECHO, partial(transceiver, "echo"), 450, 2000, clock=CLOCK, relayed=True),
        Contender(INTERPRETED, partial(transceiver, "echo", compiled=False), 300, 2000, clock=CLOCK, relayed=True),
        Contender(STOCK, stock, 10, 200, numbered=False),
    )
    found = compare(contenders, 2.0 if quick else 4.0)
    rows = [row for each in found.values() for row in each.rows]
    saved = found[INTERPRETED].cost / found[ECHO].cost
    rows.append(Row(ECHO, "processor a call, interpreted over compiled", saved, "times"))
    held = {what: each.calls for what, each in found.items()}
    bars = [
        Bar.at_least("passed through, over stock aiortc's calls", held[ECHO] / max(1, held[STOCK]), 10),
        Bar.at_least("passed through, calls on a core", held[ECHO], 500),
        Bar.at_least("passed through, over Pion's calls", held[ECHO] / max(1, held[PION]), 1),
    ]
    return Report("transceiver", rows, bars, [served_by(), *(note for each in found.values() for note in each.notes)])


def codecs(quick: bool) -> Report:
    """Every frame decoded and encoded anew."""
    contender = Contender(PCM, partial(transceiver, "pcm"), 80, 400, numbered=False, clock=CLOCK, relayed=True)
    found = compare((contender,), 2.0 if quick else 5.0)[PCM]
    bar = Bar.at_least("through PCM, calls on a core", found.calls, 100)
    return Report("transceiver", found.rows, [bar], [served_by(), *found.notes])


def compare(contenders: Sequence[Contender], seconds: float) -> dict[str, Found]:
    """What each holds, one after the other."""
    with spoken() as speaking:
        return {contender.what: capacity(contender, speaking, seconds) for contender in contenders}


def served_by() -> str:
    """Which Python the servers in Python run on."""
    ours = interpreter() == sys.executable
    return "servers in Python run on " + (
        "this environment's, not the image's" if ours else "Debian's, as in the image"
    )


@contextmanager
def spoken() -> Iterator[Path]:
    """A file of what callers say, in a folder of its own."""
    with tempfile.TemporaryDirectory() as folder:
        yield write_frames(Path(folder, "frames"), frames())


def living(quick: bool) -> Report:
    """What a call costs that says nothing, what it weighs, and set-ups beside live calls."""
    seconds = 2.0 if quick else 5.0
    with spoken() as speaking:
        idling, notes = idle(speaking, seconds, 200)
        placing, placed = set_ups(speaking, seconds + 3, 100)
        refusing, late = refusals(speaking, seconds, 100)
    bars = [
        Bar.at_most("memory a call, KiB", idling[2].value, 400),
        Bar.at_least("set-ups a second", placed["rate"], 60),
        Bar.at_most("live calls' frames lost meanwhile", placed["lost"], 0),
        Bar.at_most("live calls' clock meanwhile, p99, ms", placed["clock"], CLOCK),
        Bar.at_most("503 of a full worker, p99, ms", late, 5),
    ]
    return Report("transceiver", [*idling, *placing, *refusing], bars, notes)


def idle(speaking: Path, seconds: float, calls: int) -> tuple[list[Row], list[str]]:
    """Calls in which nobody speaks: checks and reports only, with an open data channel; and what a call weighs."""
    with trial(partial(transceiver, "echo", reserved=0), speaking, seconds, numbered=True) as one:
        one.grow(20, talk=False, channel=True)
        before = one.server.memory
        one.grow(20 + calls, talk=False, channel=True)
        held = one.window()
        memory = (one.server.memory - before) / calls
    rows = [
        Row(IDLE, f"processor with {held.calls} calls", 100 * held.share, "% of a core"),
        Row(IDLE, "processor a call", 1000 * held.share / held.calls, "ms a second"),
        Row(IDLE, "memory a call, with a data channel", memory, "KiB"),
    ]
    return rows, [f"idle: at this price {SHARE / held.share * held.calls:.0f} would fill 80% of a core (not tried)"]


def set_ups(speaking: Path, seconds: float, live: int) -> tuple[list[Row], dict[str, Any]]:
    """Set-ups at 60 a second beside live calls; and as many as go."""
    with trial(partial(transceiver, "echo"), speaking, seconds, numbered=True) as one:
        one.grow(live)
        with Meter(one.server) as meter:
            told = one.calling.ask("call", count=int(62 * seconds), rate=62.0, abreast=64, watched=True)
        assert told["failed"] == 0, told["reasons"]
        others = told["others"]
    rate = told["calls"] / told["seconds"]
    rows = [
        Row("set-ups", f"a second, beside {live} live calls", rate, "calls"),
        Row("set-ups", "processor meanwhile", 100 * meter.share, "% of a core"),
        Row("set-ups", "answer, p99", told["answer"]["p99"], "ms"),
        Row("set-ups", "from answer to keys, p99", told["secured"]["p99"], "ms"),
        Row("live calls meanwhile", "sending clock's error, p99", others["clock_error"]["p99"], "ms"),
        Row("live calls meanwhile", "frames lost", others["lost"] + others["gaps"], "frames"),
    ]
    return rows, {"rate": rate, "lost": others["lost"] + others["gaps"], "clock": others["clock_error"]["p99"]}


def refusals(speaking: Path, seconds: float, live: int) -> tuple[list[Row], float]:
    """How soon a full worker says so, beside its live calls."""
    full = partial(transceiver, "echo", capacity=live)
    took = []
    with trial(full, speaking, seconds, numbered=True) as one:
        one.grow(live)
        url = urlsplit(one.server.url)
        api = HTTPConnection(url.netloc)
        body = json.dumps({"offer": offer_text("full", channel=False), "session": {}, "relays": []})
        for _ in range(REFUSALS):
            began = time.perf_counter()
            api.request("POST", url.path, body, {"Authorization": f"Bearer {one.server.bearer}"})
            answer = api.getresponse()
            answer.read()
            took.append(1000 * (time.perf_counter() - began))
            assert answer.status == 503, answer.status
        api.close()
    took.sort()
    late = took[int(0.99 * len(took))]
    return [
        Row("a full worker", "503, p50", took[len(took) // 2], "ms"),
        Row("a full worker", "503, p99", late, "ms"),
    ], late


PARTS: Final = {"passthrough": passthrough, "codecs": codecs, "living": living}
"""What can be measured for itself; what is compared stands in one part."""


def run(quick: bool) -> Report:
    """A quick run measures shorter windows."""
    parts = [part(quick) for part in PARTS.values()]
    return Report(
        "transceiver",
        [row for part in parts for row in part.rows],
        [bar for part in parts for bar in part.bars],
        [note for part in parts for note in part.notes],
    )
