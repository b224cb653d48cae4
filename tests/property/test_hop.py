"""Hop headers and bundles hold for any client, any packets and any bytes."""

from ipaddress import IPv4Address, IPv6Address
from socket import AF_INET, AF_INET6, inet_ntop

from hypothesis import given
from hypothesis import strategies as st

from voicefleet.wire import hop
from voicefleet.wire.errors import WireError
from voicefleet.wire.hop import Flag, HopHeader, Kind
from voicefleet.wire.keyring import FleetKey, KeyRing

KEY = FleetKey(5, bytes(range(32)), 0.0, None)
RING = KeyRing("demo", (KEY,))


def as_sockets_write_it(address: IPv4Address | IPv6Address) -> str:
    return inet_ntop(AF_INET if address.version == 4 else AF_INET6, address.packed)


addresses = st.ip_addresses().map(as_sockets_write_it)
ports = st.integers(0, 65535)
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
