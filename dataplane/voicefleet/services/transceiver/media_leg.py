"""The half of a call that lives on the media loop: its paths, its audio, and an agent that is quick enough for it.

Packets come in with the path they took and leave on the path that ICE has chosen. What is slow (the handshake after its
first flight, data channels, the agent) is told to the other half, in order, and nothing here waits for it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from voicefleet.agents.link import InlineAgent
from voicefleet.core.ice_lite import Answer, IceLite, Path
from voicefleet.core.media.frame import AudioFrame
from voicefleet.core.media.measurements import Measurements
from voicefleet.core.media.pacing import Flushed
from voicefleet.core.media.stream import AudioStream
from voicefleet.core.media.telephone_event import KeyPress
from voicefleet.core.transceiver.early_media import EarlyMedia
from voicefleet.core.transceiver.path_probes import PathProbes
from voicefleet.core.transceiver.schedule import NEVER
from voicefleet.net.dtls import Dtls
from voicefleet.net.pcm_port import PcmPort
from voicefleet.wire.demux import FIRST_OCTET, PacketKind, classify

LOOK_AT_PATHS: Final = 0.1
"""Seconds between looks for a silent path where there is another one; a fail-over is late by so much at most."""
LOOK_AT_CONSENT: Final = 1.0
_DTLS: Final = PacketKind.DTLS
_MEDIA: Final = tuple(kind in (PacketKind.RTP, PacketKind.RTCP) for kind in FIRST_OCTET)


class Send(Protocol):
    """Sends a packet to the client on a path."""

    def __call__(self, path: Path, packet: bytes) -> None: ...


class OtherHalf(Protocol):
    """The half on the event loop. It is called there, in the order in which things happened here."""

    def on_first_check(self, now: float) -> None:
        """The client can be reached, and has been sent the first flight; the handshake is yours from now on."""

    def on_dtls(self, datagram: bytes, now: float) -> None:
        """A DTLS datagram."""

    def on_audio(self, frames: Sequence[AudioFrame]) -> None:
        """The caller's audio, as it was encoded."""

    def on_keys(self, keys: Sequence[KeyPress]) -> None:
        """Keys that the caller pressed."""

    def on_silence(self) -> None:
        """The client's consent has run out."""

    def on_failure(self, error: Exception) -> None:
        """Something in here went wrong; the call can't go on."""

    def on_inline_message(self, channel: str, message: str | bytes) -> None:
        """The inline agent says this on a data channel."""

    def on_left(self, now: float, round_trip: float | None) -> None:
        """The sound that was waited for has begun to leave."""

    def on_closed(self, last: "LegRecord") -> None:
        """This half is gone."""

    def on_looked(self, leg: "LegRecord") -> None:
        """What this half knows now; told every now and then."""

    def on_path_measured(self, pool: str, seconds: float) -> None:
        """The round trip between the client and a relay of this pool."""


@dataclass(frozen=True, slots=True)
class LegRecord:
    """What a leg knew when it was closed, or when somebody asked. Moments are on the monotonic clock."""

    first_check: float | None
    first_audio_in: float | None
    first_audio_out: float | None
    relay: tuple[str, int] | None
    client: tuple[str, int] | None
    paths: int
    switches: int
    restarts: int
    refused: dict[str, int]
    measurements: Measurements | None


Aside = Callable[..., None]
"""(method of the other half, *arguments): to be called on the event loop, soon."""


