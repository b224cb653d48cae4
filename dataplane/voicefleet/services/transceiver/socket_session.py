"""A call whose sound goes in events over one WebSocket: for networks that block UDP, and for servers that call.

It has what any call has: an agent, turns, a record, its place among the calls that a worker takes. Sound that the agent
says goes to the client at once, as the real service has it, and the client plays it; what it can have played by now is
reckoned, so that an agent may wait for it, and every delta says where it begins and how far the client is ahead.
"""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

from voicefleet.agents.link import AgentLink
from voicefleet.core.media.coding import Coding
from voicefleet.core.media.frame import FrameKind
from voicefleet.core.media.g711 import Law, decode, encode
from voicefleet.core.media.pacing import Flushed
from voicefleet.core.media.patience import Profile
from voicefleet.core.realtime.client_events import ClientError, Door, appended, read_event
from voicefleet.core.realtime.server_events import WEBRTC_ONLY, Part, audio_delta, error, stamped
from voicefleet.core.realtime.session import audio_format
from voicefleet.core.turns.budget import Budget, TurnTimes
from voicefleet.net.pcm_port import PcmFrame
from voicefleet.net.sctp_adapter import EVENTS, Sent
from voicefleet.services.transceiver.agent_seat import AgentSeat
from voicefleet.services.transceiver.events import CallEvents
from voicefleet.services.transceiver.life import Life
from voicefleet.services.transceiver.media_leg import LegRecord
from voicefleet.services.transceiver.record import EndCause, SessionRecord

RATE: Final = 24_000
"""Samples a second of PCM in events."""
TO_ATTACH: Final = 10.0
"""Seconds for the client of a call that was taken to come."""
LOOK: Final = 10.0
"""Seconds between two records."""
_PIECE: Final = RATE // 10 * 2
"""Octets of PCM that the agent hears at once; other calls come in between."""
_LAWS: Final = {"audio/pcmu": Law.MU, "audio/pcma": Law.A}
_NO_LEG: Final = LegRecord(None, None, None, None, None, 0, 0, 0, {}, None)


