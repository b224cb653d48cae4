"""The official `openai` package at the WebSocket door: only the base URL is changed."""

import asyncio
import hashlib
import json
from typing import Any

import openai
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from websockets.exceptions import ConnectionClosed

from tests.support.facts import eventually
from tests.support.realtime_types import validated
from tests.support.signaling import Signaling
from voicefleet.services.signaling.api_keys import ApiKeys

KEY = "vf-a-key-of-the-test"
KEYS = ApiKeys({hashlib.sha256(KEY.encode()).digest(): "shop"})


def client_of(fleet: Signaling, key: str = KEY) -> openai.AsyncOpenAI:
    url = f"http://127.0.0.1:{fleet.port}/v1"
    return openai.AsyncOpenAI(api_key=key, base_url=url, websocket_base_url=url.replace("http", "ws"), max_retries=0)


class Listener:
    """Reads a connection for as long as it lasts, and holds each event against the official types."""

    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.events: list[dict[str, Any]] = []
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while True:
                event = json.loads(await self.connection.recv_bytes())
                if not event["type"].startswith("voicefleet."):
                    validated(event)
                self.events.append(event)
        except ConnectionClosed:
            return

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    async def told(self, kind: str, count: int = 1) -> dict[str, Any]:
        def there() -> bool:
            if self._task.done():
                self._task.result()
            return len(self.all(kind)) >= count

        await eventually(there, f"{kind}; told {[event['type'] for event in self.events]}")
        return self.all(kind)[count - 1]


def session_of(kind: str, detection: dict[str, Any] | None) -> Any:
    sound = {"type": kind} | ({"rate": 24000} if kind == "audio/pcm" else {})
    return {
        "type": "realtime",
        "audio": {"input": {"format": sound, "turn_detection": detection}, "output": {"format": sound}},
    }
