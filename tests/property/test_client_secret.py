"""Ephemeral secrets hold for any session and for any text."""

from hypothesis import given
from hypothesis import strategies as st

from voicefleet.wire.client_secret import ClientSecret, open_secret, seal
from voicefleet.wire.errors import WireError
from voicefleet.wire.keyring import FleetKey, KeyRing

KEY = FleetKey(5, bytes(range(32)), 0.0, None)
RING = KeyRing("demo", (KEY,))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
sessions = st.dictionaries(st.text(max_size=12), json_values, max_size=5)


@given(
    st.text(max_size=20),
    st.integers(0, 2**40),
    sessions,
    st.none() | st.text(max_size=40),
    st.binary(min_size=12, max_size=12),
)
def test_a_secret_opens_to_the_session_it_was_sealed_with(
    issuer: str, expires_at: int, session: dict[str, object], origin: str | None, nonce: bytes
) -> None:
    secret = ClientSecret(issuer, expires_at, session, origin)
    assert open_secret(seal(secret, KEY, RING.fleet_tag, lambda _: nonce), RING) == secret


@given(st.text(max_size=200), st.binary(max_size=200))
def test_any_text_is_a_secret_or_a_wire_error(text: str, data: bytes) -> None:
    for candidate in (text, "ek_" + text, "ek_" + data.hex()):
        try:
            open_secret(candidate, RING)
        except WireError:
            pass
