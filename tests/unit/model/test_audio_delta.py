"""Sound in events: found however an event is written, and never mistaken for anything else."""

import base64
import json

from hypothesis import given
from hypothesis import strategies as st

from voicefleet.core.model.audio_delta import DELTA, append_event, read_delta

EVENT = {"event_id": "e", "response_id": "r", "item_id": "i", "output_index": 0, "content_index": 0}


@given(st.binary(max_size=4000), st.booleans())
def test_the_sound_of_a_delta_is_read(audio: bytes, spaces: bool) -> None:
    event = {"type": DELTA, **EVENT, "delta": base64.b64encode(audio).decode()}
    message = json.dumps(event, separators=None if spaces else (",", ":")).encode()
    delta = read_delta(message)
    assert delta is not None and delta.delta == audio
    assert (delta.response_id, delta.item_id, delta.content_index) == ("r", "i", 0)


@given(st.binary(max_size=400))
def test_what_is_appended_is_what_was_heard(audio: bytes) -> None:
    event = json.loads(append_event(audio))
    assert event["type"] == "input_audio_buffer.append" and base64.b64decode(event["audio"]) == audio


@given(st.text(max_size=50), st.text(max_size=50))
def test_an_event_that_only_speaks_of_sound_is_none(text: str, other: str) -> None:
    said = f'{{"type":"{DELTA}","delta":"AAAA"}}{text}'
    message = json.dumps({"type": "response.output_text.delta", "delta": said, "more": other}).encode()
    assert read_delta(message) is None


@given(st.binary(max_size=300))
def test_rubbish_is_no_sound(rubbish: bytes) -> None:
    assert read_delta(rubbish) is None
    assert read_delta(b'{"type":"response.output_audio.delta","delta":"AAA"}' + rubbish) is None, "not base64"
