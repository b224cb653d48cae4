"""The same rate limits across all replicas, kept in Redis; without Redis each replica's own limit is what holds."""

from collections.abc import Mapping
from typing import Final

from voicefleet.contract import RedisKey
from voicefleet.core.rate_limit import Rate
from voicefleet.net.redis_link import RedisLink, Unavailable

# KEYS: one a name. ARGV: interval and tolerance in microseconds, for each name in turn.
# Takes from all or from none; answers the longest wait in microseconds.
_TAKE: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local due, wait = {}, 0
for i, key in ipairs(KEYS) do
    due[i] = math.max(tonumber(redis.call('GET', key) or now), now)
    wait = math.max(wait, due[i] - now - ARGV[2 * i])
end
if wait > 0 then return wait end
for i, key in ipairs(KEYS) do
    local next = due[i] + ARGV[2 * i - 1]
    redis.call('SET', key, string.format('%.0f', next), 'PX', math.ceil((next - now) / 1000) + 1)
end
return 0
"""


class SharedRateLimit:
    """Takes from limits that all replicas share."""

    def __init__(self, link: RedisLink, fleet: str) -> None:
        self._link = link
        self._keys = RedisKey(fleet)

    async def take(self, names: Mapping[tuple[str, str], Rate]) -> float:
        """0 if this may happen (or nobody can tell), else the seconds until it may; names are (kind, name)."""
        keys = [self._keys.shared("limit", *name) for name in names]
        arguments = [
            round(1e6 * part) for rate in names.values() for part in (rate.interval, rate.interval * (rate.burst - 1))
        ]
        answer = await self._link.ask("rate limit", lambda redis: redis.register_script(_TAKE)(keys, arguments))
        return 0.0 if isinstance(answer, Unavailable) else float(answer) / 1e6
