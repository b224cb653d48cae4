"""How whole the caller's words reach the agent over bad paths: both profiles beside stock aiortc's receiver.

Speech of espeak-ng, 20 ms Opus frames with in-band FEC, sent by the product's own sender (it answers NACKs, as Chromium
does) over a simulated path on a virtual clock. The fate of each frame's first transmission (lost or not, how late) is
drawn beforehand, so every receiver meets the same trace. aiortc's receiver is its JitterBuffer as RTCRtpReceiver makes
it for audio; it has neither NACK nor FEC for audio.

`python -m tests.bench.whole_audio` writes docs/figures/whole_audio.md.
"""

import math
import sys
from array import array
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from statistics import mean

from aiortc.jitterbuffer import JitterBuffer as StockBuffer
from aiortc.rtp import RtpPacket

from tests.bench.report import Bar, Report, Row, figure, machine
from tests.support.impaired_path import Bursts, ImpairedPath, Impairment
from tests.support.opus_fec import carries_fec
from tests.support.simulated_call import TERMS, Call
from tests.support.spoken_audio import speech
from voicefleet.core.media.frame import AudioFrame, FrameKind
from voicefleet.core.media.opus_packet import SILENCE
from voicefleet.core.media.patience import ACCURATE, CONVERSATIONAL, Profile
from voicefleet.net.opus import OpusDecoder, OpusEncoder
from voicefleet.wire.demux import PacketKind, classify

TITLE = "Whole audio: words over bad paths, both profiles beside stock aiortc"
FIGURES = Path(__file__).parents[2] / "docs" / "figures" / "whole_audio.md"

ENCODED_AT = 24_000
COMPARED_AT = 8_000
VOICED = 200.0
"""Energy (of 32768) above which a frame of clean speech counts as a word's."""
LIKE = 0.8
"""Correlation above which it sounds as it was said."""

DELAY = 0.04
"""One way: 80 ms of round trip."""

TRACES = (
    ("clean", Impairment(delay=DELAY)),
    ("loss 1%", Impairment(delay=DELAY, loss=0.01)),
    ("loss 5%", Impairment(delay=DELAY, loss=0.05)),
    ("loss 10%", Impairment(delay=DELAY, loss=0.10)),
    ("loss 5% in bursts of 3", Impairment(delay=DELAY, bursts=Bursts(0.05, 3))),
    ("jitter 60 ms", Impairment(delay=DELAY, jitter=0.06)),
    ("jitter 60 ms, loss 5%", Impairment(delay=DELAY, jitter=0.06, loss=0.05)),
    ("reordering 10%", Impairment(delay=DELAY, reordering=0.10)),
)


class TracedPath(ImpairedPath):
    """A path whose first transmission of frame n has the fate of place n in a trace; the rest is left to chance."""

    def __init__(self, impairment: Impairment, seed: int, frames: int) -> None:
        super().__init__(impairment, Random(seed))
        self._trace = [self.draw() for _ in range(frames)]
        self._first: int | None = None
        self._seen: set[int] = set()

    def send(self, datagram: bytes, now: float) -> None:
        """As its trace says."""
        place = -1
        if classify(datagram) is PacketKind.RTP:
            sequence = int.from_bytes(datagram[2:4])
            if self._first is None:
                self._first = sequence
            place = (sequence - self._first) & 0xFFFF
        if 0 <= place < len(self._trace) and place not in self._seen:
            self._seen.add(place)
            fate = self._trace[place]
        else:
            fate = self.draw()
        self.put(datagram, now, fate)


@dataclass(frozen=True)
class Outcome:
    """What one receiver made of one trace."""

    whole: float
    """Share of frames that were handed over as they were said."""
    rebuilt: float
    """Share that in-band FEC described."""
    intact: float
    """Share of voiced frames that sound as they were said, after decoding."""
    added: float
    """Mean seconds from the moment at which a frame would have come over a perfect path of this delay."""
    added_99: float
    held: float
    """Longest that a frame which had come was held back."""


@dataclass(frozen=True)
class Received:
    """One place in the caller's speech: what was made of it, and when (None: never)."""

    frame: AudioFrame | None
    at: float = 0.0


def encode(seconds: float) -> list[bytes]:
    """The caller's speech as Opus frames that expect 10% loss."""
    pcm = speech(seconds, ENCODED_AT)
    encoder = OpusEncoder(ENCODED_AT)
    encoder.expect_loss(10)
    size = 2 * encoder.samples
    return [encoder.encode(pcm[at : at + size]) for at in range(0, len(pcm) - size + 1, size)]


