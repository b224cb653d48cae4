"""The ephemeral secret that an application's server hands to a browser: `ek_` and a sealed session configuration.

It carries all that signaling needs to start the call (whose key made it, until when, from which web origin, with which
session), sealed with AES-256-GCM under the fleet's key. So any replica of signaling can read it and none has to
remember it; the browser that holds it cannot read the instructions inside or alter them. It can be used for several
calls until it expires, as with the service whose form it has.

    ek_ base64url(octet 0: key id (3 bits), version (5 bits) | octet 1: fleet tag | nonce (12) | sealed JSON, tag (16))
"""

import base64
import binascii
import json
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.keyring import FleetKey, KeyRing

PREFIX: Final = "ek_"
VERSION: Final = 1
MAX_SESSION: Final = 64 * 1024
"""Largest session configuration in octets of JSON. It is deflated, because the secret has to fit an HTTP header."""
MAX_TEXT: Final = 8000
_HEAD: Final = 2
_NONCE: Final = 12
_TAG: Final = 16


@dataclass(frozen=True, slots=True)
class ClientSecret:
    """What an ephemeral secret allows: calls with this `session`, made by the key `issuer`, until `expires_at`."""

    issuer: str
    expires_at: int
    session: Mapping[str, Any]
    origin: str | None = None


def seal(secret: ClientSecret, key: FleetKey, fleet_tag: int, random: Callable[[int], bytes]) -> str:
    """The text that goes to the browser; refuses a session too large for an HTTP header."""
    content = {"i": secret.issuer, "e": secret.expires_at, "s": dict(secret.session)}
    if secret.origin is not None:
        content["o"] = secret.origin
    plain = json.dumps(content, separators=(",", ":"), ensure_ascii=False).encode()
    head = bytes((key.key_id << 5 | VERSION, fleet_tag))
    nonce = random(_NONCE)
    sealed = AESGCM(key.secret_key).encrypt(nonce, zlib.compress(plain, 9), head)
    text = PREFIX + base64.urlsafe_b64encode(head + nonce + sealed).rstrip(b"=").decode()
    if len(plain) > MAX_SESSION or len(text) > MAX_TEXT:
        raise WireError(
            Reason.TOO_LONG, f"the session makes a secret of {len(text)} characters, at most {MAX_TEXT} fit"
        )
    return text


def open_secret(text: str, ring: KeyRing) -> ClientSecret:
    """What `seal` put in; raises `WireError` for anything else. Whether it has expired is for the caller to compare."""
    if not text.startswith(PREFIX) or len(text) > MAX_TEXT:
        raise WireError(Reason.BAD_MAGIC, "not an ephemeral secret")
    body = text[len(PREFIX) :]
    try:
        data = base64.b64decode(body + "=" * (-len(body) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise WireError(Reason.BAD_VALUE, "not base64url") from None
    if len(data) < _HEAD + _NONCE + _TAG:
        raise WireError(Reason.TRUNCATED, "too short for a secret")
    if data[0] & 31 != VERSION:
        raise WireError(Reason.BAD_VERSION, f"version {data[0] & 31}")
    if data[1] != ring.fleet_tag:
        raise WireError(Reason.FOREIGN_FLEET, "made for another fleet")
    key = ring.key(data[0] >> 5)
    if key is None:
        raise WireError(Reason.UNKNOWN_KEY, f"key {data[0] >> 5} is not in the ring")
    try:
        packed = AESGCM(key.secret_key).decrypt(data[_HEAD : _HEAD + _NONCE], data[_HEAD + _NONCE :], data[:_HEAD])
    except InvalidTag:
        raise WireError(Reason.NOT_AUTHENTIC, "the seal does not fit") from None
    # Sealed by one of our own keys, so what follows is ours; a bound on the inflated size costs nothing all the same.
    plain = zlib.decompressobj().decompress(packed, MAX_SESSION)
    content = json.loads(plain)
    return ClientSecret(content["i"], content["e"], content["s"], content.get("o"))
