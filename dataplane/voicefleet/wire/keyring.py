"""The fleet's keys: a few overlapping secrets, and what each part derives from them. Pure; the clock is an argument.

A secret is known to all parts before anybody mints with it (`mint_from`), and accepted until the last thing minted with
it has ended (`accept_until`). From each secret a key for each purpose is derived by HKDF-SHA256 (RFC 5869), so that a
key that leaks in one place opens nothing in another. The document form is JSON, as a Kubernetes Secret holds it. A
secret never stands in a repr or in an error.
"""

import base64
import binascii
import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

SECRET_OCTETS: Final = 32
KEY_IDS: Final = 8
"""A key id is three bits on the wire."""
PROPAGATION: Final = 120.0
"""Seconds for a new key to reach every pod: a kubelet refreshes mounted Secrets within about a minute and a half."""
LONGEST_SESSION: Final = 24 * 3600.0
"""Seconds that a retired key stays accepted: no call lives longer without an ICE restart under a newer key."""

TOKEN_PURPOSE: Final = b"voicefleet route token"
PASSWORD_PURPOSE: Final = b"voicefleet ice password"
HOP_PURPOSE: Final = b"voicefleet hop header"
API_PURPOSE: Final = b"voicefleet internal api"
SECRET_PURPOSE: Final = b"voicefleet client secret"
HAND_OVER_PURPOSE: Final = b"voicefleet relay hand-over"
_DERIVED: Final = {
    "token_key": (TOKEN_PURPOSE, 16),
    "password_key": (PASSWORD_PURPOSE, 32),
    "hop_key": (HOP_PURPOSE, 32),
    "api_key": (API_PURPOSE, 32),
    "secret_key": (SECRET_PURPOSE, 32),
    "hand_over_key": (HAND_OVER_PURPOSE, 32),
}
"""The `info` of HKDF (no salt) and the octets of each key."""


class KeyRingError(ValueError):
    """A key document that cannot be used: which field, and why; never what is in it."""

    def __init__(self, field_name: str, reason: str) -> None:
        super().__init__(f"{field_name}: {reason}")
        self.field = field_name
        self.reason = reason


@dataclass(frozen=True, slots=True)
class FleetKey:
    """One secret with its three-bit id, when it may be used, and the keys that are derived from it."""

    key_id: int
    secret: bytes = field(repr=False)
    mint_from: float
    """Unix seconds from which tokens are minted with it."""
    accept_until: float | None
    """Unix seconds until which it opens things; None while it is the current one."""
    token_key: bytes = field(init=False, repr=False, compare=False)
    """AES-128 key that seals route tokens."""
    password_key: bytes = field(init=False, repr=False, compare=False)
    """HMAC key of ICE passwords."""
    hop_key: bytes = field(init=False, repr=False, compare=False)
    """BLAKE2s key of hop header tags."""
    api_key: bytes = field(init=False, repr=False, compare=False)
    """Bearer key of the internal API."""
    secret_key: bytes = field(init=False, repr=False, compare=False)
    """AES-256 key that seals ephemeral client secrets."""
    hand_over_key: bytes = field(init=False, repr=False, compare=False)
    """HMAC key by which a relay and its successor on a node know each other."""

    def __post_init__(self) -> None:
        if not 0 <= self.key_id < KEY_IDS:
            raise KeyRingError("id", f"{self.key_id} is not from 0 to {KEY_IDS - 1}")
        if len(self.secret) < SECRET_OCTETS:
            raise KeyRingError("secret", f"{len(self.secret)} octets, at least {SECRET_OCTETS} are needed")
        if self.accept_until is not None and self.accept_until <= self.mint_from:
            raise KeyRingError("acceptUntil", "not later than mintFrom")
        for name, (purpose, length) in _DERIVED.items():
            derived = HKDF(algorithm=hashes.SHA256(), length=length, salt=None, info=purpose).derive(self.secret)
            object.__setattr__(self, name, derived)

    @property
    def api_bearer(self) -> str:
        """`api_key` as the internal API's Authorization header carries it."""
        return self.api_key.hex()

    def accepted(self, now: float) -> bool:
        """Whether what was minted with this key still counts."""
        return self.accept_until is None or now < self.accept_until


