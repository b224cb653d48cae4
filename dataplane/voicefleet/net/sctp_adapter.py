"""Data channels by aiortc's SCTP, over our own DTLS.

`RTCSctpTransport` asks little of the DTLS transport under it, so a small object stands in for one. This is the only
file that knows aiortc's internals; `tests/unit/net/test_sctp_adapter.py` pins each of them:

* it reads `state` and `_role` of its transport, calls `_register_data_receiver`, `_unregister_data_receiver` and
  awaits `_send_data`;
* its own `_handle_data` takes a packet, and it emits "datachannel" for channels that the peer opens.
"""

from collections.abc import Callable
from typing import Protocol

from aiortc.rtcdatachannel import RTCDataChannel, RTCDataChannelParameters
from aiortc.rtcsctptransport import RTCSctpCapabilities, RTCSctpTransport


class _Receiver(Protocol):
    async def _handle_data(self, data: bytes) -> None: ...


class _DtlsShape:
    """What looks like aiortc's RTCDtlsTransport, as far as its SCTP looks."""

    _role = "client"
    """We are the DTLS client in every call, and so open channels with even ids (RFC 8832 section 6)."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self.state = "connected"
        self.receiver: _Receiver | None = None
        self._send = send

    def _register_data_receiver(self, receiver: _Receiver) -> None:
        self.receiver = receiver

    def _unregister_data_receiver(self, receiver: _Receiver) -> None:
        self.receiver = None

    async def _send_data(self, data: bytes) -> None:
        self._send(data)


class DataChannels:
    """The data channels of one call. Lives on the asyncio side; packets go in by `on_packet` and out by `send`."""

    def __init__(
        self,
        send: Callable[[bytes], None],
        on_message: Callable[[str, str | bytes], None],
        on_open: Callable[[str], None],
    ) -> None:
        self._dtls = _DtlsShape(send)
        self._sctp = RTCSctpTransport(self._dtls, 5000)  # type: ignore[arg-type]
        self._sctp.on("datachannel", self._opened)
        self._on_message = on_message
        self._on_open = on_open
        self._channels: dict[str, RTCDataChannel] = {}

    async def start(self, remote_port: int, max_message_size: int) -> None:
        """Begin the association, once DTLS is up."""
        await self._sctp.start(RTCSctpCapabilities(maxMessageSize=max_message_size), remote_port)

    async def on_packet(self, data: bytes) -> None:
        """Take one SCTP packet that DTLS carried."""
        if self._dtls.receiver is not None:
            await self._dtls.receiver._handle_data(data)

    def send(self, label: str, message: str | bytes) -> bool:
        """Send on the channel of that name; False if it is not open."""
        channel = self._channels.get(label)
        if channel is None or channel.readyState != "open":
            return False
        channel.send(message)
        return True

    def tell_all(self, message: str) -> None:
        """Send a message on every open channel."""
        for label in self._channels:
            self.send(label, message)

    @property
    def delivered(self) -> bool:
        """Whether the client has acknowledged everything that was sent."""
        return all(channel.bufferedAmount == 0 for channel in self._channels.values() if channel.readyState == "open")

    async def stop(self) -> None:
        """End the association."""
        await self._sctp.stop()

    def open_negotiated(self, label: str, number: int) -> None:
        """A channel that both sides agreed on outside of SCTP."""
        self._opened(RTCDataChannel(self._sctp, RTCDataChannelParameters(label=label, negotiated=True, id=number)))

    def _opened(self, channel: RTCDataChannel) -> None:
        label = channel.label
        self._channels[label] = channel
        channel.on("message", lambda message: self._on_message(label, message))
        self._on_open(label)