class Ears:
    """Decodes what was received and compares it, frame by frame, with what was said."""

    def __init__(self, frames: list[bytes]) -> None:
        self.frames = frames
        decoder = OpusDecoder(COMPARED_AT)
        self._clean = [
            array("h", decoder.decode(AudioFrame(FrameKind.HEARD, payload, 0, 960, 0.0))) for payload in frames
        ]
        self._voiced = [math.sqrt(mean(s * s for s in clean)) > VOICED for clean in self._clean]

    def intact(self, received: list[Received]) -> float:
        """Share of the voiced frames that sound as they were said."""
        decoder = OpusDecoder(COMPARED_AT)
        good = 0
        for clean, voiced, place in zip(self._clean, self._voiced, received, strict=True):
            if place.frame is None:
                continue  # nothing is decoded for it: stock aiortc leaves the time out
            decoded = array("h", decoder.decode(place.frame))
            good += voiced and _likeness(clean, decoded) > LIKE
        return good / sum(self._voiced)


def _likeness(a: "array[int]", b: "array[int]") -> float:
    norm = math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))
    return sum(x * y for x, y in zip(a, b, strict=False)) / norm if norm else 0.0


def ours(
    impairment: Impairment, profile: Profile, copies: int, frames: list[bytes], seed: int
) -> tuple[list[Received], float, dict[int, float]]:
    """The product's receiver; with `copies`, the sender adds so many earlier frames to each packet."""
    terms = replace(TERMS, red=63) if copies else TERMS
    call = Call(impairment, replace(impairment), profile=profile, terms=terms, seed=seed, copies=copies)
    call.up = TracedPath(impairment, seed, len(frames))
    call.down = ImpairedPath(impairment, Random(seed + 7))
    call.speech = frames
    call.run(len(frames) * 0.02 + 2.0)
    received = [Received(None)] * len(frames)
    start = next(frame.timestamp for _, frame in call.heard)
    for at, frame in call.heard:
        place = (frame.timestamp - start) // 960
        if 0 <= place < len(frames) and frame.kind in (FrameKind.HEARD, FrameKind.CONCEALED):
            received[place] = Received(frame, at)
    return received, call.server.measurements().uplink.buffer_delay_max, call.said_at


def stock(impairment: Impairment, frames: list[bytes], seed: int) -> tuple[list[Received], float, dict[int, float]]:
    """aiortc's jitter buffer on the same trace."""
    path = TracedPath(impairment, seed, len(frames))
    said_at = {place: 100.0 + 0.02 * place for place in range(len(frames))}
    # Silence at the end brings out what the buffer still holds; it is not counted.
    for place, payload in enumerate([*frames, *[SILENCE] * 40]):
        header = b"\x80\x6f" + place.to_bytes(2) + (960 * place).to_bytes(4) + (0x1111).to_bytes(4)
        path.send(header + payload, 100.0 + 0.02 * place)
    buffer = StockBuffer(capacity=16, prefetch=4)  # as RTCRtpReceiver makes it for audio
    received = [Received(None)] * len(frames)
    came: dict[int, float] = {}
    held = 0.0
    for at, datagram in path.arrived(float("inf")):
        packet = RtpPacket.parse(datagram)
        came.setdefault(packet.sequence_number, at)
        packet._data = packet.payload  # type: ignore[attr-defined]  # what its depayloader does for Opus
        _, frame = buffer.add(packet)
        if frame is not None:
            place = frame.timestamp // 960
            if place >= len(frames):
                continue
            held = max(held, at - came[place])
            received[place] = Received(AudioFrame(FrameKind.HEARD, frame.data, frame.timestamp, 960, 0.0), at)
    return received, held, said_at


def outcome(
    received: list[Received], held: float, said_at: dict[int, float], impairment: Impairment, ears: Ears
) -> Outcome:
    """The figures of one receiver on one trace."""
    whole = rebuilt = 0
    added = []
    for place, got in enumerate(received):
        if got.frame is None:
            continue
        if got.frame.kind is FrameKind.HEARD:
            whole += 1
            added.append(got.at - said_at[place] - impairment.delay)
        elif carries_fec(got.frame.recovery):
            rebuilt += 1
    added.sort()
    total = len(received)
    return Outcome(
        whole / total,
        rebuilt / total,
        ears.intact(received),
        abs(round(mean(added), 6)),  # no minus before a zero
        abs(round(added[int(0.99 * len(added))], 6)),
        held,
    )


Receiver = Callable[[Impairment, list[bytes], int], tuple[list[Received], float, dict[int, float]]]

