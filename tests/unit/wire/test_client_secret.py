"""An ephemeral secret carries a session to signaling and back to nobody else."""

import os

import pytest

from voicefleet.wire.client_secret import MAX_TEXT, PREFIX, ClientSecret, open_secret, seal
from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.keyring import FleetKey, KeyRing

KEY = FleetKey(key_id=3, secret=bytes(range(32)), mint_from=0.0, accept_until=None)
RING = KeyRing(fleet="demo", keys=(KEY,))
SECRET = ClientSecret(
    "shop", 1_800_000_000, {"type": "realtime", "instructions": "Sei freundlich."}, "https://app.example"
)


def sealed(secret: ClientSecret = SECRET, ring: KeyRing = RING) -> str:
    return seal(secret, ring.keys[0], ring.fleet_tag, os.urandom)


def test_a_secret_opens_to_what_was_sealed() -> None:
    assert open_secret(sealed(), RING) == SECRET


def test_the_browser_that_holds_a_secret_cannot_read_the_instructions() -> None:
    assert "freundlich" not in sealed() and sealed() != sealed()


@pytest.mark.parametrize("position", range(0, 60, 3))
def test_a_changed_character_makes_the_secret_invalid(position: int) -> None:
    text = sealed()
    at = len(PREFIX) + position
    changed = text[:at] + ("A" if text[at] != "A" else "B") + text[at + 1 :]
    with pytest.raises(WireError):
        open_secret(changed, RING)


def test_a_secret_of_another_fleet_is_told_apart_from_a_forged_one() -> None:
    other = KeyRing(fleet="other", keys=(KEY,))
    assert other.fleet_tag != RING.fleet_tag
    with pytest.raises(WireError) as caught:
        open_secret(sealed(ring=other), RING)
    assert caught.value.reason is Reason.FOREIGN_FLEET


def test_a_secret_whose_key_has_left_the_ring_names_that_reason() -> None:
    newer = KeyRing(fleet="demo", keys=(FleetKey(key_id=4, secret=bytes(32), mint_from=0.0, accept_until=None),))
    with pytest.raises(WireError) as caught:
        open_secret(sealed(), newer)
    assert caught.value.reason is Reason.UNKNOWN_KEY


def test_a_session_that_would_not_fit_an_http_header_is_refused_when_it_is_sealed() -> None:
    noise = ClientSecret("shop", 1, {"instructions": os.urandom(MAX_TEXT).hex()})
    with pytest.raises(WireError) as caught:
        sealed(noise)
    assert caught.value.reason is Reason.TOO_LONG


@pytest.mark.parametrize("text", ["", "ek_", "ek_!", "sk_abc", "ek_" + "A" * 9000, "ek_AAAA", "ek_ünïcode"])
def test_anything_else_is_one_wire_error(text: str) -> None:
    with pytest.raises(WireError):
        open_secret(text, RING)
