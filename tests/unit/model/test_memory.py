"""What another model connection is told of the conversation so far."""

from typing import Any

from voicefleet.core.model.memory import MOST_ITEMS, Memory


def _done(name: str, role: str, content: list[dict[str, Any]]) -> dict[str, Any]:
    return {**_added(name, role, content), "type": "conversation.item.done"}


def _added(name: str, role: str = "user", content: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    item = {"id": name, "type": "message", "role": role, "content": content or [], **more}
    return {"type": "conversation.item.added", "item": item, "previous_item_id": None}


def test_words_stand_for_sound() -> None:
    memory = Memory({})
    memory.on_model(_added("one", content=[{"type": "input_audio", "transcript": None}]))
    transcribed = {"item_id": "one", "content_index": 0, "transcript": "hello"}
    memory.on_model({"type": "conversation.item.input_audio_transcription.completed", **transcribed})
    memory.on_model(_done("one", "user", [{"type": "input_audio", "transcript": None}]))
    memory.on_model(_added("two", "assistant", [{"type": "output_audio", "transcript": "good day"}]))
    assert memory.items() == [
        {"id": "one", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
        {"id": "two", "type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "good day"}]},
    ]


def test_what_was_not_heard_to_its_end_or_has_no_words_is_not_repeated() -> None:
    memory = Memory({})
    memory.on_model(_added("one", content=[{"type": "input_audio", "transcript": None}]))
    memory.on_model(_added("two", "assistant", [{"type": "output_audio", "transcript": "a long story"}]))
    memory.on_model({"type": "conversation.item.truncated", "item_id": "two", "content_index": 0, "audio_end_ms": 90})
    memory.on_model(_done("two", "assistant", [{"type": "output_audio", "transcript": "a long story"}]))
    assert memory.items() == []


def test_tools_and_their_results_are_repeated_and_deleted_items_are_not() -> None:
    memory = Memory({})
    call = {"id": "c", "type": "function_call", "call_id": "k", "name": "f", "arguments": "{}", "status": "completed"}
    result = {"id": "r", "type": "function_call_output", "call_id": "k", "output": "1", "object": "realtime.item"}
    for item in (call, result):
        memory.on_model({"type": "conversation.item.done", "item": item})
    assert [item["id"] for item in memory.items()] == ["c", "r"] and "object" not in memory.items()[1]
    memory.on_model({"type": "conversation.item.deleted", "item_id": "c"})
    assert [item["id"] for item in memory.items()] == ["r"]


def test_items_keep_their_order_also_one_that_was_put_between_others() -> None:
    memory = Memory({})
    text = [{"type": "input_text", "text": "x"}]
    for name in ("one", "two", "three"):
        memory.on_model(_added(name, content=list(text)))
    memory.on_model({**_added("between", content=list(text)), "previous_item_id": "one"})
    assert [item["id"] for item in memory.items()] == ["one", "between", "two", "three"]


def test_an_endless_conversation_is_remembered_by_its_end() -> None:
    memory = Memory({})
    for n in range(MOST_ITEMS + 5):
        memory.on_model(_added(str(n), content=[{"type": "input_text", "text": "x"}]))
    assert len(memory.items()) == MOST_ITEMS and memory.items()[0]["id"] == "5"


def test_the_session_is_what_all_updates_made_of_it() -> None:
    detection = {"type": "server_vad", "threshold": 0.5}
    memory = Memory({"instructions": "a", "audio": {"input": {"turn_detection": detection}, "output": {"voice": "x"}}})
    update = {"instructions": "b", "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}}}
    memory.on_client({"type": "session.update", "session": update})
    assert memory.session == {
        "instructions": "b",
        "audio": {"input": {"turn_detection": {"type": "semantic_vad"}}, "output": {"voice": "x"}},
    }
