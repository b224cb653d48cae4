"""`voicefleet status`: pools and shards of a fleet, how full they are and how calls are there."""

import asyncio
import statistics
from collections.abc import Iterable, Mapping
from typing import Any, Final

from voicefleet.cli.output import live, say_json, show, table
from voicefleet.cli.reach import choose
from voicefleet.cli.target import Target

EVERY: Final = 1.0
"""Seconds between two looks of the live table."""

_SHARD_KEYS: Final = (
    *("region", "transceivers", "draining", "silent", "calls", "capacity"),
    *("setupMs", "roundTripMs", "lossPercent", "mos"),
)


def status(target: Target, *, watch: bool, as_json: bool) -> None:
    """Show the fleet once, or for ever."""
    asyncio.run(_status(target, watch, as_json))


async def _status(target: Target, watch: bool, as_json: bool) -> None:
    async with choose(target) as fleet:
        view = await fleet.ask("GET", "/v1/fleet")
        if as_json:
            say_json(summary(view))
        elif not watch:
            show(*_tables(summary(view)))
        else:
            with live() as screen:
                while True:
                    screen.update(*_tables(summary(view)))
                    await asyncio.sleep(EVERY)
                    view = await fleet.ask("GET", "/v1/fleet")


def summary(view: Mapping[str, Any]) -> dict[str, Any]:
    """What signaling tells, by pool and by shard."""
    pools = {
        name: {
            "relays": len(some),
            "draining": sum(each["draining"] for each in some),
            "silent": sum(each["stale"] for each in some),
            "load": round(max(each["load"] for each in some), 2),
            "region": some[0]["region"],
            "addresses": [f"{one['address']}:{one['udp']}" for each in some for one in each["addresses"]],
            "tiers": sorted({each["tier"] for each in some}),
        }
        for name, some in _by(view["relays"], "pool").items()
    }
    shards = {name: _shard(some) for name, some in _by(view["transceivers"], "shard").items()}
    return {
        "fleet": view["fleet"],
        "calls": sum(each["calls"] for each in shards.values()),
        "capacity": sum(each["capacity"] for each in shards.values()),
        "sessionMap": view["sessionMap"] or "ok",
        "pools": pools,
        "shards": shards,
    }


def _shard(some: list[dict[str, Any]]) -> dict[str, Any]:
    taking = [each for each in some if not each["draining"] and not each["stale"]]
    sample = [call for each in some for call in each["sample"] or ()]
    return {
        "transceivers": len(some),
        "draining": sum(each["draining"] for each in some),
        "silent": sum(each["stale"] or each["sample"] is None for each in some),
        "calls": sum(each["calls"] or 0 for each in some),
        "capacity": sum(each["capacity"] for each in taking),
        "region": some[0]["region"],
        "setupMs": _median_ms(call["setup"] for call in sample),
        "roundTripMs": _median_ms(call["roundTrip"] for call in sample),
        "lossPercent": _mean(call["uplinkLoss"] for call in sample),
        "mos": _mean((call["mos"] for call in sample), 1.0),
    }


def _tables(told: Mapping[str, Any]) -> tuple[Any, ...]:
    title = f"fleet {told['fleet']}: {told['calls']} calls, room for {told['capacity']}"
    if told["sessionMap"] != "ok":
        title += f"; session map: {told['sessionMap']}"
    shards = table(
        title,
        ("shard", "region", "pods", "draining", "silent", "calls", "capacity", "set-up ms", "RTT ms", "loss %", "MOS"),
        [(name, *(each[key] for key in _SHARD_KEYS)) for name, each in told["shards"].items()],
    )
    pools = table(
        "",
        ("pool", "region", "relays", "draining", "silent", "load %", "tier", "addresses"),
        [
            (
                *(name, each["region"], each["relays"], each["draining"], each["silent"], round(100 * each["load"])),
                ", ".join(each["tiers"]),
                ", ".join(each["addresses"][:3]),
            )
            for name, each in told["pools"].items()
        ],
    )
    return shards, pools


def _by(entries: Iterable[dict[str, Any]], key: str) -> dict[str, list[dict[str, Any]]]:
    grouped: dict[str, list[dict[str, Any]]] = {}
    for each in entries:
        grouped.setdefault(each[key], []).append(each)
    return dict(sorted(grouped.items()))


def _median_ms(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return round(1000 * statistics.median(known), 1) if known else None


def _mean(values: Iterable[float | None], scale: float = 100.0) -> float | None:
    known = [value for value in values if value is not None]
    return round(scale * statistics.fmean(known), 2) if known else None
