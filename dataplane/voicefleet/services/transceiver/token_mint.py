"""A worker's route tokens, one for each description that it answers with, and the ICE passwords that belong to them."""

from collections.abc import Callable

from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.route_token import Route, TokenOpener, mint


class TokenMint:
    """Of one generation of one worker; `clock` is Unix time."""

    def __init__(
        self, ring: Callable[[], KeyRing], clock: Callable[[], float], hop: tuple[str, int], generation: int
    ) -> None:
        self._ring = ring
        self._clock = clock
        self._hop = hop
        self._generation = generation
        self._counter = 0
        self._opener: tuple[KeyRing, TokenOpener] | None = None

    def key(self) -> FleetKey:
        """What is minted and sealed with now."""
        return self._ring().minting(self._clock())

    def token(self) -> str:
        """A new one."""
        self._counter += 1
        address, port = self._hop
        return mint(Route(address, port, self._generation, self._counter), self.key(), self._ring().fleet_tag)

    def password(self, token: str) -> bytes:
        """The ICE password of a token."""
        ring = self._ring()
        if self._opener is None or self._opener[0] is not ring:
            self._opener = ring, TokenOpener(ring)
        return self._opener[1].password(token.encode())
