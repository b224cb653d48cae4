"""How far a worker's relays are, and which pools they belong to: what their answers to pings tell. Pure.

A path's round trip is measured from here; less the hop's it is the round trip between client and relay. The relay says
its pool itself, so that nothing has to be looked up, and a hop behind an address translation is no other case.
"""

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

ASK_EVERY: Final = 10.0
"""Seconds that an answer counts while the relay carries calls whose paths are measured."""
RELAYS: Final = 4096
NONCE: Final = 8
"""Octets of a ping; its answer repeats them, has two of no meaning here, and ends with the pool's name."""
MOST_POOL: Final = 63
LONGEST: Final = 2.0
"""Seconds; a later answer was held up by something else than distance."""
UPWARD: Final = 0.2
"""How fast the average follows upwards; downwards it follows at once, since nothing makes a hop seem shorter."""


@dataclass(slots=True)
class _Hop:
    nonce: bytes = b""
    asked_at: float = float("-inf")
    seconds: float | None = None
    pool: str = ""


class HopMeter:
    """What is known of each relay, by its hop address."""

    def __init__(self) -> None:
        self._hops: OrderedDict[tuple[str, int], _Hop] = OrderedDict()

    def due(self, relay: tuple[str, int], now: float) -> bool:
        """Whether it should be asked (again)."""
        hop = self._hops.get(relay)
        return hop is None or now - hop.asked_at >= ASK_EVERY

    def asked(self, relay: tuple[str, int], nonce: bytes, now: float) -> None:
        """A ping with this nonce is on its way."""
        hop = self._hops.setdefault(relay, _Hop())
        self._hops.move_to_end(relay)
        hop.nonce, hop.asked_at = nonce, now
        while len(self._hops) > RELAYS:
            self._hops.popitem(last=False)

    def answered(self, relay: tuple[str, int], answer: bytes, now: float) -> bool:
        """Take up an answer; whether it is one to what was asked last."""
        hop = self._hops.get(relay)
        if hop is None or not hop.nonce or answer[:NONCE] != hop.nonce or not 0.0 <= now - hop.asked_at <= LONGEST:
            return False
        pool = answer[NONCE + 2 :]
        if len(pool) > MOST_POOL or not pool.isascii():
            return False
        hop.nonce, hop.pool = b"", pool.decode()
        seconds = now - hop.asked_at
        if hop.seconds is None or seconds <= hop.seconds:
            hop.seconds = seconds
        else:
            hop.seconds += (seconds - hop.seconds) * UPWARD
        return True

    def of(self, relay: tuple[str, int]) -> tuple[str, float] | None:
        """Its pool and the round trip to it; None as long as it has not said so."""
        hop = self._hops.get(relay)
        return None if hop is None or hop.seconds is None or not hop.pool else (hop.pool, hop.seconds)
