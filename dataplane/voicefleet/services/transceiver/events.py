"""A call's events on their way to the client: who else hears them, and what they tell of the caller's turns.

Whatever speaks the Realtime protocol passes here, an agent of ours, a model behind a link or somebody's own class; so
each of them is watched from the side, and measured against the budget, without knowing of it.
"""

import json
import secrets
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, Final

from voicefleet.core.realtime.ids import Ids
from voicefleet.core.realtime.server_events import session_created, stamped
from voicefleet.core.turns.budget import Budget, Share, TurnMeter, TurnTimes, turn_event

MOST_LISTENERS: Final = 8
"""Sidebands of one call."""
_WORDS: Final = frozenset({"response.output_audio_transcript.delta", "response.output_text.delta"})
Listener = Callable[[str], object]


class CallEvents:
    """Lives on the event loop, as long as its call."""

    def __init__(self, budget: Budget, tell: Callable[[str], object], on_turn: Callable[[TurnTimes], None]) -> None:
        """`tell` takes an event of ours, which comes back by `told`."""
        self.meter = TurnMeter()
        self.turns = 0
        self.overruns: Counter[Share] = Counter()
        self.longest_wait = 0.0
        self.ids: Final = Ids(secrets.token_hex)
        self.session: dict[str, Any] | None = None
        """The session as the client was told last."""
        self._budget = budget
        self._tell = tell
        self._on_turn = on_turn
        self._listeners: list[Listener] = []

    def told(self, message: str, now: float) -> dict[str, Any] | None:
        """The client is told this; the event in it, if it is one."""
        for listener in self._listeners:
            listener(message)
        try:
            event = json.loads(message)
        except ValueError:
            return None
        if not isinstance(event, dict):
            return None
        self._look(event, now)
        return event

    def listen(self, listener: Listener) -> bool:
        """Somebody else wants to hear all that follows, after the session as it is; false if there are too many."""
        if len(self._listeners) >= MOST_LISTENERS:
            return False
        if self.session is not None:
            listener(json.dumps(stamped(session_created(self.session), self.ids)))
        self._listeners.append(listener)
        return True

    def leave(self, listener: Listener) -> None:
        """Nobody is told any more."""
        if listener in self._listeners:
            self._listeners.remove(listener)

    def left(self, now: float, one_way: float | None) -> None:
        """The first sound of an answer has left for the client."""
        times = self.meter.left(now, one_way)
        if times is None:
            return
        self.turns += 1
        self.longest_wait = max(self.longest_wait, times.total)
        self.overruns.update(times.overruns(self._budget))
        self._on_turn(times)
        self._tell(json.dumps(stamped(turn_event(times, self._budget), self.ids)))

    def _look(self, event: Mapping[str, Any], now: float) -> None:
        match event.get("type"):
            case "session.created" | "session.updated":
                session = event.get("session")
                if isinstance(session, dict):
                    self.session = session
            case "input_audio_buffer.speech_started":
                self.meter.began()
            case "input_audio_buffer.speech_stopped" | "input_audio_buffer.committed":
                self.meter.ended(str(event.get("item_id", "")), now, self._silence(str(event["type"])))
            case "conversation.item.input_audio_transcription.completed":
                self.meter.transcribed(now)
            case kind if kind in _WORDS:
                self.meter.text(now)

    def _silence(self, kind: str) -> float | None:
        """How long the model waited until it said that a turn is over, where that is fixed."""
        if self.session is None or not kind.endswith("speech_stopped"):
            return None
        try:
            silence = self.session["audio"]["input"]["turn_detection"]["silence_duration_ms"]
            return float(silence) / 1000
        except (KeyError, TypeError, ValueError):
            return None
