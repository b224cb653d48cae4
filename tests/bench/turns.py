"""Whose turn is it: the turn detector beside plain silence timers, on turns with pauses in them and noise around them.

The turns are those of `tests/support/utterances.py`: other sentences and other voices than those that the detector was
tuned on. A timer of 500 ms is run twice, behind the product's own ear and behind WebRTC's voice activity detector.

`python -m tests.bench.turns` writes docs/figures/turn_taking.md.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from time import process_time

import webrtcvad

from tests.bench.report import Bar, Report, Row, figure
from tests.support.utterances import RATE, TRIAL, TRIAL_VOICES, Noise, Utterance, utterances
from voicefleet.agents.ear import Ear
from voicefleet.core.turns.activity import Activity
from voicefleet.core.turns.detector import Patience, TurnDetector, TurnEnded
from voicefleet.core.turns.sound import HOP, Sound

TITLE = "Turn-taking: turns cut off early, and the delay at their true ends, beside silence timers"
FIGURES = Path(__file__).parents[2] / "docs" / "figures" / "turn_taking.md"

DISTANCES = (20, 10, 5)
"""Decibels between speech and noise."""
TIMER = 0.5
SEED = 2
OURS = "turn detector"
PLAIN = "500 ms timer, our ear"
WEBRTC = "500 ms timer, WebRTC's VAD"


@dataclass(frozen=True)
class Heard:
    """A turn and what an ear made of it."""

    utterance: Utterance
    sounds: Sequence[Sound]
    noise: Noise


@dataclass(frozen=True)
class Judged:
    """What became of one turn: cut off before its end, and how long after its end it was noticed (None: never)."""

    early: bool
    delay: float | None


@dataclass(frozen=True)
class Outcome:
    """What became of many."""

    early: float
    middle: float
    late: float
    missed: int

    @classmethod
    def of(cls, judged: Sequence[Judged]) -> "Outcome":
        """Delays of turns whose end was never noticed count as longer than any."""
        delays = [one.delay if one.delay is not None else float("inf") for one in judged]
        return cls(
            sum(one.early for one in judged) / len(judged),
            median(delays),
            quantiles(delays, n=10)[-1],
            sum(one.delay is None for one in judged),
        )


def ends_of_detector(heard: Heard) -> Iterator[float]:
    """When the product says that a turn is over."""
    detector = TurnDetector(Patience())
    for place, sound in enumerate(heard.sounds, start=1):
        if isinstance(detector.hear(sound, place * HOP), TurnEnded):
            yield place * HOP


def ends_of_timer(heard: Heard) -> Iterator[float]:
    """When 500 ms of silence have passed, as the product's ear hears silence."""
    activity, spoke = Activity(), False
    for place, sound in enumerate(heard.sounds, start=1):
        now = place * HOP
        activity.hear(sound, now)
        if activity.speaking:
            spoke = True
        elif spoke and now - activity.heard >= TIMER:
            spoke = False
            yield now


