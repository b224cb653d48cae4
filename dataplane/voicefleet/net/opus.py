"""Opus by libopus itself, through ctypes: decoding with concealment and in-band FEC, encoding with expected loss.

PyAV, which is a dependency already, ships a current libopus for every platform it supports but shows neither FEC nor
concealment of it (ffmpeg's wrapper has no way to ask). So the library inside its wheel is called directly; where PyAV
was built against the system's, that one is. A call through ctypes costs 1 us of the 30 (decode) to 200 (encode) that
20 ms of voice take, and gives up the interpreter lock meanwhile: other calls' clocks go on.

An instance belongs to one thread at a time.
"""

import ctypes
import ctypes.util
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final, NamedTuple

from voicefleet.core.media.frame import AudioFrame, FrameKind
from voicefleet.core.media.opus_packet import CLOCK_RATE, MAX_SAMPLES

RATES: Final = (8000, 12000, 16000, 24000, 48000)
"""Sampling rates that libopus converts from and to by itself."""
COMPLEXITY: Final = 5
"""Measured at 24 kHz: 150 us a frame, against 225 us at 9 for a difference that voice does not show."""
BIT_RATE: Final = 32_000
"""Where voice at 24 kHz (hybrid mode) stops getting better to the ear."""

_SET_BITRATE: Final = 4002
_SET_COMPLEXITY: Final = 4010
_SET_INBAND_FEC: Final = 4012
_SET_PACKET_LOSS: Final = 4014
_SET_SIGNAL: Final = 4024
_SIGNAL_VOICE: Final = 3001
_SIGNAL_MUSIC: Final = 3002
_APPLICATION_VOICE: Final = 2048
_LARGEST: Final = 1275
"""Octets of one frame (RFC 6716, 3.4)."""


class Tuning(NamedTuple):
    """What an encoder spends on a frame, and which of Opus' modes it leans to."""

    bit_rate: int = BIT_RATE
    complexity: int = COMPLEXITY
    voice: bool = True
    """The speech modes, which alone have in-band FEC; otherwise CELT, for a third of the work."""


_SPEECH: Final = Tuning()


class OpusError(Exception):
    """libopus refused what it was asked for."""


class OpusMissing(ImportError):
    """Neither PyAV's wheel nor the system has a libopus."""


@lru_cache(maxsize=1)
def library() -> ctypes.CDLL:
    """libopus, with the signatures of what is used of it."""
    opus = ctypes.CDLL(str(_path()))
    pointer, number, octets = ctypes.c_void_p, ctypes.c_int, ctypes.c_char_p
    opus.opus_get_version_string.restype = octets
    opus.opus_strerror.restype = octets
    opus.opus_decoder_create.restype = opus.opus_encoder_create.restype = pointer
    opus.opus_decoder_create.argtypes = [number, number, pointer]
    opus.opus_encoder_create.argtypes = [number, number, number, pointer]
    opus.opus_decoder_destroy.argtypes = opus.opus_encoder_destroy.argtypes = [pointer]
    opus.opus_decode.argtypes = [pointer, octets, ctypes.c_int32, pointer, number, number]
    opus.opus_encode.argtypes = [pointer, octets, number, pointer, ctypes.c_int32]
    opus.opus_encoder_ctl.argtypes = [pointer, number]  # and one more, by the request
    return opus


def _path() -> Path | str:
    spec = find_spec("av")
    if spec is not None and spec.origin is not None:
        bundled = sorted((Path(spec.origin).parent.parent / "av.libs").glob("libopus-*.so*"))
        if bundled:
            return bundled[0]
    system = ctypes.util.find_library("opus")
    if system is None:
        raise OpusMissing("no libopus: install PyAV's wheel, or the system's package (libopus0)")
    return system


def version() -> str:
    """Which libopus it is."""
    return str(library().opus_get_version_string().decode())


