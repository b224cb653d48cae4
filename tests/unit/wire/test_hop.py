"""Hop headers and bundles: published vectors, an independent reading of the layout, and refusals with their reason."""

import hashlib
import json
import socket
import struct
from pathlib import Path
from typing import Any

import pytest

from voicefleet.contract import HOP_MTU, MEDIA_MTU
from voicefleet.wire import hop
from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.hop import Flag, HopHeader, Kind
from voicefleet.wire.keyring import FleetKey, KeyRing

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "hop.json").read_text())
KEYS = {row["id"]: FleetKey(row["id"], bytes.fromhex(row["secret"]), 0.0, None) for row in VECTORS["keys"]}
RING = KeyRing("demo", tuple(KEYS.values()))
CLIENT = ("203.0.113.9", 50000)


@pytest.mark.parametrize("row", VECTORS["headers"], ids=lambda row: f"{row['kind']} {row['flags']} key {row['keyId']}")
def test_headers_are_made_and_read_as_published(row: dict[str, Any]) -> None:
    kind, flags, client = Kind[row["kind"]], Flag(row["flags"]), (row["client"][0], row["client"][1])
    header = bytes.fromhex(row["header"])
    assert hop.seal(kind, flags, client, KEYS[row["keyId"]]) == header
    assert hop.open(header + b"payload", RING) == HopHeader(kind, flags, client, row["keyId"])


@pytest.mark.parametrize("row", VECTORS["headers"], ids=lambda row: f"{row['kind']} {row['flags']} key {row['keyId']}")
def test_the_layout_is_the_documented_one_when_read_by_other_means(row: dict[str, Any]) -> None:
    header = bytes.fromhex(row["header"])
    host = row["client"][0]
    address = socket.inet_pton(socket.AF_INET6, host if ":" in host else "::ffff:" + host)
    expected = b"VF" + bytes((0x10 | Kind[row["kind"]], row["flags"])) + struct.pack("!H", row["client"][1])
    expected += bytes((row["keyId"], 0)) + address
    assert header[:24] == expected
    assert header[24:] == hashlib.blake2s(expected, digest_size=8, key=KEYS[row["keyId"]].hop_key).digest()


def test_a_bundle_is_made_and_read_as_published() -> None:
    packets = [bytes.fromhex(packet) for packet in VECTORS["bundle"]["packets"]]
    parts = [(packet[:32], packet[32:]) for packet in packets]
    datagram = bytes.fromhex(VECTORS["bundle"]["datagram"])
    assert hop.bundle(parts) == [datagram]
    assert hop.is_bundle(datagram) and hop.unbundle(datagram) == parts
    assert datagram == b"VF\x11\x03" + b"".join(struct.pack("!H", len(packet)) + packet for packet in packets)


def test_one_packet_alone_is_not_bundled() -> None:
    header = hop.seal(Kind.DATA, Flag(0), CLIENT, KEYS[1])
    assert hop.bundle([(header, b"alone")]) == [header + b"alone"]
    assert not hop.is_bundle(header + b"alone")
    assert hop.bundle([]) == []


def test_bundles_keep_order_and_stay_within_the_mtu() -> None:
    header = hop.seal(Kind.DATA, Flag(0), CLIENT, KEYS[1])
    parts = [(header, bytes([n % 256]) * (n * 37 % MEDIA_MTU)) for n in range(600)]
    datagrams = hop.bundle(parts)
    assert max(map(len, datagrams)) <= HOP_MTU
    read = [part for d in datagrams for part in (hop.unbundle(d) if hop.is_bundle(d) else [(d[:32], d[32:])])]
    assert read == parts


def test_many_empty_packets_fill_bundles_only_as_far_as_they_can_be_counted() -> None:
    header = hop.seal(Kind.DATA, Flag(0), CLIENT, KEYS[1])
    assert [len(hop.unbundle(d)) for d in hop.bundle([(header, b"")] * 600, mtu=60000)] == [255, 255, 90]


def test_the_two_directions_of_a_flow_have_different_headers() -> None:
    up, down = (hop.seal(Kind.DATA, flags, CLIENT, KEYS[1]) for flags in (Flag(0), Flag.DOWNLINK))
    assert up != down
    assert not hop.open(up, RING).flags & Flag.DOWNLINK and hop.open(down, RING).flags & Flag.DOWNLINK


@pytest.mark.parametrize("row", VECTORS["refusedHeaders"], ids=lambda row: row["why"])
def test_a_header_that_is_not_ours_is_refused_as_published(row: dict[str, Any]) -> None:
    with pytest.raises(WireError) as caught:
        hop.open(bytes.fromhex(row["header"]), RING)
    assert caught.value.reason is Reason(row["reason"])


@pytest.mark.parametrize("row", VECTORS["refusedBundles"], ids=lambda row: row["why"])
def test_a_bundle_whose_lengths_lie_is_refused_as_published(row: dict[str, Any]) -> None:
    with pytest.raises(WireError) as caught:
        hop.unbundle(bytes.fromhex(row["datagram"]))
    assert caught.value.reason is Reason(row["reason"])


@pytest.mark.parametrize("filling", [b"\x00", b"\xff", b"VF\x11\xff", b"\x00\x20"])
def test_the_largest_datagram_of_anything_is_refused(filling: bytes) -> None:
    datagram = b"VF\x11\xff" + (filling * 65_507)[: 65_507 - 4]
    for read in (hop.unbundle, lambda header: hop.open(header, RING)):
        with pytest.raises(WireError):
            read(datagram)
