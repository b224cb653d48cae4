"""`voicefleet steering explain`: asks signaling where calls of an address would go, and prints the answer in words."""

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import aiohttp

from voicefleet.net.key_file import KeyFile
from voicefleet.net.watched_file import FirstLoadError


def explain(address: str, url: str, key_file: Path, place: str | None) -> int:
    """Print the explanation; 0 if there is one."""
    try:
        bearer = KeyFile(key_file).value.minting(time.time()).api_bearer
        question = {"address": address} | ({"place": _place(place)} if place is not None else {})
        told = asyncio.run(_ask(f"{url.rstrip('/')}/v1/steering/explain", question, bearer))
    except (FirstLoadError, ValueError, aiohttp.ClientError, TimeoutError, OSError) as error:
        print(f"voicefleet: {str(error) or type(error).__name__}", file=sys.stderr)
        return 1
    print("\n".join(told["explanation"]))
    return 0


async def _ask(url: str, question: dict[str, Any], bearer: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {bearer}"}
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(timeout=timeout) as http, http.post(url, json=question, headers=headers) as answer:
        told: dict[str, Any] = await answer.json()
        if answer.status != 200:
            raise ValueError(f"{url} answers {answer.status}: {told.get('error', {}).get('message', '')}")
        return told


def _place(text: str) -> dict[str, float]:
    latitude, _, longitude = text.partition(",")
    try:
        return {"latitude": float(latitude), "longitude": float(longitude)}
    except ValueError:
        raise ValueError(f"--place is {text!r}; allowed: latitude,longitude such as 50.1,8.7") from None
