"""The base of an agent that is a Pipecat pipeline: one bot for each call, in the call's own process."""

from dataclasses import replace
from typing import Any, ClassVar, Final

from voicefleet.agents.pipecat.transport import VoicefleetTransport
from voicefleet.agents.python.agent import Call, Turn, VoiceAgent
from voicefleet.core.turns.rules import Mode, TurnRules

_THEIRS: Final = TurnRules(Mode.PUSH_TO_TALK, create_response=False, interrupt_response=False)
"""Our ear takes no part."""


class PipecatAgent(VoiceAgent):
    """Override `run_bot`."""

    turns: ClassVar[TurnRules | None] = None
    """None: the pipeline decides about turns and interruptions, as it does with every transport. With rules, such as
    `TurnRules(Mode.MEANING)`, voicefleet's ear does, and the transport's input says so by `UserStartedSpeakingFrame`,
    `InterruptionFrame` and `UserStoppedSpeakingFrame`: give the user's aggregator `ExternalUserTurnStrategies()`."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """An interruption goes through the pipeline, which stops speaking, and only then is the queue dropped."""
        super().__init_subclass__(**kwargs)
        cls.rules = _THEIRS if cls.turns is None else replace(cls.turns, interrupt_response=False)

    def __init__(self, call: Call) -> None:
        super().__init__(call)
        self._transport = VoicefleetTransport(call, self.rate, ears=self.turns is None)

    async def run_bot(self, transport: VoicefleetTransport) -> None:
        """Build the pipeline and run it; when it ends, the call does. Cancelled a second after the caller has gone, if
        the transport's `on_client_disconnected` has not ended it."""
        raise NotImplementedError

    async def on_start(self) -> None:
        """The pipeline begins."""
        self.begin(self._run())

    async def on_audio(self, pcm: bytes, captured: float) -> None:
        """To the pipeline, once it has begun."""
        await self._transport.input().heard(pcm)

    async def on_speech(self) -> None:
        """Our ear has heard that the caller begins to speak."""
        if self.turns is not None:
            await self._transport.input().speech_began(interrupt=self.turns.interrupt_response)

    async def on_turn(self, turn: Turn) -> None:
        """And that it is done."""
        await self._transport.input().speech_ended()

    async def on_key(self, key: str) -> None:
        """A key of a telephone."""
        await self._transport.input().pressed(key)

    async def on_event(self, event: dict[str, Any]) -> None:
        """A message of the client's."""
        await self._transport.input().told(event)

    async def on_end(self) -> None:
        """The pipeline has a second to end by itself."""
        await self._transport.disconnected()

    async def _run(self) -> None:
        try:
            await self.run_bot(self._transport)
        finally:
            self._transport.over.set()
        self.hang_up("the pipeline ended")
