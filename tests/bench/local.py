"""`voicefleet up` until a fleet without a file is ready, and what fifty calls through it see and cost."""

import json
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from tests.bench.report import Bar, Report, Row

TITLE = "Local mode: from voicefleet up to ready, and fifty calls of voicefleet load"
READY: Final = 3.0
"""Seconds, on a machine that does nothing else."""
GAP: Final = 40.0
"""Milliseconds between packets of audio, p99 of all calls."""
COMMAND: Final = str(Path(sys.executable).with_name("voicefleet"))
TOLD: Final = "Talk to it: "


@contextmanager
def started(ready: Path) -> Iterator[float]:
    """A fleet that is ready, and after how many seconds it was."""
    began = time.monotonic()
    command = [COMMAND, "up", "--port=0", f"--ready-file={ready}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ready.parent) as fleet:
        try:
            assert fleet.stdout is not None
            if not any(TOLD in line for line in fleet.stdout):
                raise SystemExit("voicefleet up ended before it was ready")
            yield time.monotonic() - began
        finally:
            fleet.send_signal(signal.SIGINT)
            fleet.wait()


def up(quick: bool) -> Report:
    """The fastest start is the bar's: what else a shared machine does only adds to it."""
    times = []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(3 if quick else 7):
            with started(Path(folder, "ready.json")) as seconds:
                times.append(seconds)
    rows = [
        Row("voicefleet up, ready", "fastest", min(times), "s"),
        Row("voicefleet up, ready", "median", statistics.median(times), "s"),
    ]
    return Report("local", rows, [Bar.at_most("ready after", min(times), READY)], [f"load {os.getloadavg()[0]:.1f}"])


def load(quick: bool) -> Report:
    """Fifty calls at a time; five in a quick run."""
    calls = 5 if quick else 50
    options = (f"--calls={calls}", f"--duration={5 if quick else 20}", "--max-loss=100", "--json")
    with tempfile.TemporaryDirectory() as folder, started(ready := Path(folder, "ready.json")):
        done = subprocess.run(
            [COMMAND, "load", f"--ready-file={ready}", *options], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise SystemExit(done.stderr)
    told: dict[str, Any] = json.loads(done.stdout)
    name = f"{calls} calls"
    rows = [
        Row(name, "failed", told["failed"], "calls"),
        Row(name, "lost", told["lost"], "frames"),
        Row(name, "gap p99", told["gapMs"]["p99"], "ms"),
        Row(name, "set-up p50", told["setupMs"]["p50"], "ms"),
        Row(name, "a frame out and back p50", told["echoMs"]["p50"], "ms"),
        Row(name, "cost of voicefleet load", told["ownProcessorMsPerCallSecond"], "ms/call s"),
    ]
    bars = [
        Bar.at_most("failed calls", told["failed"], 0),
        Bar.at_most("lost frames", told["lost"], 0),
        Bar.at_most("p99 gap in ms", told["gapMs"]["p99"], GAP),
    ]
    return Report("local", rows, bars)


PARTS: Final[dict[str, Callable[[bool], Report]]] = {"up": up, "load": load}


def run(quick: bool) -> Report:
    """Both."""
    first, second = up(quick), load(quick)
    return Report("local", [*first.rows, *second.rows], [*first.bars, *second.bars], first.notes)
