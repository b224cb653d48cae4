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
from typing import Any, Final

from voicefleet.agents.ear import Ear
from voicefleet.agents.link import Voice
from voicefleet.agents.realtime.caller import CHANNEL, Caller
from voicefleet.agents.realtime.model_socket import ModelSocket
from voicefleet.agents.realtime.models import PCM_RATE, Models, NoModel
from voicefleet.agents.realtime.speaker import MOST_AHEAD, Speaker
from voicefleet.core.media import g711
from voicefleet.core.media.frame import AudioFrame
from voicefleet.core.media.telephone_event import KeyPress
from voicefleet.core.model.audio_delta import append_event, read_delta
from voicefleet.core.model.memory import Memory, merged
from voicefleet.core.model.playback import Passed, Spoken
from voicefleet.core.realtime.client_events import ClientError, ClientEvent, Door, read_event
from voicefleet.core.turns.detector import Patience, TurnDetector, TurnStarted
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
_LAWS: Final = {"audio/pcmu": g711.Law.MU, "audio/pcma": g711.Law.A}
_KEPT_DISCARDS: Final = 8


class RealtimeLink:
    """One call's link."""

    def __init__(self, models: Models, config: dict[str, Any], door: Door = Door.WEBRTC) -> None:
        self.pcm_rate: int | None = PCM_RATE
        self.counted: Counter[str] = Counter()
        """What was done, for tests and logs."""
        self._door = door
        self._models = models
        self._config = config
        self._over: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._socket: ModelSocket | None = None
        self._session: dict[str, Any] = {}
        """As the model has it."""
        self._memory = Memory(config)
        self._format: dict[str, Any] = {}
        self._kept: deque[bytes] = deque(maxlen=OUTAGE)
        self._events: deque[ClientEvent] = deque()
        self._updates: deque[bool] = deque()
        """Of the session updates that the model has not answered: whether each is ours."""
        self._restored: set[str] = set()
        """Items that the model is told again; the client knows them."""
        self._spoken: set[str] = set()
        """Items whose sound the model that is connected has sent: those it can truncate."""
        self._response: str | None = None
        self._discarded: deque[str] = deque(maxlen=_KEPT_DISCARDS)
        self._cuts: set[asyncio.Task[None]] = set()
        self._ear: Ear | None = None
        self._turns = TurnDetector(Patience())
        self._listened = 0.0
        self._number = 0

    # What the session calls (voicefleet.agents.link.AgentLink).

    async def attend(self, voice: Voice) -> None:
        """From the moment at which the call was taken: the connection, and whatever replaces it."""
        self._begin(voice)
        if self._door is not Door.WEBRTC:
            return
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
            self._speaker.stop()
            for cut in self._cuts:
                cut.cancel()

    async def run(self, voice: Voice) -> str:
        """The caller can be heard and can hear."""
        if self._door is not Door.WEBRTC:
            return "a model is reached by WebRTC calls only"
        self._speaker.ready()
        reason = await self._over
        await self._caller.hears(LAST_WORD)
        return reason

    def on_audio(self, frames: Sequence[AudioFrame]) -> None:
        """G.711, as it came; what was lost is silence, so that the model's clock goes on."""
        for frame in frames:
            self._heard(frame.payload or self._silence * 160)

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
            event = read_event(message, Door.WEBRTC)
        except ClientError as wrong:
            self._caller.error(str(wrong), wrong.code, event_id=wrong.event_id, param=wrong.param)
            return
        if event.type == "output_audio_buffer.clear":
            await self._cut(cancelled=False)
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
        self._format = self._models.audio_format(voice.coding)
        law = _LAWS.get(self._format["type"])
        self._silence = bytes((law.value,)) if law is not None else b""
        self.pcm_rate = PCM_RATE if law is None else None
        self._law = law
        octets = 8 if law is not None else PCM_RATE * 2 // 1000
        self._speaker = Speaker(voice, octets, self._silence, self._passed)
        self._ear = Ear(PCM_RATE if law is None else g711.CLOCK_RATE) if self._models.plan.own_ear else None

    async def _use(self, socket: ModelSocket) -> bool:
        """Until the connection is lost; whether there was a session."""
        try:
            async with asyncio.TaskGroup() as tasks:
                writing = tasks.create_task(socket.write())
                try:
                    served = await self._converse(socket)
                finally:
                    writing.cancel()
        finally:
            self._socket = None
            await socket.close()
        self._models.lost(socket)
        self._log.warning("model connection lost", url=socket.url, how=socket.end, served=served)
        if served:
            self._lost(socket)
        return served

    async def _converse(self, socket: ModelSocket) -> bool:
        messages = socket.messages()
        again = bool(self._session)
        self._updates.clear()
        try:
            async with asyncio.timeout(REPLY):
                created = await self._created(messages, socket, again)
        except TimeoutError:
            return False
        if created is None:
            return False
        self._models.answered(socket)
        self._spoken.clear()
        self._socket = socket
        if again:
            self._caller.tell(LINK_EVENT, state="restored", restored_items=self._restore(socket))
        else:
            self._caller.begin(json.dumps({**created, "session": self._session}))
        for audio in self._kept:
            socket.send(append_event(audio))
        self._kept.clear()
        while self._events:
            self._pass(self._events.popleft())
        async for message in messages:
            try:
                await self._on_message(message)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                self.counted["malformed"] += 1
                self._log.warning("the model said something that is no event", error=repr(error)[:200])
        return True

    async def _created(self, messages: Any, socket: ModelSocket, again: bool) -> dict[str, Any] | None:
        """The model's session, set up as the call wants it."""
        asked = self._with_formats(self._memory.session)
        if asked:
            self._send(socket, {"type": "session.update", "session": {"type": "realtime", **asked}})
        created: dict[str, Any] | None = None
        async for message in messages:
            event = json.loads(message)
            if event["type"] == "session.created":
                created = event
                self._session = event["session"]
                if not asked:
                    return created
            elif event["type"] == "session.updated" and created is not None:
                self._session = event["session"]
                return created
            elif event["type"] == "error" and created is not None:
                self._model_refuses(event, again)
                return created
        return None

    def _model_refuses(self, event: dict[str, Any], again: bool) -> None:
        """The session that the call asked for; it goes on with the model's own, and the client decides."""
        error = event.get("error") or {}
        self._log.error("the model refuses the session", error=str(error.get("message"))[:500])
        if not again:
            self._caller.pass_on(json.dumps({**event, "error": {**error, "event_id": None}}))

    def _restore(self, socket: ModelSocket) -> int:
        items = self._memory.items()
        self._restored = {item["id"] for item in items}
        for item in items:
            self._send(socket, {"type": "conversation.item.create", "item": item})
        return len(items)

    def _lost(self, socket: ModelSocket) -> None:
        self._caller.tell(LINK_EVENT, state="lost", reason=socket.end)
        if self._response is not None:
            response, self._response = self._response, None
            self._speaker.finish(response)
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
        socket = self._socket
        if socket is not None:
            socket.send(append_event(audio))
        else:
            self._kept.append(audio)
        if self._ear is not None and self._speaker.speaking:
            self._listen(self._ear, audio)

    def _listen(self, ear: Ear, audio: bytes) -> None:
        if not self._interruptible:
            return
        for sound in ear.listen(audio if self._law is None else g711.decode(audio, self._law)):
            self._listened += 0.02
            if isinstance(self._turns.hear(sound, self._listened), TurnStarted):
                self.counted["interrupted"] += 1
                self._start_cut(cancelled=True)

    def _pass(self, event: ClientEvent) -> None:
        """To the model, with the formats that this call really has."""
        body, socket = event.body, self._socket
        if socket is None:
            return
        match event.type:
            case "session.update":
                body = {**body, "session": self._with_formats(body["session"], only_named=True)}
                self._updates.append(False)
            case "response.cancel":
                self._discard()
        self._memory.on_client(body)
        socket.send(json.dumps(body).encode())

    def _with_formats(self, session: dict[str, Any], *, only_named: bool = False) -> dict[str, Any]:
        """A session in which sound has the format that this call carries it in, whatever the client believes."""
        directions = ("input",) if (session.get("type") or self._config.get("type")) == "transcription" else (
            "input", "output")  # fmt: skip
        audio = session.get("audio") or {}
        named = [side for side in directions if "format" in (audio.get(side) or {})]
        sides = named if only_named or self._law is None else directions
        if not sides:
            return session
        return merged(session, {"type": session.get("type", "realtime"),
                                "audio": {side: {"format": self._format} for side in sides}})  # fmt: skip

    # The model's side.

    async def _on_message(self, message: bytes) -> None:
        delta = read_delta(message)
        if delta is not None:
            event = delta.event
            if event["response_id"] in self._discarded:
                self.counted["discarded_deltas"] += 1
                return
            self._spoken.add(event["item_id"])
            self._speaker.say(Spoken(event["response_id"], event["item_id"], event["content_index"]), delta.audio)
            while self._speaker.ahead_ms > MOST_AHEAD:  # noqa: ASYNC110 - it leaves at its pace, and nobody tells
                await asyncio.sleep(0.5)
            return
        event = json.loads(message)
        self._memory.on_model(event)
        if await self._concerns_caller(event):
            self._caller.pass_on(message.decode())

    async def _concerns_caller(self, event: dict[str, Any]) -> bool:
        """What an event changes here, and whether the client is told."""
        match event["type"]:
            case "session.updated":
                self._session = event["session"]
                return not (self._updates and self._updates.popleft())
            case "response.created":
                self._response = event["response"].get("id")
            case "response.done":
                done = event["response"].get("id")
                self._speaker.finish(str(done))
                if self._response == done:
                    self._response = None
            case "conversation.item.added" | "conversation.item.created":
                return event["item"].get("id") not in self._restored
            case "conversation.item.done":
                told_again = event["item"].get("id") in self._restored
                self._restored.discard(event["item"].get("id"))
                return not told_again
            case "input_audio_buffer.speech_started":
                if self._interruptible:
                    self._start_cut(cancelled=False)
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

    # Interruptions.

    def _discard(self) -> None:
        """What the response under way still says is too late."""
        if self._response is not None and self._response not in self._discarded:
            self._discarded.append(self._response)

    def _start_cut(self, *, cancelled: bool) -> None:
        """The caller speaks: silence now, the rest as soon as it is known how much was heard."""
        if not self._speaker.speaking and self._response is None:
            return
        task = asyncio.get_running_loop().create_task(self._cut(cancelled=cancelled))
        self._cuts.add(task)
        task.add_done_callback(self._cuts.discard)

    async def _cut(self, *, cancelled: bool) -> None:
        """`cancelled`: the model does not know yet that it is to stop."""
        self._discard()
        if cancelled and self._response is not None and self._socket is not None:
            self._send(self._socket, {"type": "response.cancel"})
        cuts = await self._speaker.cut()
        for spoken, heard in cuts:
            self.counted["truncated"] += 1
            if self._socket is not None:
                self._send(
                    self._socket,
                    {
                        "type": "conversation.item.truncate",
                        "item_id": spoken.item,
                        "content_index": spoken.content,
                        "audio_end_ms": heard,
                    },
                )

    def _passed(self, passed: Passed) -> None:
        self._caller.tell(passed.phase.value, response_id=passed.response)

    def _send(self, socket: ModelSocket, event: dict[str, Any]) -> None:
        """An event of ours."""
        self._number += 1
        socket.send(json.dumps({"event_id": f"{_OWN}{self._number}", **event}).encode())
