"""How many calls of a worker talk to a model on one core, and how long their sound takes through the link.

As `scripts/bench transceiver` has it: the server alone on a core, callers behind a relay on the other, and the same
rule for what is *held*. The model (tests/clients/pion/model) shares the callers' core: it takes all they say and speaks
all the time, 0.3 s ahead, so every call is busy both ways, which is more than people are. The yardstick is a bridge of
stock aiortc and `websockets`, measured in the same run. How long sound takes is measured within the server, at half the
calls that it holds: from when a packet would have come had the callers been in time, until its sound has left for the
model, and from the model's sending until the sound waits in the call's queue. Decoding is in it, in the bridge its
jitter buffer, and the lateness of the callers' own clock, which is told beside it.
"""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Final

from tests.bench.report import Bar, Report, Row
from tests.bench.transceiver import CLOCK, Contender, capacity, frames
from tests.bench.transceiver_load import Running, Server, first_line, pinned, python, running
from tests.support.compiled import compiled_package
from tests.support.pion import build, write_frames
from tests.support.spoken_audio import speech
from tests.support.workers import RING
from voicefleet.core.media.g711 import Law, encode
from voicefleet.services.transceiver.worker_start import ALLOCATOR

TITLE = "Agents: calls a core with a model by PCM and G.711, and what the link takes; beside aiortc with websockets"

PCM, TELEPHONE, BRIDGE = "link, PCM 24 kHz", "link, G.711 end to end", "aiortc + websockets, PCM 24 kHz"
_OCTETS: Final = 160


@dataclass(frozen=True, slots=True)
class Speaking:
    """Files of what callers and the model say."""

    callers: Path
    telephones: Path
    pcm: Path
    pcmu: Path

    @classmethod
    def written(cls, folder: Path) -> "Speaking":
        """In that folder."""
        told = cls(*(folder / name for name in ("opus", "g711", "model.pcm", "model.pcmu")))
        telephone = encode(speech(20.0, 8000), Law.MU)
        write_frames(told.callers, frames())
        write_frames(told.telephones, [telephone[at : at + _OCTETS] for at in range(0, len(telephone), _OCTETS)])
        told.pcm.write_bytes(speech(20.0, 24_000))
        told.pcmu.write_bytes(telephone)
        return told


@contextmanager
def model(core: int, speaking: Speaking) -> Iterator[int]:
    """A model server; its port."""
    program = str(build("model"))
    with running(pinned(core, (program, str(speaking.pcm), str(speaking.pcmu)))) as process:
        yield int(first_line(process))


@contextmanager
def linked(speaking: Speaking, others: int, core: int) -> Iterator[Server]:
    """A worker of ours, as the image has it; the model is on the `others`' core."""
    with (
        model(others, speaking) as port,
        compiled_package() as package,
        running(python(core, "tests.bench.agents_worker", str(port), package=package, **ALLOCATOR)) as process,
    ):
        api, hop = first_line(process).split()
        yield Server(process, f"http://127.0.0.1:{api}/v1/sessions", RING.keys[0].api_bearer, int(hop))


@contextmanager
def bridged(speaking: Speaking, others: int, core: int) -> Iterator[Server]:
    """The yardstick."""
    with (
        model(others, speaking) as port,
        running(python(core, "tests.bench.agents_bridge", str(port))) as process,
    ):
        yield Server(process, f"http://127.0.0.1:{first_line(process)}/")


def taken(contender: Contender, speaking: Path, calls: int, seconds: float) -> tuple[list[Row], float]:
    """How long sound takes with so many calls; the 99th percentile of both ways, in ms."""
    with contender.trial(speaking, seconds) as one:
        one.grow(calls)
        ask(one.server)
        held = one.window()
        told = ask(one.server)
    rows, late = [], 0.0
    for way, what in (("up", "caller's packet to model"), ("down", "model to the call's queue")):
        values = sorted(1000 * value for value in told[way])
        p50, p99 = values[len(values) // 2], values[int(0.99 * (len(values) - 1))]
        late += p99
        rows += [
            Row(contender.what, f"{what}, {calls} calls, p50", p50, "ms"),
            Row(contender.what, f"{what}, {calls} calls, p99", p99, "ms"),
        ]
    rows += [
        Row(contender.what, f"both ways, {calls} calls, p99", late, "ms"),
        Row(contender.what, "callers' own clock meanwhile, p99", held.callers, "ms"),
    ]
    return rows, late


def ask(server: Server) -> dict[str, list[float]]:
    """What took how long since it was asked last."""
    assert server.process.stdin is not None and server.process.stdout is not None
    server.process.stdin.write("\n")
    server.process.stdin.flush()
    told: dict[str, list[float]] = json.loads(server.process.stdout.readline())
    return told


def measured(name: str, quick: bool) -> tuple[list[Row], int, float, list[str]]:
    """One contender: rows, calls held, milliseconds that the link takes (p99), notes."""
    with tempfile.TemporaryDirectory() as folder:
        speaking = Speaking.written(Path(folder))
        contender, said = _contender(name, speaking)
        seconds = 2.0 if quick else 4.0
        found = capacity(contender, said, seconds)
        more, late = taken(contender, said, max(found.calls, contender.first // 2) // 2, seconds)
    return [*found.rows, *more], found.calls, late, found.notes


def _contender(name: str, speaking: Speaking) -> tuple[Contender, Path]:
    others = sorted(os.sched_getaffinity(0))[1]
    ours: Running = partial(linked, speaking, others)
    one = Contender(PCM, ours, 75, 300, numbered=False, clock=CLOCK, relayed=True, naps=True)
    match name:
        case "pcm":
            return one, speaking.callers
        case "telephone":
            return replace(one, what=TELEPHONE, first=220, most=600, telephone=True), speaking.telephones
        case _:
            bridge = replace(one, what=BRIDGE, server=partial(bridged, speaking, others), first=10, most=100)
            return replace(bridge, clock=float("inf"), relayed=False), speaking.callers


def pcm(quick: bool) -> Report:
    """Callers of Opus, decoded and encoded."""
    rows, held, late, notes = measured("pcm", quick)
    bars = [
        Bar.at_least("with a model, PCM, calls on a core", held, 80),
        Bar.at_most("the link at half of that, both ways, p99, ms", late, 5),
    ]
    return Report("agents", rows, bars, notes)


def telephone(quick: bool) -> Report:
    """Callers of G.711, passed through."""
    rows, held, late, notes = measured("telephone", quick)
    bars = [
        Bar.at_least("with a model, G.711, calls on a core", held, 250),
        Bar.at_most("the G.711 link at half of that, both ways, p99, ms", late, 5),
    ]
    return Report("agents", rows, bars, notes)


def bridge(quick: bool) -> Report:
    """The yardstick."""
    rows, _, _, notes = measured("bridge", quick)
    return Report("agents", rows, (), notes)


PARTS: Final = {"bridge": bridge, "pcm": pcm, "telephone": telephone}


def run(quick: bool) -> Report:
    """A quick run measures shorter windows."""
    parts = [part(quick) for part in PARTS.values()]
    return Report(
        "agents",
        [row for part in parts for row in part.rows],
        [bar for part in parts for bar in part.bars],
        [note for part in parts for note in part.notes],
    )
