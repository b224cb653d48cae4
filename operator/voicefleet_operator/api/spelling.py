"""How values are spelled in the custom resources: each type reads one spelling and brings the schema that allows it.

Values that have passed the API server fit already; the parsers refuse the rest, so that a resource which reached the
operator by another way (an old CRD, a file) becomes one error with the field's name.
"""

import re
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Annotated, Any, Final, NamedTuple

from pydantic import BeforeValidator, Field, PlainSerializer


@dataclass(frozen=True, slots=True, eq=False)
class Schema:
    """What stands in the CRD for a type that JSON schema has no word for."""

    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Rule:
    """A CEL rule with the sentence that a user reads when it does not hold."""

    expression: str
    message: str


@dataclass(frozen=True, slots=True)
class Immutable:
    """A field that keeps its first value; the sentence says what to do instead."""

    message: str


@dataclass(frozen=True, slots=True)
class KeyedBy:
    """A list whose entries are told apart by these fields, so that several writers can own entries of it."""

    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unique:
    """A list that is a set."""


_UNITS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART: Final = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")
_DURATION_PATTERN: Final = r"^(0|([0-9]+(\.[0-9]+)?(ms|s|m|h|d))+)$"


def seconds(value: Any) -> float:
    """Seconds from `250ms`, `90s`, `30m`, `1h30m`, `2d`."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    if not isinstance(value, str) or not re.fullmatch(_DURATION_PATTERN, value):
        raise ValueError("is not a duration such as 90s, 30m or 1h30m")
    return sum(float(part[1]) * _UNITS[part[2]] for part in _PART.finditer(value))


def duration(value: float) -> str:
    """The shortest spelling that `seconds` reads back."""
    if value and value < 1.0:
        return f"{value * 1000:g}ms"
    text, rest = "", value
    for unit, size in (("h", 3600.0), ("m", 60.0)):
        count, rest = divmod(rest, size)
        text += f"{count:.0f}{unit}" if count else ""
    return text + (f"{rest:g}s" if rest or not text else "")


Duration = Annotated[
    float,
    BeforeValidator(seconds),
    PlainSerializer(duration, return_type=str),
    Schema({"type": "string", "pattern": _DURATION_PATTERN, "maxLength": 32}),
]
"""A length of time, in seconds."""


class Share(NamedTuple):
    """A number of things, or a percentage of them."""

    value: int
    percent: bool

    def of(self, whole: int) -> int:
        """How many of `whole` it is, rounded up."""
        return -(-whole * self.value // 100) if self.percent else self.value

    def __str__(self) -> str:
        return f"{self.value}%" if self.percent else str(self.value)


def share(value: Any) -> Share:
    """`20%` or `5`."""
    if isinstance(value, Share):
        return value
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return Share(value, False)
    if isinstance(value, str) and (match := re.fullmatch(r"(\d{1,3})%", value)) and int(match[1]) <= 100:
        return Share(int(match[1]), True)
    raise ValueError("is neither a number nor a percentage such as 20%")


def _share_document(value: Share) -> int | str:
    return str(value) if value.percent else value.value


CountOrPercent = Annotated[
    Share,
    BeforeValidator(share),
    PlainSerializer(_share_document),
    Schema(
        {
            "x-kubernetes-int-or-string": True,
            "x-kubernetes-validations": [
                {
                    "rule": "type(self) == string ? self.matches('^(100|[0-9]{1,2})%$') : int(self) >= 0",
                    "message": "must be a number from 0, or a percentage from 0% to 100%",
                }
            ],
        }
    ),
]
"""How many, or what part."""

AUTO: Final = "Auto"


def port_choice(value: Any) -> int | None:
    """A port, or None for `Auto`."""
    if value in (AUTO, None):
        return None
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= 65535:
        return value
    raise ValueError("is neither Auto nor a port from 1 to 65535")


def _port_document(value: int | None) -> int | str:
    return AUTO if value is None else value


PortChoice = Annotated[
    int | None,
    BeforeValidator(port_choice),
    PlainSerializer(_port_document),
    Schema(
        {
            "x-kubernetes-int-or-string": True,
            "x-kubernetes-validations": [
                {
                    "rule": "type(self) == string ? self == 'Auto' : (int(self) >= 1 && int(self) <= 65535)",
                    "message": "must be Auto or a port from 1 to 65535",
                }
            ],
        }
    ),
]
"""A UDP port, or `Auto`, which is None."""


def network(value: Any) -> str:
    """A network in CIDR form; an address that lies inside of one is refused."""
    try:
        return str(ip_network(value))
    except ValueError:
        raise ValueError("is not a network such as 10.0.0.0/8 or fd00::/8") from None


Network = Annotated[
    str,
    BeforeValidator(network),
    Schema(
        {
            "type": "string",
            "maxLength": 43,
            "x-kubernetes-validations": [
                {
                    "rule": "isCIDR(self) && cidr(self) == cidr(self).masked()",
                    "message": "must be a network such as 10.0.0.0/8 or fd00::/8, with no address bits set",
                }
            ],
        }
    ),
]
"""A network in CIDR form."""

Quantity = Annotated[
    str,
    BeforeValidator(str),
    Schema(
        {
            "x-kubernetes-int-or-string": True,
            "pattern": r"^[0-9]+(\.[0-9]+)?(m|k|M|G|T|Ki|Mi|Gi|Ti)?$",
        }
    ),
]
"""A Kubernetes quantity such as 500m or 256Mi."""

Name = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")]
"""A name of a Kubernetes object."""
ShortName = Annotated[str, Field(min_length=1, max_length=63, pattern=r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")]
"""A name that also fits into a label and a host name."""
SecretKey = Annotated[str, Field(min_length=1, max_length=253, pattern=r"^[-._a-zA-Z0-9]+$")]
"""A key of a Secret or ConfigMap."""
LabelValue = Annotated[str, Field(max_length=63, pattern=r"^([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?$")]
"""What may stand in a label."""
Region = Annotated[str, Field(max_length=63, pattern=r"^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$")]
"""A region's name, such as eu-central."""
Address = Annotated[
    str,
    Schema(
        {
            "type": "string",
            "maxLength": 45,
            "x-kubernetes-validations": [{"rule": "isIP(self)", "message": "must be an IP address"}],
        }
    ),
]
"""An IP address."""