def ends_of_webrtc(heard: Heard) -> Iterator[float]:
    """When 500 ms of silence have passed, as WebRTC's detector hears it (its strictest mode)."""
    vad = webrtcvad.Vad(3)
    size, spoke, last = round(2 * HOP * RATE), 0, 0.0
    pcm = heard.utterance.pcm
    for place in range(1, len(pcm) // size + 1):
        now = place * HOP
        if vad.is_speech(pcm[(place - 1) * size : place * size], RATE):
            spoke, last = spoke + 1, now
        elif spoke >= 3 and now - last >= TIMER:
            spoke = 0
            yield now


JUDGES: dict[str, Callable[[Heard], Iterator[float]]] = {
    OURS: ends_of_detector,
    PLAIN: ends_of_timer,
    WEBRTC: ends_of_webrtc,
}


def judge(heard: Heard, ends: Iterator[float]) -> Judged:
    """What the caller of that turn would say of those ends."""
    begin, end = heard.utterance.spoken[0][0], heard.utterance.end
    early = False
    for now in ends:
        if now >= end:
            return Judged(early, now - end)
        early |= now > begin
    return Judged(early, None)


def listen(count: int) -> tuple[dict[int, list[Heard]], float]:
    """So many turns at each distance, and the processor seconds that the ear takes for one second of sound."""
    heard: dict[int, list[Heard]] = {}
    used = spoken = 0.0
    for distance in DISTANCES:
        turns = utterances(TRIAL, TRIAL_VOICES, count, SEED, distance)
        start = process_time()
        sounds = [list(Ear(RATE).listen(turn.pcm)) for turn in turns]
        used += process_time() - start
        spoken += sum(map(len, sounds)) * HOP
        noises = list(Noise)
        heard[distance] = [
            Heard(turn, made, noises[place % len(noises)])
            for place, (turn, made) in enumerate(zip(turns, sounds, strict=True))
        ]
    return heard, used / spoken


Table = dict[str, dict[str, Outcome]]


def compare(heard: dict[int, list[Heard]]) -> Table:
    """Outcomes by part of the set, then by judge."""
    everything = [one for turns in heard.values() for one in turns]
    parts = {f"{distance} dB": turns for distance, turns in heard.items()}
    parts |= {noise.value: [one for one in everything if one.noise is noise] for noise in Noise}
    parts["all"] = everything
    return {
        part: {name: Outcome.of([judge(one, ends(one)) for one in turns]) for name, ends in JUDGES.items()}
        for part, turns in parts.items()
    }


def report(table: Table, cost: float) -> Report:
    """Rows for every judge on every part; the bars are against the timer behind the same ear."""
    rows = []
    for part, judges in table.items():
        for name, got in judges.items():
            rows += [
                Row(f"{part}: {name}", "cut off early", 100 * got.early, "%"),
                Row(f"{part}: {name}", "delay at the end, median", 1000 * got.middle, "ms"),
            ]
            if got.late != float("inf"):
                rows.append(Row(f"{part}: {name}", "delay at the end, p90", 1000 * got.late, "ms"))
    rows.append(Row("ear and detector", "share of a core for one caller", 100 * cost, "%"))
    ours, plain = table["all"][OURS], table["all"][PLAIN]
    bars = [
        Bar.at_most("turns cut off early / the timer's", ours.early / plain.early, 1 / 3),
        Bar.at_most("median delay / the timer's", ours.middle / plain.middle, 1.0),
    ]
    return Report("turns", rows, bars)


def run(quick: bool) -> Report:
    """A quick run hears fewer turns."""
    heard, cost = listen(42 if quick else 84)
    return report(compare(heard), cost)


def page(table: Table, count: int) -> str:
    """The figures as a page of the documentation."""
    lines = [
        "# Turn-taking",
        "",
        "How often a caller who only stops to think is cut off, and how long the agent waits when the turn is really",
        f"over. {count} turns ({count // len(DISTANCES)} at each distance of the noise) with one to three pauses of",
        '0.2 to 1.5 s inside: after a comma, in the middle of a phrase, after an "um". Written by',
        "`python -m tests.bench.turns`, checked by `scripts/bench turns`.",
        "",
        "The recipe is `tests/support/utterances.py`: espeak-ng says each sentence with its own intonation, breaks",
        "included; each break is made as long as the seed says; a street (a rumble that swells), a fan (50 Hz hum and",
        "rush) or a room of eight voices is laid over it, 20, 10 and 5 dB below the speech. Sentences and voices are",
        "others than those that the detector was tuned on. A synthetic voice is more regular than a person: read the",
        "rows beside each other, not as what a telephone line gives.",
        "",
        "- *cut off*: turns of which some pause was taken for the end. *delay*: from the last word to the decision.",
        "  *unnoticed*: ends that nobody noticed within 3 s; their delay counts as endless.",
        "",
        "| part of the set | judge | cut off | delay, median | delay, p90 | unnoticed |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for part, judges in table.items():
        for name, got in judges.items():
            late, middle = (
                "endless" if value == float("inf") else f"{1000 * value:.0f} ms" for value in (got.late, got.middle)
            )
            lines.append(f"| {part} | {name} | {100 * got.early:.1f}% | {middle} | {late} | {got.missed} |")
    bars = report(table, 0.0).bars
    lines += ["", *(f"- {bar.name}: {figure(bar.value)} (bar {bar.relation} {figure(bar.bar)})" for bar in bars), ""]
    return "\n".join(lines)


if __name__ == "__main__":
    turns, _ = listen(84)
    FIGURES.write_text(page(compare(turns), sum(map(len, turns.values()))))
    print(f"wrote {FIGURES}")
