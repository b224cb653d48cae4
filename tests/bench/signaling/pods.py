"""The heartbeats of many relays and of transceivers, in one process: `python -m tests.bench.signaling.pods`.

Each pod beats every two seconds; a twentieth of the relays say each time that their load has changed.
"""

import asyncio
import sys
from dataclasses import replace
from random import Random
from typing import Final

from redis.asyncio import Redis

from tests.bench.steering.cities import POOLS
from tests.support.workers import RING
from voicefleet.contract import RedisKey
from voicefleet.core.directory import Entry, HopWorker, PublicAddress, RelayEntry, TransceiverEntry
from voicefleet.net.directory_entries import dump_entry
from voicefleet.net.directory_heartbeat import _BEAT, BEAT_EVERY, FORGET_AFTER
from voicefleet.net.redis_address import connect

CHANGING: Final = 0.05
SLICES: Final = 20
"""Heartbeats come all the time, not all at once."""


def _relays(count: int) -> list[RelayEntry]:
    relays = []
    for number in range(count):
        pool, place = POOLS[number % len(POOLS)]
        address = PublicAddress(f"198.18.{number // 250}.{number % 250 + 1}", 3478)
        relays.append(RelayEntry(f"{pool}-{number}", pool, "", place, (address,), 0.3, node=f"node-{number}"))
    return relays


def _transceiver(number: int, port: int) -> TransceiverEntry:
    worker = HopWorker("127.0.0.1", 4478 + number, 1)
    return TransceiverEntry(f"stub-{number}", "main", "", None, ("127.0.0.1", port), 1000, 900, (worker,))


async def _beat(redis: Redis, entries: list[Entry]) -> None:
    script = redis.register_script(_BEAT)
    async with redis.pipeline(transaction=False) as pipeline:
        for entry in entries:
            keys = RedisKey(RING.fleet).directory(entry.kind)
            arguments: list[str | float] = [entry.id, dump_entry(entry), keys.changes, FORGET_AFTER]
            await script([keys.entries, keys.seen, keys.version], arguments, client=pipeline)
        await pipeline.execute()


async def main(url: str, count: int, ports: list[int]) -> None:
    """Beat until ended."""
    random, redis = Random(1), connect(url, 5.0)
    relays = _relays(count)
    transceivers: list[Entry] = [_transceiver(number, port) for number, port in enumerate(ports)]
    await _beat(redis, [*relays, *transceivers])
    print("there", flush=True)
    while True:
        for part in range(SLICES):
            beating = relays[part::SLICES]
            for number, each in enumerate(beating):
                if random.random() < CHANGING:
                    beating[number] = replace(each, load=random.randrange(10, 30) * 0.02)
            relays[part::SLICES] = beating
            await _beat(redis, [*beating, *(transceivers if part == 0 else [])])
            await asyncio.sleep(BEAT_EVERY / SLICES)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), [int(port) for port in sys.argv[3:]]))
