"""`voicefleet trace ADDRESS`: asks signaling where calls of an address would go, and prints the answer in words."""

import asyncio
from typing import Any

from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.output import say, say_json
from voicefleet.cli.reach import choose
from voicefleet.cli.target import Target


def trace(target: Target, address: str, place: str, *, as_json: bool) -> None:
    """Print the explanation."""
    question: dict[str, Any] = {"address": address} | ({"place": _place(place)} if place else {})
    told = asyncio.run(_ask(target, question))
    if as_json:
        say_json(told)
    else:
        say("\n".join(told["explanation"]))


async def _ask(target: Target, question: dict[str, Any]) -> dict[str, Any]:
    async with choose(target) as fleet:
        return await fleet.ask("POST", "/v1/steering/explain", question)


def _place(text: str) -> dict[str, float]:
    latitude, _, longitude = text.partition(",")
    try:
        return {"latitude": float(latitude), "longitude": float(longitude)}
    except ValueError:
        raise Failure(f"--place is {text!r}", "write latitude,longitude such as 50.1,8.7", Exit.USAGE) from None
