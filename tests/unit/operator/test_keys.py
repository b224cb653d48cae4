"""The fleet's keys change on schedule or when asked, never faster than every part can follow."""

from random import Random

from voicefleet.wire.keyring import LONGEST_SESSION, PROPAGATION, KeyRing
from voicefleet_operator.api.voice_fleet import Keys
from voicefleet_operator.model.keys import next_rotation, rotated, rotation_due

DAY = 86400.0
START = 1_795_392_000.0
WEEKLY = Keys.model_validate({"rotateEvery": "7d", "longestCall": "24h"})
BY_HAND = Keys.model_validate({"rotateEvery": "0"})


def ring() -> KeyRing:
    return KeyRing.generate("demo", START, Random(1).randbytes)


def due(some: KeyRing, keys: Keys, now: float, asked: str = "", handled: str = "") -> bool:
    return rotation_due(some, keys, now, asked, handled)


def test_a_key_is_due_a_week_after_the_last_one_and_not_before() -> None:
    at = next_rotation(ring(), WEEKLY, START, waiting=False)
    assert at == START - PROPAGATION + 7 * DAY
    assert not due(ring(), WEEKLY, at - 1) and due(ring(), WEEKLY, at)
    assert not due(ring(), BY_HAND, START + 1000 * DAY) and next_rotation(ring(), BY_HAND, START, waiting=False) is None


def test_an_annotation_asks_once() -> None:
    assert due(ring(), BY_HAND, START + 1, asked="now")
    assert not due(ring(), BY_HAND, START + 1, asked="now", handled="now")
    assert due(ring(), BY_HAND, START + 1, asked="again", handled="now")


def test_while_a_new_key_is_on_its_way_no_other_is_made() -> None:
    twice = rotated(ring(), WEEKLY, START + 10, Random(2).randbytes)
    assert not due(twice, WEEKLY, START + 20, asked="now")
    again = next_rotation(twice, WEEKLY, START + 20, waiting=True)
    assert again == START + 10 + PROPAGATION and due(twice, WEEKLY, again, asked="now")


def test_a_year_of_rotations_never_runs_out_of_ids_and_every_call_keeps_its_key() -> None:
    hourly = Keys.model_validate({"rotateEvery": "1h", "longestCall": "6h"})
    for keys, step in ((WEEKLY, DAY / 4), (hourly, 300.0)):
        some, now, made = ring(), START, {START: ring().minting(START).key_id}
        longest = keys.longest_call
        for _ in range(1500):
            now += step
            if due(some, keys, now):
                some = rotated(some, keys, now, Random(int(now)).randbytes)
            made = {at: key for at, key in made.items() if now - at < longest}
            made[now] = some.minting(now).key_id
            accepted = {key.key_id for key in some.accepted(now).keys}
            assert set(made.values()) <= accepted
            assert len(some.keys) <= 8
    assert LONGEST_SESSION >= DAY
