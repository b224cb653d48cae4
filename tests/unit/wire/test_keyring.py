"""Keys overlap, rotate and are read from a document; a bad document says which field is wrong, and shows no secret."""

import json
from typing import Any

import pytest

from voicefleet.wire.keyring import KEY_IDS, FleetKey, KeyRing, KeyRingError
from voicefleet.wire.route_token import Route, TokenOpener, mint

T0 = 1_800_000_000.0


def counting_random() -> Any:
    state = [0]

    def random(count: int) -> bytes:
        state[0] += 1
        return bytes([state[0]]) * count

    return random


def test_a_new_key_is_known_before_it_is_minted_with_and_the_old_one_opens_until_the_last_call_has_ended() -> None:
    random = counting_random()
    first = KeyRing.generate("demo", T0, random)
    second = first.rotated(T0 + 1000, random, propagation=120, longest_session=3600)
    assert second.minting(T0 + 1000 + 119).key_id == first.keys[0].key_id
    assert second.minting(T0 + 1000 + 120).key_id != first.keys[0].key_id
    old = mint(Route("10.0.0.1", 1, 1, 1), first.keys[0], first.fleet_tag).encode()
    last = T0 + 1000 + 120 + 3600
    assert TokenOpener(second.accepted(last - 1)).open(old) == Route("10.0.0.1", 1, 1, 1)
    assert [key.key_id for key in second.accepted(last).keys] == [1]


def test_key_ids_go_round_and_one_that_is_still_accepted_is_never_given_again() -> None:
    random = counting_random()
    ring = KeyRing.generate("demo", T0, random)
    for step in range(1, KEY_IDS):
        ring = ring.rotated(T0 + step, random)
    assert sorted(key.key_id for key in ring.keys) == list(range(KEY_IDS))
    with pytest.raises(KeyRingError, match="still accepted"):
        ring.rotated(T0 + 10, random)
    later = ring.rotated(T0 + 10 * 24 * 3600, random)
    assert [key.key_id for key in later.keys] == [KEY_IDS - 1, 0]


def test_a_clock_that_stands_wrong_does_not_leave_the_fleet_without_a_key() -> None:
    random = counting_random()
    ring = KeyRing.generate("demo", T0, random).rotated(T0, random)
    assert ring.minting(0.0).key_id == 0
    assert ring.minting(T0 * 10).key_id == 1
    retired = KeyRing("demo", (FleetKey(3, bytes(32), T0, T0 + 1), FleetKey(4, bytes(32), T0 + 5, T0 + 6)))
    assert retired.accepted(T0 * 10).keys == retired.keys[1:]
    assert retired.minting(T0 * 10).key_id == 4


def test_a_ring_made_while_the_clock_was_ahead_can_be_rotated_once_it_is_right() -> None:
    random = counting_random()
    ahead = KeyRing.generate("demo", T0 + 365 * 24 * 3600, random)
    rotated = ahead.rotated(T0, random, propagation=120, longest_session=3600)
    assert rotated.minting(T0 + 119).key_id == 0
    assert rotated.minting(T0 + 120).key_id == 1
    assert [key.key_id for key in rotated.accepted(T0 + 120 + 3600).keys] == [1]


def test_a_new_key_that_need_not_spread_is_minted_with_at_once() -> None:
    random = counting_random()
    ring = KeyRing.generate("demo", T0, random).rotated(T0, random, propagation=0)
    assert ring.minting(T0).key_id == 1


def test_an_older_key_never_outlives_the_end_that_it_was_given_first() -> None:
    random = counting_random()
    ring = KeyRing.generate("demo", T0, random).rotated(T0, random, 60, 600).rotated(T0 + 100, random, 60, 600)
    assert [key.accept_until for key in ring.keys] == [T0 + 660, T0 + 760, None]


def test_a_ring_survives_its_document() -> None:
    random = counting_random()
    ring = KeyRing.generate("demo", T0 + 0.25, random).rotated(T0 + 5, random)
    assert KeyRing.parse(ring.dump()) == ring


def document(**change: Any) -> bytes:
    data: dict[str, Any] = json.loads(KeyRing.generate("demo", T0, counting_random()).dump())
    for path, value in change.items():
        target: Any = data
        *steps, last = path.split("__")
        for step in steps:
            target = target[int(step)] if isinstance(target, list) else target[step]
        target[last] = value
    return json.dumps(data).encode()


SECRET = "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="


@pytest.mark.parametrize(
    ("bad", "field"),
    [
        (b"", "document"),
        (b"\xff\xfe", "document"),
        (b"[" * 100_000, "document"),
        (b"[]", "document"),
        (document(version=2), "version"),
        (document(fleet=None), "fleet"),
        (document(fleet=""), "fleet"),
        (document(fleet="\ud800"), "fleet"),
        (document(keys={}), "keys"),
        (document(keys=[]), "keys"),
        (document(keys=["x"]), "keys[0]"),
        (document(keys__0__id=8), "keys[0].id"),
        (document(keys__0__id=True), "keys[0].id"),
        (document(keys__0__id="1"), "keys[0].id"),
        (document(keys__0__secret="???"), "keys[0].secret"),
        (document(keys__0__secret="AAAA"), "keys[0].secret"),
        (document(keys__0__secret=7), "keys[0].secret"),
        (document(keys__0__mintFrom="yesterday"), "keys[0].mintFrom"),
        (document(keys__0__mintFrom="2026-11-21T00:00:00"), "keys[0].mintFrom"),
        (document(keys__0__mintFrom=5), "keys[0].mintFrom"),
        (document(keys__0__mintFrom="9999-12-31T23:59:59-12:00"), "keys[0].mintFrom"),
        (document(keys__0__acceptUntil="0001-01-01T00:00:00+12:00"), "keys[0].acceptUntil"),
        (document(keys__0__acceptUntil="2000-01-01T00:00:00Z"), "keys[0].acceptUntil"),
        (document(keys=[json.loads(document())["keys"][0]] * 2), "keys"),
    ],
)
def test_a_bad_document_names_the_field_and_shows_no_secret(bad: bytes, field: str) -> None:
    with pytest.raises(KeyRingError) as caught:
        KeyRing.parse(bad)
    assert caught.value.field == field
    assert SECRET not in str(caught.value)


def test_a_secret_never_stands_in_a_repr() -> None:
    key = FleetKey(0, b"s3cret-s3cret-s3cret-s3cret-s3cret", 0.0, None)
    assert "s3cret" not in repr(key) + repr(KeyRing("demo", (key,)))
    assert repr(key.token_key) not in repr(key)
