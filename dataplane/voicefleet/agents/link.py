"""The seam between a call and what the caller talks to. An agent link gets the caller's audio and events in order, and
answers through a `Voice`; it never sees packets, sockets or keys."""

from typing import Protocol

from voicefleet.core.media.frame import AudioFrame


class Voice(Protocol):
    """What an agent may do to a call."""

    def say(self, payload: bytes) -> None:
        """Queue one encoded frame; it leaves at its pace."""
        ...

    def hush(self) -> float:
        """Drop what has not been played; the milliseconds that were, since the call began."""
        ...

    def tell(self, channel: str, message: str | bytes) -> bool:
        """Send on a data channel; False if it is not open."""
        ...


class AgentLink(Protocol):
    """One call's agent."""

    def on_start(self, voice: Voice) -> None:
        """The call is up."""
        ...

    def on_audio(self, frame: AudioFrame) -> None:
        """The next frame of the caller's audio."""
        ...

    def on_channel(self, channel: str) -> None:
        """The client opened a data channel."""
        ...

    def on_message(self, channel: str, message: str | bytes) -> None:
        """A message on a data channel."""
        ...

    def on_end(self, reason: str) -> None:
        """The call is over; `voice` does nothing from now on."""
        ...
