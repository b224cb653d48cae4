"""Our own rules about whose turn it is, for a model that is told to have none.

The model hears turns only, each from a little before its first word, then its end (a commit) and the wish for an
answer; the caller is told what a model with turn detection would tell. What the client says of `turn_detection` is for
us; where it turns it off, the model hears everything, and the client decides.
"""

import secrets
from collections.abc import Callable
from typing import Any

from voicefleet.agents.link import Voice
from voicefleet.agents.realtime.caller import Caller
from voicefleet.agents.turn_taking import TurnTaking
from voicefleet.core.model.memory import merged
from voicefleet.core.realtime.session import begun, turn_detection, updated
from voicefleet.core.turns.detector import TurnStarted
from voicefleet.core.turns.rules import Mode, rules

_AUDIO = "input_audio_buffer"


class OwnTurns:
    """One call's."""

    def __init__(
        self,
        config: dict[str, Any],
        kind: str,
        rate: int,
        voice: Voice,
        caller: Caller,
        append: Callable[[bytes], None],
        send: Callable[[dict[str, Any]], None],
    ) -> None:
        """`append` and `send` go to the model, or wait for one; raises `ShapeError` for what is no turn detection."""
        self._session = begun({"type": kind}, "", 0.0)
        self._kind = kind
        self._voice = voice
        self._caller = caller
        self._append = append
        self._send = send
        self._turns = TurnTaking(rate, rules(turn_detection(self._session)))
        self._item = ""
        self.speaking = False
        """The caller has the word."""
        self.update(config)

    def update(self, session: dict[str, Any]) -> None:
        """What the client says of turns is followed from now on; raises `ShapeError`."""
        heard = _heard(session)
        if "turn_detection" in heard:
            asked = {"audio": {"input": {"turn_detection": heard["turn_detection"]}}}
            self._session = updated(self._session, asked)
            self._turns.follow(rules(turn_detection(self._session)))

    def asked(self, session: dict[str, Any]) -> dict[str, Any]:
        """A session as the model is asked for it."""
        return merged(session, {"type": self._kind, "audio": {"input": {"turn_detection": None}}})

    def told(self, session: dict[str, Any]) -> dict[str, Any]:
        """The model's session as the client is told of it."""
        return merged(session, {"audio": {"input": {"turn_detection": turn_detection(self._session)}}})

    @property
    def interrupts(self) -> bool:
        """Whether a caller who begins to speak silences the model."""
        return self._turns.rules.interrupt_response

    def hear(self, audio: bytes, pcm: bytes, seconds: float) -> bool:
        """The caller's sound as it is encoded and as PCM; whether the caller begins to speak in it."""
        begins = False
        by_client = self._turns.rules.mode is Mode.PUSH_TO_TALK
        if by_client or self.speaking:
            self._append(audio)
        for turn in self._turns.hear(audio, pcm, seconds):
            if isinstance(turn, TurnStarted):
                begins = self.speaking = True
                self._item = f"item_{secrets.token_hex(10)}"
                start = round(1000 * self._turns.begins)
                self._caller.tell(f"{_AUDIO}.speech_started", audio_start_ms=start, item_id=self._item)
                for piece in self._turns.take():
                    self._append(piece)
                continue
            self.speaking = False
            self._turns.forget()
            self._voice.last_word(self._turns.at - turn.at)
            self._caller.tell(f"{_AUDIO}.speech_stopped", audio_end_ms=round(1000 * turn.at), item_id=self._item)
            self._send({"type": f"{_AUDIO}.commit"})
            if self._turns.rules.create_response and self._kind == "realtime":
                self._send({"type": "response.create"})
        if by_client or self.speaking:
            self._turns.forget()  # the model has it
        return begins


def _heard(session: dict[str, Any]) -> dict[str, Any]:
    audio = session.get("audio")
    heard = audio.get("input") if isinstance(audio, dict) else None
    return heard if isinstance(heard, dict) else {}
