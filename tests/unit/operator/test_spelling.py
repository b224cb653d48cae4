"""Values of custom resources are read as they are written, and written as they are read."""

import pytest
from hypothesis import given
from hypothesis import strategies as some
from pydantic import ValidationError

from voicefleet_operator.api.conditions import condition, merged, moment, timestamp
from voicefleet_operator.api.relay_pool import Expose
from voicefleet_operator.api.spelling import Share, duration, seconds, share
from voicefleet_operator.api.voice_fleet import VoiceFleetSpec


@pytest.mark.parametrize(
    ("text", "value"), [("250ms", 0.25), ("90s", 90.0), ("1h30m", 5400.0), ("7d", 604800.0), ("0", 0.0)]
)
def test_a_duration_is_read(text: str, value: float) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "10", "m", "-5s", "1 h", "1w", None, True, "5s "])
def test_what_is_no_duration_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="is not a duration"):
        seconds(text)


@given(some.integers(0, 10_000_000))
def test_a_duration_is_written_as_it_is_read(value: int) -> None:
    assert seconds(duration(float(value))) == value


@pytest.mark.parametrize(("text", "of_ten"), [("20%", 2), ("25%", 3), ("0%", 0), ("100%", 10), (3, 3)])
def test_a_share_counts_things_or_parts_of_them(text: object, of_ten: int) -> None:
    assert share(text).of(10) == of_ten


@pytest.mark.parametrize("text", ["101%", "-1%", -1, "half", True, None, 1.5])
def test_what_is_no_share_is_refused(text: object) -> None:
    with pytest.raises(ValueError, match="neither a number nor a percentage"):
        share(text)


def test_an_error_names_the_field_as_it_is_written() -> None:
    with pytest.raises(ValidationError) as caught:
        Expose.model_validate({"type": "LoadBalancer", "loadBalancer": {"sourceRanges": ["10.0.0.1/8"]}})
    assert caught.value.errors()[0]["loc"] == ("loadBalancer", "sourceRanges", 0)


def test_what_a_newer_version_added_does_not_matter() -> None:
    assert VoiceFleetSpec.model_validate({"holograms": True}) == VoiceFleetSpec()


def test_a_spec_is_written_as_it_is_read() -> None:
    spec = VoiceFleetSpec.model_validate({"ports": {"range": {"from": 31000}, "quarantine": "90s"}})
    document = spec.model_dump(mode="json", by_alias=True)
    assert document["ports"] == {"range": {"from": 31000, "to": 30677}, "quarantine": "1m30s"}
    assert VoiceFleetSpec.model_validate(document) == spec
    assert str(Share(20, True)) == "20%"


def test_a_condition_is_dated_from_the_last_change_of_its_status() -> None:
    first = merged((), [condition("Ready", False, "Starting", "0 of 2 relays are ready")], 1, 1000.0)
    second = merged(first, [condition("Ready", False, "Starting", "1 of 2 relays is ready")], 2, 2000.0)
    third = merged(second, [condition("Ready", True, "Ready")], 2, 3000.0)
    assert [each[0].last_transition_time for each in (first, second, third)] == [
        timestamp(1000.0),
        timestamp(1000.0),
        timestamp(3000.0),
    ]
    assert second[0].observed_generation == 2
    assert moment(timestamp(1234.0)) == 1234.0
