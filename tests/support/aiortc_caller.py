"""A caller by aiortc: says a tone, records what comes back, and has a data channel. A client that we did not write."""

import asyncio
from array import array
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise

import av
from aiortc import RTCConfiguration, RTCIceCandidate, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack

from tests.support.facts import DEADLINE
from tests.support.model_sound import spans
from tests.support.tone import share_of_tone, tone

Says = Callable[[int, int, int], bytes]
"""(first sample, how many, rate) -> what is said then."""


class _Speech(AudioStreamTrack):
    def __init__(self, says: Callable[[], Says]) -> None:
        super().__init__()
        self._says = says
        self.speaks = True
        self.spoken = 0.0
        self._sent = 0

    async def recv(self) -> av.AudioFrame:
        silent = await super().recv()
        assert isinstance(silent, av.AudioFrame)
        frame = av.AudioFrame(format="s16", layout="mono", samples=silent.samples)
        said = self._says()(self._sent, silent.samples, silent.sample_rate)
        self.spoken += silent.samples / silent.sample_rate if self.speaks else 0.0
        frame.planes[0].update(said if self.speaks else bytes(len(said)))
        frame.sample_rate, frame.pts, frame.time_base = silent.sample_rate, silent.pts, silent.time_base
        self._sent += silent.samples
        return frame


class AiortcCaller:
    """One call. `heard` grows with what comes back, mono, in `rate`: 48 kHz, but 8 kHz for G.711."""

    def __init__(self, frequency: float = 440.0, channel: str | None = "oai-events", codec: str | None = None) -> None:
        self.frequency = frequency
        self.rate = 8_000 if codec in ("PCMU", "PCMA") else 48_000
        self.peer = RTCPeerConnection(RTCConfiguration(iceServers=[]))
        self.says: Says = partial(tone, frequency)
        """May be exchanged while it talks."""
        self._microphone = _Speech(lambda: self.says)
        self.peer.addTrack(self._microphone)
        if codec is not None:
            known = RTCRtpSender.getCapabilities("audio").codecs
            self.peer.getTransceivers()[0].setCodecPreferences([each for each in known if each.name == codec])
        self.heard = array("h")
        self.came = array("d")
        """When each piece of it came, on the loop's clock."""
        self.stamps = array("q")
        """Its RTP timestamp."""
        self.messages: asyncio.Queue[str | bytes] = asyncio.Queue()
        self.open = asyncio.Event()
        self.channel = self.peer.createDataChannel(channel) if channel is not None else None
        if self.channel is not None:
            self.channel.on("open", self.open.set)
            self.channel.on("message", self.messages.put_nowait)
        self._recorders: list[asyncio.Task[None]] = []
        self._changed = asyncio.Event()
        self.peer.on("connectionstatechange", self._changed.set)
        self.peer.on("track", self._record)

    @property
    def speaks(self) -> bool:
        """Whether the tone is being said; silence otherwise."""
        return self._microphone.speaks

    @speaks.setter
    def speaks(self, speaks: bool) -> None:
        self._microphone.speaks = speaks

    @property
    def spoken(self) -> float:
        """Seconds of the tone that were said."""
        return self._microphone.spoken

    async def offer(self) -> str:
        """The offer's text."""
        await self.peer.setLocalDescription(await self.peer.createOffer())
        return self.peer.localDescription.sdp

    async def answer(self, text: str) -> None:
        """Take the answer; the call begins."""
        await self.peer.setRemoteDescription(RTCSessionDescription(text, "answer"))

    async def reaches(self, state: str) -> None:
        """Wait until the connection is in that state."""
        async with asyncio.timeout(DEADLINE):
            while self.peer.connectionState != state:
                self._changed.clear()
                await self._changed.wait()

    async def hears_its_tone(self, seconds: float = 1.0) -> None:
        """Wait until that much of what came back last is the tone that was said, and nothing else."""
        needed = int(seconds * 48000)
        share = 0.0
        try:
            async with asyncio.timeout(DEADLINE):
                while True:
                    if len(self.heard) >= needed:
                        share = share_of_tone(self.heard[-needed:], self.frequency, 48000)
                        if share > 0.95:
                            return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            raise AssertionError(f"{len(self.heard) / 48000:.1f} s came back, {share:.0%} of it the tone") from None

    def silences(self, first: int, end: int) -> list[int]:
        """Milliseconds of each silence of a frame or longer within what pieces `first` to `end`, of 20 ms, said."""
        piece = self.rate // 50
        found = spans(self.heard[piece * first : piece * end], self.rate, gap=0.02)
        return [round(1000 * (after[0] - before[1])) for before, after in pairwise(found)]

    def remote_candidates(self) -> list[RTCIceCandidate]:
        """The addresses that the answer offered."""
        assert self.peer.sctp is not None
        return self.peer.sctp.transport.transport.getRemoteCandidates()

    def _record(self, track: MediaStreamTrack) -> None:
        self._recorders.append(asyncio.ensure_future(self._run_recorder(track)))

    async def _run_recorder(self, track: MediaStreamTrack) -> None:
        try:
            while True:
                frame = await track.recv()
                assert isinstance(frame, av.AudioFrame)
                samples = array("h", bytes(frame.planes[0])[: frame.samples * 2 * len(frame.layout.channels)])
                self.came.append(asyncio.get_running_loop().time())
                assert frame.pts is not None
                self.stamps.append(frame.pts)
                self.heard.extend(samples[:: len(frame.layout.channels)])
        except MediaStreamError:
            pass

    async def close(self) -> None:
        """Hang up."""
        for recorder in self._recorders:
            recorder.cancel()
        await self.peer.close()


@asynccontextmanager
async def aiortc_caller(
    frequency: float = 440.0, channel: str | None = "oai-events", codec: str | None = None
) -> AsyncIterator[AiortcCaller]:
    """A caller that hangs up at the end."""
    caller = AiortcCaller(frequency, channel, codec)
    try:
        yield caller
    finally:
        await caller.close()
