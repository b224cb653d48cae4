"""One number from a Prometheus query."""

import json
from typing import Final

import aiohttp

from voicefleet_operator.api.scaling_policy import Query

SECONDS: Final = 5.0


async def query(asked: Query) -> float | None:
    """The value of a query that gives one number; None for no answer, an error, or several numbers."""
    url = f"{asked.server.rstrip('/')}/api/v1/query"
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS)) as session,
            session.get(url, params={"query": asked.promql}) as answer,
        ):
            document = await answer.json()
            return _number(document["data"]) if document["status"] == "success" else None
    except (aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError, KeyError, TypeError, ValueError):
        return None


def _number(data: dict[str, object]) -> float | None:
    result = data["result"]
    assert isinstance(result, list)
    if data["resultType"] == "scalar":
        return float(result[1])
    if data["resultType"] == "vector" and len(result) == 1:
        return float(result[0]["value"][1])
    return None
