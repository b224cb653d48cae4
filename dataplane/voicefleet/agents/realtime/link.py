"""A call's conversation with a model over the Realtime protocol, from before the caller can be heard to its end.

The caller's sound goes to the model and the model's to the caller, at its pace; events go both ways as the real service
passes them on to a WebRTC client, untouched where nothing has to be changed. A model that is lost is replaced: the next
is told the session and the conversation so far, and the caller is told that it happened. What the caller hears and what
the model believes to have said stay the same: whatever is cut off is truncated to the millisecond.
"""

import asyncio
import json
import time
from collections import Counter, deque
from collections.abc import Sequence
from functools import partial
from typing import Any, Final

from voicefleet.agents.ear import Ear
from voicefleet.agents.link import Voice
from voicefleet.agents.realtime.caller import CHANNEL, Caller
from voicefleet.agents.realtime.interruptions import Interruptions
from voicefleet.agents.realtime.model_socket import ModelSocket
from voicefleet.agents.realtime.models import Models, NoModel
from voicefleet.agents.realtime.opening import Opened, opened
from voicefleet.agents.realtime.own_turns import OwnTurns
from voicefleet.agents.realtime.sound_format import PCM_RATE, SoundFormat, as_wanted
from voicefleet.agents.realtime.speaker import Speaker
from voicefleet.core.media.frame import AudioFrame
from voicefleet.core.media.telephone_event import KeyPress
from voicefleet.core.model.audio_delta import AudioDelta, append_event, read_delta
from voicefleet.core.model.memory import Memory, merged
from voicefleet.core.model.playback import Passed, Spoken
from voicefleet.core.realtime.client_events import ClientError, ClientEvent, Door, read_event
from voicefleet.core.realtime.shape import ShapeError
from voicefleet.net.pcm_port import PcmFrame
from voicefleet.observability import logs

FIRST_PATIENCE: Final = 8.0
"""Seconds for a model to be found for a new call: its ringing tone."""
NEXT_PATIENCE: Final = 45.0
"""And for one that was lost; the caller is told at once, and waits or hangs up."""
REPLY: Final = 10.0
"""Seconds for a model to begin the session."""
LAST_WORD: Final = 5.0
"""Seconds for a caller's channel to open when there is nothing but a refusal to tell."""
OUTAGE: Final = 500
"""Frames of the caller's sound that are kept while no model listens: 10 s."""
MOST_EVENTS: Final = 256
"""Events of the client that are kept meanwhile."""
LINK_EVENT: Final = "voicefleet.model_connection"
"""Type of the event that tells what became of the connection to the model."""
_OWN: Final = "vf_"
"""How the ids of our own events begin; what goes wrong with them is not the client's."""


