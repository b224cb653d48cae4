"""An ear: PCM in, one `Sound` for every 20 ms. Energy and spectrum only, no trained weights.

Speech is what stands out of the noise, band by band; the noise of each band is what it falls back to between words, so
a fan, a street or a bad line are learned within a second. The pitch is the first strong peak of the autocorrelation of
what lies below 1 kHz. Cost for 20 ms: about 80 us.
"""

from collections.abc import Iterator
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from voicefleet.core.turns.sound import HOP, Sound

Floats = NDArray[np.float64]

_WINDOW: Final = 0.04
"""Seconds looked at for each 20 ms: three periods of the deepest voice."""
_LOWEST: Final = 70.0
_HIGHEST: Final = 420.0
"""Hertz between which a voice's pitch lies."""
_PITCH_BELOW: Final = 1000.0
_PITCH_POINTS: Final = 1024
_PERIODIC: Final = 0.55
"""Share of the energy below 1 kHz that repeats from period to period in a voice; noise has less."""
_BANDS: Final = 14
_BAND_FROM: Final = 150.0
_BAND_TO: Final = 3700.0
"""Fourteen bands between these hertz, as wide as an ear's, within what a telephone carries."""
_SMOOTH: Final = 0.6
"""How much of a band is the newest 20 ms: noise flickers, and words last longer."""
_FALL: Final = 0.2
"""Decibels each 20 ms by which the noise follows a band downwards ..."""
_RISE: Final = 0.4
"""... and upwards: so it settles where two thirds of what is heard are below it ..."""
_RISE_IN_SPEECH: Final = 0.02
"""... and in speech: a word is not noise, but a fan that was switched on is, after some seconds."""
_SPEECH: Final = 3.0
"""Decibels of contrast above which what is heard is taken for speech, and the noise is not learned from it."""
_LEARN: Final = 0.1
"""How fast the spectrum of a hum is learned, each 20 ms."""
_SUBTRACTED: Final = 1.5
"""How much of the hum is taken away before a pitch is looked for: its own pitch would be found otherwise."""
_ADDED: Final = 0.25
"""Share of what lies below 1 kHz that has to be left then."""
_SETTLE: Final = 12
"""Hops in which the noise is what was heard on the whole: there is no past to compare with yet."""
_QUIET: Final = -75.0
"""Decibels of full scale below which nothing counts: dither and comfort noise."""


class _Scale:
    """What depends on the rate alone: windows and the edges of bands."""

    def __init__(self, rate: int) -> None:
        self.hop = round(rate * HOP)
        self.window = round(rate * _WINDOW)
        self.points = 1 << (self.window - 1).bit_length()
        self.shape: Floats = np.hanning(self.window)
        hertz = rate / self.points
        mel = np.linspace(_mel(_BAND_FROM), _mel(_BAND_TO), _BANDS + 1)
        edges = np.floor(700.0 * (10 ** (mel / 2595.0) - 1) / hertz).astype(np.intp)
        for band in range(1, len(edges)):
            edges[band] = max(edges[band], edges[band - 1] + 1)
        self.edges = edges
        self.widths: Floats = np.diff(edges).astype(np.float64)
        self.voice = slice(0, int(_PITCH_BELOW / hertz) + 1)
        self.pitch_rate = hertz * _PITCH_POINTS
        self.shortest, self.longest = int(self.pitch_rate / _HIGHEST), int(self.pitch_rate / _LOWEST)
        own = self._repeats(np.abs(np.fft.rfft(self.shape, self.points)[self.voice]) ** 2)
        self.own: Floats = np.maximum(own / own[0], 0.05)
        self.full: float = float((self.shape**2).sum()) * 32768.0**2

    def _repeats(self, power: Floats) -> Floats:
        return np.fft.irfft(power, _PITCH_POINTS)[: self.longest + 2]

    def pitch(self, voice: Floats, whole: float) -> float:
        """The pitch in what a voice adds to the noise below 1 kHz; 0 if it has none, or adds nearly nothing."""
        if whole <= 0 or voice.sum() < _ADDED * whole:
            return 0.0
        repeats = self._repeats(voice)
        repeats = repeats / (repeats[0] * self.own)
        span = repeats[self.shortest : self.longest]
        best = float(span.max())
        if best < _PERIODIC:
            return 0.0
        # The first peak that is nearly as strong: later ones are whole multiples of the period.
        at = int(np.argmax(span >= 0.9 * best))
        while at + 1 < len(span) and span[at + 1] > span[at]:
            at += 1
        lag = at + self.shortest
        before, peak, after = repeats[lag - 1 : lag + 2]
        curve = before - 2 * peak + after
        shift = 0.5 * (before - after) / curve if curve < 0 else 0.0
        if not -1 < shift < 1:
            return 0.0
        return float(self.pitch_rate / (lag + shift))


def _mel(hertz: float) -> float:
    return float(2595.0 * np.log10(1 + hertz / 700.0))


_scale = cache(_Scale)


class Ear:
    """Listens to one caller."""

    def __init__(self, rate: int) -> None:
        self._scale = _scale(rate)
        self._heard = np.zeros(self._scale.window)
        self._rest = b""
        self._noise: Floats = np.full(_BANDS, _QUIET)
        self._bands: Floats = np.full(_BANDS, _QUIET)
        self._hum: Floats = np.zeros(self._scale.voice.stop)
        self._hops = 0

    def listen(self, pcm: bytes) -> Iterator[Sound]:
        """One `Sound` for each 20 ms that are complete; the rest waits for the next call."""
        size = 2 * self._scale.hop
        pcm = self._rest + pcm if self._rest else pcm
        for at in range(0, len(pcm) - size + 1, size):
            yield self._hop(np.frombuffer(pcm, np.int16, self._scale.hop, at))
        self._rest = pcm[len(pcm) - len(pcm) % size :]

    def _hop(self, samples: NDArray[np.int16]) -> Sound:
        scale, heard = self._scale, self._heard
        heard[: -scale.hop] = heard[scale.hop :]
        heard[-scale.hop :] = samples
        spectrum = np.fft.rfft(heard * scale.shape, scale.points)
        power = spectrum.real**2 + spectrum.imag**2
        bands = 10 * np.log10(
            np.add.reduceat(power, scale.edges)[:-1] / (scale.widths * scale.full) + 10 ** (_QUIET / 10)
        )
        contrast = self._stand_out(bands)
        low, hum = power[scale.voice], self._hum
        if contrast < _SPEECH:
            hum += _LEARN * (low - hum)
        voice = np.maximum(low - _SUBTRACTED * hum, 0.0)
        return Sound(contrast, scale.pitch(voice, float(low.sum())))

    def _stand_out(self, bands: Floats) -> float:
        noise = self._noise
        self._hops += 1
        if self._hops <= _SETTLE:
            noise += (bands - noise) / self._hops
        self._bands += _SMOOTH * (bands - self._bands)
        above = self._bands - noise
        contrast = float(np.maximum(above, 0.0).mean())
        rise = _RISE_IN_SPEECH if contrast > _SPEECH else _RISE
        noise += np.where(above < 0, np.maximum(above, -_FALL), np.minimum(above, rise))
        return contrast