RECEIVERS: tuple[tuple[str, Receiver], ...] = (
    ("conversational", lambda path, frames, seed: ours(path, CONVERSATIONAL, 0, frames, seed)),
    ("conversational, 1 copy", lambda path, frames, seed: ours(path, CONVERSATIONAL, 1, frames, seed)),
    ("accurate", lambda path, frames, seed: ours(path, ACCURATE, 0, frames, seed)),
    ("stock aiortc", stock),
)


def measure(seconds: float, seed: int = 20) -> dict[str, dict[str, Outcome]]:
    """Outcomes by trace, then by receiver."""
    frames = encode(seconds)
    ears = Ears(frames)
    return {
        trace: {name: outcome(*receive(path, frames, seed), path, ears) for name, receive in RECEIVERS}
        for trace, path in TRACES
    }


def run(quick: bool) -> Report:
    """A quick run hears less speech."""
    return report(measure(20.0 if quick else 120.0))


def report(outcomes: dict[str, dict[str, Outcome]]) -> Report:
    """Rows for every receiver on every trace, bars for what is promised."""
    rows = []
    for trace, receivers in outcomes.items():
        for name, got in receivers.items():
            rows += [
                Row(f"{trace}: {name}", "frames whole", 100 * got.whole, "%"),
                Row(f"{trace}: {name}", "voiced frames as said", 100 * got.intact, "%"),
                Row(f"{trace}: {name}", "added, mean", 1000 * got.added, "ms"),
                Row(f"{trace}: {name}", "added, p99", 1000 * got.added_99, "ms"),
                Row(f"{trace}: {name}", "longest held", 1000 * got.held, "ms"),
            ]
    five = outcomes["loss 5%"]
    held = max(got["conversational"].held for got in outcomes.values())
    slower = max(
        (mine.added - got["stock aiortc"].added) * 1000
        for got in outcomes.values()
        for name, mine in got.items()
        if name.startswith("conversational")
    )
    bars = [
        Bar.at_least("accurate at 5% loss and 80 ms: frames whole, %", 100 * five["accurate"].whole, 99.9),
        Bar.at_most("conversational: longest held on any path, ms", 1000 * held, 60.001),
        Bar.at_most("conversational: mean added over stock aiortc's on any path, ms", slower, 0.0),
    ]
    return Report("whole_audio", rows, bars)


def page(outcomes: dict[str, dict[str, Outcome]], seconds: float) -> str:
    """The figures as a page of the documentation."""
    lines = [
        "# Whole audio",
        "",
        "How much of what a caller says reaches the agent over bad paths, and how much later: the two profiles beside",
        f"stock aiortc's receiver on the same traces. {seconds:.0f} s of speech (espeak-ng) in 20 ms Opus frames with",
        "in-band FEC, 40 ms of delay each way, losses in both directions; written by",
        "`python -m tests.bench.whole_audio`, checked by `scripts/bench whole_audio`.",
        "",
        "- *whole*: frames handed over as they were said. *FEC*: frames rebuilt from their successor (stock aiortc has",
        "  no such thing). *voiced as said*: after decoding, frames of speech that correlate by more than",
        f"  {LIKE} with what a loss-free decoder gives (a decoder needs a few frames to recover from a loss).",
        "- *added*: how much later than over a perfect path of the same delay a whole frame is handed over; in the",
        "  rows with jitter 30 ms of the mean are the path's own. *held*: the longest that a frame which had come",
        "  waited.",
        "- `1 copy`: RED with one earlier frame in each packet, which a browser sends when the answer prefers it.",
        "",
        "| path | receiver | whole | FEC | voiced as said | added, mean | added, p99 | longest held |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    for trace, receivers in outcomes.items():
        for name, got in receivers.items():
            rebuilt = "" if name.startswith("stock") else f"{100 * got.rebuilt:.2f}%"
            lines.append(
                f"| {trace} | {name} | {100 * got.whole:.2f}% | {rebuilt} | {100 * got.intact:.2f}% "
                f"| {1000 * got.added:.1f} ms | {1000 * got.added_99:.0f} ms | {1000 * got.held:.0f} ms |"
            )
    bars = report(outcomes).bars
    lines += ["", *(f"- {bar.name}: {figure(bar.value)} (bar {bar.relation} {figure(bar.bar)})" for bar in bars)]
    lines += [
        "",
        f"Python {machine()['python']}; the figures depend on the seeds, not on the machine.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    length = float(sys.argv[1]) if len(sys.argv) > 1 else 120.0
    FIGURES.parent.mkdir(parents=True, exist_ok=True)
    FIGURES.write_text(page(measure(length), length))
    print(f"wrote {FIGURES}")
