"""The base of a user's agent."""

from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol

from voicefleet.core.turns.rules import Mode, TurnRules


@dataclass(frozen=True, slots=True)
class Turn:
    """What the caller said until it was the agent's turn."""

    pcm: bytes
    """16 bit, mono, at the agent's rate."""
    seconds: float
    """How long it is."""
    silence: float
    """Seconds after the last word until it was clear that the turn is over."""


class Call(Protocol):
    """What carries out what an agent wants."""

    id: str
    config: dict[str, Any]

    def say(self, pcm: bytes) -> None: ...
    def finish(self) -> None: ...
    async def hush(self) -> float: ...
    async def silent(self) -> None: ...
    def tell(self, event: dict[str, Any]) -> None: ...
    def last_word(self, ago: float) -> None: ...
    def begin(self, work: Coroutine[Any, Any, None]) -> None: ...
    def hang_up(self, reason: str) -> None: ...


class VoiceAgent:
    """One call's agent. Override what you need; everything is called on one event loop, in a process of this call.

    `on_start`, `on_audio`, `on_key` and `on_event` are awaited one after the other, so what takes long belongs into
    `on_turn`: it is a task of its own; when the caller begins to speak again it is cancelled, and what it has said is
    dropped. Blocking is no crime: the caller hears nothing meanwhile, and no other call notices.
    """

    rate: ClassVar[int] = 24_000
    """Samples a second of what it hears and says."""
    rules: ClassVar[TurnRules] = TurnRules(Mode.MEANING)
    """When a turn is over; `TurnRules(Mode.PUSH_TO_TALK, ...)` for never."""

    def __init__(self, call: Call) -> None:
        self.call = call

    async def on_start(self) -> None:
        """The call is up."""

    async def on_audio(self, pcm: bytes, captured: float) -> None:
        """The next of the caller's audio; `captured` is when it was said, on the machine's monotonic clock."""

    async def on_speech(self) -> None:
        """The caller begins to speak; what the agent says is dropped after this, unless `rules` say otherwise."""

    async def on_turn(self, turn: Turn) -> None:
        """The caller has said something and waits."""

    async def on_interrupted(self, played_ms: float) -> None:
        """The caller began to speak while the agent did; so much of what it said since its last turn was heard."""

    async def on_key(self, key: str) -> None:
        """A key of a telephone."""

    async def on_event(self, event: dict[str, Any]) -> None:
        """A JSON object from the client's data channel."""

    async def on_end(self) -> None:
        """The call is over; a second is left."""

    def say(self, pcm: bytes) -> None:
        """Say this; it may be as long and come as fast as it likes, and is played at its pace."""
        self.call.say(pcm)

    async def say_all(self, pcm: bytes) -> None:
        """Say this, and wait until the caller has heard it."""
        self.call.say(pcm)
        self.call.finish()
        await self.call.silent()

    async def hush(self) -> float:
        """Fall silent at once; milliseconds that the caller has heard since the call began."""
        return await self.call.hush()

    def begin(self, work: Coroutine[Any, Any, None]) -> None:
        """Do this beside the call; if it raises, the call ends, and the end of the call cancels it."""
        self.call.begin(work)

    def tell(self, event: dict[str, Any]) -> None:
        """Send a JSON object to the client's data channel."""
        self.call.tell(event)

    def hang_up(self, reason: str = "the agent hung up") -> None:
        """End the call."""
        self.call.hang_up(reason)
