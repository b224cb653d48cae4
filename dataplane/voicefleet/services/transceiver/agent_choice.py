"""Which agent callers get, by the setting; every call gets one of its own."""

from collections.abc import Callable
from typing import Any

from voicefleet.agents.echo import EchoAgent, PcmEchoAgent
from voicefleet.agents.link import Agent
from voicefleet.services.transceiver.settings import TransceiverSettings


def agent_choice(settings: TransceiverSettings) -> Callable[[dict[str, Any]], Agent]:
    """What makes the agent of a call from the session's configuration."""
    match settings.agent:
        case "echo":
            return lambda _config: EchoAgent()
        case "pcm-echo":
            return lambda _config: PcmEchoAgent()
