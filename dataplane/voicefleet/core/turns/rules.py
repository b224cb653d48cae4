"""How turns are taken in a session: what `turn_detection` says, in terms of our detector."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from voicefleet.core.turns.detector import Patience

_EAGERNESS: Final[Mapping[str, Patience]] = {
    "low": Patience(finished=0.6, hanging=3.0),
    "medium": Patience(),
    "auto": Patience(),
    "high": Patience(finished=0.24, hanging=1.0),
}
_PLAIN: Final = 0.5
"""The threshold at which our detector is as it was measured."""


class Mode(StrEnum):
    """Who says that a turn is over."""

    SILENCE = "server_vad"
    """Silence of a fixed length."""
    MEANING = "semantic_vad"
    """Silence, judged by how the phrase ended and by this caller's own pauses."""
    PUSH_TO_TALK = "none"
    """The client, by a commit."""


@dataclass(frozen=True, slots=True)
class TurnRules:
    """The rules as they are now; another `session.update` makes others."""

    mode: Mode
    patience: Patience = field(default_factory=Patience)
    demand: float = 1.0
    """How much more than usual has to stand out of the noise to be speech."""
    prefix: float = 0.3
    """Seconds before the first word that belong to the turn."""
    create_response: bool = True
    interrupt_response: bool = True
    idle_timeout: float | None = None
    """Seconds of silence after an answer until the agent speaks by itself."""


def rules(detection: Mapping[str, Any] | None) -> TurnRules:
    """The rules that a whole `turn_detection` of a session makes."""
    if detection is None:
        return TurnRules(Mode.PUSH_TO_TALK, create_response=False, interrupt_response=False)
    create, interrupt = bool(detection["create_response"]), bool(detection["interrupt_response"])
    if detection["type"] == Mode.MEANING:
        patience = _EAGERNESS[detection["eagerness"]]
        return TurnRules(Mode.MEANING, patience, create_response=create, interrupt_response=interrupt)
    silence = detection["silence_duration_ms"] / 1000
    idle = detection["idle_timeout_ms"]
    return TurnRules(
        Mode.SILENCE,
        Patience(finished=silence, hanging=silence, follows=False),
        demand=float(2 ** (2 * (detection["threshold"] - _PLAIN))),
        prefix=detection["prefix_padding_ms"] / 1000,
        create_response=create,
        interrupt_response=interrupt,
        idle_timeout=None if idle is None else idle / 1000,
    )
