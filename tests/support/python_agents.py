"""Agents of users, as tests have them: the examples, and some that behave badly."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.support.facts import DEADLINE
from voicefleet.agents.python.nursery import AgentCode, Nursery

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples" / "agents"


@asynccontextmanager
async def nursery(
    name: str,
    path: Path = EXAMPLES,
    *,
    memory: int = 0,
    reload: bool = False,
    interpreter: Path | None = None,
    deadline: float = DEADLINE,
) -> AsyncIterator[Nursery]:
    """Where agents of one class come from, ready."""
    made = Nursery(AgentCode(name, path, memory, reload, interpreter))
    running = asyncio.create_task(made.run())
    try:
        async with asyncio.timeout(deadline):
            await made.ready.wait()
        yield made
    finally:
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running
