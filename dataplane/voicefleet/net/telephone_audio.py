"""G.711 at the rate that the agent speaks: companding by the pure core, rates by PyAV's swresample (20 us a frame).

Concealment repeats the last 20 ms and fades it out within 60 ms: what a telephone does (G.711, Appendix I), without its
search for the pitch, which would cost more than everything else here.
"""

from array import array

import av

from voicefleet.core.media.frame import AudioFrame, FrameKind
from voicefleet.core.media.g711 import CLOCK_RATE, Law, decode, encode

_FADE = (0.8, 0.5, 0.2)
"""Loudness of the first, second and third repetition."""


class Resampler:
    """A stream of 16-bit mono PCM at another rate; each piece comes out as long as it went in, 2 ms later."""

    def __init__(self, source: int, target: int) -> None:
        self._source = source
        self._target = target
        self._resampler = av.AudioResampler(format="s16", layout="mono", rate=target)
        self._ready = bytearray()

    def convert(self, pcm: bytes) -> bytes:
        """The next piece."""
        samples = len(pcm) // 2
        wanted = 2 * (samples * self._target // self._source)
        if self._source == self._target or not samples:
            return pcm
        frame = av.AudioFrame(format="s16", layout="mono", samples=samples)
        frame.sample_rate = self._source
        frame.planes[0].update(pcm)
        for converted in self._resampler.resample(frame):
            self._ready += bytes(converted.planes[0])[: 2 * converted.samples]
        lacking = wanted - len(self._ready)
        if lacking > 0:  # the filter's own delay, at the beginning only
            self._ready[:0] = bytes(lacking)
        piece = bytes(self._ready[:wanted])
        del self._ready[:wanted]
        return piece


class TelephoneDecoder:
    """One caller's G.711: a frame of any kind in, PCM at the agent's rate out."""

    def __init__(self, law: Law, rate: int) -> None:
        self.rate = rate
        self.rebuilt = self.malformed = 0
        self._law = law
        self._resampler = Resampler(CLOCK_RATE, rate)
        self._last = b""
        self._repeated = 0

    def decode(self, frame: AudioFrame) -> bytes:
        """The frame's PCM."""
        if frame.payload:
            pcm = decode(frame.payload, self._law)
            self._last, self._repeated = pcm, 0
        elif frame.kind is FrameKind.CONCEALED and self._last and self._repeated < len(_FADE):
            pcm = self._repetition(2 * frame.samples)
        else:
            pcm = bytes(2 * frame.samples)
        return self._resampler.convert(pcm)

    def _repetition(self, octets: int) -> bytes:
        loudness = _FADE[self._repeated]
        self._repeated += 1
        repeated = (self._last * (octets // len(self._last) + 1))[:octets]
        return array("h", [int(sample * loudness) for sample in array("h", repeated)]).tobytes()


class TelephoneEncoder:
    """One caller's G.711: 20 ms of PCM at the agent's rate in, one frame out."""

    def __init__(self, law: Law, rate: int) -> None:
        self.rate = rate
        self.samples = rate // 50
        self._law = law
        self._resampler = Resampler(rate, CLOCK_RATE)
        encode(b"\0\0", law)  # makes the table now, not with a call waiting

    def expect_loss(self, percent: int) -> None:
        """G.711 has nothing to set."""

    def encode(self, pcm: bytes) -> bytes:
        """One frame."""
        return encode(self._resampler.convert(pcm), self._law)
