"""The seam between a call and what the caller talks to. An agent gets the caller's audio, key presses and messages in
order and answers through a voice; it never sees packets, sockets or secrets.

There are two kinds. An `AgentLink` lives on the event loop: it may await whatever it likes, and however long it takes,
the call's clock goes on, because media has a thread of its own. An `InlineAgent` lives on that thread, between two
packets: it costs next to nothing, and has to return within microseconds.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from voicefleet.core.media.coding import Coding
from voicefleet.core.media.frame import AudioFrame
from voicefleet.core.media.pacing import Flushed
from voicefleet.core.media.patience import Profile
from voicefleet.core.media.telephone_event import KeyPress
from voicefleet.core.realtime.client_events import Door
from voicefleet.net.pcm_port import PcmFrame
from voicefleet.net.sctp_adapter import Sent


class Asked(NamedTuple):
    """A call that wants an agent."""

    config: dict[str, Any]
    """The session's configuration as the client asked for it."""
    door: Door
    events: bool
    """Whether the client may take events; a telephone does not."""


class Voice(Protocol):
    """What an `AgentLink` may do to its call."""

    @property
    def call_id(self) -> str:
        """The call, for logs and look-ups."""
        ...

    @property
    def config(self) -> dict[str, Any]:
        """The session's configuration as the client asked for it."""
        ...

    @property
    def coding(self) -> Coding | None:
        """How the caller's audio is encoded; None if there is none."""
        ...

    @property
    def queued_ms(self) -> float:
        """Milliseconds of the agent's audio that have not left yet."""
        ...

    def say(self, audio: bytes) -> bool:
        """Queue audio: PCM of any length at the link's rate, one encoded frame, or whole frames of G.711 of 20 ms each;
        it leaves at its pace.

        False when a minute waits already; then it was not taken.
        """
        ...

    def finish(self) -> None:
        """The agent's turn is complete: the rest of a frame of PCM need not wait for more."""
        ...

    async def hush(self) -> Flushed:
        """Drop at once what has not left; how many milliseconds were really played since the call began."""
        ...

    def tell(self, channel: str, message: str | bytes) -> Sent:
        """Send on a data channel; never waits."""
        ...

    def last_word(self, ago: float) -> None:
        """The caller's turn is over, and the last word was so many seconds before the newest of the caller's sound."""
        ...

    def listen(self, profile: Profile) -> None:
        """What matters more from now on: that nothing is lost, or that nothing is late."""
        ...


class AgentLink(Protocol):
    """One call's agent on the event loop. Its `on_...` methods are called in order and must not block the loop."""

    @property
    def pcm_rate(self) -> int | None:
        """Samples a second of the PCM that it wants and says; None for frames as the caller encodes them.

        Asked for when audio begins, some round trips after `attend`.
        """
        ...

    async def attend(self, voice: Voice) -> None:
        """Beside `run`, but from the moment at which the call was taken, while its network is still being set up:
        what takes time, such as a connection to a model, begins here. Cancelled when the call ends."""
        ...

    async def run(self, voice: Voice) -> str:
        """Serve the caller until the agent hangs up; why it did. Cancelled when the call ends otherwise."""
        ...

    def on_audio(self, frames: Sequence[AudioFrame]) -> None:
        """The caller's audio as it was encoded; only if `pcm_rate` is None."""
        ...

    def on_pcm(self, frames: Sequence[PcmFrame]) -> None:
        """The caller's audio, decoded."""
        ...

    def on_keys(self, keys: Sequence[KeyPress]) -> None:
        """Keys that the caller pressed."""
        ...

    def on_channel(self, channel: str, opened: bool) -> None:
        """A data channel is open, or gone."""
        ...

    async def on_message(self, channel: str, message: str | bytes) -> None:
        """A message on a data channel; while it is awaited, the client is slowed down."""
        ...


class InlineVoice(Protocol):
    """What an `InlineAgent` may do to its call."""

    def say(self, payload: bytes) -> bool:
        """Queue one encoded frame; false when a minute waits already."""
        ...

    def hush(self) -> Flushed:
        """Drop what has not left."""
        ...

    def tell(self, channel: str, message: str | bytes) -> None:
        """Send on a data channel, if it is open."""
        ...


class InlineAgent(ABC):
    """One call's agent between two packets."""

    @abstractmethod
    def on_start(self, voice: InlineVoice) -> None:
        """The call is up."""

    @abstractmethod
    def on_audio(self, frame: AudioFrame) -> None:
        """The next frame of the caller's audio."""

    @abstractmethod
    def on_message(self, channel: str, message: str | bytes) -> None:
        """A message on a data channel."""


Agent = AgentLink | InlineAgent
