from typing import Any

import pytest

from tests.support.realtime_types import validated
from voicefleet.core.realtime import items
from voicefleet.core.realtime import server_events as say
from voicefleet.core.realtime.ids import Ids
from voicefleet.core.realtime.items import Status
from voicefleet.core.realtime.session import begun

IDS = Ids(lambda octets: "5" * 2 * octets)
SESSION = begun({"model": "ours"}, IDS.session(), 0)
PART = say.Part("resp_1", "item_2", 0, 0)
HEARD = items.spoken_by_caller("item_1")
SAID = items.spoken_by_model("item_2", Status.COMPLETED, "Hello.")
DONE = say.response("resp_1", SESSION, "conv_1", Status.COMPLETED, [SAID], tokens=3)
CUT = say.response("resp_1", SESSION, "conv_1", Status.CANCELLED, [SAID], reason="turn_detected", tokens=3)
EVENTS: list[dict[str, Any]] = [
    say.session_created(SESSION),
    say.session_updated(SESSION),
    say.speech_started("item_1", 120),
    say.speech_stopped("item_1", 1240),
    say.committed("item_1", None),
    say.input_cleared(),
    say.idle("item_1", 0, 900),
    say.item_added(HEARD, None),
    say.item_done(HEARD, "item_0"),
    say.item_retrieved(items.spoken_by_caller("item_1", "Hello?")),
    say.item_added(items.from_client("item_9", {"type": "function_call_output", "call_id": "c", "output": "7"}), None),
    say.item_deleted("item_1"),
    say.item_truncated("item_2", 0, 480),
    say.response_created(say.response("resp_1", SESSION, "conv_1", Status.IN_PROGRESS)),
    say.output_item_added(PART, items.spoken_by_model("item_2", Status.IN_PROGRESS)),
    say.content_part_added(PART, items.audio_part()),
    say.transcript_delta(PART, "Hel"),
    say.audio_delta(PART, b"\0\0"),
    say.audio_done(PART),
    say.transcript_done(PART, "Hello."),
    say.content_part_done(PART, items.audio_part("Hello.")),
    say.content_part_added(PART, items.text_part()),
    say.text_delta(PART, "Hel"),
    say.text_done(PART, "Hello."),
    say.output_item_done(PART, SAID),
    say.output_item_done(PART, items.written_by_model("item_3", Status.COMPLETED, "Hello.")),
    say.response_done(DONE),
    say.response_done(CUT),
    say.response_done(say.response("resp_1", SESSION, "conv_1", Status.FAILED, reason=None, metadata={"a": "b"})),
    say.playing_started("resp_1"),
    say.playing_stopped("resp_1"),
    say.playing_cleared("resp_1"),
]


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event["type"])
def test_every_event_is_one_that_the_official_package_knows_field_by_field(event: dict[str, Any]) -> None:
    stamped = say.stamped(event, IDS)
    validated(stamped)
    assert list(stamped)[:2] == ["type", "event_id"]


def test_a_cancelled_response_says_who_cancelled_it() -> None:
    assert CUT["status_details"] == {"type": "cancelled", "reason": "turn_detected"}
    assert DONE["status_details"] is None and DONE["usage"]["total_tokens"] == 3


def test_names_say_what_they_name() -> None:
    made = [IDS.session(), IDS.conversation(), IDS.item(), IDS.response(), IDS.event()]
    assert [name.split("_")[0] for name in made] == ["sess", "conv", "item", "resp", "event"]
