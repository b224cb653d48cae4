"""The internal API of transceivers, as far as the operator needs it: how many calls, and take no more."""

import asyncio
import base64
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aiohttp

from voicefleet.contract import InternalApi
from voicefleet.wire.keyring import KeyRing
from voicefleet_operator.reconcile.store import Document

SECONDS: Final = 2.0
"""For one answer; a pod that takes longer counts as silent."""

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Calls:
    """What a transceiver says of itself."""

    ages: Mapping[str, float]
    """Of its live calls, by their ids."""
    capacity: int
    draining: bool

    @property
    def calls(self) -> int:
        """How many there are."""
        return len(self.ages)


def bearer(secret: Document, now: float) -> str:
    """The key of the internal API, from the Secret with the key ring."""
    ring = KeyRing.parse(base64.b64decode((secret.get("data") or {}).get("keyring.json", "")))
    return ring.minting(now).api_bearer


async def ask(session: aiohttp.ClientSession, pods: Mapping[str, Address], key: str) -> dict[str, Calls | None]:
    """What each pod says; None for one that does not answer."""
    answers = await _each(session, pods, "GET", InternalApi.SESSIONS, key)
    return {name: _read(answer) for name, answer in answers.items()}


async def tell_to_drain(session: aiohttp.ClientSession, pods: Mapping[str, Address], key: str) -> None:
    """Tell each pod that it takes no more calls; who does not hear it is told again at the next look."""
    await _each(session, pods, "POST", InternalApi.DRAIN, key)


async def _each(
    session: aiohttp.ClientSession, pods: Mapping[str, Address], method: str, path: str, key: str
) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {key}"}
    answers = await asyncio.gather(
        *(_one(session, method, f"http://{_host(host)}:{port}{path}", headers) for host, port in pods.values())
    )
    return dict(zip(pods, answers, strict=True))


async def _one(session: aiohttp.ClientSession, method: str, url: str, headers: Mapping[str, str]) -> Any:
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with session.request(method, url, headers=headers, timeout=timeout) as answer:
            return await answer.json() if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, OSError, json.JSONDecodeError):
        return None


def _host(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def _read(answer: Any) -> Calls | None:
    try:
        ages = {str(each["id"]): float(each["age"]) for each in answer["calls"]}
        return Calls(ages, int(answer["capacity"]), bool(answer["draining"]))
    except (TypeError, KeyError, ValueError):
        return None
