"""A tone as 16-bit samples, and how much of a tone is in samples (Goertzel), so that a test can tell what was heard."""

import math
from array import array
from collections.abc import Sequence


def tone(frequency: float, start: int, count: int, rate: int, amplitude: int = 8000) -> bytes:
    """`count` samples of a sine, from sample `start` on."""
    step = 2 * math.pi * frequency / rate
    return array("h", (int(amplitude * math.sin(step * n)) for n in range(start, start + count))).tobytes()


def buzz(start: int, count: int, rate: int) -> bytes:
    """`count` samples of what has a voice's pitch and overtones, so that it is taken for speech."""
    step = 2 * math.pi * 120.0 / rate
    overtones = (1, 2, 3, 5, 8, 12, 17, 23)
    return array(
        "h", (int(2000 * sum(math.sin(step * over * n) for over in overtones)) for n in range(start, start + count))
    ).tobytes()


def hush(start: int, count: int, rate: int) -> bytes:
    """`count` samples of nearly nothing, as a quiet room has it."""
    return array("h", ((n * 7919 + n * n * 104729) % 13 - 6 for n in range(start, start + count))).tobytes()


def share_of_tone(samples: Sequence[int], frequency: float, rate: int) -> float:
    """The part of the samples' power that is this frequency's: 1.0 for the pure tone, near 0 for anything else."""
    coefficient = 2 * math.cos(2 * math.pi * frequency / rate)
    before = last = 0.0
    for sample in samples:
        before, last = last, sample + coefficient * last - before
    power = last * last + before * before - coefficient * last * before
    total = sum(float(sample) * sample for sample in samples)
    return 2 * power / (len(samples) * total) if total else 0.0
