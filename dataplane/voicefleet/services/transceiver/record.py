"""One call as a whole: what is known of it when somebody asks, and what remains of it at its end."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from voicefleet.services.transceiver.media_leg import LegRecord


class EndCause(StrEnum):
    """Why a call ended; a label value of a metric."""

    HUNG_UP = "hung_up"
    """By somebody who asked for it over the API."""
    CLIENT_LEFT = "client_left"
    SILENCE = "silence"
    HANDSHAKE = "handshake"
    DRAINED = "drained"
    AGENT_LEFT = "agent_left"
    AGENT_FAILED = "agent_failed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One call. Moments are seconds after the offer came; None for what never was."""

    call_id: str
    age: float
    cause: EndCause | None
    reason: str
    answer: float
    first_check: float | None
    dtls_done: float | None
    first_audio_in: float | None
    first_audio_out: float | None
    handshake_round_trip: float | None
    leg: LegRecord
    refused: dict[str, int]
    """Data channel packets that were not used, by reason."""
    turns: int = 0
    """Turns of the caller that were answered."""
    longest_wait: float = 0.0
    """From a last word to the answer, at worst."""
    overruns: dict[str, int] = field(default_factory=dict)
    """Turns over the budget, by its share."""
    version: int = 0
    """Of our session description; each ICE restart that was offered counts it up."""

    def stages(self) -> dict[str, float | None]:
        """The moments of the set-up, in their usual order."""
        return {
            "answer": self.answer,
            "first_check": self.first_check,
            "dtls_done": self.dtls_done,
            "first_audio_in": self.first_audio_in,
            "first_audio_out": self.first_audio_out,
        }

    def figures(self) -> dict[str, float]:
        """Everything that is a number, by name: for whoever looks the call up, and for the fleet's histograms."""
        figures: dict[str, float | None] = {"age": self.age}
        figures |= {f"setup_{stage}": moment for stage, moment in self.stages().items()}
        if self.turns:
            figures |= {"turns": self.turns, "turn_longest": self.longest_wait}
        heard = self.leg.measurements
        if heard is not None:
            up, down = heard.uplink, heard.downlink
            sent = up.packets + up.lost
            figures |= {
                "round_trip": heard.round_trip,
                "uplink_loss": max(0, up.lost) / sent if sent > 0 else 0.0,
                "uplink_jitter": up.jitter,
                "uplink_concealment": up.concealment,
                "uplink_buffer_delay": up.buffer_delay,
                "uplink_retransmitted": up.retransmitted,
                "uplink_mos": up.mos,
                "downlink_loss": down.lost / down.packets if down.packets else 0.0,
                "downlink_jitter": down.jitter,
                "downlink_retransmitted": down.retransmitted,
                "downlink_mos": down.mos,
            }
        return {name: figure for name, figure in figures.items() if figure is not None}

    def summary(self) -> dict[str, Any]:
        """The call in one line of a log: durations in milliseconds unless their name says otherwise."""
        leg = self.leg
        line: dict[str, Any] = {
            "cause": self.cause,
            "reason": self.reason,
            "seconds": round(self.age, 1),
            "setup_ms": {stage: _ms(moment) for stage, moment in self.stages().items()},
            "paths": leg.paths,
            "path_switches": leg.switches,
            "ice_restarts": leg.restarts,
            "refused": {**self.refused, **leg.refused},
        }
        if self.turns:
            line["turns"] = {"answered": self.turns, "longest_ms": _ms(self.longest_wait), "overruns": self.overruns}
        heard = leg.measurements
        if heard is not None:
            up, down = heard.uplink, heard.downlink
            line["rtt_ms"] = _ms(heard.round_trip)
            line["refused"] = {**line["refused"], **heard.refused}
            line["uplink"] = {
                "packets": up.packets,
                "lost": up.lost,
                "jitter_ms": _ms(up.jitter),
                "heard": up.heard,
                "concealed": up.concealed,
                "retransmitted": up.retransmitted,
                "by_redundancy": up.recovered_by_redundancy,
                "buffer_ms": _ms(up.buffer_delay),
                "mos": round(up.mos, 2),
            }
            line["downlink"] = {
                "packets": down.packets,
                "lost": down.lost,
                "jitter_ms": _ms(down.jitter),
                "retransmitted": down.retransmitted,
                "played_seconds": round(down.played_ms / 1000, 1),
                "mos": round(down.mos, 2),
            }
        return line


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 1)
