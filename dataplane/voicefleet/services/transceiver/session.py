"""The half of a call that lives on the event loop: its data channels, its agent, and its end.

The other half, `MediaLeg`, lives on the media loop; the two tell each other what happens and never wait for each other.
The order of a call's life: its first check starts the handshake, the handshake's keys start audio and the agent, its
end the data channels. The call ends by hang-up, by the client's goodbye, by its silence, by its agent, or by a failed
handshake. After `end` the client and the agent hear nothing any more; what remains is the record.
"""

import asyncio
import random
import secrets
from collections import Counter
from collections.abc import Callable, Sequence
from time import monotonic, time
from typing import Any, Final, TypeVar

from voicefleet.agents.link import Agent, InlineAgent
from voicefleet.core.ice_lite import IceLite
from voicefleet.core.media.coding import AudioTerms, Coding
from voicefleet.core.media.frame import AudioFrame
from voicefleet.core.media.pacing import CAPACITY, Flushed
from voicefleet.core.media.patience import Profile
from voicefleet.core.media.stream import AudioStream
from voicefleet.core.media.telephone_event import KeyPress
from voicefleet.core.sdp.answer import CNAME
from voicefleet.core.sdp.offer import Offer
from voicefleet.core.turns.budget import Budget, TurnTimes
from voicefleet.net.codec_threads import CodecThreads
from voicefleet.net.dtls import Dtls
from voicefleet.net.pcm_port import PcmFrame, PcmPort, codec
from voicefleet.net.sctp_adapter import EVENTS, Sent
from voicefleet.net.srtp import Srtp
from voicefleet.observability import logs
from voicefleet.services.transceiver.agent_seat import AgentSeat
from voicefleet.services.transceiver.data_channels import LAST_WORD, DataChannels
from voicefleet.services.transceiver.events import CallEvents
from voicefleet.services.transceiver.handshake import Handshake
from voicefleet.services.transceiver.life import Life
from voicefleet.services.transceiver.media_leg import LegRecord, MediaLeg, Send
from voicefleet.services.transceiver.media_loop import MediaLoop
from voicefleet.services.transceiver.record import EndCause, SessionRecord

GOODBYE: Final = "voicefleet.goodbye"
"""Type of the last event of a call that the transceiver ends."""
SCTP_PORT: Final = 5000
REMOTE_MESSAGE: Final = 65536
"""What a client takes in one message if its offer does not say (RFC 8841 section 6.1)."""
ECHO_IN_HAND: Final = 0.06
"""Seconds that an inline agent starts with: it speaks as the network lets the caller be heard, and not steadily. As
much as the jitter buffer waits for a late packet at most in a conversation."""


_Answer = TypeVar("_Answer")


