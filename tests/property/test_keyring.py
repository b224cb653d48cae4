"""Key rings hold for any history of rotations, and any document is a ring or an error that names a field."""

import json
from random import Random
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from voicefleet.wire.keyring import KEY_IDS, KeyRing, KeyRingError

START = 1_790_000_000.0
moments = st.floats(0.0, 5_000.0)
spans = st.floats(1.0, 1_000.0)


@given(st.integers(), st.lists(st.tuples(moments, st.floats(0.0, 300.0), spans), max_size=12), st.floats(0.0, 1.0))
def test_what_was_minted_is_accepted_for_the_longest_session_through_any_rotations(
    seed: int, rotations: list[tuple[float, float, float]], within: float
) -> None:
    random = Random(seed).randbytes
    now = START
    ring = KeyRing.generate("demo", now, random)
    minted: list[tuple[bytes, float]] = []
    for wait, propagation, longest in rotations:
        # Something is minted at any time before the rotation, or between it and the new key's beginning.
        moment = now + wait * within
        minted.append((ring.minting(moment).secret, moment))
        now += wait
        try:
            rotated = ring.rotated(now, random, propagation, longest)
        except KeyRingError as error:
            assert error.field == "keys" and len(ring.accepted(now).keys) == KEY_IDS
            continue
        spreading = now + propagation * within * 0.99
        if spreading + 0.001 < now + propagation:
            assert rotated.minting(spreading) in rotated.keys[:-1]
            assert ring.key(rotated.minting(spreading).key_id) is not None
        assert rotated.minting(now + propagation + 0.001) == rotated.keys[-1]
        assert KeyRing.parse(rotated.dump()) == rotated
        for secret, moment in minted:
            if now < moment + min(longest for _, _, longest in rotations) - 0.001:
                assert secret in [key.secret for key in rotated.accepted(now).keys]
        ring = rotated


any_text = st.text(st.characters(exclude_categories=()), max_size=20)
any_value = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | any_text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(any_text, inner, max_size=3),
    max_leaves=6,
)
times = st.datetimes().map(lambda moment: moment.isoformat() + "Z") | st.none() | any_value
secrets = st.just("AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE=")
keys = st.fixed_dictionaries(
    {"id": st.integers(0, 7), "secret": secrets | any_value, "mintFrom": times, "acceptUntil": times}
)
documents = st.fixed_dictionaries(
    {
        "version": st.just(1),
        "fleet": st.just("demo") | any_text,
        "keys": st.lists(keys | keys | any_value, min_size=1, max_size=3) | any_value,
    }
)


def is_a_ring_or_names_a_field(document: bytes) -> None:
    try:
        ring = KeyRing.parse(document)
    except KeyRingError as error:
        assert error.field.split("[")[0] in ("document", "version", "fleet", "keys") and error.reason
        return
    assert 0 <= ring.fleet_tag <= 255
    assert ring.minting(START) in ring.keys
    assert KeyRing.parse(ring.dump()) == ring


@given(documents)
def test_any_document_of_nearly_the_right_form_is_a_ring_or_names_a_field(document: dict[str, Any]) -> None:
    is_a_ring_or_names_a_field(json.dumps(document).encode())


@given(st.binary(max_size=300))
def test_any_octets_are_a_ring_or_name_a_field(document: bytes) -> None:
    is_a_ring_or_names_a_field(document)
