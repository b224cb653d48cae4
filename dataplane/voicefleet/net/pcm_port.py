"""The agent's side of a call in PCM: decoded audio out, PCM in, for an agent that does not speak the caller's codec.

Only what is about to be played is encoded (`HORIZON` ahead), so speech that a barge-in throws away was never encoded.
Everything here belongs to the stream's thread, except that `on_pcm` is called, in order, by whoever the codec threads
tell.
"""

from collections import deque
from collections.abc import Callable
from typing import Final, NamedTuple, Protocol

from voicefleet.core.media.coding import OPUS, PCMA, PCMU, Coding
from voicefleet.core.media.frame import AudioFrame, FrameKind
from voicefleet.core.media.g711 import Law
from voicefleet.core.media.pacing import CAPACITY, Flushed
from voicefleet.core.media.stream import AudioStream
from voicefleet.net.codec_threads import CodecThreads
from voicefleet.net.opus import OpusDecoder
from voicefleet.net.voice_encoder import VoiceEncoder

HORIZON: Final = 0.1
"""Seconds of encoded audio ahead of the clock: a codec thread that waits for the processor is not heard."""
BACKLOG: Final = 500
"""Codec jobs that one call may have waiting (10 s): beyond that the machine is too slow, and audio is dropped."""


class PcmFrame(NamedTuple):
    """Decoded audio, 16 bit, mono, native order."""

    kind: FrameKind
    pcm: bytes
    captured: float
    """When it was said, on our monotonic clock."""


class Decoder(Protocol):
    """A caller's decoder at the agent's rate."""

    malformed: int
    rebuilt: int

    def decode(self, frame: AudioFrame) -> bytes:
        """PCM for a frame of any kind."""
        ...


class Encoder(Protocol):
    """A caller's encoder from the agent's rate."""

    samples: int
    """In a frame of 20 ms."""

    def encode(self, pcm: bytes) -> bytes:
        """One frame."""
        ...

    def expect_loss(self, percent: int) -> None:
        """What the path does to frames."""
        ...


def codec(coding: Coding, rate: int) -> tuple[Decoder, Encoder]:
    """Decoder and encoder between a call's coding and PCM at `rate`."""
    if coding is OPUS:
        return OpusDecoder(rate), VoiceEncoder(rate)
    from voicefleet.net.telephone_audio import TelephoneDecoder, TelephoneEncoder  # brings PyAV: 30 MiB, seldom needed

    law = {PCMU: Law.MU, PCMA: Law.A}[coding]
    return TelephoneDecoder(law, rate), TelephoneEncoder(law, rate)


class PcmPort:
    """One call's PCM side."""

    def __init__(
        self,
        stream: AudioStream,
        decoder: Decoder,
        encoder: Encoder,
        threads: CodecThreads,
        on_pcm: Callable[[PcmFrame], None],
        on_encoded: Callable[[], None],
    ) -> None:
        """`on_encoded` is called by a codec thread when `refill` must not wait; it should wake the media loop."""
        self._stream = stream
        self._decoder = decoder
        self._encoder = encoder
        self._threads = threads
        self._lane = threads.lane()
        self._on_pcm = on_pcm
        self._on_encoded = on_encoded
        self._octets = 2 * encoder.samples
        self._backlog = bytearray()
        self._start = 0
        self._encoded: deque[tuple[int, bytes]] = deque()
        self._coding = 0  # frames that are with a codec thread
        self._generation = 0
        self.dropped = 0
        """Frames given up because codec threads could not keep up."""

    # From the caller

    def heard(self, frames: list[AudioFrame]) -> None:
        """Decode these, in order, and give them to `on_pcm`."""
        for frame in frames:
            if len(self._lane) >= BACKLOG:
                self.dropped += 1
                continue
            self._lane.put(lambda frame=frame: self._decode(frame))  # type: ignore[misc]

    # To the caller

    def say(self, pcm: bytes) -> bool:
        """Queue PCM of any length; false when 60 s are waiting already, and then none of it was taken."""
        waiting = len(self._backlog) - self._start
        if waiting + len(pcm) > CAPACITY * 50 * self._octets:
            return False
        self._backlog += pcm
        return True

    def finish(self) -> None:
        """The agent's turn is complete: what is left of a frame is filled up with silence."""
        rest = (len(self._backlog) - self._start) % self._octets
        if rest:
            self._backlog += bytes(self._octets - rest)

    def refill(self, now: float) -> None:
        """Keep `HORIZON` of encoded audio in the stream: to be called after `say`, `on_encoded` and each `poll`."""
        stream = self._stream
        while self._encoded:
            generation, payload = self._encoded.popleft()
            if generation == self._generation:
                self._coding -= 1
                stream.say(payload, now)
        lacking = int(HORIZON * 50) - round(stream.playout.queued_ms / 20) - self._coding
        while lacking > 0 and len(self._backlog) - self._start >= self._octets:
            end = self._start + self._octets
            self._lane.put(self._encoding(bytes(self._backlog[self._start : end])))
            self._start = end
            self._coding += 1
            lacking -= 1
        if self._start > 64 * self._octets or self._start == len(self._backlog):
            del self._backlog[: self._start]
            self._start = 0

    def flush(self) -> Flushed:
        """Fall silent at once; what was played, and what was dropped here and in the stream."""
        flushed = self._stream.flush()
        waiting = len(self._backlog) - self._start + self._coding * self._octets
        self._generation += 1
        self._coding = 0
        self._backlog.clear()
        self._start = 0
        return Flushed(flushed.played_ms, flushed.dropped_ms + 20 * waiting / self._octets)

    @property
    def queued_ms(self) -> float:
        """Milliseconds of the agent's audio that wait, encoded or not."""
        waiting = len(self._backlog) - self._start + self._coding * self._octets
        return self._stream.playout.queued_ms + 20 * waiting / self._octets

    # On a codec thread

    def _decode(self, frame: AudioFrame) -> None:
        self._threads.tell(self._on_pcm, PcmFrame(frame.kind, self._decoder.decode(frame), frame.captured))

    def _encoding(self, pcm: bytes) -> Callable[[], None]:
        generation, loss = self._generation, self._stream.redundancy.fec_loss

        def encode() -> None:
            if generation != self._generation:
                return  # flushed meanwhile
            self._encoder.expect_loss(loss)
            self._encoded.append((generation, self._encoder.encode(pcm)))
            if self._stream.playout.queued == 0:
                self._on_encoded()  # otherwise the stream is polled within a frame, and refilled then

        return encode
