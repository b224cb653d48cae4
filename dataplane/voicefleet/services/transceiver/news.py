"""What a worker's process tells the pod's process without being asked, and how it looks on the way."""

from dataclasses import asdict, dataclass
from typing import Any, Final, TypeAlias


@dataclass(frozen=True, slots=True)
class Pulse:
    """Four times a second: both loops turn, and this is how they are. Counters only grow while the process lives."""

    cpu: float
    """Seconds of processor time that the process has used."""
    busy: float
    """Seconds that the media loop was not waiting."""
    resident: int
    """Octets of memory."""
    late: tuple[int, ...]
    """Turns by how late they came to a deadline (`media_loop.LATENESS_BOUNDS`)."""
    refused: dict[str, int]
    """Packets that belong to no call, by reason."""
    models: dict[str, dict[str, float]]
    """How each model server is: sessions that connected, failed, were lost; `calls` now; whether it is `well`; and the
    `seconds` that all sessions took to begin."""
    models_refused: int
    """Sessions for which none was free."""


@dataclass(frozen=True, slots=True)
class Looked:
    """How a live call is."""

    call: str
    figures: dict[str, float]
    began: float
    """On the monotonic clock, as its age tells; the moments of the set-up count from there."""


@dataclass(frozen=True, slots=True)
class Ended:
    """A call is over."""

    call: str
    cause: str
    figures: dict[str, float]
    began: float = 0.0
    """Likewise; nobody knows it of a call that died with its worker."""


@dataclass(frozen=True, slots=True)
class PathMeasured:
    """How far a call's client is from a relay of this pool."""

    call: str
    pool: str
    seconds: float


@dataclass(frozen=True, slots=True)
class Turned:
    """A caller's turn was answered."""

    stages: dict[str, float]
    total: float
    overruns: list[str]


News: TypeAlias = Pulse | Looked | Ended | PathMeasured | Turned

_KINDS: Final[dict[str, type[Pulse] | type[Looked] | type[Ended] | type[PathMeasured] | type[Turned]]] = {
    kind.__name__: kind for kind in (Pulse, Looked, Ended, PathMeasured, Turned)
}


def written(news: News) -> tuple[str, dict[str, Any]]:
    """Kind and fields for a channel."""
    return type(news).__name__, asdict(news)


def read(kind: str, fields: dict[str, Any]) -> News:
    """The news in what `written` gave."""
    return _KINDS[kind](**fields)