@dataclass(frozen=True)
class KeyRing:
    """The keys of one fleet, at most one for each id."""

    fleet: str
    keys: tuple[FleetKey, ...]

    def __post_init__(self) -> None:
        if not self.fleet:
            raise KeyRingError("fleet", "empty; the name of the fleet is needed")
        if any("\ud800" <= letter <= "\udfff" for letter in self.fleet):
            raise KeyRingError("fleet", "half of a surrogate pair; a name that UTF-8 can write is needed")
        if not self.keys:
            raise KeyRingError("keys", "empty; at least one key is needed")
        if len(self._by_id) != len(self.keys):
            raise KeyRingError("keys", "two keys have one id")

    @cached_property
    def _by_id(self) -> dict[int, FleetKey]:
        return {key.key_id: key for key in self.keys}

    @cached_property
    def fleet_tag(self) -> int:
        """One octet that tells this fleet's tokens from most others' before anything is decrypted."""
        return hashlib.sha256(self.fleet.encode()).digest()[0]

    def key(self, key_id: int) -> FleetKey | None:
        """The key with this id, if the ring holds it."""
        return self._by_id.get(key_id)

    def minting(self, now: float) -> FleetKey:
        """The newest key that may be minted with; before the first `mint_from` (a clock gone wrong) the oldest one."""
        keys = self.accepted(now).keys
        begun = [key for key in keys if key.mint_from <= now]
        return _newest(begun) if begun else min(keys, key=_mint_from)

    def accepted(self, now: float) -> "KeyRing":
        """The ring without keys that have expired; never empty, so that a clock gone wrong cannot end a fleet."""
        kept = tuple(key for key in self.keys if key.accepted(now))
        return replace(self, keys=kept or (_newest(self.keys),))

    @classmethod
    def generate(cls, fleet: str, now: float, random: Callable[[int], bytes]) -> "KeyRing":
        """A new fleet's ring: one key, usable at once."""
        return cls(fleet, (FleetKey(0, random(SECRET_OCTETS), _writable(now), None),))

    def rotated(
        self,
        now: float,
        random: Callable[[int], bytes],
        propagation: float = PROPAGATION,
        longest_session: float = LONGEST_SESSION,
    ) -> "KeyRing":
        """The ring with a new key that is minted with once it has reached everybody; the others begin to retire."""
        mint_from = _writable(now + propagation)
        retire_at = _writable(mint_from + longest_session)
        kept = [_retired(key, now, mint_from, retire_at) for key in self.keys if key.accepted(now)]
        newest = _newest(self.keys).key_id
        taken = {key.key_id for key in kept}
        free = [key_id % KEY_IDS for key_id in range(newest + 1, newest + KEY_IDS) if key_id % KEY_IDS not in taken]
        if not free:
            raise KeyRingError(
                "keys", f"all {KEY_IDS} key ids are still accepted; rotate less often or wait for one to expire"
            )
        return replace(self, keys=(*kept, FleetKey(free[0], random(SECRET_OCTETS), mint_from, None)))

    @classmethod
    def parse(cls, document: bytes) -> "KeyRing":
        """The ring that a document holds; raises `KeyRingError` with the field at fault."""
        try:
            data = json.loads(document)
        except (ValueError, RecursionError):
            raise KeyRingError("document", "not JSON") from None
        if not isinstance(data, dict):
            raise KeyRingError("document", "not a JSON object")
        if data.get("version") != 1:
            raise KeyRingError("version", "only version 1 is known")
        keys = data.get("keys")
        if not isinstance(data.get("fleet"), str):
            raise KeyRingError("fleet", "the name of the fleet is needed")
        if not isinstance(keys, list):
            raise KeyRingError("keys", "a list of keys is needed")
        return cls(data["fleet"], tuple(_parse_key(f"keys[{at}]", key) for at, key in enumerate(keys)))

    def dump(self) -> bytes:
        """The document that `parse` reads."""
        keys = [
            {
                "id": key.key_id,
                "secret": base64.b64encode(key.secret).decode(),
                "mintFrom": _time_text(key.mint_from),
                "acceptUntil": None if key.accept_until is None else _time_text(key.accept_until),
            }
            for key in self.keys
        ]
        return json.dumps({"version": 1, "fleet": self.fleet, "keys": keys}, indent=2).encode()


def _retired(key: FleetKey, now: float, mint_from: float, retire_at: float) -> FleetKey:
    """A key of the ring when its successor begins at `mint_from`."""
    until = retire_at if key.accept_until is None else min(key.accept_until, retire_at)
    # Only a clock that went back finds a key that begins after its successor. It has reached everybody: it begins now.
    begins = key.mint_from if key.mint_from < mint_from else _writable(now)
    return replace(key, mint_from=begins, accept_until=until)


def _parse_key(at: str, data: Any) -> FleetKey:
    if not isinstance(data, dict):
        raise KeyRingError(at, "not a JSON object")
    key_id = data.get("id")
    if not isinstance(key_id, int) or isinstance(key_id, bool):
        raise KeyRingError(f"{at}.id", "a whole number from 0 to 7 is needed")
    secret = data.get("secret")
    try:
        octets = base64.b64decode(secret, validate=True) if isinstance(secret, str) else b""
    except (binascii.Error, ValueError):
        raise KeyRingError(f"{at}.secret", "not base64") from None
    until = data.get("acceptUntil")
    try:
        return FleetKey(
            key_id,
            octets,
            _time(f"{at}.mintFrom", data.get("mintFrom")),
            None if until is None else _time(f"{at}.acceptUntil", until),
        )
    except KeyRingError as error:
        raise error if error.field.startswith(at) else KeyRingError(f"{at}.{error.field}", error.reason) from None


def _mint_from(key: FleetKey) -> float:
    return key.mint_from


def _newest(keys: Sequence[FleetKey]) -> FleetKey:
    """The key that begins last; of two that begin together the one that was added later."""
    return max(reversed(keys), key=_mint_from)


def _writable(seconds: float) -> float:
    """A time that the document's text gives back unchanged."""
    return round(seconds, 3)


def _time(at: str, text: Any) -> float:
    try:
        moment = datetime.fromisoformat(text)
    except (TypeError, ValueError):
        raise KeyRingError(at, "not a time such as 2026-11-21T00:00:00Z") from None
    if moment.tzinfo is None:
        raise KeyRingError(at, "without a time zone; end it with Z")
    try:
        seconds = moment.timestamp()
        _time_text(seconds)  # whatever is read can be written
    except (OverflowError, ValueError):
        raise KeyRingError(at, "out of range") from None
    return seconds


def _time_text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")
