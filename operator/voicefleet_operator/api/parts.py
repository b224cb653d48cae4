"""Pieces of specs that several kinds share."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field
from pydantic.alias_generators import to_camel

from voicefleet_operator.api.spelling import (
    Duration,
    LabelValue,
    Name,
    Quantity,
    Rule,
    SecretKey,
)


def spelled(default: str | int) -> Any:
    """A default as a user would write it; the model reads it like one."""
    return Field(default=default)


class Part(BaseModel):
    """A mapping in a custom resource: camel case outside, frozen, and blind to what a newer version may add."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        frozen=True,
        extra="ignore",
        validate_default=True,
        use_attribute_docstrings=True,
    )

    rules: ClassVar[tuple[Rule, ...]] = ()


class SecretKeyRef(Part):
    """One key of a Secret in the same namespace."""

    name: Name
    """Name of the Secret."""
    key: SecretKey
    """Key in its data."""


class SecretRef(Part):
    """A Secret in the same namespace."""

    name: Name
    """Name of the Secret."""


class Location(Part):
    """A place on earth, in degrees."""

    latitude: Annotated[float, Field(ge=-90, le=90)]
    """North is positive."""
    longitude: Annotated[float, Field(ge=-180, le=180)]
    """East is positive."""


class Resources(Part):
    """What a container asks for and may use, as in a Pod."""

    requests: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default={})
    """What the scheduler sets aside, for example `cpu: 500m`."""
    limits: Annotated[dict[str, Quantity], Field(max_length=16)] = Field(default={})
    """What it may use at most. Beyond the memory it is killed, beyond the processor time packets wait: give relays and
    transceivers a memory limit and no processor limit."""


class Toleration(Part):
    """A taint that the pods may live with, as in a Pod."""

    key: Annotated[str, Field(max_length=316)] = ""
    """The taint's key; empty with operator Exists means all taints."""
    operator: Literal["Equal", "Exists"] = "Equal"
    """Whether the value has to match."""
    value: LabelValue = ""
    """The taint's value."""
    effect: Literal["", "NoSchedule", "PreferNoSchedule", "NoExecute"] = ""
    """The taint's effect; empty means all effects."""
    toleration_seconds: Annotated[int, Field(ge=0)] | None = None
    """How long a NoExecute taint is tolerated; without it, for ever."""


class Placement(Part):
    """On which nodes pods run, and how they get what they need there."""

    node_selector: Annotated[dict[str, LabelValue], Field(max_length=16)] = Field(default={})
    """Labels that a node must have."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=16)] = ()
    """Taints that the pods may live with."""
    priority_class_name: Annotated[str, Field(max_length=253)] = ""
    """Priority of the pods; live calls are worth more than batch work."""
    resources: Resources = Field(default=Resources())
    """Resources of each pod's container; what is not said gets a default that suits the kind."""


class Drain(Part):
    """How long live calls may go on when their pod has to go."""

    deadline: Duration = spelled("30m")
    """After it the remaining calls get a goodbye in-band and end. Also the longest time that a node drain waits."""
