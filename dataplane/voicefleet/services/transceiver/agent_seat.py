"""An agent link at its call: it is started, told what happens and relieved when it fails, which ends the call."""

from collections.abc import Callable
from typing import Any, Protocol

from voicefleet.agents.link import AgentLink, Voice
from voicefleet.observability import logs
from voicefleet.services.transceiver.life import Life
from voicefleet.services.transceiver.record import EndCause

FAILED = "the agent failed"
"""What the client is told; the reason is in the log."""


class ServedCall(Voice, Protocol):
    """The call that the agent serves."""

    def say_goodbye(self, reason: str) -> None:
        """Tell the client that the call will end, and why."""

    async def take_leave(self, reason: str) -> None:
        """The same, and wait a moment until the client knows it."""

    def end(self, cause: EndCause, reason: str) -> None:
        """End the call."""


class AgentSeat:
    """One call's agent. After the call's end it hears nothing."""

    def __init__(self, link: AgentLink, call: ServedCall, life: Life) -> None:
        self.link = link
        self._call = call
        self._life = life

    def attend(self) -> None:
        """The call was taken: a link that has something to prepare, such as a connection to a model, does it now."""
        self._life.run(self._attend())

    def serve(self) -> None:
        """The caller can be heard."""
        self._life.run(self._serve())

    def tell(self, method: Callable[..., None], *arguments: Any) -> None:
        """Call a method of the link's."""
        if self._life.cause is None:
            try:
                method(*arguments)
            except Exception as error:
                self._failed(error)

    async def message(self, channel: str, message: str | bytes) -> None:
        """A message for the agent; whoever sends them waits until it was taken."""
        if self._life.cause is None:
            try:
                await self.link.on_message(channel, message)
            except Exception as error:
                self._failed(error)

    async def _attend(self) -> None:
        try:
            await self.link.attend(self._call)
        except Exception as error:
            self._failed(error)

    async def _serve(self) -> None:
        try:
            reason = await self.link.run(self._call)
        except Exception as error:
            self._failed(error)
        else:
            await self._call.take_leave(reason)
            self._call.end(EndCause.AGENT_LEFT, reason)

    def _failed(self, error: Exception) -> None:
        logs.for_session(__name__, self._call.call_id).error("agent failed", exc_info=error)
        self._call.say_goodbye(FAILED)
        self._call.end(EndCause.AGENT_FAILED, FAILED)
