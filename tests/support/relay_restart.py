"""A relay that is killed under live calls and started again, and how long each call was silent."""

import signal
import time
from bisect import bisect_right
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Final

from tests.support.facts import eventually
from tests.support.ice_client import IceClient
from tests.support.redis import redis_server
from tests.support.relayed_calls import Speech, relayed_calls
from voicefleet.wire.keyring import KeyRing
from voicefleet.wire.stun import Class

CHECKS: Final = 2.5
"""Seconds between a client's checks: Chromium's, on a path that works."""
_FOUND: Final = "voicefleet_relay_events_total{event=lookups_found}"
_WRITTEN: Final = "voicefleet_session_map_writes_total{kind=flows}{result=ok}"


@dataclass(frozen=True, slots=True)
class Restart:
    """What a restart showed; times in seconds."""

    late: list[float]
    """For each call, how long after the new relay was ready its media came back; 0 where it was earlier."""
    silent: list[float]
    """For each call, the longest gap in what it heard."""
    found: float
    """Calls that the session map knew."""

    def text(self) -> str:
        """One line."""
        last, longest = max(self.late) * 1000, max(self.silent) * 1000
        return (
            f"{len(self.late)} calls: media came back at most {last:.0f} ms after the new relay was ready; "
            f"the longest silence was {longest:.0f} ms"
        )


async def restarted_under_calls(directory: Path, ring: KeyRing, *, calls: int, pause: float, flushed: bool) -> Restart:
    """Calls say a packet each in every `pause` seconds, and send checks only if the session map is flushed: then each
    one's first check to the new relay has to be answered."""
    async with (
        redis_server() as redis,
        relayed_calls(directory, ring, calls, REDIS_URL=redis.url) as (_, relay, clients),
        Speech(clients, pause, CHECKS if flushed else None) as speech,
    ):
        await relay.counts(_WRITTEN, calls)
        await speech.everybody_hears()
        began = time.monotonic()
        await relay.end(signal.SIGKILL)
        if flushed:
            await redis.flush()
        await relay.launch()
        await relay.ready(0.001)
        up = time.monotonic()
        await speech.everybody_hears()
        if not flushed:
            await relay.counts(_FOUND, calls)
        else:
            answers = {client: set[bytes]() for client in clients}
            await eventually(
                lambda: all(_first_since(up, speech, client) in _answered(client, answers) for client in clients),
                "each call's first check is answered",
            )
        gaps = [_longest_gap(client, began) for client in clients]
        return Restart(
            late=[max(0.0, end - up) for _, end in gaps],
            silent=[end - start for start, end in gaps],
            found=(await relay.metrics())[_FOUND],
        )


def _longest_gap(client: IceClient, since: float) -> tuple[float, float]:
    """In what a call heard."""
    before = bisect_right(client.heard, since) - 1
    return max(pairwise(client.heard[before:]), key=lambda gap: gap[1] - gap[0])


def _first_since(moment: float, speech: Speech, client: IceClient) -> bytes | None:
    return next((transaction for at, transaction in speech.checked[client] if at > moment), None)


def _answered(client: IceClient, known: dict[IceClient, set[bytes]]) -> set[bytes]:
    """Transactions of a call's checks that succeeded."""
    while not client.responses.empty():
        answer = client.responses.get_nowait()
        if answer.cls is Class.SUCCESS:
            known[client].add(answer.transaction_id)
    return known[client]
