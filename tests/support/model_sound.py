"""Sound that a model says and a caller hears again, and how much of it: tones, because they are found to the sample."""

from collections.abc import Sequence
from itertools import groupby

from tests.support.tone import share_of_tone, tone

RATE = 24_000


def tone_pcm(seconds: float, frequency: float = 600.0, rate: int = RATE) -> bytes:
    """16 bit, mono."""
    return bytes(tone(frequency, 0, round(seconds * rate), rate))


def melody(seconds: float, frequencies: Sequence[float] = (500.0, 700.0, 900.0, 1100.0)) -> bytes:
    """A tone that changes each second, round and round, so that order and gaps can be heard."""
    whole = bytearray()
    for second in range(round(seconds)):
        whole += tone_pcm(1.0, frequencies[second % len(frequencies)])
    return bytes(whole)


def spans(samples: Sequence[int], rate: int, threshold: int = 500, gap: float = 0.01) -> list[tuple[float, float]]:
    """Seconds from and to which there is sound; silences shorter than `gap` belong to it."""
    step = max(1, round(rate * gap))
    loud = [max(map(abs, samples[at : at + step]), default=0) > threshold for at in range(0, len(samples), step)]
    found, at = [], 0
    for is_loud, run in groupby(loud):
        length = len(list(run))
        if is_loud:
            found.append((at * step / rate, (at + length) * step / rate))
        at += length
    return found


def pitch(samples: Sequence[int], frequencies: Sequence[float], rate: int) -> float | None:
    """Which of these tones it is."""
    shares = {frequency: share_of_tone(samples, frequency, rate) for frequency in frequencies}
    best = max(shares, key=lambda frequency: shares[frequency])
    return best if shares[best] > 0.6 else None
