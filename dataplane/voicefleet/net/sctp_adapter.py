"""Data channels by aiortc's SCTP, over our own DTLS.

`RTCSctpTransport` asks little of the DTLS transport under it, so a small object stands in for one. This is the only
file that knows aiortc's internals; `tests/unit/net/test_sctp_adapter.py` pins each of them:

* it reads `state` and `_role` of its transport, calls `_register_data_receiver`, `_unregister_data_receiver` and
  awaits `_send_data`;
* its own `_handle_data` takes a packet, and it emits "datachannel" for channels that the peer opens;
* `_last_received_tsn` is the highest TSN that has arrived in order, `_sack_misordered` holds those beyond it,
  `_inbound_streams` what waits for its missing parts in lists named `reassembly`, `_data_channels` the channels by id.

Packets are sifted before it sees them, what it hoards is bounded, and whatever it raises ends this association only.
"""

from collections.abc import Callable
from enum import Enum
from typing import Final, Protocol

from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcsctptransport import RTCSctpCapabilities, RTCSctpTransport

from voicefleet.core.transceiver.sctp_sieve import WINDOW, DataChunk, SctpRefused, sift

MAX_CHANNELS: Final = 32
"""Open at a time; a voice call has one."""
MAX_BUFFERED: Final = 1024 * 1024
"""Octets that wait for a client on one channel: a client that takes nothing must not fill our memory."""
EVENTS: Final = "oai-events"
"""The channel of the Realtime API's events."""
_DCEP: Final = 50
"""Payload protocol of the messages that open channels (RFC 8832)."""


class Sent(Enum):
    """What became of a message."""

    SENT = "sent"
    NOT_OPEN = "not_open"
    FULL = "full"
    """The client takes less than it is told; try again later, or leave it."""
    TOO_LONG = "too_long"
    """Longer than the client's offer allows."""


class Message(Protocol):
    """Takes what arrived: label, text or octets."""

    def __call__(self, channel: str, message: str | bytes, /) -> None: ...


class _Receiver(Protocol):
    async def _handle_data(self, data: bytes) -> None: ...


class _DtlsShape:
    """What looks like aiortc's RTCDtlsTransport, as far as its SCTP looks."""

    def __init__(self, send: Callable[[bytes], None], client: bool) -> None:
        self.state = "connected"
        self._role = "client" if client else "server"
        """The DTLS client opens channels with even ids, the server with odd ones (RFC 8832 section 6)."""
        self.receiver: _Receiver | None = None
        self._send = send

    def _register_data_receiver(self, receiver: _Receiver) -> None:
        self.receiver = receiver

    def _unregister_data_receiver(self, receiver: _Receiver) -> None:
        self.receiver = None

    async def _send_data(self, data: bytes) -> None:
        self._send(data)


class SctpAssociation:
    """The data channels of one call, as packets in and out. Belongs to the event loop that it was made on."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        on_message: Message,
        on_open: Callable[[str], None],
        on_close: Callable[[str], None] = lambda _label: None,
        *,
        client: bool = True,
    ) -> None:
        self._dtls = _DtlsShape(send, client)
        self._sctp = RTCSctpTransport(self._dtls, 5000)  # type: ignore[arg-type]
        self._sctp.on("datachannel", self._opened)
        self._on_message = on_message
        self._on_open = on_open
        self._on_close = on_close
        self._channels: dict[str, RTCDataChannel] = {}

    async def start(self, remote_port: int, max_message_size: int) -> None:
        """Begin the association, once DTLS is up."""
        await self._sctp.start(RTCSctpCapabilities(maxMessageSize=max_message_size), remote_port)

    async def on_packet(self, data: bytes) -> None:
        """Take one SCTP packet that DTLS carried; raises `SctpRefused`. After that, only `stop` is of use."""
        if self._dtls.receiver is None:
            return
        self._look_for_negotiated(sift(data, self._sctp._last_received_tsn).data)
        try:
            await self._dtls.receiver._handle_data(data)
        except Exception as error:  # assertions, decoding errors: nothing that the peer may say is worth a call
            raise SctpRefused(f"broken: {type(error).__name__}") from error
        if len(self._sctp._data_channels) > MAX_CHANNELS:
            raise SctpRefused("channels")
        if self._hoarded() > WINDOW:
            raise SctpRefused("hoard")

    def send(self, label: str, message: str | bytes) -> Sent:
        """Send on the channel of that name."""
        channel = self._channels.get(label)
        if channel is None or channel.readyState != "open":
            return Sent.NOT_OPEN
        if channel.bufferedAmount >= MAX_BUFFERED:
            return Sent.FULL
        try:
            channel.send(message)
        except ValueError:
            return Sent.TOO_LONG
        return Sent.SENT

    def tell_all(self, message: str) -> None:
        """Send a message on every open channel."""
        for label in self._channels:
            self.send(label, message)

    @property
    def closed(self) -> bool:
        """The peer aborted it, or it gave up."""
        return self._sctp.state == "closed"

    @property
    def delivered(self) -> bool:
        """Whether everything that was sent has left."""
        return all(channel.bufferedAmount == 0 for channel in self._channels.values() if channel.readyState == "open")

    async def stop(self) -> None:
        """End the association."""
        await self._sctp.stop()

    def open_negotiated(self, label: str, number: int) -> None:
        """A channel that both sides agreed on outside of SCTP."""
        self._opened(RTCDataChannel(self._sctp, RTCDataChannelParameters(label=label, negotiated=True, id=number)))

    def _look_for_negotiated(self, data: tuple[DataChunk, ...]) -> None:
        """A message that nothing precedes, on a stream that nobody opened: its sender takes the channel for negotiated.

        One that is opened in-band starts with sequence 0, and sends nothing unordered before we have acknowledged it.
        """
        for chunk in data:
            if (
                chunk.protocol != _DCEP
                and chunk.stream not in self._sctp._data_channels
                and (chunk.unordered or chunk.sequence == 0)
                and len(self._channels) < MAX_CHANNELS
            ):
                self.open_negotiated(EVENTS if EVENTS not in self._channels else f"#{chunk.stream}", chunk.stream)

    def _hoarded(self) -> int:
        waiting = sum(len(stream.reassembly) for stream in self._sctp._inbound_streams.values())
        return waiting + len(self._sctp._sack_misordered)

    def _opened(self, channel: RTCDataChannel) -> None:
        label = channel.label
        self._channels[label] = channel
        channel.on("message", lambda message: self._on_message(label, message))
        channel.on("close", lambda: self._closed(label, channel))
        self._on_open(label)

    def _closed(self, label: str, channel: RTCDataChannel) -> None:
        if self._channels.get(label) is channel:
            del self._channels[label]
            self._on_close(label)
