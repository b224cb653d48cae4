"""The agent without a model: it says back what it heard, and speaks the Realtime protocol while it does.

A caller who says nothing in the protocol hears himself at once. From the first event of a client on it is a session as
with a model: turns by our own ear, one response for each, whose sound is the turn's; interruptions, push-to-talk,
cancelling, clearing and truncating as the real service has them. What it hears is not understood: a transcript says
how long it was, and a response to text is that text.
"""

import asyncio
import json
import math
import secrets
import time
from array import array
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from voicefleet.agents.link import Voice
from voicefleet.agents.turn_taking import TurnTaking
from voicefleet.core.media.frame import AudioFrame, FrameKind
from voicefleet.core.media.telephone_event import KeyPress
from voicefleet.core.realtime import items
from voicefleet.core.realtime import server_events as tells
from voicefleet.core.realtime.client_events import ClientError, ClientEvent, Door, read_event, refused
from voicefleet.core.realtime.conversation import Conversation, words_of
from voicefleet.core.realtime.ids import Ids
from voicefleet.core.realtime.items import Status
from voicefleet.core.realtime.server_events import Part, ServerEvent
from voicefleet.core.realtime.session import begun, turn_detection, updated
from voicefleet.core.realtime.shape import ShapeError
from voicefleet.core.turns.detector import TurnEnded, TurnStarted
from voicefleet.core.turns.rules import rules
from voicefleet.net.pcm_port import Decoder, PcmFrame, codec
from voicefleet.net.sctp_adapter import EVENTS

PCM_RATE: Final = 24_000
IN_HAND: Final = 3
"""Frames that an echo starts with: the caller speaks as the network lets him be heard, and not steadily."""
AHEAD: Final = 4
"""How many times as fast as it is heard a response is said: models are about as quick."""
_STEP: Final = 0.1
"""Seconds of sound that are said at a time."""
_LOOK: Final = 0.02
"""Seconds between looks at whether all that was said has left."""
_TONE_SECONDS: Final = 0.4


@dataclass(slots=True)
class _Response:
    """A response from its beginning until the last of its sound has left."""

    part: Part
    spoken: bool
    transcript: str
    metadata: dict[str, Any] | None
    open: bool = True
    """Whether `response.done` is still to come."""
    said_ms: float = 0.0
    playing: bool = False
    sounds: Sequence[bytes] = field(default_factory=tuple)
    piece_ms: float = 20.0