class RealtimeLink:
    """One call's link."""

    def __init__(self, models: Models, config: dict[str, Any], door: Door = Door.WEBRTC) -> None:
        self.pcm_rate: int | None = PCM_RATE
        self.counted: Counter[str] = Counter()
        """What was done, for tests and logs."""
        self._door = door
        self._models = models
        self._config = config
        self._kind = str(config.get("type") or "realtime")
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._socket: ModelSocket | None = None
        self._session: dict[str, Any] = {}
        """As the model has it."""
        self._wanted = config
        """As the client asked for it, with formats that may be translated on the way."""
        self._memory = Memory(config)
        self._format = SoundFormat.of_call(None, telephone=False)
        self._kept: deque[bytes] = deque(maxlen=OUTAGE)
        self._events: deque[ClientEvent] = deque()
        self._restored: set[str] = set()
        """Items that the model is told again; the client knows them."""
        self._number = 0
        self._turns: OwnTurns | None = None
        """Where we decide about turns, and not the model."""

    # What the session calls (voicefleet.agents.link.AgentLink).

    async def attend(self, voice: Voice) -> None:
        """From the moment at which the call was taken: the connection, and whatever replaces it."""
        self._begin(voice)
        loop = asyncio.get_running_loop()
        until = loop.time() + FIRST_PATIENCE
        try:
            while True:
                try:
                    socket = await self._models.connect(self._config, until)
                except NoModel as refused:
                    self._refuse(f"No model is available: {refused}.")
                    return
                if await self._use(socket):
                    until = loop.time() + NEXT_PATIENCE
        finally:
            self._interruptions.stop()

    async def run(self, voice: Voice) -> str:
        """The caller can be heard and can hear."""
        self._speaker.ready()
        reason = await self._over
        await self._caller.hears(LAST_WORD)
        return reason

    def on_audio(self, frames: Sequence[AudioFrame]) -> None:
        """G.711, as it came; what was lost is silence, so that the model's clock goes on."""
        for frame in frames:
            self._heard(frame.payload or self._format.silence * 160)

    def on_pcm(self, frames: Sequence[PcmFrame]) -> None:
        """Decoded sound."""
        for frame in frames:
            if frame.pcm:
                self._heard(frame.pcm)

    def on_keys(self, keys: Sequence[KeyPress]) -> None:
        """The client may want to know; the protocol has an event for it."""
        for key in keys:
            self._caller.tell("input_audio_buffer.dtmf_event_received", event=key.key, received_at=int(time.time()))

    def on_channel(self, channel: str, opened: bool) -> None:
        """The event channel is open."""
        if channel == CHANNEL and opened:
            self._caller.opened()

    async def on_message(self, channel: str, message: str | bytes) -> None:
        """An event of the client's."""
        if channel != CHANNEL:
            return
        try:
            event = read_event(message, self._door)
        except ClientError as wrong:
            self._caller.error(str(wrong), wrong.code, event_id=wrong.event_id, param=wrong.param)
            return
        if event.type == "output_audio_buffer.clear":
            await self._interruptions.cut(cancelled=False)
        elif self._socket is not None and self._session:
            self._pass(event)
        elif len(self._events) < MOST_EVENTS:
            self._events.append(event)
        else:
            self._caller.error("No model is connected.", "model_not_connected", event_id=event.event_id)

    # The life of a connection.

    def _begin(self, voice: Voice) -> None:
        self._log = logs.for_session(__name__, voice.call_id)
        self._caller = Caller(voice)
        plan = self._models.plan
        self._format = form = SoundFormat.of_call(voice.coding, plan.telephone)
        self.pcm_rate = form.pcm_rate
        self._speaker = Speaker(voice, form.octets_per_ms, form.silence, self._passed)
        if plan.own_turns:
            self._turns = self._own_turns(voice)
        self._interruptions = Interruptions(
            self._speaker,
            Ear(form.rate) if plan.own_ear and self._turns is None else None,
            self._send,
            self.counted,
            truncates=self._door is Door.WEBRTC,
        )

    def _own_turns(self, voice: Voice) -> OwnTurns:
        made = partial(OwnTurns, kind=self._kind, rate=self._format.rate, voice=voice, caller=self._caller)
        try:
            return made(self._config, append=self._append, send=self._say)
        except ShapeError as wrong:
            self._caller.error(str(wrong), "invalid_value", param=wrong.param)
            return made({}, append=self._append, send=self._say)

    async def _use(self, socket: ModelSocket) -> bool:
        """Until the connection is lost; whether there was a session."""
        try:
            served = await self._converse(socket)
        finally:
            self._socket = None
            await socket.close()
        self._models.lost(socket)
        self._log.warning("model connection lost", url=socket.url, how=socket.end, served=served)
        if served:
            self._lost(socket)
        return served

    async def _converse(self, socket: ModelSocket) -> bool:
        again = bool(self._session)
        try:
            async with asyncio.timeout(REPLY):
                begun = await self._open(socket)
        except TimeoutError:
            return False
        if begun is None:
            return False
        self._models.answered(socket)
        self._interruptions.spoken.clear()
        self._socket, self._session = socket, begun.session
        if begun.refusal is not None:
            self._refused(begun.refusal, again)
        if again:
            self._caller.tell(LINK_EVENT, state="restored", restored_items=self._restore())
        else:
            self._caller.begin(json.dumps({**begun.created, "session": self._told(begun.session)}))
        for message in self._kept:
            socket.send(message)
        self._kept.clear()
        while self._events:
            self._pass(self._events.popleft())
        await socket.hand_over(self._on_message)
        return True

    async def _open(self, socket: ModelSocket) -> Opened | None:
        asked = self._format.asked(self._memory.session, self._kind)
        if self._turns is not None:
            asked = self._turns.asked(asked)
        if asked:
            session = {"type": self._kind, **asked}
            socket.send(self._ours({"type": "session.update", "session": session}))
        return await opened(socket.next, bool(asked))

    def _refused(self, event: dict[str, Any], again: bool) -> None:
        """The session that the call asked for; it goes on with the model's own, and the client decides."""
        error = event.get("error") or {}
        self._log.error("the model refuses the session", error=str(error.get("message"))[:500])
        if not again:
            self._caller.pass_on(json.dumps({**event, "error": {**error, "event_id": None}}))

    def _restore(self) -> int:
        items = self._memory.items()
        self._restored = {item["id"] for item in items}
        for item in items:
            self._send({"type": "conversation.item.create", "item": item})
        return len(items)

    def _lost(self, socket: ModelSocket) -> None:
        self._caller.tell(LINK_EVENT, state="lost", reason=socket.end)
        response = self._interruptions.response
        if response is not None:
            self._interruptions.done(response)
            error = {"type": "server_error", "code": "model_connection_lost"}
            self._caller.tell(
                "response.done",
                response={
                    "id": response,
                    "object": "realtime.response",
                    "status": "failed",
                    "output": [],
                    "status_details": {"type": "failed", "error": error},
                    "usage": None,
                    "metadata": None,
                },
            )

    def _refuse(self, why: str) -> None:
        self._caller.error(why, "no_model_available", kind="server_error")
        self._caller.give_up()
        self._over.set_result(why)

    # The caller's side.

    def _heard(self, audio: bytes) -> None:
        if self._turns is not None:
            seconds = len(audio) / self._format.octets_per_ms / 1000
            if self._turns.hear(audio, self._format.pcm(audio), seconds) and self._turns.interrupts:
                self._interruptions.start(cancelled=True)
            return
        self._append(audio)
        if self._interruptions.wants_sound and self._interruptible:
            self._interruptions.listen(self._format.pcm(audio))

    def _append(self, audio: bytes) -> None:
        self._say_or_keep(append_event(audio))

    def _say(self, event: dict[str, Any]) -> None:
        self._say_or_keep(self._ours(event))

    def _say_or_keep(self, message: bytes) -> None:
        if self._socket is not None:
            self._socket.send(message)
        else:
            self._kept.append(message)

    def _pass(self, event: ClientEvent) -> None:
        """To the model, with the formats that this call really has."""
        body, socket = event.body, self._socket
        if socket is None:
            return
        match event.type:
            case "session.update":
                self._wanted = merged(self._wanted, body["session"])
                asked = self._format.asked(body["session"], self._kind, only_named=True)
                if self._turns is not None:
                    try:
                        self._turns.update(asked)
                    except ShapeError as wrong:
                        self._caller.error(str(wrong), "invalid_value", event_id=event.event_id, param=wrong.param)
                        return
                    asked = self._turns.asked(asked)
                body = {**body, "session": asked}
            case "response.cancel":
                self._interruptions.discard()
        self._memory.on_client(body)
        socket.send(json.dumps(body).encode())

    def _told(self, session: dict[str, Any]) -> dict[str, Any]:
        """The model's session as the client is told of it: over WebSocket it has its own formats."""
        told = session if self._door is Door.WEBRTC else as_wanted(session, self._wanted, self._kind)
        return told if self._turns is None else self._turns.told(told)

    # The model's side.

    def _on_message(self, message: bytes) -> None:
        try:
            delta = read_delta(message)
            if delta is not None:
                self._on_delta(delta)
            else:
                self._on_event(message)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            self.counted["malformed"] += 1
            self._log.warning("the model said something that is no event", error=repr(error)[:200])

    def _on_delta(self, delta: AudioDelta) -> None:
        if self._interruptions.is_late(delta.response_id):
            self.counted["discarded_deltas"] += 1
            return
        self._interruptions.spoken.add(delta.item_id)
        self._speaker.say(Spoken(delta.response_id, delta.item_id, delta.content_index), delta.delta)
        if self._speaker.full and self._socket is not None:
            self._socket.rest()

    def _on_event(self, message: bytes) -> None:
        event = json.loads(message)
        self._memory.on_model(event)
        if self._concerns_caller(event):
            self._caller.pass_on(message.decode())

    def _concerns_caller(self, event: dict[str, Any]) -> bool:
        """What an event changes here, and whether the client is told."""
        match event["type"]:
            case "session.updated":
                self._session = event["session"]
                if self._door is not Door.WEBRTC or self._turns is not None:
                    self._caller.pass_on(json.dumps({**event, "session": self._told(event["session"])}))
                    return False
            case "response.created":
                self._interruptions.response = event["response"].get("id")
            case "response.done":
                self._interruptions.done(str(event["response"].get("id")))
            case "conversation.item.added" | "conversation.item.created":
                return event["item"].get("id") not in self._restored
            case "conversation.item.done":
                told_again = event["item"].get("id") in self._restored
                self._restored.discard(event["item"].get("id"))
                return not told_again
            case "input_audio_buffer.speech_started":
                if self._interruptible:
                    self._interruptions.start(cancelled=False)
            case "error":
                return self._is_clients(event)
        return True

    def _is_clients(self, event: dict[str, Any]) -> bool:
        about = (event.get("error") or {}).get("event_id")
        if not (isinstance(about, str) and about.startswith(_OWN)):
            return True
        self.counted["own_errors"] += 1
        self._log.info("the model refuses an event", error=str(event["error"].get("message"))[:500])
        return False

    @property
    def _interruptible(self) -> bool:
        detection = ((self._session.get("audio") or {}).get("input") or {}).get("turn_detection")
        return isinstance(detection, dict) and detection.get("interrupt_response") is not False

    def _passed(self, passed: Passed) -> None:
        self._caller.tell(passed.phase.value, response_id=passed.response)

    def _send(self, event: dict[str, Any]) -> None:
        """An event of ours, if a model is connected."""
        if self._socket is not None:
            self._socket.send(self._ours(event))

    def _ours(self, event: dict[str, Any]) -> bytes:
        self._number += 1
        return json.dumps({"event_id": f"{_OWN}{self._number}", **event}).encode()