class SocketSession:
    """One call. Belongs to the event loop; a `Voice` to its agent."""

    def __init__(
        self,
        *,
        call_id: str,
        config: dict[str, Any],
        link: AgentLink,
        on_closed: Callable[["SocketSession", SessionRecord], None],
        on_looked: Callable[[SessionRecord], None],
        on_turn: Callable[[TurnTimes], None],
        budget: Budget,
    ) -> None:
        self.call_id = call_id
        self.config = config
        self.coding: Coding | None = None
        self.life = Life()
        self.events = CallEvents(budget, lambda event: self.tell(EVENTS, event), on_turn)
        self._seat = AgentSeat(link, self, self.life)
        self._on_closed = on_closed
        self._on_looked = on_looked
        self._send: Callable[[str], bool] | None = None
        self._part = Part(self.events.ids.response(), self.events.ids.item())
        self._said = 0.0
        self._part_at = 0.0
        self._played_until = self.life.began_at
        self._formats = {"input": "audio/pcm", "output": "audio/pcm"}
        self._resamplers: dict[str, Callable[[bytes], bytes]] = {}
        self._attached_at: float | None = None
        self._first_in: float | None = None
        self._first_out: float | None = None
        self._refused: Counter[str] = Counter()

    def start(self) -> None:
        """Serve; the client is expected soon."""
        self._seat.attend()
        self._seat.serve()
        self.life.run(self._expect_client())
        self.life.run(self._look_now_and_then())

    # What the client does.

    def attach(self, send: Callable[[str], bool]) -> bool:
        """The client is here; false if it is already, or the call is over."""
        if self._attached_at is not None or self.life.cause is not None:
            return False
        self._attached_at = asyncio.get_running_loop().time()
        self._send = send
        self._seat.tell(self._seat.link.on_channel, EVENTS, True)
        return True

    async def heard(self, message: str) -> None:
        """A message of the client."""
        try:
            event = read_event(message, Door.WEBSOCKET)
            if event.type == "input_audio_buffer.append":
                await self._hear(appended(event))
                return
        except ClientError as wrong:
            self._refused[wrong.code] += 1
            self.tell(EVENTS, json.dumps(stamped(error(wrong), self.events.ids)))
            return
        await self.on_message(EVENTS, message)

    async def on_message(self, channel: str, message: str | bytes) -> None:
        """An event for the agent, of the client or from the side."""
        await self._seat.message(channel, message)

    async def _hear(self, audio: bytes) -> None:
        law = _LAWS.get(self._formats["input"])
        pcm = audio[: len(audio) & ~1] if law is None else self._resampled("input", decode(audio, law))
        for at in range(0, len(pcm), _PIECE):
            if self.life.cause is not None:
                return
            now = asyncio.get_running_loop().time()
            self._first_in = self._first_in or now
            piece = pcm[at : at + _PIECE]
            self.events.meter.heard(now - len(piece) / (2 * RATE), now)
            self._seat.tell(self._seat.link.on_pcm, (PcmFrame(FrameKind.HEARD, piece, now),))
            await asyncio.sleep(0)

    # What the agent does (voicefleet.agents.link.Voice).

    @property
    def queued_ms(self) -> float:
        """Milliseconds that the client has and can't have played yet."""
        return max(0.0, self._played_until - asyncio.get_running_loop().time()) * 1000

    def say(self, audio: bytes) -> bool:
        """Sound for the client."""
        send = self._send
        if self.life.cause is not None or send is None:
            return False
        now = asyncio.get_running_loop().time()
        meter = self.events.meter
        answers = meter.awaits_audio
        meter.audio(now)
        law = _LAWS.get(self._formats["output"])
        encoded = audio if law is None else encode(self._resampled("output", audio), law)
        length = len(audio) / (2 * RATE)
        where = {"start_ms": round((self._said - self._part_at) * 1000), "ahead_ms": round(self.queued_ms)}
        delta = stamped({**audio_delta(self._part, encoded), "voicefleet": where}, self.events.ids)
        self._said += length
        self._played_until = max(self._played_until, now) + length
        self._first_out = self._first_out or now
        taken = send(json.dumps(delta))
        if answers:
            self.events.left(asyncio.get_running_loop().time(), None)
        return taken

    def finish(self) -> None:
        """Nothing waits for more."""

    async def hush(self) -> Flushed:
        """What the client can't have played yet; it is the client that has to drop it."""
        dropped = self.queued_ms
        self._played_until = asyncio.get_running_loop().time()
        return Flushed(self._said * 1000 - dropped, dropped)

    def tell(self, channel: str, message: str | bytes) -> Sent:
        """An event for the client."""
        if channel != EVENTS or not isinstance(message, str):
            return Sent.NOT_OPEN
        event = self.events.told(message, asyncio.get_running_loop().time())
        if event is not None and not self._follow(event):
            return Sent.SENT
        if self._send is None or self.life.cause is not None:
            return Sent.NOT_OPEN
        return Sent.SENT if self._send(message) else Sent.FULL

    def last_word(self, ago: float) -> None:
        """When the caller said the last word of a turn."""
        self.events.meter.last_word(ago)

    def listen(self, profile: Profile) -> None:
        """TCP loses nothing, and can't be hurried."""

    def _follow(self, event: dict[str, Any]) -> bool:
        """What an event means for the sound; whether the client gets it."""
        kind = event.get("type")
        if kind == "response.content_part.added":
            self._part = Part(*(event[name] for name in ("response_id", "item_id", "output_index", "content_index")))
            self._part_at = self._said
        elif kind in ("session.created", "session.updated") and self.events.session is not None:
            formats = {way: audio_format(self.events.session, way) for way in ("input", "output")}
            if formats != self._formats:
                self._formats = formats
                self._resamplers.clear()
        return kind not in WEBRTC_ONLY

    def _resampled(self, way: str, pcm: bytes) -> bytes:
        """From a telephone's rate, or to it."""
        convert = self._resamplers.get(way)
        if convert is None:
            from voicefleet.net.telephone_audio import Resampler  # brings PyAV: 30 MiB, seldom needed

            convert = Resampler(*((8000, RATE) if way == "input" else (RATE, 8000))).convert
            self._resamplers[way] = convert
        return convert(pcm)

    # The end.

    def say_goodbye(self, reason: str) -> None:
        """Tell the client that the call will end, and why."""
        self.tell(EVENTS, json.dumps(stamped({"type": "voicefleet.goodbye", "reason": reason}, self.events.ids)))

    async def take_leave(self, reason: str) -> None:
        """The same; whoever writes the socket sees to its last words."""
        self.say_goodbye(reason)

    def end(self, cause: EndCause, reason: str) -> None:
        """End the call."""
        if self.life.end(cause, reason):
            self._on_closed(self, self.record())

    async def look(self) -> SessionRecord:
        """The call as it is now, as any call is asked."""
        return self.record()

    def record(self) -> SessionRecord:
        """The call as it is now."""
        life, after = self.life, self.life.since_began
        return SessionRecord(
            call_id=self.call_id,
            age=life.age(),
            cause=life.cause,
            reason=life.reason,
            answer=0.0,
            first_check=after(self._attached_at),
            dtls_done=None,
            first_audio_in=after(self._first_in),
            first_audio_out=after(self._first_out),
            handshake_round_trip=None,
            leg=_NO_LEG,
            turns=self.events.turns,
            longest_wait=self.events.longest_wait,
            overruns={share.value: count for share, count in self.events.overruns.items()},
            refused=dict(self._refused),
        )

    async def _expect_client(self) -> None:
        await asyncio.sleep(TO_ATTACH)
        if self._attached_at is None:
            self.end(EndCause.SILENCE, "the client did not come")

    async def _look_now_and_then(self) -> None:
        while True:
            await asyncio.sleep(LOOK)
            self._on_looked(self.record())
