"""What the model says on its way to the caller: nothing is dropped for being early, and everything for being late.

The call takes a minute ahead; what is beyond that waits here. `cut` silences all of it and tells what was heard.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Final

from voicefleet.agents.link import Voice
from voicefleet.core.model.playback import FRAME_MS, Cut, Passed, Phase, Playback, Spoken

MOST_WAITING: Final = 600_000.0
"""Milliseconds of speech that may wait; beyond that the model is not read, which slows it down."""
_PIECE: Final = 1000.0
"""Milliseconds that the call is given at once at most, so that a long event finds room as it comes free."""
_LOOK: Final = 0.1
"""Seconds between looks at whether the call takes more."""


class Speaker:
    """One call's way out."""

    def __init__(self, voice: Voice, octets_per_ms: int, silence: bytes, on_passed: Callable[[Passed], None]) -> None:
        """`silence` is an octet of the format's silence, where frames have to be whole; empty for PCM."""
        self.playback = Playback()
        self._voice = voice
        self._octets = octets_per_ms
        self._silence = silence
        self._on_passed = on_passed
        self._waiting: deque[bytes | None] = deque()
        self._waiting_ms = 0.0
        self._rest = b""
        self._ready = False
        self._look: asyncio.TimerHandle | None = None
        self._cutting = 0
        """Cuts that do not know yet how much was heard: until then what was dropped would count as heard."""

    def ready(self) -> None:
        """The caller can hear."""
        self._ready = True
        self._pump()

    def say(self, spoken: Spoken, audio: bytes) -> None:
        """More of what the model says."""
        length = len(audio) / self._octets
        self.playback.say(spoken, length)
        size = int(self._octets * _PIECE)
        self._waiting.extend((audio,) if len(audio) <= size else _pieces(audio, size))
        self._waiting_ms += length
        self._pump()

    def finish(self, response: str) -> None:
        """The model has said all of a response."""
        self._waiting.append(None)
        self.playback.finish(response)
        self._pump()

    @property
    def full(self) -> bool:
        """Whether so much waits that no more should come."""
        return self._waiting_ms > MOST_WAITING

    @property
    def ahead_ms(self) -> float:
        """Milliseconds that are still to be heard."""
        held = self._waiting_ms + len(self._rest) / self._octets
        return held + self._voice.queued_ms if self._ready else held

    @property
    def speaking(self) -> bool:
        """Whether the caller is hearing something, or is about to."""
        return self.playback.response is not None

    async def cut(self) -> list[Cut]:
        """Fall silent at once; which words were not heard to their end."""
        response, upto = self.playback.response, self.playback.end
        self._waiting.clear()
        self._waiting_ms, self._rest = 0.0, b""
        if not self._ready:
            cuts = self.playback.cut(upto, 0.0)
        else:
            self._cutting += 1
            try:
                flushed = await self._voice.hush()
            finally:
                self._cutting -= 1
            cuts = self.playback.cut(upto, flushed.played_ms)
        if response is not None:
            self._on_passed(Passed(Phase.CLEARED, response))
        self._pump()
        return cuts

    def stop(self) -> None:
        """The call is over."""
        if self._look is not None:
            self._look.cancel()
            self._look = None

    def _pump(self) -> None:
        if self._cutting:
            return
        if self._ready:
            while self._waiting and self._take(self._waiting[0]):
                taken = self._waiting.popleft()
                self._waiting_ms -= len(taken) / self._octets if taken else 0.0
            for passed in self.playback.advance(self.playback.end - self.ahead_ms):
                self._on_passed(passed)
        self.stop()
        following = self.playback.next()
        if self._ready and (following is not None or self._waiting):
            wait = _LOOK if following is None else (following - self.playback.end + self.ahead_ms) / 1000
            wait = max(min(wait, _LOOK) if self._waiting else wait, FRAME_MS / 2000)
            self._look = asyncio.get_running_loop().call_later(wait, self._pump)

    def _take(self, audio: bytes | None) -> bool:
        if not self._silence:
            if audio is None:
                self._voice.finish()
                return True
            return self._voice.say(audio)
        frame = int(self._octets * FRAME_MS)
        if audio is None:
            rest, self._rest = self._rest, b""
            return not rest or self._voice.say(rest + self._silence * (frame - len(rest)))
        whole = self._rest + audio
        size = len(whole) - len(whole) % frame
        if size and not self._voice.say(whole[:size]):
            return False
        self._rest = whole[size:]
        return True


def _pieces(audio: bytes, size: int) -> list[bytes]:
    return [audio[at : at + size] for at in range(0, len(audio), size)]
