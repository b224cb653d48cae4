"""One connection to the model: the caller's words in, replies out, every event of the types of the `openai` package.

It hears whether somebody speaks by loudness alone: what is tested is what stands between it and the caller.
"""

import asyncio
import base64
import json
import math
from array import array
from collections.abc import Callable
from itertools import count
from typing import Any, Final

from aiohttp import WSMsgType, web

from tests.support.realtime_model.replies import Fail, Reply, Speech, Stall, ToolCall
from tests.support.realtime_types import validated
from voicefleet.core.media import g711

RATE: Final = 24_000
LOUD: Final = 700.0
"""Root mean square from which somebody speaks."""
ONSET: Final = 2
"""Loud hops of 20 ms that begin a turn ..."""
SILENCE: Final = 25
"""... and quiet ones that end it."""
_LAWS: Final = {"audio/pcmu": g711.Law.MU, "audio/pcma": g711.Law.A}
_ids = count(1)


def _id(kind: str) -> str:
    return f"{kind}_{next(_ids):06d}"


class Conversation:
    """What was said, and what the other side asked for."""

    def __init__(self, socket: web.WebSocketResponse, model: str | None, reply: Callable[[], Reply]) -> None:
        """Without a model it is a session that transcribes."""
        self.received: list[dict[str, Any]] = []
        """Client events without the audio, in order."""
        self.session: dict[str, Any] = _transcription() if model is None else _realtime(model)
        self.items: dict[str, dict[str, Any]] = {}
        self.heard = bytearray()
        """All of the caller's audio, in the session's format."""
        self.truncated: list[tuple[str, int, int]] = []
        """item, content index, audio_end_ms."""
        self.cancels = 0
        self.said: dict[str, int] = {}
        """Milliseconds of speech that were sent, by item."""
        self.deaf = False
        """It notices nobody who speaks."""
        self.over = asyncio.Event()
        self._socket = socket
        self._reply = reply
        self._response: asyncio.Task[None] | None = None
        self._response_id = ""
        self._cancelled = asyncio.Event()
        self._reason = ""
        self._loud = self._quiet = self._looked = 0
        self._speaking: str | None = None

    def cut(self) -> None:
        """The connection breaks without a word."""
        if self._socket._req is not None and self._socket._req.transport is not None:
            self._socket._req.transport.abort()

    def updates(self) -> list[dict[str, Any]]:
        """The sessions that were asked for."""
        return [event["session"] for event in self.received if event["type"] == "session.update"]

    async def run(self) -> None:
        """Serve until the other side leaves."""
        try:
            await self.send("session.created", session=self.session)
            async for message in self._socket:
                if message.type is WSMsgType.TEXT:
                    await self._on_event(json.loads(message.data))
        except ConnectionError:
            pass  # it was cut
        finally:
            if self._response is not None:
                self._response.cancel()
            self.over.set()

    async def send(self, kind: str, **fields: Any) -> None:
        """An event, if it is one that the official client knows."""
        event = {"type": kind, "event_id": _id("event"), **fields}
        validated(event)
        await self._socket.send_str(json.dumps(event))

    async def error(self, message: str, code: str | None = None, about: str | None = None) -> None:
        """An error event."""
        error = {"type": "invalid_request_error", "message": message, "code": code, "event_id": about, "param": None}
        await self.send("error", error=error)

    async def _on_event(self, event: dict[str, Any]) -> None:
        kind, about = event["type"], event.get("event_id")
        if kind == "input_audio_buffer.append":
            self.heard += base64.b64decode(event["audio"], validate=True)
            await self._listen()
            return
        self.received.append(event)
        match kind:
            case "session.update":
                _merge(self.session, event["session"])
                await self.send("session.updated", session=self.session)
            case "response.create":
                await self._respond(about)
            case "response.cancel":
                self.cancels += 1
                if not await self._cancel("client_cancelled"):
                    await self.error("no active response found", "response_cancel_not_active", about)
            case "conversation.item.create":
                item = {"id": _id("item"), **event["item"]}
                await self._add(item, event.get("previous_item_id"))
            case "conversation.item.truncate":
                await self._truncate(event["item_id"], event["content_index"], event["audio_end_ms"], about)
            case "conversation.item.retrieve":
                if event["item_id"] in self.items:
                    await self.send("conversation.item.retrieved", item=self.items[event["item_id"]])
                else:
                    await self.error("no such item", "item_not_found", about)
            case "conversation.item.delete":
                self.items.pop(event["item_id"])
                await self.send("conversation.item.deleted", item_id=event["item_id"])
            case "input_audio_buffer.commit":
                await self._commit(_id("item"))
            case "input_audio_buffer.clear":
                await self.send("input_audio_buffer.cleared")
            case _:
                await self.error(f"unknown event {kind}", "invalid_value", about)

    # What it hears.

    @property
    def _turn_detection(self) -> dict[str, Any] | None:
        detection: dict[str, Any] | None = self.session["audio"]["input"].get("turn_detection")
        return detection

    def pcm(self) -> bytes:
        """What was heard, as 16-bit samples at the rate of the format."""
        law = _LAWS.get(self.session["audio"]["input"]["format"]["type"])
        return g711.decode(bytes(self.heard), law) if law is not None else bytes(self.heard)

    async def _listen(self) -> None:
        law = _LAWS.get(self.session["audio"]["input"]["format"]["type"])
        hop = 160 if law is not None else 960
        while self._looked + hop <= len(self.heard):
            piece = bytes(self.heard[self._looked : self._looked + hop])
            self._looked += hop
            samples = array("h", piece if law is None else g711.decode(piece, law))
            await self._hop(math.sqrt(sum(sample * sample for sample in samples[::4]) / len(samples[::4])) > LOUD)

    async def _hop(self, loud: bool) -> None:
        detection = self._turn_detection
        self._loud = self._loud + 1 if loud else 0
        self._quiet = 0 if loud else self._quiet + 1
        if detection is None or self.deaf:
            return
        if self._speaking is None and self._loud >= ONSET:
            self._speaking = _id("item")
            await self.send("input_audio_buffer.speech_started", audio_start_ms=self._ms(), item_id=self._speaking)
            if detection.get("interrupt_response", True):
                await self._cancel("turn_detected")
        elif self._speaking is not None and self._quiet >= SILENCE:
            item, self._speaking = self._speaking, None
            await self.send("input_audio_buffer.speech_stopped", audio_end_ms=self._ms(), item_id=item)
            await self._commit(item)
            if detection.get("create_response", True):
                await self._respond(None)

    def _ms(self) -> int:
        return self._looked // (8 if self.session["audio"]["input"]["format"]["type"] in _LAWS else 48)

    async def _commit(self, item: str) -> None:
        await self.send("input_audio_buffer.committed", item_id=item, previous_item_id=next(reversed(self.items), None))
        content = [{"type": "input_audio", "transcript": None}]
        await self._add({"id": item, "type": "message", "role": "user", "status": "completed", "content": content})
        if self.session["audio"]["input"].get("transcription") is not None:
            usage = {"type": "duration", "seconds": 1.0}
            await self.send(
                "conversation.item.input_audio_transcription.completed",
                item_id=item,
                content_index=0,
                transcript=f"what {item} said",
                usage=usage,
            )

    async def _add(self, item: dict[str, Any], previous: str | None = None) -> None:
        before = previous or next(reversed(self.items), None)
        item = {"object": "realtime.item", "status": "completed", **item}
        self.items[item["id"]] = item
        await self.send("conversation.item.added", item=item, previous_item_id=before)
        await self.send("conversation.item.done", item=item, previous_item_id=before)

    async def _truncate(self, item: str, content: int, end: int, about: str | None) -> None:
        self.truncated.append((item, content, end))
        if item not in self.said:
            await self.error(f"there is no audio of {item}", "item_not_found", about)
        elif end > self.said[item]:
            await self.error(f"audio of {item} is {self.said[item]} ms, shorter than {end} ms", "invalid_value", about)
        else:
            await self.send("conversation.item.truncated", item_id=item, content_index=content, audio_end_ms=end)

    # What it says.

    async def _cancel(self, reason: str) -> bool:
        if self._response is None or self._response.done():
            return False
        self._reason = reason
        self._cancelled.set()
        return True

    async def _respond(self, about: str | None) -> None:
        if self._response is not None and not self._response.done():
            if not self._cancelled.is_set():
                await self.error("a response is under way", "conversation_already_has_active_response", about)
                return
            await self._response
        self._cancelled.clear()
        self._response = asyncio.create_task(self._run_response(self._reply(), _id("resp")))

    async def _run_response(self, reply: Reply, response: str) -> None:
        try:
            if isinstance(reply, Fail):
                await self.error(reply.message, "server_error")
                return
            await self.send("response.created", response=_response(response, "in_progress", []))
            output: list[dict[str, Any]] = []
            match reply:
                case Speech():
                    output = [await self._speak(reply, response)]
                case ToolCall():
                    output = [await self._call(reply, response)]
                case Stall():
                    await self._cancelled.wait()
            cancelled = self._cancelled.is_set()
            done = _response(response, "cancelled" if cancelled else "completed", output)
            if cancelled:
                done["status_details"] = {"type": "cancelled", "reason": self._reason}
            await self.send("response.done", response=done)
        except ConnectionError:
            pass  # it was cut

    async def _speak(self, speech: Speech, response: str) -> dict[str, Any]:
        item = {"id": _id("item"), "object": "realtime.item", "type": "message", "role": "assistant", "content": []}
        name = str(item["id"])
        at = {"response_id": response, "item_id": name, "output_index": 0, "content_index": 0}
        await self._begin(item | {"status": "in_progress"}, response)
        await self.send("response.content_part.added", **at, part={"type": "audio", "transcript": ""})
        law = _LAWS.get(self.session["audio"]["output"]["format"]["type"])
        sound = speech.pcm if law is None else g711.encode(array("h", speech.pcm)[::3].tobytes(), law)
        octets = 8 if law is not None else 48
        size = octets * round(speech.piece * 1000)
        late, self.said[name] = speech.late, 0
        for number, start in enumerate(range(0, len(sound), size)):
            if speech.lose_after == number:
                self.cut()
                raise ConnectionError
            if self._cancelled.is_set():
                if late == 0:
                    break
                late -= 1
            piece = sound[start : start + size]
            self.said[name] += len(piece) // octets
            await self.send("response.output_audio.delta", **at, delta=base64.b64encode(piece).decode())
            try:
                await asyncio.wait_for(self._cancelled.wait(), speech.piece / speech.pace)
            except TimeoutError:
                pass
        await self.send("response.output_audio.done", **at)
        await self.send("response.output_audio_transcript.done", **at, transcript=speech.transcript)
        content = {"type": "output_audio", "transcript": speech.transcript}
        status = "incomplete" if self._cancelled.is_set() else "completed"
        part = {"type": "audio", "transcript": speech.transcript}
        await self.send("response.content_part.done", **at, part=part)
        return await self._end(item | {"status": status, "content": [content]}, response)

    async def _call(self, call: ToolCall, response: str) -> dict[str, Any]:
        item = {"id": _id("item"), "object": "realtime.item", "type": "function_call", "status": "in_progress"}
        item |= {"call_id": _id("call"), "name": call.name, "arguments": ""}
        at = {"response_id": response, "item_id": item["id"], "output_index": 0, "call_id": item["call_id"]}
        await self._begin(item, response)
        await self.send("response.function_call_arguments.delta", **at, delta=call.arguments)
        await self.send("response.function_call_arguments.done", **at, name=call.name, arguments=call.arguments)
        return await self._end(item | {"status": "completed", "arguments": call.arguments}, response)

    async def _begin(self, item: dict[str, Any], response: str) -> None:
        before = next(reversed(self.items), None)
        self.items[item["id"]] = item
        await self.send("response.output_item.added", response_id=response, output_index=0, item=item)
        await self.send("conversation.item.added", item=item, previous_item_id=before)

    async def _end(self, item: dict[str, Any], response: str) -> dict[str, Any]:
        self.items[item["id"]] = item
        await self.send("conversation.item.done", item=item, previous_item_id=None)
        await self.send("response.output_item.done", response_id=response, output_index=0, item=item)
        return item


def _realtime(model: str) -> dict[str, Any]:
    heard = {"format": {"type": "audio/pcm", "rate": RATE}, "turn_detection": {"type": "server_vad"}}
    said = {"format": {"type": "audio/pcm", "rate": RATE}, "voice": "marin"}
    return {
        "type": "realtime",
        "model": model,
        "output_modalities": ["audio"],
        "instructions": "",
        "audio": {"input": heard, "output": said},
    }


def _transcription() -> dict[str, Any]:
    heard = {"format": {"type": "audio/pcm", "rate": RATE}, "turn_detection": {"type": "server_vad"}}
    return {"type": "transcription", "audio": {"input": heard}}


def _response(name: str, status: str, output: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "id": name,
        "object": "realtime.response",
        "status": status,
        "status_details": None,
        "output": output,
        "output_modalities": ["audio"],
        "conversation_id": "conv_1",
        "usage": None,
        "metadata": None,
    }


def _merge(old: dict[str, Any], new: dict[str, Any]) -> None:
    for key, value in new.items():
        if isinstance(value, dict) and isinstance(old.get(key), dict) and key not in ("turn_detection", "format"):
            _merge(old[key], value)
        else:
            old[key] = value