class Parrot:
    """One call's."""

    def __init__(self, door: Door, config: dict[str, Any]) -> None:
        self.pcm_rate: int | None = PCM_RATE if door is Door.WEBSOCKET else None
        self._door = door
        self._ids = Ids(secrets.token_hex)
        self._complaint: ShapeError | None = None
        try:
            self._session = begun(config, self._ids.session(), time.time())
        except ShapeError as wrong:
            self._session = begun({}, self._ids.session(), time.time())
            self._complaint = wrong
        self._conversation_id = self._ids.conversation()
        self._conversation = Conversation()
        self._turns = TurnTaking(PCM_RATE, rules(turn_detection(self._session)))
        self._in_session = door is Door.WEBSOCKET
        self._told = False
        self._voice: Voice | None = None
        self._decoder: Decoder | None = None
        self._tasks: asyncio.TaskGroup | None = None
        self._in_hand: list[bytes] | None = []
        self._item = self._ids.item()
        self._heard: Sequence[bytes] = ()
        self._response: _Response | None = None

    async def attend(self, voice: Voice) -> None:
        """There is nothing to prepare."""

    async def run(self, voice: Voice) -> str:
        """Serve until the caller hangs up."""
        self._voice = voice
        if voice.coding is not None and self.pcm_rate is None:
            self._decoder = codec(voice.coding, PCM_RATE)[0]
        async with asyncio.TaskGroup() as self._tasks:
            await asyncio.get_running_loop().create_future()
        return "nothing is left to say"

    # What comes from the caller.

    def on_audio(self, frames: Sequence[AudioFrame]) -> None:
        """Frames as the caller encodes them."""
        voice, decoder = self._voice, self._decoder
        if voice is None or voice.coding is None or decoder is None:
            return
        for frame in frames:
            payload = frame.payload if frame.kind is FrameKind.HEARD else b""
            if self._in_session:
                self._hear(payload, decoder.decode(frame), frame.samples / voice.coding.clock_rate)
            elif payload:
                self._say_back(voice, payload)

    def on_pcm(self, frames: Sequence[PcmFrame]) -> None:
        """PCM, from a caller whose sound comes in events."""
        for frame in frames:
            self._hear(frame.pcm, frame.pcm, len(frame.pcm) / (2 * PCM_RATE))

    def on_keys(self, keys: Sequence[KeyPress]) -> None:
        """Keys are not echoed."""

    def on_channel(self, channel: str, opened: bool) -> None:
        """A session begins with the event that tells of it."""
        if channel == EVENTS and opened and not self._told:
            self._told = True
            self._tell(tells.session_created(self._session))
            if self._complaint is not None:
                self._tell(tells.error(refused(self._complaint, None)))

    async def on_message(self, channel: str, message: str | bytes) -> None:
        """An event of the client; anything on another channel is sent back."""
        if channel != EVENTS:
            if self._voice is not None:
                self._voice.tell(channel, message)
            return
        try:
            event = read_event(message, self._door)
            self._begin_session()
            self._obey(event)
        except ClientError as wrong:
            self._tell(tells.error(wrong))

    # What clients want.

    def _obey(self, event: ClientEvent) -> None:
        match event.type:
            case "session.update":
                self._update(event)
            case "input_audio_buffer.commit":
                self._commit_by_hand(event)
            case "input_audio_buffer.clear":
                self._turns.forget()
                self._tell(tells.input_cleared())
            case "output_audio_buffer.clear":
                self._fall_silent()
            case "conversation.item.create":
                item = items.from_client(self._ids.item(), event.body["item"])
                before = self._conversation.create(event, item)
                self._tell(tells.item_added(item, before))
                self._tell(tells.item_done(item, before))
            case "conversation.item.retrieve":
                self._tell(tells.item_retrieved(self._conversation.retrieve(event)))
            case "conversation.item.delete":
                self._tell(tells.item_deleted(self._conversation.delete(event)))
            case "conversation.item.truncate":
                self._tell(tells.item_truncated(*self._conversation.truncate(event)))
            case "response.create":
                self._respond_when_asked(event)
            case "response.cancel":
                self._cancel_when_asked(event)

    def _update(self, event: ClientEvent) -> None:
        try:
            self._session = updated(self._session, event.body["session"])
        except ShapeError as wrong:
            raise refused(wrong, event.event_id) from None
        self._turns.follow(rules(turn_detection(self._session)))
        self._tell(tells.session_updated(self._session))

    def _commit_by_hand(self, event: ClientEvent) -> None:
        sounds = self._turns.take()
        if not sounds:
            raise ClientError("Nothing was heard since the last commit.", "input_audio_buffer_commit_empty",
                              event_id=event.event_id)  # fmt: skip
        self._commit(sounds)

    def _respond_when_asked(self, event: ClientEvent) -> None:
        if self._response is not None and self._response.open:
            raise ClientError(f"Conversation already has an active response: {self._response.part.response_id}.",
                              "conversation_already_has_active_response", event_id=event.event_id)  # fmt: skip
        self._respond(event.body.get("response") or {})

    def _cancel_when_asked(self, event: ClientEvent) -> None:
        wanted = event.body.get("response_id")
        response = self._response
        if response is None or not response.open or wanted not in (None, response.part.response_id):
            raise ClientError("Cancellation failed: no active response found.", "response_cancel_not_active",
                              event_id=event.event_id)  # fmt: skip
        self._finish(response, Status.CANCELLED, "client_cancelled")

    # Turns.

    def _begin_session(self) -> None:
        if not self._in_session:
            self._in_session = True
            self._in_hand = []

    def _hear(self, sound: bytes, pcm: bytes, seconds: float) -> None:
        for turn in self._turns.hear(sound, pcm, seconds):
            match turn:
                case TurnStarted():
                    self._tell(tells.speech_started(self._item, max(0, round(1000 * self._turns.begins))))
                    if self._turns.rules.interrupt_response:
                        self._interrupted()
                case TurnEnded():
                    if self._voice is not None:
                        self._voice.last_word(self._turns.at - turn.at)
                    self._tell(tells.speech_stopped(self._item, round(1000 * self._turns.at)))
                    self._commit(self._turns.take())
                    if self._turns.rules.create_response:
                        self._interrupted()
                        self._respond({})

    def _commit(self, sounds: Sequence[bytes]) -> None:
        item = items.spoken_by_caller(self._item)
        self._heard = sounds
        before = self._conversation.add(item)
        self._tell(tells.committed(self._item, before))
        self._tell(tells.item_added(item, before))
        self._tell(tells.item_done(item, before))
        self._item = self._ids.item()

    def _interrupted(self) -> None:
        response = self._response
        if response is not None and response.open:
            self._finish(response, Status.CANCELLED, "turn_detected")
        self._fall_silent()

    def _fall_silent(self) -> None:
        response, voice, tasks = self._response, self._voice, self._tasks
        if response is None or not response.playing or voice is None or tasks is None:
            return
        response.playing = False
        if self._door is Door.WEBRTC:  # else the client plays, and tells what was heard
            tasks.create_task(self._cut(response, voice))

    async def _cut(self, response: _Response, voice: Voice) -> None:
        flushed = await voice.hush()
        heard = max(0, round(response.said_ms - flushed.dropped_ms))
        self._tell(tells.playing_cleared(response.part.response_id))
        self._conversation.cut(response.part.item_id, heard)
        self._tell(tells.item_truncated(response.part.item_id, 0, heard))

    # Responses.

    def _respond(self, asked: dict[str, Any]) -> None:
        if self._tasks is None:
            return
        modalities = asked.get("output_modalities") or self._session.get("output_modalities", ["text"])
        spoken = "audio" in modalities
        words = words_of(self._conversation.last)
        sounds = self._heard if self._heard and not words else self._tone()
        piece_ms = self._piece_ms(sounds)
        transcript = words or f"({len(sounds) * piece_ms / 1000:.1f} seconds of what you said)"
        metadata = asked.get("metadata")
        response = _Response(
            Part(self._ids.response(), self._ids.item()),
            spoken,
            transcript,
            metadata if isinstance(metadata, dict) else None,
            sounds=sounds,
            piece_ms=piece_ms,
        )
        self._response = response
        begins = items.spoken_by_model(response.part.item_id, Status.IN_PROGRESS)
        self._tell(tells.response_created(self._as_told(response, Status.IN_PROGRESS)))
        self._tell(tells.output_item_added(response.part, begins))
        self._tell(tells.item_added(begins, self._conversation.add(begins)))
        self._tell(tells.content_part_added(response.part, items.audio_part() if spoken else items.text_part()))
        if spoken:
            self._tell(tells.transcript_delta(response.part, transcript))
            self._tasks.create_task(self._speak(response))
        else:
            self._tell(tells.text_delta(response.part, transcript))
            self._finish(response, Status.COMPLETED)

    async def _speak(self, response: _Response) -> None:
        """Say a response, somewhat faster than it is heard; tell when it begins and when it is over."""
        voice = self._voice
        assert voice is not None, "a response before the call"
        response.playing = True
        step = max(1, round(1000 * _STEP / response.piece_ms))
        for at in range(0, len(response.sounds), step):
            if not response.open or not response.playing:
                break
            for sound in response.sounds[at : at + step]:
                if voice.say(sound):
                    response.said_ms += response.piece_ms
            if at == 0:
                self._tell(tells.playing_started(response.part.response_id))
            await asyncio.sleep(_STEP / AHEAD)
        if response.open:
            voice.finish()
            self._finish(response, Status.COMPLETED)
        while response.playing and voice.queued_ms > 0:  # noqa: ASYNC110 - a queue on another thread has no event
            await asyncio.sleep(_LOOK)
        if response.playing:
            response.playing = False
            self._tell(tells.playing_stopped(response.part.response_id))

    def _finish(self, response: _Response, status: Status, reason: str | None = None) -> None:
        part, words = response.part, response.transcript
        response.open = False
        whole = Status.COMPLETED if status is Status.COMPLETED else Status.INCOMPLETE
        if response.spoken:
            item = items.spoken_by_model(part.item_id, whole, words)
            self._tell(tells.audio_done(part))
            self._tell(tells.transcript_done(part, words))
            self._tell(tells.content_part_done(part, items.audio_part(words)))
        else:
            item = items.written_by_model(part.item_id, whole, words)
            self._tell(tells.text_done(part, words))
            self._tell(tells.content_part_done(part, items.text_part(words)))
        before = self._conversation.replace(item, round(response.said_ms))
        self._tell(tells.output_item_done(part, item))
        self._tell(tells.item_done(item, before))
        self._tell(tells.response_done(self._as_told(response, status, [item], reason)))

    def _as_told(
        self, response: _Response, status: Status, output: Sequence[items.Item] = (), reason: str | None = None
    ) -> dict[str, Any]:
        modalities = ["audio"] if response.spoken else ["text"]
        return tells.response(
            response.part.response_id,
            {**self._session, "output_modalities": modalities},
            self._conversation_id,
            status,
            output,
            reason=reason,
            tokens=None if status is Status.IN_PROGRESS else round(response.said_ms / 50),
            metadata=response.metadata,
        )

    # Sound.

    def _say_back(self, voice: Voice, payload: bytes) -> None:
        waiting = self._in_hand
        if waiting is None:
            voice.say(payload)
            return
        waiting.append(payload)
        if len(waiting) >= IN_HAND:
            self._in_hand = None
            for each in waiting:
                voice.say(each)

    def _piece_ms(self, sounds: Sequence[bytes]) -> float:
        coding = self._voice.coding if self._voice is not None else None
        if not sounds or self.pcm_rate is not None or coding is None:
            return len(sounds[0]) * 500 / PCM_RATE if sounds else 20.0
        return coding.samples_of(sounds[0]) * 1000 / coding.clock_rate

    def _tone(self) -> list[bytes]:
        """What it says when there is nothing to repeat."""
        samples = range(round(PCM_RATE * _TONE_SECONDS))
        pcm = array("h", (round(6000 * math.sin(2 * math.pi * 440 * at / PCM_RATE)) for at in samples)).tobytes()
        frame = PCM_RATE // 50 * 2
        pieces = [pcm[at : at + frame] for at in range(0, len(pcm), frame)]
        coding = self._voice.coding if self._voice is not None else None
        if self.pcm_rate is not None or coding is None:
            return pieces
        encoder = codec(coding, PCM_RATE)[1]
        return [encoder.encode(piece) for piece in pieces]

    def _tell(self, event: ServerEvent) -> None:
        if self._voice is not None and (self._door is Door.WEBRTC or event["type"] not in tells.WEBRTC_ONLY):
            self._voice.tell(EVENTS, json.dumps(tells.stamped(event, self._ids)))
