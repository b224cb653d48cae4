"""A caller speaks over the model: silence at once, the model is told how much was heard, what comes late is discarded.

Who hears it is the model, or our own ear, or both; the first one counts.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable
from typing import Any, Final

from voicefleet.agents.ear import Ear
from voicefleet.agents.realtime.speaker import Speaker
from voicefleet.core.turns.detector import Patience, TurnDetector, TurnStarted

_KEPT_DISCARDS: Final = 8
_HOP: Final = 0.02
"""Seconds of what the ear tells at a time."""


class Interruptions:
    """One call's."""

    def __init__(
        self,
        speaker: Speaker,
        ear: Ear | None,
        send: Callable[[dict[str, Any]], None],
        counted: Counter[str],
        *,
        truncates: bool,
    ) -> None:
        """`send` tells the model; `truncates` is off for a client that plays at its own pace, and tells that itself."""
        self.response: str | None = None
        """The one under way."""
        self.spoken: set[str] = set()
        """Items whose sound the model that is connected has sent: those that it can truncate."""
        self._speaker = speaker
        self._ear = ear
        self._send = send
        self._counted = counted
        self._truncates = truncates
        self._discarded: deque[str] = deque(maxlen=_KEPT_DISCARDS)
        self._cuts: set[asyncio.Task[None]] = set()
        self._turns = TurnDetector(Patience())
        self._listened = 0.0

    def is_late(self, response: str) -> bool:
        """Whether what this response still says was cut off."""
        return response in self._discarded

    def done(self, response: str) -> None:
        """The model has said all of it."""
        self._speaker.finish(response)
        if self.response == response:
            self.response = None

    @property
    def wants_sound(self) -> bool:
        """Whether `listen` has a use for the caller's sound now."""
        return self._ear is not None and self._speaker.speaking

    def listen(self, pcm: bytes) -> None:
        """The caller's sound while the model speaks."""
        if self._ear is None:
            return
        for sound in self._ear.listen(pcm):
            self._listened += _HOP
            if isinstance(self._turns.hear(sound, self._listened), TurnStarted):
                self._counted["interrupted"] += 1
                self.start(cancelled=True)

    def discard(self) -> None:
        """What the response under way still says is too late."""
        if self.response is not None and self.response not in self._discarded:
            self._discarded.append(self.response)

    def start(self, *, cancelled: bool) -> None:
        """The caller speaks: silence now, the rest as soon as it is known how much was heard."""
        if not self._speaker.speaking and self.response is None:
            return
        task = asyncio.get_running_loop().create_task(self.cut(cancelled=cancelled))
        self._cuts.add(task)
        task.add_done_callback(self._cuts.discard)

    async def cut(self, *, cancelled: bool) -> None:
        """`cancelled`: the model does not know yet that it is to stop."""
        self.discard()
        if cancelled and self.response is not None:
            self._send({"type": "response.cancel"})
        for spoken, heard in await self._speaker.cut():
            self._counted["truncated"] += 1
            if self._truncates and spoken.item in self.spoken:
                self._send(
                    {
                        "type": "conversation.item.truncate",
                        "item_id": spoken.item,
                        "content_index": spoken.content,
                        "audio_end_ms": heard,
                    }
                )

    def stop(self) -> None:
        """The call is over."""
        self._speaker.stop()
        for cut in self._cuts:
            cut.cancel()
