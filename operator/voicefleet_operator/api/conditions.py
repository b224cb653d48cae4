"""Conditions as Kubernetes' conventions have them: a type, a status, one word and one sentence why, and since when."""

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Annotated, Final, Literal

from pydantic import Field

from voicefleet_operator.api.parts import Part

Status = Literal["True", "False", "Unknown"]


class ConditionType:
    """Types of conditions; each kind's status says which of them it has."""

    READY: Final = "Ready"
    PROGRESSING: Final = "Progressing"
    DEGRADED: Final = "Degraded"
    PORTS_ALLOCATED: Final = "PortsAllocated"
    ADDRESSES_KNOWN: Final = "AddressesKnown"
    REACHABLE: Final = "Reachable"
    DRAINING: Final = "Draining"
    SESSION_MAP: Final = "SessionMap"
    PAUSED: Final = "Paused"
    ABLE_TO_SCALE: Final = "AbleToScale"
    LIMITED: Final = "ScalingLimited"


class Condition(Part):
    """One thing that is so, or is not, or is not known."""

    type: Annotated[str, Field(max_length=316)]
    """What it is about."""
    status: Status
    """Whether it is so."""
    reason: Annotated[str, Field(max_length=1024, pattern=r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")]
    """Why, in one word for programs."""
    message: Annotated[str, Field(max_length=32768)] = ""
    """Why, for people, with what to do about it."""
    last_transition_time: str = ""
    """When the status last changed."""
    observed_generation: int = 0
    """The generation of the spec that this is about."""


def condition(kind: str, so: bool | None, reason: str, message: str = "") -> Condition:
    """A condition that is so, is not, or (None) is not known."""
    status: Status = "Unknown" if so is None else "True" if so else "False"
    return Condition(type=kind, status=status, reason=reason, message=message)


def merged(
    before: Iterable[Condition], found: Iterable[Condition], generation: int, now: float
) -> tuple[Condition, ...]:
    """The conditions to write: what was found, dated from the last change of its status. Others are dropped."""
    known: Mapping[str, Condition] = {each.type: each for each in before}
    moment = timestamp(now)
    result = []
    for each in found:
        old = known.get(each.type)
        since = old.last_transition_time if old is not None and old.status == each.status else moment
        update = {"last_transition_time": since or moment, "observed_generation": generation}
        result.append(each.model_copy(update=update))
    return tuple(result)


def timestamp(now: float) -> str:
    """Unix seconds as Kubernetes writes times."""
    return datetime.fromtimestamp(int(now), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment(text: str) -> float:
    """Unix seconds of what `timestamp` wrote."""
    return datetime.fromisoformat(text).timestamp()
