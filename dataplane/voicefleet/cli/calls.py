"""`voicefleet calls` and `voicefleet call ID`: which calls there are, and how one of them goes."""

import asyncio
from typing import Any, Final

from voicefleet.cli.output import say_json, show, table
from voicefleet.cli.reach import choose
from voicefleet.cli.target import Target

STAGES: Final = {
    "answer": "answer made",
    "first_check": "first check came",
    "dtls_done": "keys agreed",
    "first_audio_in": "first audio heard",
    "first_audio_out": "first audio said",
}


def calls(target: Target, *, as_json: bool) -> None:
    """List the live calls, the oldest first."""
    told = asyncio.run(_ask(target, "/v1/fleet/calls"))
    if as_json:
        say_json(told)
        return
    rows = [
        (each["id"], _age(each["age"]), each["shard"], each["region"], each["transceiver"]) for each in told["calls"]
    ]
    show(table(f"{len(rows)} calls", ("call", "age", "shard", "region", "transceiver"), rows))
    if told["silent"]:
        show(f"These transceivers do not answer, and their calls are missing: {', '.join(told['silent'])}")


def call(target: Target, call_id: str, *, as_json: bool) -> None:
    """Say where a call runs, what its set-up took, and how it is now."""
    told = asyncio.run(_ask(target, f"/v1/fleet/calls/{call_id}"))
    if as_json:
        say_json(told)
        return
    record, where = told["record"], told["transceiver"]
    leg = record["leg"]
    path = " -> ".join(
        ("client " + _address(leg["client"]), "relay " + _address(leg["relay"]), f"transceiver {where['id']}")
    )
    show(
        table(
            f"call {record['call_id']}, {_age(record['age'])} old",
            ("", ""),
            [
                ("path", path),
                ("shard, region, node", ", ".join(filter(None, (where["shard"], where["region"], where["node"])))),
                ("paths, switches, ICE restarts", f"{leg['paths']}, {leg['switches']}, {leg['restarts']}"),
                ("refused packets", _counts({**record["refused"], **leg["refused"]})),
            ],
        ),
        table("set-up", ("stage", "after ms"), [(text, _ms(record[stage])) for stage, text in STAGES.items()]),
    )
    if heard := leg["measurements"]:
        show(_quality(heard))


def _quality(heard: dict[str, Any]) -> Any:
    up, down = heard["uplink"], heard["downlink"]
    return table(
        f"quality, round trip {_ms(heard['round_trip']) or '-'} ms",
        ("", "packets", "lost", "jitter ms", "retransmitted", "MOS"),
        [
            (name, way["packets"], way["lost"], _ms(way["jitter"]), way["retransmitted"], round(way["mos"], 2))
            for name, way in (("from the client", up), ("to the client", down))
        ],
    )


async def _ask(target: Target, path: str) -> dict[str, Any]:
    async with choose(target) as fleet:
        return await fleet.ask("GET", path)


def _age(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s" if minutes else f"{rest}s"


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)


def _address(pair: list[Any] | None) -> str:
    return "not known yet" if not pair else f"{pair[0]}:{pair[1]}"


def _counts(counts: dict[str, int]) -> str:
    return ", ".join(f"{name} {count}" for name, count in counts.items()) or "none"
