"""Route tokens: published vectors, an independent reading of the layout, and random text that opens to nothing."""

import base64
import hashlib
import hmac
import json
import random
import socket
import struct
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES128
from cryptography.hazmat.primitives.ciphers.modes import CBC

from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.route_token import Route, TokenOpener, ice_password, mint

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "route_token.json").read_text())
KEYS = {row["id"]: FleetKey(row["id"], bytes.fromhex(row["secret"]), 0.0, None) for row in VECTORS["keys"]}
RING = KeyRing(VECTORS["fleet"], tuple(KEYS.values()))
OPENER = TokenOpener(RING)
ICE_CHARACTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"


def route_of(row: dict[str, Any]) -> Route:
    return Route(row["address"], row["port"], row["generation"], row["counter"])


@pytest.mark.parametrize("row", VECTORS["keys"], ids=lambda row: f"key {row['id']}")
def test_keys_are_derived_as_published(row: dict[str, Any]) -> None:
    key = KEYS[row["id"]]
    derived = {name: getattr(key, f"{name}_key").hex() for name in row["derived"]}
    assert derived == row["derived"]


@pytest.mark.parametrize("row", VECTORS["keys"], ids=lambda row: f"key {row['id']}")
def test_the_published_keys_are_those_of_rfc_5869_when_derived_by_other_means(row: dict[str, Any]) -> None:
    purposes = {
        "token": (b"voicefleet route token", 16),
        "password": (b"voicefleet ice password", 32),
        "hop": (b"voicefleet hop header", 32),
        "api": (b"voicefleet internal api", 32),
        "secret": (b"voicefleet client secret", 32),
    }
    extracted = hmac.digest(bytes(32), bytes.fromhex(row["secret"]), "sha256")
    for name, (purpose, octets) in purposes.items():
        assert row["derived"][name] == hmac.digest(extracted, purpose + b"\x01", "sha256")[:octets].hex()
    assert row["derived"].keys() == purposes.keys()


@pytest.mark.parametrize(
    "row", VECTORS["tokens"], ids=lambda row: f"v{row['version']} key {row['keyId']} {row['address']}"
)
def test_tokens_are_minted_and_opened_as_published(row: dict[str, Any]) -> None:
    key = KEYS[row["keyId"]]
    token = mint(route_of(row), key, RING.fleet_tag)
    assert token == row["token"]
    assert OPENER.open(token.encode()) == route_of(row)
    assert OPENER.password(token.encode()) == ice_password(token.encode(), key) == row["icePassword"].encode()
    assert set(token) | set(row["icePassword"]) <= set(ICE_CHARACTERS) and len(row["icePassword"]) == 32


@pytest.mark.parametrize(
    "row", VECTORS["tokens"], ids=lambda row: f"v{row['version']} key {row['keyId']} {row['address']}"
)
def test_the_layout_is_the_documented_one_when_read_by_other_means(row: dict[str, Any]) -> None:
    key = KEYS[row["keyId"]]
    data = base64.b64decode(row["token"] + "=" * (-len(row["token"]) % 4))
    assert data[0] == row["keyId"] << 5 | row["version"]
    assert data[1] == hashlib.sha256(b"demo").digest()[0]
    plain = Cipher(AES128(key.token_key), CBC(bytes(16))).decryptor().update(data[2:])
    if row["version"] == 1:
        expected = socket.inet_aton(row["address"]) + struct.pack(
            "!HHLL", row["port"], row["generation"], row["counter"], 0
        )
    else:
        address = socket.inet_pton(socket.AF_INET6, row["address"])
        head = struct.pack("!LHH", row["counter"], row["generation"], row["port"])
        expected = head + address[:4] + bytes(4) + address[4:] + bytes(4)
    assert plain == expected
    digest = hmac.new(key.password_key, row["token"].encode(), "sha256").digest()
    assert row["icePassword"] == base64.b64encode(digest[:24]).decode()


