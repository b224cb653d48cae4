"""Route tokens hold for any route and for any bytes, and a route has one token."""

from base64 import b64encode
from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6, inet_ntop

from hypothesis import given
from hypothesis import strategies as st

from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.route_token import Route, TokenOpener, ice_password, mint

KEY = FleetKey(5, bytes(range(32)), 0.0, None)
RING = KeyRing("demo", (KEY, FleetKey(0, bytes(range(1, 33)), 0.0, None)))
OPENER = TokenOpener(RING)
CHARACTERS = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/="
ROUTE = Route("10.0.0.1", 4478, 1, 1)
SOUND = [mint(ROUTE, key, RING.fleet_tag).encode() for key in RING.keys]


def as_sockets_write_it(address: IPv4Address | IPv6Address) -> str:
    return inet_ntop(AF_INET if address.version == 4 else AF_INET6, address.packed)


addresses = st.ip_addresses().map(as_sockets_write_it)
ports = st.integers(0, 65535)
routes = st.builds(Route, addresses, ports, st.integers(0, 65535), st.integers(0, 2**32 - 1))


@given(routes, st.sampled_from(RING.keys))
def test_a_token_opens_to_the_route_it_was_minted_for(route: Route, key: FleetKey) -> None:
    token = mint(route, key, RING.fleet_tag).encode()
    assert OPENER.open(token) == route
    assert OPENER.password(token) == ice_password(token, key)


def opens_to_its_own_route_or_not_at_all(token: bytes) -> None:
    """Whatever was read, the next sound token opens: nothing of a bad one stays behind in the opener."""
    try:
        route = OPENER.open(token)
    except WireError:
        pass
    else:
        assert token.decode() in [mint(route, key, RING.fleet_tag) for key in RING.keys]
    try:
        assert len(OPENER.password(token)) == 32
    except WireError as error:
        assert error.reason is Reason.UNKNOWN_KEY
    for sound in SOUND:
        assert OPENER.open(sound) == ROUTE


@given(st.binary(max_size=60))
def test_any_bytes_open_to_nothing_and_leave_nothing_behind(data: bytes) -> None:
    opens_to_its_own_route_or_not_at_all(data)


@given(
    st.sampled_from([0, 5, 2]),
    st.integers(0, 3),
    st.binary(max_size=34),
    st.sampled_from([24, 46]),
    st.integers(0, 4),
)
def test_text_that_begins_as_a_token_does_opens_to_nothing(
    key_id: int, version: int, body: bytes, length: int, padding: int
) -> None:
    text = b64encode(bytes((key_id << 5 | version, RING.fleet_tag)) + body + bytes(34))
    opens_to_its_own_route_or_not_at_all(text[: length - padding] + b"=" * padding)


@given(routes, st.sampled_from(RING.keys), st.integers(0, 45), st.sampled_from(list(CHARACTERS)))
def test_a_token_with_one_changed_character_is_no_second_name_of_its_route(
    route: Route, key: FleetKey, at: int, character: int
) -> None:
    token = bytearray(mint(route, key, RING.fleet_tag).encode())
    token[at % len(token)] = character
    opens_to_its_own_route_or_not_at_all(bytes(token))
