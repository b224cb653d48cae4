"""Limits that keep one caller from using up what all share: per key, per client network, and on knocking."""

import time
from collections.abc import Callable
from typing import Final

from voicefleet.core.rate_limit import Rate, RateLimiter
from voicefleet.core.steering.policy import network_of
from voicefleet.net.shared_rate_limit import SharedRateLimit
from voicefleet.services.signaling.problems import too_many

KNOCKS: Final = Rate(50.0, 200)
"""Requests of one network, answered or not: what guessing keys or crowding a replica is held to, by itself alone."""


class RateLimits:
    """The limits of one replica, and those that it shares with the others."""

    def __init__(
        self,
        per_key: Rate,
        per_network: Rate,
        shared: SharedRateLimit | None = None,
        *,
        knocks: Rate = KNOCKS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._keys = RateLimiter(per_key)
        self._networks = RateLimiter(per_network)
        self._knocks = RateLimiter(knocks)
        self._shared = shared
        self._clock = clock

    async def knock(self, address: str) -> None:
        """A request came from this address, whoever it is; raises a 429."""
        wait = self._knocks.take(network_of(address), self._clock())
        if wait:
            raise too_many("Too many requests from this network.", wait)

    async def take(self, key: str, address: str) -> None:
        """A call of this key from this address is to be made; raises a 429."""
        now, network = self._clock(), network_of(address)
        wait = self._keys.take(key, now)
        if wait:
            raise too_many("This API key starts calls faster than it may.", wait)
        if network:
            wait = self._networks.take(network, now)
            if wait:
                raise too_many("Calls from this network are started faster than they may be.", wait)
        if self._shared is not None:
            names = {("key", key): self._keys.rate} | ({("network", network): self._networks.rate} if network else {})
            wait = await self._shared.take(names)
            if wait:
                raise too_many("Calls of this API key or network are started faster than they may be.", wait)
