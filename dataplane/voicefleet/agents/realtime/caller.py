"""The caller's event channel: what is said before it is open waits, and no event is told out of turn."""

import asyncio
import json
import secrets
from collections import deque
from typing import Any, Final

from voicefleet.agents.link import Voice
from voicefleet.net.sctp_adapter import Sent

CHANNEL: Final = "oai-events"
MOST_WAITING: Final = 1000
"""Events that wait for a channel that does not open, or for a client that takes none."""


class Caller:
    """Who hears of what happens in the session."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._waiting: deque[str] = deque()
        self._begun = False
        self._open = asyncio.Event()
        self.dropped = 0

    def tell(self, kind: str, /, **fields: Any) -> None:
        """An event of ours."""
        self.pass_on(json.dumps({"type": kind, "event_id": f"event_{secrets.token_hex(10)}", **fields}))

    def error(self, message: str, code: str, *, event_id: str | None = None, param: str | None = None,
              kind: str = "invalid_request_error") -> None:  # fmt: skip
        """Something that the client asked for can't be, or is over."""
        self.tell("error", error={"type": kind, "code": code, "message": message, "param": param, "event_id": event_id})

    def begin(self, first: str) -> None:
        """The session is there: this is told before all that waits."""
        if not self._begun:
            self._begun = True
            self._waiting.appendleft(first)
        self.flush()

    def pass_on(self, event: str) -> None:
        """An event of the model's, as it is."""
        if self._begun and self._open.is_set() and not self._waiting and self._send(event):
            return
        if len(self._waiting) >= MOST_WAITING:
            self.dropped += 1
            return
        self._waiting.append(event)

    def opened(self) -> None:
        """The channel takes events."""
        self._open.set()
        self.flush()

    async def hears(self, patience: float) -> None:
        """Wait for the channel, but not for longer than this."""
        try:
            async with asyncio.timeout(patience):
                await self._open.wait()
        except TimeoutError:
            pass  # a call without events

    def give_up(self) -> None:
        """There will be no session: what waits is told without."""
        self._begun = True
        self.flush()

    def flush(self) -> None:
        """Tell what waits, as far as the client takes it."""
        if self._begun and self._open.is_set():
            while self._waiting and self._send(self._waiting[0]):
                self._waiting.popleft()

    def _send(self, event: str) -> bool:
        sent = self._voice.tell(CHANNEL, event)
        if sent is Sent.TOO_LONG:
            self.dropped += 1
        return sent in (Sent.SENT, Sent.TOO_LONG)
