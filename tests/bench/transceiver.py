"""How many calls a transceiver worker holds on one core, beside stock aiortc and a plain Pion echo server.

The server has one core, the callers (tests/clients/pion/load, a spinning thread that is lighter than any server) have
another. A number of calls is held if the server takes less than 80% of its core, no frame is lost either way, and, of
ours, the 99th percentile of the sending clock's error is at most 2 ms. Stock aiortc and Pion need only keep what they
are given: their clocks are shown, not judged. Frames carry numbers where the server passes them through; arrival times
are the kernel's. The search goes up until a number is not held twice, and what is reported was held for a window.
"""

import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Final

from tests.bench.report import Bar, Report, Row
from tests.bench.transceiver_load import Callers, Meter, Running, Server, callers, pion, stock, transceiver
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
ECHO, PCM, IDLE, STOCK, PION = "echo, passed through", "echo through PCM", "idle", "stock aiortc", "Pion echo"


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
        )

    def search(self, what: str, first: int, most: int, clock: float) -> tuple[Held | None, list[Held]]:
        """The largest number of calls that is held, and all windows."""
        best, windows, calls, failures = None, list[Held](), first, 0
        for _ in range(7):
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
def trial(server: Running, speaking: Path, seconds: float, *, numbered: bool) -> Iterator[Trial]:
    """A server on the first core and callers on the second."""
    cores = sorted(os.sched_getaffinity(0))
    assert len(cores) >= 2, "the server and its callers need a core each"
    with server(cores[0]) as running, callers(cores[1], running) as calling:
        calling.ask("speak", frames=str(speaking), number=numbered)
        yield Trial(running, calling, seconds)


def capacity(
    what: str, server: Running, speaking: Path, seconds: float, first: int, most: int, *, numbered: bool, clock: float
) -> tuple[list[Row], Held | None, list[str]]:
    """The largest number of calls that a server holds."""
    with trial(server, speaking, seconds, numbered=numbered) as one:
        best, windows = one.search(what, first, most, clock)
    notes = [
        f"{what}: {held.calls} calls, {held.share:.0%} of a core, {held.lost} lost, clock p99 {held.clock:.2f} ms, "
        f"there and back {held.delay:.2f} ms, others {held.others:.2f} cores"
        for held in windows
    ]
    if best is None:
        return [Row(what, "calls held on a core", 0, "calls")], None, notes
    rows = [
        Row(what, "calls held on a core", best.calls, "calls"),
        Row(what, "processor", 100 * best.share, "% of a core"),
        Row(what, "sending clock's error, p99", best.clock, "ms"),
        Row(what, "there and back, p50", best.delay, "ms"),
    ]
    return rows, best, notes


def idle(speaking: Path, seconds: float, calls: int) -> tuple[list[Row], list[str]]:
    """Calls in which nobody speaks: checks and reports only, with an open data channel; and what a call weighs."""
    with trial(partial(transceiver, "echo"), speaking, seconds, numbered=True) as one:
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


def run(quick: bool) -> Report:
    """A quick run measures shorter windows, and begins near what was held before."""
    seconds = 2.0 if quick else 5.0
    with tempfile.TemporaryDirectory() as folder:
        speaking = write_frames(Path(folder, "frames"), frames())
        passed, held, notes = capacity(
            ECHO, partial(transceiver, "echo"), speaking, seconds, 200, 2000, numbered=True, clock=CLOCK
        )
        through_pcm, pcm, more = capacity(
            PCM, partial(transceiver, "pcm"), speaking, seconds, 40, 400, numbered=False, clock=CLOCK
        )
        notes += more
        anything = float("inf")
        by_stock, theirs, more = capacity(STOCK, stock, speaking, seconds, 10, 200, numbered=False, clock=anything)
        notes += more
        by_pion, go, more = capacity(PION, pion, speaking, seconds, 200, 2000, numbered=True, clock=anything)
        notes += more
        idling, more = idle(speaking, seconds, 200)
        notes += more
        placing, placed = set_ups(speaking, seconds + 3, 100)
    calls = held.calls if held else 0
    bars = [
        Bar.at_least("passed through, over stock aiortc's calls", calls / max(1, theirs.calls if theirs else 0), 10),
        Bar.at_least("passed through, calls on a core", calls, 500),
        Bar.at_least("passed through, over Pion's calls", calls / max(1, go.calls if go else 0), 1),
        Bar.at_least("through PCM, calls on a core", pcm.calls if pcm else 0, 100),
        Bar.at_most("memory a call, KiB", idling[2].value, 400),
        Bar.at_least("set-ups a second", placed["rate"], 60),
        Bar.at_most("live calls' frames lost meanwhile", placed["lost"], 0),
        Bar.at_most("live calls' clock meanwhile, p99, ms", placed["clock"], CLOCK),
    ]
    return Report("transceiver", [*passed, *through_pcm, *by_stock, *by_pion, *idling, *placing], bars, notes)
