"""The gate that every STUN request passes before the relay keeps anything or answers anybody.

From the request alone: the token opens, its address may hold a transceiver, and the integrity was made with the token's
password. It keeps no state, so a flood of forgeries costs time and nothing else.
"""

from typing import NamedTuple

from voicefleet.core.relay.counters import Drop
from voicefleet.core.relay.hop_networks import HopNetworks
from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.keyring import KeyRing
from voicefleet.wire.route_token import Route, TokenOpener
from voicefleet.wire.stun import integrity_ok

_TRANSACTION = slice(8, 20)

_TOKEN_DROPS = {
    Reason.UNKNOWN_KEY: Drop.TOKEN_UNKNOWN_KEY,
    Reason.FOREIGN_FLEET: Drop.TOKEN_FOREIGN_FLEET,
    Reason.NOT_AUTHENTIC: Drop.TOKEN_FORGED,
}


class Verified(NamedTuple):
    """A request that somebody made who was given this token."""

    token: bytes
    route: Route
    transaction: bytes


class CheckGate:
    """Verifies requests under one key ring; made anew when the ring changes."""

    def __init__(self, ring: KeyRing, networks: HopNetworks) -> None:
        self._opener = TokenOpener(ring)
        self._networks = networks

    def verify(self, packet: bytes, username: bytes, integrity_at: int) -> Verified | Drop:
        """What a request proves, or why it proves nothing."""
        if integrity_at < 0:
            return Drop.STUN_NO_INTEGRITY
        token = username.partition(b":")[0]
        try:
            route = self._opener.open(token)
            password = self._opener.password(token)
        except WireError as error:
            return _TOKEN_DROPS.get(error.reason, Drop.TOKEN_MALFORMED)
        if not self._networks.allow(route.address):
            return Drop.HOP_NOT_ALLOWED
        if not integrity_ok(packet, integrity_at, password):
            return Drop.STUN_BAD_INTEGRITY
        return Verified(token, route, packet[_TRANSACTION])

    def password(self, token: bytes) -> bytes | None:
        """The password of a token, unless its key has expired."""
        try:
            return self._opener.password(token)
        except WireError:
            return None
