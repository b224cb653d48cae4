"""What transceivers are told of the agent."""

from typing import Final

from voicefleet.contract import Env
from voicefleet_operator.api.voice_fleet import Agent
from voicefleet_operator.model.pod import Volume, secret_volume
from voicefleet_operator.model.resources import Fleet

MODEL: Final = "/etc/voicefleet/model"


def agent_environment(agent: Agent) -> dict[str, str]:
    """The agent's settings as variables; the key of a model is a file, which can change without a restart."""
    environment = {Env.AGENT: agent.type.lower()}
    if agent.realtime is None:
        return environment
    environment[Env.REALTIME_URL] = agent.realtime.url
    if agent.realtime.model:
        environment[Env.REALTIME_MODEL] = agent.realtime.model
    if agent.realtime.api_key_secret_ref is not None:
        environment[Env.REALTIME_KEY_FILE] = f"{MODEL}/key"
    return environment


def agent_volumes(fleet: Fleet) -> tuple[Volume, ...]:
    """The Secret with the model's key."""
    realtime = fleet.spec.agent.realtime
    if realtime is None or realtime.api_key_secret_ref is None:
        return ()
    ref = realtime.api_key_secret_ref
    return (secret_volume("model", MODEL, ref.name, {ref.key: "key"}),)
