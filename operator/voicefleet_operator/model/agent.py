"""What transceivers are told of the agent."""

from collections.abc import Mapping
from typing import Final

from voicefleet.contract import Env
from voicefleet_operator.api.voice_fleet import Agent, Python, Realtime
from voicefleet_operator.model.pod import Volume, config_volume, secret_volume
from voicefleet_operator.model.resources import Fleet

MODEL: Final = "/etc/voicefleet/model"
CODE: Final = "/etc/voicefleet/agent"


def agent_environment(agent: Agent) -> dict[str, str]:
    """The agent's settings as variables; the key of a model is a file, which can change without a restart."""
    environment = {Env.AGENT: agent.type.lower()}
    if agent.realtime is not None:
        environment |= realtime_environment(agent.realtime)
        if agent.realtime.api_key_secret_ref is not None:
            environment[Env.REALTIME_KEY_FILE] = f"{MODEL}/key"
    if agent.python is not None:
        environment |= python_environment(agent.python)
        if agent.python.config_map_ref is not None:
            environment[Env.PYTHON_AGENT_PATH] = CODE
    return environment


def realtime_environment(realtime: Realtime) -> Mapping[str, str]:
    """What does not depend on where files are."""
    wanted = {
        Env.REALTIME_URL: ",".join((realtime.url, *realtime.fallback_urls)),
        Env.REALTIME_MODEL: realtime.model,
        Env.REALTIME_CALLS: _number(realtime.calls_per_pod),
        Env.REALTIME_CALLS_PER_MINUTE: _number(realtime.calls_per_pod_and_minute),
        Env.REALTIME_TELEPHONE: "" if realtime.telephone else "false",
        Env.REALTIME_TURNS: "" if realtime.turns == "Model" else realtime.turns.lower(),
        Env.REALTIME_INTERRUPTION: "" if realtime.interruption == "Model" else "ear",
    }
    return {name: value for name, value in wanted.items() if value}


def python_environment(python: Python) -> Mapping[str, str]:
    """Likewise."""
    environment = {Env.PYTHON_AGENT: python.entrypoint, Env.PYTHON_AGENT_MEMORY: str(python.memory_megabytes)}
    if python.interpreter is not None:
        environment[Env.PYTHON_AGENT_INTERPRETER] = python.interpreter
    return environment


def agent_volumes(fleet: Fleet) -> tuple[Volume, ...]:
    """The Secret with the model's key, or the ConfigMap with the class."""
    agent = fleet.spec.agent
    volumes = []
    if agent.realtime is not None and agent.realtime.api_key_secret_ref is not None:
        ref = agent.realtime.api_key_secret_ref
        volumes.append(secret_volume("model", MODEL, ref.name, {ref.key: "key"}))
    if agent.python is not None and agent.python.config_map_ref is not None:
        volumes.append(config_volume("agent", CODE, agent.python.config_map_ref.name))
    return tuple(volumes)


def _number(value: int | None) -> str:
    return "" if value is None else str(value)
