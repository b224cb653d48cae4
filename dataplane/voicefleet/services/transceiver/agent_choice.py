"""Which agent callers get, by the setting; every call gets one of its own."""

from collections.abc import Callable

from voicefleet.agents.echo import EchoAgent, PcmEchoAgent
from voicefleet.agents.link import Agent, Asked
from voicefleet.agents.parrot import Parrot
from voicefleet.services.transceiver.settings import TransceiverSettings


def agent_choice(settings: TransceiverSettings) -> Callable[[Asked], Agent]:
    """What makes the agent of a call."""
    match settings.agent:
        case "echo":
            return _echo
        case "pcm-echo":
            return lambda _asked: PcmEchoAgent()


def _echo(asked: Asked) -> Agent:
    """Who takes no events has no use for turns, and is passed back what he says between two packets."""
    return Parrot(asked.door, asked.config) if asked.events else EchoAgent()