class OpusDecoder:
    """One caller's decoder: a frame of any kind in, as much PCM as it lasts out (16 bit, mono, native order)."""

    def __init__(self, rate: int) -> None:
        if rate not in RATES:
            raise ValueError(f"libopus decodes to {RATES}, not {rate} Hz")
        self.rate = rate
        self.rebuilt = 0
        """Frames asked of in-band FEC."""
        self.malformed = 0
        self._opus = library()
        self._per_tick = CLOCK_RATE // rate
        self._pcm = ctypes.create_string_buffer(2 * MAX_SAMPLES)
        self._view = memoryview(self._pcm)
        error = ctypes.c_int()
        self._state = self._opus.opus_decoder_create(rate, 1, ctypes.byref(error))
        if not self._state:
            raise OpusError(_message(self._opus, error.value))

    def __del__(self) -> None:
        state, self._state = getattr(self, "_state", None), None
        if state:
            self._opus.opus_decoder_destroy(state)

    def decode(self, frame: AudioFrame) -> bytes:
        """The frame's PCM; for one that did not come, what FEC or concealment makes of it."""
        samples = frame.samples // self._per_tick
        if frame.kind is FrameKind.STALLED:
            return bytes(2 * samples)
        if frame.payload:
            done = self._decode(frame.payload, MAX_SAMPLES // self._per_tick, 0)
            if done >= 0:
                return self._view[: 2 * done].tobytes()
            self.malformed += 1
        elif frame.recovery:
            self.rebuilt += 1
            done = self._decode(frame.recovery, samples, 1)
            if done >= 0:
                return self._view[: 2 * done].tobytes()
        done = self._decode(None, samples, 0)
        return self._view[: 2 * done].tobytes() if done >= 0 else bytes(2 * samples)

    def _decode(self, payload: bytes | None, samples: int, fec: int) -> int:
        size = 0 if payload is None else len(payload)
        return int(self._opus.opus_decode(self._state, payload, size, self._pcm, samples, fec))


class OpusEncoder:
    """One caller's encoder: 20 ms of 16-bit mono PCM in, one Opus frame out."""

    def __init__(self, rate: int, tuning: Tuning = _SPEECH) -> None:
        if rate not in RATES:
            raise ValueError(f"libopus encodes from {RATES}, not {rate} Hz")
        self.rate = rate
        self.samples = rate // 50
        self._opus = library()
        self._loss = 0
        self._packet = ctypes.create_string_buffer(_LARGEST)
        self._view = memoryview(self._packet)
        error = ctypes.c_int()
        self._state = self._opus.opus_encoder_create(rate, 1, _APPLICATION_VOICE, ctypes.byref(error))
        if not self._state:
            raise OpusError(_message(self._opus, error.value))
        self.tune(tuning)

    def __del__(self) -> None:
        state, self._state = getattr(self, "_state", None), None
        if state:
            self._opus.opus_encoder_destroy(state)

    def tune(self, tuning: Tuning) -> None:
        """From the next frame on; a change of mode is one that the decoder cannot be heard to make."""
        self._set(_SET_BITRATE, tuning.bit_rate)
        self._set(_SET_COMPLEXITY, tuning.complexity)
        self._set(_SET_SIGNAL, _SIGNAL_VOICE if tuning.voice else _SIGNAL_MUSIC)

    def expect_loss(self, percent: int) -> None:
        """Make frames that describe their predecessor as well, as far as this loss is worth it; 0: plain ones."""
        if percent == self._loss:
            return
        self._loss = percent
        self._set(_SET_INBAND_FEC, 1 if percent else 0)
        self._set(_SET_PACKET_LOSS, min(100, max(0, percent)))

    def encode(self, pcm: bytes) -> bytes:
        """One frame."""
        if len(pcm) != 2 * self.samples:
            raise ValueError(f"a frame is {2 * self.samples} octets of PCM, not {len(pcm)}")
        size = int(self._opus.opus_encode(self._state, pcm, self.samples, self._packet, _LARGEST))
        if size < 0:
            raise OpusError(_message(self._opus, size))
        return self._view[:size].tobytes()

    def _set(self, request: int, value: int) -> None:
        result = int(self._opus.opus_encoder_ctl(self._state, request, ctypes.c_int(value)))
        if result < 0:
            raise OpusError(_message(self._opus, result))


def _message(opus: ctypes.CDLL, error: int) -> str:
    return str(opus.opus_strerror(error).decode())
