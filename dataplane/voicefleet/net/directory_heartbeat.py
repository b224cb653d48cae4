"""How a relay or a transceiver says that it is there: a heartbeat every two seconds, a change at once, a goodbye.

A heartbeat that changes nothing costs one sorted-set update; only changes are told to readers. Redis's own clock stamps
it, so that the clocks of hosts do not matter. Nothing here raises when Redis is away: the next heartbeat comes.
"""

import asyncio
import random
from collections.abc import Callable
from typing import Final

from voicefleet.contract import RedisKey
from voicefleet.core.directory import Entry, Kind
from voicefleet.net.directory_entries import dump_entry
from voicefleet.net.redis_link import RedisLink, Unavailable

BEAT_EVERY: Final = 2.0
CHANGES_APART: Final = 0.1
"""Seconds between two heartbeats at least, however often the entry changes."""
FORGET_AFTER: Final = 60.0
"""Seconds after which the next heartbeat of anybody removes what is long gone; readers have dropped it before."""

# KEYS: entries, seen, version. ARGV: id, entry, channel, seconds to forget after.
# The version starts at Redis's time: after a flush it never repeats one that a reader has seen.
_BEAT: Final = """
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function changed(what)
    if redis.call('EXISTS', KEYS[3]) == 0 then redis.call('SET', KEYS[3], string.format('%.0f', now * 1000)) end
    redis.call('PUBLISH', ARGV[3], string.format('%.0f', redis.call('INCR', KEYS[3])) .. what)
end
redis.call('ZADD', KEYS[2], now, ARGV[1])
if redis.call('HGET', KEYS[1], ARGV[1]) ~= ARGV[2] then
    redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
    changed(' + ' .. ARGV[2])
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', now - ARGV[4] * 1000, 'LIMIT', 0, 100)) do
    redis.call('ZREM', KEYS[2], id)
    redis.call('HDEL', KEYS[1], id)
end
return 1
"""
_GOODBYE: Final = """
redis.call('ZREM', KEYS[2], ARGV[1])
if redis.call('HDEL', KEYS[1], ARGV[1]) == 1 then
    redis.call('PUBLISH', ARGV[2], string.format('%.0f', redis.call('INCR', KEYS[3])) .. ' - ' .. ARGV[1])
end
return 1
"""


class Heartbeat:
    """One part's own entry. `describe` gives it as it is now; its id and kind never change."""

    def __init__(
        self,
        link: RedisLink,
        fleet: str,
        describe: Callable[[], Entry],
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._link = link
        self._keys = RedisKey(fleet)
        self._describe = describe
        self._chance = chance
        self._changed = asyncio.Event()

    def changed(self) -> None:
        """Tell the fleet soon, rather than at the next heartbeat: draining, full, free again."""
        self._changed.set()

    async def run(self) -> None:
        """Beat until cancelled; a reconnected or flushed Redis has the entry within one beat."""
        while True:
            await self.beat()
            await asyncio.sleep(CHANGES_APART)
            try:
                async with asyncio.timeout(BEAT_EVERY * (0.8 + 0.2 * self._chance()) - CHANGES_APART):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()

    async def beat(self) -> bool:
        """One heartbeat; whether Redis took it."""
        entry = self._describe()
        keys = self._keys.directory(entry.kind)
        arguments: list[str | float] = [entry.id, dump_entry(entry), keys.changes, FORGET_AFTER]
        answer = await self._link.ask(
            "heartbeat",
            lambda redis: redis.register_script(_BEAT)([keys.entries, keys.seen, keys.version], arguments),
        )
        return not isinstance(answer, Unavailable)

    async def goodbye(self) -> bool:
        """Take the entry out, once `run` has ended; whether Redis took it. Without it readers wait for its age."""
        entry = self._describe()
        keys = self._keys.directory(Kind(entry.kind))
        answer = await self._link.ask(
            "goodbye",
            lambda redis: redis.register_script(_GOODBYE)(
                [keys.entries, keys.seen, keys.version], [entry.id, keys.changes]
            ),
        )
        return not isinstance(answer, Unavailable)
