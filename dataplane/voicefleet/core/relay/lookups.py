"""Questions to the session map about clients that nobody here knows: few at once, few a second, none twice soon."""

from voicefleet.core.relay.flow import Client, Via
from voicefleet.core.relay.limits import Limits, TokenBucket


class LookUps:
    """Which clients are being asked about, and which the session map did not know."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._rate = TokenBucket(limits.lookups_rate, now)
        self._asked: dict[Client, tuple[Via, float]] = {}
        self._unknown: dict[Client, float] = {}
        """Ordered by time: the oldest answer first."""

    def __len__(self) -> int:
        return len(self._asked)

    def ask(self, client: Client, via: Via, now: float) -> bool:
        """Whether the session map should be asked about this client now."""
        if client in self._asked:
            return False
        known_until = self._unknown.get(client)
        if known_until is not None and now < known_until:
            return False
        if len(self._asked) >= self._limits.lookups or not self._rate.take(now):
            return False
        self._asked[client] = (via, now)
        return True

    def answered(self, client: Client, found: bool, now: float) -> Via | None:
        """Takes an answer; returns where the client's packets came in, or None when nobody waits for it any more."""
        asked = self._asked.pop(client, None)
        if asked is None:
            return None
        if not found:
            self._unknown.pop(client, None)
            if len(self._unknown) >= self._limits.lookups_forgotten:
                del self._unknown[next(iter(self._unknown))]
            self._unknown[client] = now + self._limits.lookups_retry
        return asked[0]

    def expire(self, now: float) -> None:
        """Gives up questions that the session map left open, so that it may be asked again later."""
        patience = self._limits.lookups_retry
        for client in [client for client, (_, since) in self._asked.items() if now - since >= patience]:
            self.answered(client, False, now)
        while self._unknown and self._unknown[oldest := next(iter(self._unknown))] <= now:
            del self._unknown[oldest]
