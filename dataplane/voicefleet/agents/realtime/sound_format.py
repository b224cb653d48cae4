"""How a call's sound is written in the model's events, and what a session says of it: what the call really has,
whatever the client believes."""

from dataclasses import dataclass
from typing import Any, Final

from voicefleet.core.media import g711
from voicefleet.core.media.coding import PCMA, PCMU, Coding
from voicefleet.core.model.memory import merged

PCM_RATE: Final = 24_000
_TELEPHONE: Final = {PCMU: ("audio/pcmu", g711.Law.MU), PCMA: ("audio/pcma", g711.Law.A)}


@dataclass(frozen=True, slots=True)
class SoundFormat:
    """One call's; both directions have it."""

    told: dict[str, Any]
    """As the protocol writes it."""
    law: g711.Law | None
    """None for PCM."""

    @classmethod
    def of_call(cls, coding: Coding | None, telephone: bool) -> "SoundFormat":
        """G.711 end to end for a caller who speaks it to a model that takes it (`telephone`); else PCM."""
        name, law = _TELEPHONE.get(coding, ("", None)) if coding is not None and telephone else ("", None)
        return cls({"type": name} if name else {"type": "audio/pcm", "rate": PCM_RATE}, law)

    @property
    def pcm_rate(self) -> int | None:
        """Of the PCM that the link wants; None for frames as they come."""
        return PCM_RATE if self.law is None else None

    @property
    def rate(self) -> int:
        """Samples a second."""
        return PCM_RATE if self.law is None else g711.CLOCK_RATE

    @property
    def octets_per_ms(self) -> int:
        """Of sound as it is sent."""
        return PCM_RATE * 2 // 1000 if self.law is None else 8

    @property
    def silence(self) -> bytes:
        """One octet, where frames have to be whole; empty for PCM."""
        return bytes((self.law.value,)) if self.law is not None else b""

    def pcm(self, audio: bytes) -> bytes:
        """Samples of 16 bit."""
        return audio if self.law is None else g711.decode(audio, self.law)

    def asked(self, session: dict[str, Any], kind: str, *, only_named: bool = False) -> dict[str, Any]:
        """The session as the model is asked for it; `only_named` leaves alone what it says nothing of."""
        sides = _sides(session.get("type") or kind)
        audio = session.get("audio") or {}
        if only_named or self.law is None:
            sides = tuple(side for side in sides if "format" in (audio.get(side) or {}))
        return _with_formats(session, dict.fromkeys(sides, self.told), kind)


def as_wanted(session: dict[str, Any], wanted: dict[str, Any], kind: str) -> dict[str, Any]:
    """The model's session as a client is told of it whose own formats are translated on the way."""
    audio = wanted.get("audio") or {}
    formats = {side: form for side in _sides(kind) if (form := (audio.get(side) or {}).get("format")) is not None}
    return _with_formats(session, formats, kind)


def _sides(kind: str) -> tuple[str, ...]:
    return ("input",) if kind == "transcription" else ("input", "output")


def _with_formats(session: dict[str, Any], formats: dict[str, dict[str, Any]], kind: str) -> dict[str, Any]:
    if not formats:
        return session
    audio = {side: {"format": form} for side, form in formats.items()}
    return merged(session, {"type": session.get("type", kind), "audio": audio})
