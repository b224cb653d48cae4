"""A call of an aiortc client that talks to a model server through a worker, and the events that the client got."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from tests.support.aiortc_caller import AiortcCaller, aiortc_caller
from tests.support.facts import DEADLINE, eventually
from tests.support.realtime_model import ModelServer
from tests.support.workers import direct_worker
from voicefleet.agents.link import Asked
from voicefleet.agents.realtime.link import RealtimeLink
from voicefleet.agents.realtime.models import ModelPlan, Models
from voicefleet.services.transceiver.session import Session
from voicefleet.services.transceiver.worker import Worker


@dataclass
class ModelCall:
    """One call, its client and its link."""

    caller: AiortcCaller
    worker: Worker
    link: RealtimeLink
    models: Models
    session: Session
    events: list[dict[str, Any]] = field(default_factory=list)
    """What the client was told, in order."""

    def kinds(self) -> list[str]:
        """The types of the events."""
        return [event["type"] for event in self.events]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of a type."""
        return [event for event in self.events if event["type"] == kind]

    async def told(self, kind: str, times: int = 1) -> dict[str, Any]:
        """The event of that type, once it has come so often."""
        await eventually(lambda: len(self.of(kind)) >= times, f"the client is told {kind}; it got {self.kinds()}")
        return self.of(kind)[times - 1]

    def send(self, kind: str, **fields: Any) -> None:
        """An event of the client."""
        assert self.caller.channel is not None
        self.caller.channel.send(json.dumps({"type": kind, **fields}))

    async def says_something(self) -> None:
        """The caller speaks, so that the model answers."""
        before = self.caller.spoken
        turns = len(self.of("input_audio_buffer.speech_started"))
        self.caller.speaks = True
        await eventually(lambda: self.caller.spoken - before >= 0.3, "a word was said")
        await self.told("input_audio_buffer.speech_started", turns + 1)
        self.caller.speaks = False


@asynccontextmanager
async def model_call(
    *servers: ModelServer | str,
    config: dict[str, Any] | None = None,
    codec: str | None = None,
    plan: dict[str, Any] | None = None,
    answered: bool = True,
) -> AsyncIterator[ModelCall]:
    """A call that is up, with its session; the caller is silent."""
    urls: Sequence[str] = [server if isinstance(server, str) else server.url for server in servers]
    models = Models(ModelPlan(urls, model="test-model", **(plan or {})), lambda: "a-key")
    links: list[RealtimeLink] = []

    def link(asked: Asked) -> RealtimeLink:
        links.append(RealtimeLink(models, asked.config))
        return links[-1]

    async with direct_worker(link=link) as worker, aiortc_caller(codec=codec) as caller:
        caller.speaks = False
        created = worker.create(await caller.offer(), {"type": "realtime"} if config is None else config, [])
        call = ModelCall(caller, worker, links[0], models, worker.session(created.call_id))
        if answered:
            await caller.answer(created.answer)

        async def gather() -> None:
            while True:
                call.events.append(json.loads(await caller.messages.get()))

        gathering = asyncio.create_task(gather())
        try:
            if answered:
                await asyncio.wait_for(caller.open.wait(), DEADLINE)
            yield call
        finally:
            gathering.cancel()
