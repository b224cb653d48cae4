"""The agent of a transceiver's calls."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from voicefleet.agents.echo import EchoAgent, PcmEchoAgent
from voicefleet.agents.link import Agent, Asked
from voicefleet.agents.parrot import Parrot
from voicefleet.agents.python.link import PythonLink
from voicefleet.agents.python.nursery import AgentCode, Nursery
from voicefleet.agents.realtime.link import RealtimeLink
from voicefleet.agents.realtime.models import ModelPlan, Models
from voicefleet.core.model.endpoints import Limits
from voicefleet.core.rate_limit import Rate
from voicefleet.net.watched_file import WatchedFile
from voicefleet.services.transceiver.settings import TransceiverSettings


@dataclass(frozen=True)
class AgentChoice:
    """What makes the agent of a call, and what it needs meanwhile."""

    agent: Callable[[Asked], Agent]
    files: Sequence[WatchedFile[Any]] = field(default=())
    """To be followed."""
    models: Models | None = None
    nursery: Nursery | None = None

    async def run(self) -> None:
        """Beside the calls, until cancelled."""
        if self.nursery is not None:
            await self.nursery.run()

    async def ready(self) -> None:
        """Before the first call is taken."""
        if self.nursery is not None:
            await self.nursery.ready.wait()


def agent_choice(settings: TransceiverSettings) -> AgentChoice:
    """The agent that these settings want."""
    match settings.agent:
        case "echo":
            return AgentChoice(_echo)
        case "pcm-echo":
            return AgentChoice(lambda _asked: PcmEchoAgent())
        case "realtime":
            return _realtime(settings)
        case "python":
            return _python(settings)


def _echo(asked: Asked) -> Agent:
    """Who takes no events has no use for turns, and is passed back what he says between two packets."""
    return Parrot(asked.door, asked.config) if asked.events else EchoAgent()


def _realtime(settings: TransceiverSettings) -> AgentChoice:
    path = settings.realtime_key_file
    key = WatchedFile(path, _read_key, "model key") if path is not None else None
    plan = ModelPlan(
        urls=settings.realtime_url,
        model=settings.realtime_model,
        headers=settings.realtime_headers,
        limits=worker_limits(settings),
        telephone=settings.realtime_telephone,
        own_turns=settings.realtime_turns == "voicefleet",
        own_ear=settings.realtime_interruption == "ear",
    )
    models = Models(plan, lambda: key.value if key is not None else None)
    return AgentChoice(
        lambda asked: RealtimeLink(models, asked.config, asked.door), (key,) if key is not None else (), models
    )


def _python(settings: TransceiverSettings) -> AgentChoice:
    code = AgentCode(
        settings.python_agent,
        settings.python_agent_path,
        settings.python_agent_memory * 1024 * 1024,
        settings.python_agent_reload,
        settings.python_agent_interpreter,
    )
    nursery = Nursery(code)
    return AgentChoice(lambda _asked: PythonLink(nursery), nursery=nursery)


def worker_limits(settings: TransceiverSettings) -> Limits:
    """One worker's share of what the pod may ask of a model server; at least one call, and one in a minute."""
    workers = settings.worker_processes
    calls, rate = settings.realtime_calls, settings.realtime_calls_per_minute
    each_minute = max(rate // workers, 1) if rate is not None else None
    return Limits(
        calls=max(calls // workers, 1) if calls is not None else None,
        rate=Rate(each_minute / 60, max(each_minute // 6, 1)) if each_minute is not None else None,
    )


def _read_key(path: Path) -> str:
    key = path.read_text(encoding="utf-8").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise ValueError("not a key: it is empty, or has more than one line")
    return key
