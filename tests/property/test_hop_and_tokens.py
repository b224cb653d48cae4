"""Hop headers, bundles, tokens, key rings and secrets hold for any value and for any bytes."""

from hypothesis import given
from hypothesis import strategies as st

from voicefleet.wire import hop
from voicefleet.wire.client_secret import ClientSecret, open_secret, seal
from voicefleet.wire.errors import WireError
from voicefleet.wire.hop import Flag, HopHeader, Kind
from voicefleet.wire.keyring import FleetKey, KeyRing, KeyRingError
from voicefleet.wire.route_token import Route, TokenOpener, mint

KEY = FleetKey(5, bytes(range(32)), 0.0, None)
RING = KeyRing("demo", (KEY,))
OPENER = TokenOpener(RING)
addresses = st.ip_addresses().map(str)
ports = st.integers(0, 65535)


@given(addresses, ports, st.integers(0, 65535), st.integers(0, 2**32 - 1))
def test_a_token_opens_to_the_route_it_was_minted_for(address: str, port: int, generation: int, counter: int) -> None:
    route = Route(address, port, generation, counter)
    assert OPENER.open(mint(route, KEY, RING.fleet_tag).encode()) == route


@given(st.binary(max_size=60), st.integers(0, 59), st.integers(1, 255))
def test_no_bytes_and_no_damage_make_a_token_raise_anything_but_a_wire_error(data: bytes, at: int, bits: int) -> None:
    damaged = bytearray(mint(Route("fd00::1", 1, 1, 1), KEY, RING.fleet_tag).encode())
    damaged[at % len(damaged)] ^= bits
    for token in (data, bytes(damaged)):
        for read in (OPENER.open, OPENER.password):
            try:
                read(token)
            except WireError:
                pass


headers = st.builds(
    HopHeader,
    st.sampled_from([kind for kind in Kind if kind is not Kind.BUNDLE]),
    st.integers(0, 15).map(Flag),
    st.tuples(addresses.filter(lambda text: not text.startswith("::ffff:")), ports),
    st.just(5),
)


@given(headers)
def test_a_header_opens_to_what_was_sealed(header: HopHeader) -> None:
    assert hop.open(hop.seal(header.kind, header.flags, header.client, KEY), RING) == header


@given(headers, st.integers(0, 31), st.integers(1, 255))
def test_any_changed_octet_of_a_header_is_refused(header: HopHeader, at: int, bits: int) -> None:
    damaged = bytearray(hop.seal(header.kind, header.flags, header.client, KEY))
    damaged[at] ^= bits
    try:
        hop.open(bytes(damaged), RING)
    except WireError:
        return
    raise AssertionError("a damaged header was believed")


@given(st.lists(st.binary(max_size=300), max_size=40), st.integers(400, 2000))
def test_packets_come_out_of_bundles_as_they_went_in(payloads: list[bytes], mtu: int) -> None:
    header = hop.seal(Kind.DATA, Flag(0), ("192.0.2.1", 9), KEY)
    datagrams = hop.bundle([(header, payload) for payload in payloads], mtu)
    read = [part for d in datagrams for part in (hop.unbundle(d) if hop.is_bundle(d) else [(d[:32], d[32:])])]
    assert [payload for _, payload in read] == payloads
    assert all(len(datagram) <= mtu for datagram in datagrams)


@given(st.binary(max_size=400), st.integers(0, 5))
def test_any_bytes_give_headers_and_packets_or_a_wire_error(data: bytes, count: int) -> None:
    for decode in (lambda d: hop.open(d, RING), hop.unbundle):
        for datagram in (data, b"VF\x11" + bytes((count,)) + data, b"VF\x10" + data):
            try:
                decode(datagram)
            except WireError:
                pass


@given(st.binary(max_size=300))
def test_any_document_is_a_ring_or_a_key_ring_error(document: bytes) -> None:
    try:
        KeyRing.parse(document)
    except KeyRingError:
        pass


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
