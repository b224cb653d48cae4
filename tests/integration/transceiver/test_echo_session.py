"""The agent without a model, over WebRTC: official event types, turns, interruptions, push-to-talk."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from tests.support.aiortc_caller import AiortcCaller, aiortc_caller
from tests.support.facts import eventually
from tests.support.realtime_types import validated
from tests.support.tone import buzz, hush
from tests.support.workers import direct_worker
from voicefleet.agents.parrot import Parrot
from voicefleet.core.realtime.client_events import Door
from voicefleet.services.transceiver.session import Session

LOUD = {"type": "server_vad", "silence_duration_ms": 300}


class Talk:
    """A call whose caller speaks a tone, and the events it was told."""

    def __init__(self, caller: AiortcCaller, session: Session) -> None:
        self.caller = caller
        self.session = session
        self.events: list[dict[str, Any]] = []
        assert caller.channel is not None
        self.channel = caller.channel
        self.channel.on("message", lambda message: self.events.append(json.loads(message)))

    def send(self, kind: str, **fields: Any) -> None:
        self.channel.send(json.dumps({"type": kind, **fields}))

    def detect(self, detection: dict[str, Any] | None) -> None:
        self.send("session.update", session={"type": "realtime", "audio": {"input": {"turn_detection": detection}}})

    async def told(self, kind: str, count: int = 1) -> dict[str, Any]:
        await eventually(lambda: len(self.all(kind)) >= count, f"{kind}; told {[e['type'] for e in self.events]}")
        return self.all(kind)[count - 1]

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def check(self) -> None:
        for event in self.events:
            if not event["type"].startswith("voicefleet."):
                validated(event)


@asynccontextmanager
async def talk() -> AsyncIterator[Talk]:
    async with direct_worker(agent=lambda: Parrot(Door.WEBRTC, {"model": "ours"})) as worker, aiortc_caller() as caller:
        created = worker.create(await caller.offer(), {"model": "ours"}, [])
        talking = Talk(caller, worker.sessions[created.call_id])
        await caller.answer(created.answer)
        await talking.told("session.created")
        yield talking
        talking.check()


async def test_a_session_is_created_and_updated_and_asked_about_with_official_types() -> None:
    async with talk() as one:
        created = await one.told("session.created")
        assert created["session"]["model"] == "ours"
        one.send("session.update", session={"type": "realtime", "model": "gpt-realtime", "tracing": "auto"})
        merged = (await one.told("session.updated"))["session"]
        assert merged == created["session"] | {"tracing": "auto"}
        one.send("session.update", event_id="mine", session={"typo": 1})
        wrong = (await one.told("error"))["error"]
        assert (wrong["event_id"], wrong["param"], wrong["code"]) == ("mine", "session.typo", "unknown_parameter")
        one.send("conversation.item.retrieve", item_id="item_none", event_id="again")
        assert (await one.told("error", 2))["error"]["code"] == "item_retrieve_invalid_item_id"
        one.send("response.cancel")
        assert (await one.told("error", 3))["error"]["code"] == "response_cancel_not_active"


async def test_words_are_answered_with_their_own_words_and_sound() -> None:
    async with talk() as one:
        one.detect(None)
        hello = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello there"}]}
        one.send("conversation.item.create", item=hello)
        item = (await one.told("conversation.item.added"))["item"]
        one.send("response.create", response={"metadata": {"topic": "greeting"}})
        done = (await one.told("response.done"))["response"]
        assert done["status"] == "completed" and done["metadata"] == {"topic": "greeting"}
        assert done["output"][0]["content"][0]["transcript"] == "Hello there"
        await one.told("output_audio_buffer.stopped")
        kinds = [event["type"] for event in one.events]
        order = ["response.created", "response.output_item.added", "response.content_part.added",
                 "output_audio_buffer.started", "response.output_audio.done", "response.output_audio_transcript.done",
                 "response.content_part.done", "response.output_item.done", "response.done",
                 "output_audio_buffer.stopped"]  # fmt: skip
        assert [kind for kind in kinds if kind in order] == order
        one.send("conversation.item.retrieve", item_id=item["id"])
        assert (await one.told("conversation.item.retrieved"))["item"]["content"] == hello["content"]
        said = done["output"][0]["id"]
        one.send("conversation.item.truncate", item_id=said, content_index=0, audio_end_ms=200)
        assert (await one.told("conversation.item.truncated"))["audio_end_ms"] == 200
        one.send("conversation.item.truncate", item_id=said, content_index=0, audio_end_ms=90_000)
        await one.told("error")
        one.send("conversation.item.delete", item_id=item["id"])
        assert (await one.told("conversation.item.deleted"))["item_id"] == item["id"]
        one.send("response.create", response={"output_modalities": ["text"]})
        assert (await one.told("response.done", 2))["response"]["output"][0]["content"][0]["type"] == "output_text"
        one.check()


async def test_push_to_talk_says_back_what_was_heard_between_clear_and_commit() -> None:
    async with talk() as one:
        one.detect(None)
        await one.told("session.updated")
        one.send("input_audio_buffer.clear")
        await one.told("input_audio_buffer.cleared")
        await asyncio.sleep(1.5)  # what is measured: a second and a half of sound
        one.send("input_audio_buffer.commit")
        item = (await one.told("input_audio_buffer.committed"))["item_id"]
        assert not one.all("input_audio_buffer.speech_started") and not one.all("response.created")
        one.send("response.create")
        done = (await one.told("response.done"))["response"]
        spoken = done["output"][0]["content"][0]["transcript"]
        assert 1.0 < float(spoken.strip("(").split()[0]) < 10.0
        one.send("conversation.item.retrieve", item_id=item)
        assert (await one.told("conversation.item.retrieved"))["item"]["content"][0]["transcript"] is None
        one.send("response.create")
        await one.told("response.created", 2)
        one.send("response.cancel")
        one.send("output_audio_buffer.clear")
        cancelled = (await one.told("response.done", 2))["response"]
        assert cancelled["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
        await one.told("output_audio_buffer.cleared")
        cut = await one.told("conversation.item.truncated")
        assert cut["item_id"] == cancelled["output"][0]["id"] and cut["audio_end_ms"] < 1500
        one.send("input_audio_buffer.clear")
        one.send("input_audio_buffer.commit", event_id="empty")


@pytest.mark.parametrize("create", [True, False])
async def test_a_turn_is_heard_answered_and_measured(create: bool) -> None:
    async with talk() as one:
        one.detect({**LOUD, "create_response": create})
        await one.told("session.updated")
        one.caller.says = hush
        await asyncio.sleep(1.0)  # the ear learns what silence is here
        one.caller.says = buzz
        started = await one.told("input_audio_buffer.speech_started")
        await asyncio.sleep(1.0)
        one.caller.says = hush
        stopped = await one.told("input_audio_buffer.speech_stopped")
        assert stopped["item_id"] == started["item_id"] and stopped["audio_end_ms"] > started["audio_start_ms"] + 800
        committed = await one.told("input_audio_buffer.committed")
        assert committed["item_id"] == started["item_id"]
        if not create:
            assert not one.all("response.created")
            return
        await one.told("output_audio_buffer.stopped")
        turn = await one.told("voicefleet.turn")
        assert turn["item_id"] == started["item_id"] and set(turn["stages"]) >= {"end_of_turn", "queue"}
        assert 200 < turn["stages"]["end_of_turn"] < 3000
        assert one.session.events.turns == 1