class Session:
    """A call. Belongs to the event loop; a `Voice` to its agent."""

    def __init__(
        self,
        *,
        call_id: str,
        offer: Offer,
        terms: AudioTerms | None,
        config: dict[str, Any],
        ice: IceLite,
        ssrc: int,
        agent: Agent,
        dtls: Dtls,
        media: MediaLoop,
        send: Send,
        codecs: CodecThreads,
        on_end: Callable[["Session", Sequence[bytes]], None],
        on_closed: Callable[["Session", SessionRecord], None],
        on_looked: Callable[[SessionRecord], None],
        on_path_measured: Callable[[str, str, float], None],
        on_turn: Callable[[TurnTimes], None],
        budget: Budget,
        fingerprint: bytes,
    ) -> None:
        self.call_id = call_id
        self.offer = offer
        self.terms = terms
        self.config = config
        self.ssrc = ssrc
        self.life = Life()
        self.answered_at = self.life.began_at
        self.fingerprint: Final = fingerprint
        """Of our certificate, as the answer stated it."""
        self.description_id: Final = secrets.randbits(62)
        self.version = 1
        """Of our session description; an ICE restart counts it up."""
        self.refused: Counter[str] = Counter()
        self._said_ms = 0.0
        inline = agent if isinstance(agent, InlineAgent) else None
        self._seat = None if isinstance(agent, InlineAgent) else AgentSeat(agent, self, self.life)
        self._media = media
        self._handshake = Handshake(dtls, self, self._transmit)
        self._codecs = codecs
        self._on_end = on_end
        self._on_closed = on_closed
        self._on_looked = on_looked
        self._on_path_measured = on_path_measured
        self._channels: DataChannels | None = None
        self.events = CallEvents(budget, lambda event: self.tell(EVENTS, event), on_turn)
        self.leg = MediaLeg(ice, dtls, inline, self, media.aside, send)

    def begin(self) -> None:
        """The call was taken."""
        if self._seat is not None:
            self._seat.attend()

    # What the media loop tells (media_leg.OtherHalf).

    def on_first_check(self, now: float) -> None:
        """The handshake has begun."""
        self._handshake.begun(now)

    def on_dtls(self, datagram: bytes, now: float) -> None:
        """A DTLS datagram."""
        if self.life.cause is not None:
            return
        for data in self._handshake.on_datagram(datagram, now):
            if self._channels is not None:
                self._channels.put(data, now)
        self._handshake.go_on(now)

    def on_audio(self, frames: Sequence[AudioFrame]) -> None:
        """The caller's audio, as it was encoded."""
        if self._seat is not None:
            now = monotonic()
            for frame in frames:
                self.events.meter.heard(frame.captured, now)
            self._seat.tell(self._seat.link.on_audio, frames)

    def on_pcm(self, frame: PcmFrame) -> None:
        """The caller's audio, decoded."""
        if self._seat is not None:
            self.events.meter.heard(frame.captured, monotonic())
            self._seat.tell(self._seat.link.on_pcm, (frame,))

    def on_keys(self, keys: Sequence[KeyPress]) -> None:
        """Keys that the caller pressed."""
        if self._seat is not None:
            self._seat.tell(self._seat.link.on_keys, keys)

    def on_silence(self) -> None:
        """The client's consent has run out."""
        self.end(EndCause.SILENCE, "the client fell silent")

    def on_failure(self, error: Exception) -> None:
        """Something on the media loop went wrong."""
        logs.for_session(__name__, self.call_id).error("call failed", exc_info=error)
        self.end(EndCause.FAILED, "internal error")

    def on_left(self, now: float, round_trip: float | None) -> None:
        """The first sound of an answer has left."""
        known = round_trip if round_trip is not None else self._handshake.dtls.round_trip
        self.events.left(now, None if known is None else known / 2)

    def on_inline_message(self, channel: str, message: str | bytes) -> None:
        """The inline agent says this on a data channel."""
        self.tell(channel, message)

    def on_closed(self, last: LegRecord) -> None:
        """The other half is gone."""
        self._on_closed(self, self.record(last))

    def on_looked(self, leg: LegRecord) -> None:
        """The other half tells how the call is."""
        if self.life.cause is None:
            self._on_looked(self.record(leg))

    def on_path_measured(self, pool: str, seconds: float) -> None:
        """The round trip between the client and a relay of this pool."""
        self._on_path_measured(self.call_id, pool, seconds)

    # What the handshake tells (handshake.HandshakeEvents).

    def on_media_keys(self, srtp: Srtp, now: float) -> None:
        """Audio can flow, and the agent may speak."""
        if self.terms is not None:
            self._open_audio(self.terms, srtp, now)
        if self._seat is not None:
            self._seat.serve()

    def on_secured(self, now: float) -> None:
        """Data channels can be opened."""
        application = self.offer.application
        if application is not None:
            handshake = self._handshake
            self._channels = DataChannels(handshake.send, self, self.refused, now, client=handshake.dtls.client)
            self.life.run(
                self._serve_channels(
                    self._channels, application.sctp_port or SCTP_PORT, application.max_message_size or REMOTE_MESSAGE
                )
            )

    # What the client's data channels tell (data_channels.ChannelEvents).

    def on_channel(self, channel: str, opened: bool) -> None:
        """A data channel is open, or gone."""
        if self._seat is not None:
            self._seat.tell(self._seat.link.on_channel, channel, opened)

    async def on_message(self, channel: str, message: str | bytes) -> None:
        """A message on a data channel."""
        if self._seat is not None:
            await self._seat.message(channel, message)
        elif self.life.cause is None:
            self._post(lambda now: self.leg.message(channel, message, now))

    # What the agent does (voicefleet.agents.link.Voice).

    @property
    def coding(self) -> Coding | None:
        """How the caller's audio is encoded."""
        return self.terms.coding if self.terms is not None else None

    @property
    def queued_ms(self) -> float:
        """Milliseconds of the agent's audio that have not left; read beside the loop that changes it."""
        leg = self.leg
        on_the_way = self._said_ms - leg.taken_ms
        if leg.port is not None:
            return on_the_way + leg.port.queued_ms
        return on_the_way + (leg.audio.playout.queued_ms if leg.audio is not None else 0.0)

    def say(self, audio: bytes) -> bool:
        """Queue audio."""
        if self.terms is None:
            return False  # a call of data channels alone
        length = self._length_ms(audio, self.terms)
        if self.life.cause is not None or self.queued_ms + length > CAPACITY * 1000:
            return False
        if self.events.meter.awaits_audio:
            self.events.meter.audio(monotonic())
            self._post(lambda _now: self.leg.await_departure())
        self._said_ms += length
        self._post(lambda now: self.leg.say(audio, length, now))
        return True

    def finish(self) -> None:
        """The agent's turn is complete."""
        self._post(self.leg.finish)

    async def hush(self) -> Flushed:
        """Drop what has not left; how many milliseconds were really played."""
        return await self._ask(lambda _now: self.leg.hush())

    def tell(self, channel: str, message: str | bytes) -> Sent:
        """Send on a data channel."""
        if channel == EVENTS and isinstance(message, str):
            self.events.told(message, monotonic())
        return self._channels.send(channel, message) if self._channels is not None else Sent.NOT_OPEN

    def last_word(self, ago: float) -> None:
        """When the caller said the last word of a turn."""
        self.events.meter.last_word(ago)

    def listen(self, profile: Profile) -> None:
        """What matters more from now on."""
        self._post(lambda _now: _set_profile(self.leg, profile))

    # The end.

    def say_goodbye(self, reason: str) -> None:
        """Tell the client on its data channels that the call will end, and why."""
        if self._channels is not None:
            self._channels.tell_all({"type": GOODBYE, "reason": reason})

    async def take_leave(self, reason: str) -> None:
        """The same, and leave the client a moment to take it with all that was said before."""
        self.say_goodbye(reason)
        try:
            async with asyncio.timeout(LAST_WORD):
                while not self.delivered:  # noqa: ASYNC110 - acknowledgements have no event in aiortc
                    await asyncio.sleep(LAST_WORD / 50)
        except TimeoutError:
            pass  # it was told as well as could be

    @property
    def delivered(self) -> bool:
        """Whether all messages have left."""
        return self._channels is None or self._channels.delivered

    def end(self, cause: EndCause, reason: str) -> None:
        """End the call: BYE and close_notify to the client; the agent's task is cancelled."""
        if self.life.end(cause, reason):
            self._on_end(self, self._handshake.close(monotonic()))

    async def look(self) -> SessionRecord:
        """The call as it is now."""
        leg = await self._ask(lambda _now: self.leg.record())
        return self.record(leg)

    def record(self, leg: LegRecord) -> SessionRecord:
        """The call as it is now, with what its other half knows."""
        life, after = self.life, self.life.since_began
        return SessionRecord(
            call_id=self.call_id,
            age=life.age(),
            cause=life.cause,
            reason=life.reason,
            answer=self.answered_at - life.began_at,
            first_check=after(leg.first_check),
            dtls_done=after(self._handshake.done_at),
            first_audio_in=after(leg.first_audio_in),
            first_audio_out=after(leg.first_audio_out),
            handshake_round_trip=self._handshake.dtls.round_trip,
            leg=leg,
            turns=self.events.turns,
            longest_wait=self.events.longest_wait,
            overruns={share.value: count for share, count in self.events.overruns.items()},
            refused=dict(self.refused),
            version=self.version,
        )

    # Inside.

    def _open_audio(self, terms: AudioTerms, srtp: Srtp, now: float) -> None:
        audio = AudioStream(
            terms,
            srtp,
            ssrc=self.ssrc,
            cname=CNAME,
            now=now,
            wall_offset=time() - now,
            random=random.Random(),
            prebuffer=0.0 if self._seat is not None else ECHO_IN_HAND,
        )
        round_trip = self._handshake.dtls.round_trip
        if round_trip is not None:
            audio.hint_round_trip(round_trip)
        port = None
        rate = self._pcm_rate
        if rate is not None:
            port = PcmPort(
                audio,
                *codec(terms.coding, rate),
                self._codecs,
                on_pcm=self.on_pcm,
                on_encoded=lambda: self._post(self.leg.refill),
            )
        self._post(lambda now: self.leg.open_audio(audio, port, now))

    async def _serve_channels(self, channels: DataChannels, port: int, largest: int) -> None:
        reason = await channels.run(port, largest)
        logs.for_session(__name__, self.call_id).info("data channels ended", reason=reason)

    @property
    def _pcm_rate(self) -> int | None:
        return self._seat.link.pcm_rate if self._seat is not None else None

    def _length_ms(self, audio: bytes, terms: AudioTerms) -> float:
        rate = self._pcm_rate
        if rate is not None:
            return len(audio) * 500 / rate
        return terms.coding.samples_of(audio) * 1000 / terms.coding.clock_rate

    def _post(self, work: Callable[[float], None]) -> None:
        """Have something done on the media loop; its mistakes end this call and no other."""
        leg, media = self.leg, self._media
        media.post(lambda now: media.guarded(leg, work, now))

    async def _ask(self, question: Callable[[float], _Answer]) -> _Answer:
        """Have something answered by the media loop. Waits for ever if the call ends meanwhile: its end cancels."""
        answer: asyncio.Future[_Answer] = asyncio.get_running_loop().create_future()
        self._post(lambda now: self._media.aside(_settle, answer, question(now)))
        return await answer

    def _transmit(self, datagrams: Sequence[bytes]) -> None:
        self._post(lambda _now: self.leg.transmit(datagrams))


def _settle(answer: "asyncio.Future[_Answer]", value: _Answer) -> None:
    if not answer.done():
        answer.set_result(value)


def _set_profile(leg: MediaLeg, profile: Profile) -> None:
    if leg.audio is not None:
        leg.audio.profile = profile