def opened(tokens: Iterable[bytes]) -> int:
    count = 0
    for token in tokens:
        try:
            OPENER.open(token)
            count += 1
        except WireError:
            pass
    return count


def test_a_million_random_strings_open_to_nothing() -> None:
    octets = random.Random(1).randbytes(18 * 1_000_000)
    assert opened(base64.b64encode(octets[at : at + 18]) for at in range(0, len(octets), 18)) == 0


def test_random_strings_that_begin_as_a_token_does_are_refused_by_the_cipher() -> None:
    octets = random.Random(2).randbytes(16 * 250_000)
    head = base64.b64decode(VECTORS["tokens"][0]["token"])[:2]
    assert opened(base64.b64encode(head + octets[at : at + 16]) for at in range(0, len(octets), 16)) == 0


@pytest.mark.parametrize("padding", [b"=", b"=="])
def test_a_padded_token_is_refused_and_does_not_spoil_the_next_one(padding: bytes) -> None:
    # Such a token holds a part of a block. A cipher context that saw it would keep it and shift all that follows.
    opener = TokenOpener(RING)
    good = {row["token"].encode(): route_of(row) for row in VECTORS["tokens"]}
    for version in (1, 2):
        head = bytes((1 << 5 | version, RING.fleet_tag))
        for length in (24, 46):
            token = base64.b64encode(head + bytes(40))[: length - len(padding)] + padding
            with pytest.raises(WireError):
                opener.open(token)
            for sound, route in good.items():
                assert opener.open(sound) == route


def test_a_token_has_one_spelling() -> None:
    token = next(row["token"] for row in VECTORS["tokens"] if row["version"] == 2).encode()
    last = ICE_CHARACTERS.index(token.decode()[-1])
    for bits in range(1, 16):
        with pytest.raises(WireError) as caught:
            OPENER.open(token[:-1] + ICE_CHARACTERS[last ^ bits].encode())
        assert caught.value.reason is Reason.BAD_VALUE


@pytest.mark.parametrize("token", [b"A" * 65_507, b"=" * 65_507, bytes(65_507), b"\xff" * 46, b"\n" * 24, b"A" * 25])
def test_text_of_any_other_form_is_refused(token: bytes) -> None:
    with pytest.raises(WireError):
        OPENER.open(token)


def test_blocks_of_two_tokens_cannot_be_spliced() -> None:
    key = KEYS[1]
    one, two = (
        base64.b64decode(mint(Route("fd00::1", 4478, 1, counter), key, RING.fleet_tag) + "==") for counter in (5, 6)
    )
    spliced = base64.b64encode(one[:18] + two[18:]).rstrip(b"=")
    with pytest.raises(WireError) as caught:
        OPENER.open(spliced)
    assert caught.value.reason is Reason.NOT_AUTHENTIC


def test_calls_of_one_worker_show_no_equal_text() -> None:
    tokens = [mint(Route("fd00::1", 4478, 1, counter), KEYS[1], RING.fleet_tag) for counter in range(200)]
    assert len({token[3:24] for token in tokens}) == len({token[25:] for token in tokens}) == 200


@pytest.mark.parametrize("row", VECTORS["refused"], ids=lambda row: row["why"])
def test_what_this_fleet_did_not_mint_is_refused_as_published(row: dict[str, Any]) -> None:
    opener = TokenOpener(RING)
    with pytest.raises(WireError) as caught:
        opener.open(row["token"].encode())
    assert caught.value.reason is Reason(row["reason"])
    for sound in VECTORS["tokens"]:
        assert opener.open(sound["token"].encode()) == route_of(sound)


def test_a_password_needs_the_key_that_the_token_names() -> None:
    with pytest.raises(WireError) as caught:
        OPENER.password(mint(Route("10.0.0.1", 1, 1, 1), FleetKey(2, bytes(32), 0.0, None), RING.fleet_tag).encode())
    assert caught.value.reason is Reason.UNKNOWN_KEY
    with pytest.raises(WireError):
        OPENER.password(b"")
