"""A call between two `AudioStream`s over two impaired paths, on a virtual clock: a minute takes a second.

Both ends are the product's own code, so what is shown is that it works with itself; that it speaks to others is shown
by the browser and integration tests.
"""

from collections.abc import Callable
from dataclasses import replace
from random import Random

from tests.support.impaired_path import ImpairedPath, Impairment
from voicefleet.core.media.coding import OPUS, AudioTerms
from voicefleet.core.media.frame import AudioFrame, FrameKind
from voicefleet.core.media.patience import CONVERSATIONAL, Profile
from voicefleet.core.media.protection import ProtectionError, SealBroken
from voicefleet.core.media.redundancy import DownlinkReport, Redundancy
from voicefleet.core.media.stream import AudioStream
from voicefleet.wire.demux import PacketKind, classify

FRAME = 0.02
TERMS = AudioTerms(OPUS, 111, nack=True, reduced_size=True)
WALL = 1_767_225_600.0
"""Unix time at which the virtual clock is zero."""


class Clear:
    """No secrecy, but what the core relies on: a seal that shows damage (one octet), and replays are refused."""

    def __init__(self) -> None:
        self._seen: dict[bytes, None] = {}
        self._index = 0

    def seal_rtp(self, packet: bytes) -> bytes:
        return packet + bytes((sum(packet) & 0xFF,))

    def seal_rtcp(self, compound: bytes) -> bytes:
        self._index += 1
        return self.seal_rtp(compound + self._index.to_bytes(4))

    def open_rtp(self, packet: bytes) -> bytes:
        if len(packet) < 13:
            raise ProtectionError(SealBroken.MALFORMED)
        if sum(packet[:-1]) & 0xFF != packet[-1]:
            raise ProtectionError(SealBroken.NOT_AUTHENTIC)
        if packet in self._seen:
            raise ProtectionError(SealBroken.REPLAYED)
        self._seen[packet] = None
        if len(self._seen) > 512:
            del self._seen[next(iter(self._seen))]
        return packet[:-1]

    def open_rtcp(self, compound: bytes) -> bytes:
        return self.open_rtp(compound)[:-4]


class Always:
    """A redundancy policy that has decided."""

    def __init__(self, copies: int) -> None:
        self._redundancy = Redundancy(copies, 0)

    def decide(self, report: DownlinkReport, now: float) -> Redundancy:
        return self._redundancy


def spoken(index: int, size: int = 60) -> bytes:
    """A frame that is an Opus packet by its first octet (20 ms, SILK wideband) and tells which one it is."""
    return b"\x48" + index.to_bytes(4) + bytes(size)


def index_of(frame: AudioFrame) -> int:
    return int.from_bytes(frame.payload[1:5])


class Call:
    """Caller and transceiver. The caller speaks `spoken(n)` for n = 0, 1, ... unless told to be silent."""

    def __init__(
        self,
        up: Impairment,
        down: Impairment | None = None,
        *,
        profile: Profile = CONVERSATIONAL,
        terms: AudioTerms = TERMS,
        seed: int = 1,
        fate: Callable[[int], bool] | None = None,
        copies: int | None = None,
    ) -> None:
        self.now = 100.0
        random = Random(seed)
        self.up = ImpairedPath(up, Random(seed + 1), fate)
        self.down = ImpairedPath(down or replace(up, loss=0.0, bursts=None), Random(seed + 2))
        common = {"terms": terms, "now": self.now, "wall_offset": WALL, "random": random}
        self.caller = AudioStream(
            **common,  # type: ignore[arg-type]
            protection=Clear(),
            ssrc=0x1111,
            cname="caller",
            redundancy=None if copies is None else Always(copies),
        )
        self.server = AudioStream(**common, protection=Clear(), ssrc=0x2222, cname="server", profile=profile)  # type: ignore[arg-type]
        if copies is not None:
            self.caller.sender.copies = copies
        self.heard: list[tuple[float, AudioFrame]] = []
        """What the agent got, and when."""
        self.caller_heard: list[tuple[float, AudioFrame]] = []
        self.said_at: dict[int, float] = {}
        self.caller_speaks = True
        self.speech: list[bytes] | None = None
        """Frames to say instead."""
        self._words = 0
        self._next_word = self.now

    def run(self, seconds: float) -> "Call":
        """Let time pass, from one event to the next."""
        end = self.now + seconds
        while True:
            at = min(
                self._next_word if self.caller_speaks else float("inf"),
                self.up.next_arrival(),
                self.down.next_arrival(),
                self.caller.next_deadline(),
                self.server.next_deadline(),
            )
            if at > end:
                self.now = end
                self._next_word = max(self._next_word, end)
                return self
            self.now = max(self.now, at)
            self._step()

    def _step(self) -> None:
        now = self.now
        if self.caller_speaks and now >= self._next_word:
            if self.speech is None:
                self.caller.say(spoken(self._words), now)
            elif self._words < len(self.speech):
                self.caller.say(self.speech[self._words], now)
            else:
                self.caller_speaks = False
                return
            self.said_at[self._words] = now
            self._words += 1
            self._next_word += FRAME
        for path, stream in ((self.up, self.server), (self.down, self.caller)):
            for _, datagram in path.arrived(now):
                if classify(datagram) is PacketKind.RTCP:
                    stream.on_srtcp(datagram, now)
                else:
                    stream.on_srtp(datagram, now)
        for stream, path, heard in (
            (self.server, self.down, self.heard),
            (self.caller, self.up, self.caller_heard),
        ):
            if stream.next_deadline() <= now:
                for datagram in stream.poll(now):
                    path.send(datagram, now)
            heard += [(now, frame) for frame in stream.take_audio()]

    def words(self) -> list[int]:
        """Which of the caller's words the agent heard, in the order in which it heard them."""
        return [index_of(frame) for _, frame in self.heard if frame.kind is FrameKind.HEARD and len(frame.payload) > 5]

    def kinds(self) -> list[FrameKind]:
        return [frame.kind for _, frame in self.heard]