class MediaLeg:
    """One call on the media loop. Everything in it belongs to that loop's thread."""

    __slots__ = (
        "_agent",
        "_awaited",
        "_dtls",
        "_early",
        "_first_audio_in",
        "_first_audio_out",
        "_first_check",
        "_look_at",
        "_send",
        "aside",
        "audio",
        "closed",
        "due",
        "ice",
        "now",
        "other",
        "port",
        "probes",
        "refused",
        "taken_ms",
    )

    def __init__(
        self, ice: IceLite, dtls: Dtls, agent: InlineAgent | None, other: OtherHalf, aside: Aside, send: Send
    ) -> None:
        self.ice = ice
        self.audio: AudioStream | None = None
        self.port: PcmPort | None = None
        self.probes: PathProbes | None = None
        """Asks the client for round trips, path by path."""
        self.refused: Counter[str] = Counter()
        self.due = NEVER
        self.closed = False
        self.now = ice.started_at
        """While the inline agent is being called: the moment."""
        self.taken_ms = 0.0
        """Of what the agent has said: how much this loop has heard of."""
        self._dtls = dtls
        self._agent = agent
        self.other = other
        self.aside = aside
        self._send = send
        self._early = EarlyMedia()
        self._awaited: float | None = None
        self._look_at = ice.started_at + LOOK_AT_CONSENT
        self._first_check: float | None = None
        self._first_audio_in: float | None = None
        self._first_audio_out: float | None = None

    # What comes from the client.

    def on_check(self, path: Path, datagram: bytes, now: float) -> Answer:
        """A STUN packet for this call; the answer has been sent, with the first flight of DTLS behind the first."""
        ice = self.ice
        answer = ice.on_datagram(datagram, path, now)
        if answer.datagram is not None:
            self._send(path, answer.datagram)
        if self._first_check is None and ice.chosen is not None:
            self._first_check = now
            try:
                for flight in self._dtls.start(now):
                    self._send(path, flight)
            except Exception as error:
                self.aside(self.other.on_failure, error)
            self.aside(self.other.on_first_check, now)
        return answer

    def on_packet(self, path: Path, packet: bytes, now: float) -> None:
        """Any other packet that came by one of this call's paths, or claims to be of this call.

        Whatever goes wrong in here is this call's end, and no other's.
        """
        try:
            audio = self.audio
            if audio is not None and len(packet) > 1 and _MEDIA[packet[0]]:
                self._on_media(audio, path, packet, now)
            else:
                self._take(path, packet, now)
        except Exception as error:
            self.aside(self.other.on_failure, error)

    def _take(self, path: Path, packet: bytes, now: float) -> None:
        if self.audio is None and packet and _MEDIA[packet[0]]:
            self._early.keep(path, packet, now)
        elif packet and classify(packet) is _DTLS:
            if self._first_check is not None:
                self.aside(self.other.on_dtls, packet, now)
        else:
            self.refused["neither_dtls_nor_media"] += 1

    def _on_media(self, audio: AudioStream, path: Path, packet: bytes, now: float) -> None:
        if not 192 <= packet[1] <= 223:  # RTP and not RTCP (RFC 5761)
            uplink = audio.uplink
            highest = uplink.reception.highest
            if audio.on_srtp(packet, now):
                if self._first_audio_in is None:
                    self._first_audio_in = now
                self.ice.on_media(path, uplink.reception.highest != highest, now)
                if uplink.buffer.ready or uplink.keys:
                    self._hand_over(audio, now)
        elif audio.on_srtcp(packet, now):
            self.ice.on_media(path, False, now)

    # What the other half says.

    def open_audio(self, audio: AudioStream, port: PcmPort | None, now: float) -> None:
        """The keys are there: what came early is heard now."""
        self.audio = audio
        self.port = port
        if self._agent is not None:
            self.now = now
            self._agent.on_start(_Inline(self, audio))
        for arrived, path, packet in self._early.take():
            self._on_media(audio, path, packet, arrived)

    def transmit(self, datagrams: Sequence[bytes]) -> None:
        """Send what is neither STUN nor media."""
        path = self.ice.chosen
        if path is not None:
            for datagram in datagrams:
                self._send(path, datagram)

    def say(self, audio: bytes, length_ms: float, now: float) -> None:
        """Queue PCM or an encoded frame, for which the voice has found room."""
        self.taken_ms += length_ms
        if self.port is not None:
            self.port.say(audio)
            self.port.refill(now)
        elif self.audio is not None:
            try:
                self.audio.say(audio, now)
            except ValueError:
                self.refused["no_frame_to_say"] += 1

    def await_departure(self) -> None:
        """Tell when what is said next begins to leave."""
        if self.audio is not None:
            queued = self.port.queued_ms if self.port is not None else self.audio.playout.queued_ms
            self._awaited = self.audio.playout.played_ms + queued

    def finish(self, now: float) -> None:
        """The agent's turn is complete."""
        if self.port is not None:
            self.port.finish()
            self.port.refill(now)

    def refill(self, now: float) -> None:
        """A codec has something for the sending clock that can't wait for the next turn."""
        if self.port is not None:
            self.port.refill(now)

    def hush(self) -> Flushed:
        """Drop what has not left."""
        self._awaited = None
        if self.port is not None:
            return self.port.flush()
        return self.audio.flush() if self.audio is not None else Flushed(0.0, 0.0)

    def message(self, channel: str, message: str | bytes, now: float) -> None:
        """A data channel's message for the inline agent."""
        if self._agent is not None:
            self.now = now
            self._agent.on_message(channel, message)

    def close(self, goodbyes: Sequence[bytes], now: float) -> None:
        """BYE, then what else there is to say; nothing happens afterwards."""
        self.closed = True
        path = self.ice.chosen
        if path is not None and self.audio is not None:
            for packet in self.audio.goodbye(now):
                self._send(path, packet)
        self.transmit(goodbyes)
        self.aside(self.other.on_closed, self.record())
        self.audio = self.port = self._agent = None

    # What time brings.

    def poll(self, now: float) -> None:
        """Send what is due, hand over what was heard, notice what has run out."""
        audio = self.audio
        if audio is not None:
            packets = audio.poll(now)
            path = self.ice.chosen
            if packets and path is not None:
                if self._first_audio_out is None and audio.playout.played:
                    self._first_audio_out = now
                send = self._send
                for packet in packets:
                    send(path, packet)
                if self._awaited is not None and audio.playout.played_ms > self._awaited:
                    self._awaited = None
                    self.aside(self.other.on_left, now, audio.round_trip.value)
            if self.port is not None:
                self.port.refill(now)
            if audio.uplink.buffer.ready:
                self._hand_over(audio, now)
        if now >= self._look_at:
            self._look_at_ice(now)

    @property
    def sooner(self) -> bool:
        """Whether `next_deadline()` may have come nearer since it was asked last."""
        audio = self.audio
        return audio is None or audio.sooner or audio.uplink.sooner

    def next_deadline(self) -> float:
        """When `poll` has something to do."""
        return self._look_at if self.audio is None else min(self.audio.next_deadline(), self._look_at)

    def record(self) -> LegRecord:
        """What is known of this leg now."""
        path, ice = self.ice.chosen, self.ice
        return LegRecord(
            first_check=self._first_check,
            first_audio_in=self._first_audio_in,
            first_audio_out=self._first_audio_out,
            relay=path.relay if path is not None else None,
            client=path.client if path is not None else None,
            paths=len(ice.paths),
            switches=ice.switches,
            restarts=ice.rounds,
            refused=dict(self.refused + Counter({"early_media": self._early.dropped})),
            measurements=self.audio.measurements() if self.audio is not None else None,
        )

    def _look_at_ice(self, now: float) -> None:
        ice = self.ice
        if ice.expired(now):
            self._look_at = NEVER
            self.aside(self.other.on_silence)
            return
        ice.reconsider(now)
        self._look_at = now + (LOOK_AT_PATHS if len(ice.paths) > 1 else LOOK_AT_CONSENT)

    def _hand_over(self, audio: AudioStream, now: float) -> None:
        if audio.uplink.buffer.ready:
            frames = audio.take_audio()
            agent = self._agent
            if agent is not None:
                self.now = now
                for frame in frames:
                    agent.on_audio(frame)
            elif self.port is not None:
                self.port.heard(frames)
            else:
                self.aside(self.other.on_audio, frames)
        if audio.uplink.keys:
            self.aside(self.other.on_keys, audio.take_keys())


class _Inline:
    """The voice of an inline agent."""

    __slots__ = ("_audio", "_leg")

    def __init__(self, leg: MediaLeg, audio: AudioStream) -> None:
        self._leg = leg
        self._audio = audio

    def say(self, payload: bytes) -> bool:
        """Queue one encoded frame."""
        try:
            return self._audio.say(payload, self._leg.now)
        except ValueError:
            self._leg.refused["no_frame_to_say"] += 1
            return False

    def hush(self) -> Flushed:
        """Drop what has not left."""
        return self._leg.hush()

    def tell(self, channel: str, message: str | bytes) -> None:
        """Send on a data channel."""
        self._leg.aside(self._leg.other.on_inline_message, channel, message)
