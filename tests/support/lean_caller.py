"""A caller down to its packets: it can send anything, at any time, with its call's own keys or without.

ICE, DTLS and SRTP are the product's own code in the other role; that they speak to others is shown elsewhere. A frame
carries its number, so that a test can tell which of them came back.
"""

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tests.support.facts import DEADLINE, eventually
from tests.support.workers import identity
from voicefleet.net.dtls import Dtls, DtlsState
from voicefleet.net.srtp import Srtp
from voicefleet.services.transceiver.session import Session
from voicefleet.services.transceiver.worker import Worker
from voicefleet.wire import rtp, stun
from voicefleet.wire.demux import PacketKind, classify
from voicefleet.wire.rtp import HeaderTemplate

OPUS = b"\x78"
"""The first octet of a frame of 20 ms."""
REPEAT = 0.2
"""Seconds until a check that was not answered is sent again."""


def offer_text(ufrag: str, *, channel: bool) -> str:
    """The smallest offer that a browser might send."""
    fingerprint = ":".join(f"{octet:02X}" for octet in identity().fingerprint)
    transport = [
        "c=IN IP4 0.0.0.0",
        f"a=ice-ufrag:{ufrag}",
        f"a=ice-pwd:{secrets.token_hex(16)}",
        f"a=fingerprint:sha-256 {fingerprint}",
        "a=setup:actpass",
    ]
    audio = ["m=audio 9 UDP/TLS/RTP/SAVPF 111", *transport, "a=mid:0", "a=sendrecv", "a=rtcp-mux", "a=rtcp-rsize"]
    audio += ["a=rtpmap:111 opus/48000/2", "a=rtcp-fb:111 nack"]
    application = ["m=application 9 UDP/DTLS/SCTP webrtc-datachannel", *transport, "a=mid:1", "a=sctp-port:5000"]
    head = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "t=0 0", f"a=group:BUNDLE 0{' 1' if channel else ''}"]
    return "\r\n".join([*head, *audio, *(application if channel else []), ""])


class LeanCaller(asyncio.DatagramProtocol):
    """One call, from its offer on."""

    def __init__(self, worker: Worker, *, channel: bool = False) -> None:
        created = worker.create(offer_text("lean", channel=channel), {}, [])
        self.session: Session = worker.session(created.call_id)
        self.ssrc = secrets.randbits(32)
        self.sent = 0
        self.came_back: set[int] = set()
        self.first_audio: float | None = None
        """When the first packet of audio came, on the monotonic clock."""
        self.keys: Srtp | None = None
        lines = dict(
            line[2:].split(":", 1)
            for line in created.answer.split("\r\n")
            if line.startswith(("a=ice-ufrag:", "a=ice-pwd:"))
        )
        self._user, self._password = f"{lines['ice-ufrag']}:lean", lines["ice-pwd"].encode()
        direct = worker.direct
        assert direct is not None
        self.server = (direct.address, direct.port)
        self._dtls = Dtls(identity(), [("sha-256", identity().fingerprint)], client=False)
        self._header = HeaderTemplate(111, self.ssrc)
        self._transport: asyncio.DatagramTransport | None = None
        self._reached = asyncio.Event()
        self._secured = asyncio.Event()

    async def open(self, server: tuple[str, int] | None = None) -> None:
        """Begin to be somewhere; `server` if it is to be reached by way of something else."""
        self.server = server or self.server
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_datagram_endpoint(lambda: self, ("127.0.0.1", 0))
        self._transport = transport

    async def check(self) -> None:
        """Send checks until one is answered."""
        async with asyncio.timeout(DEADLINE):
            while not self._reached.is_set():
                self.send(self.binding_request())
                try:
                    await asyncio.wait_for(self._reached.wait(), REPEAT)
                except TimeoutError:
                    continue

    async def connect(self) -> None:
        """Everything until media can flow."""
        await self.check()
        await asyncio.wait_for(self._secured.wait(), DEADLINE)

    def binding_request(self) -> bytes:
        """A check."""
        return stun.binding_request(
            secrets.token_bytes(12), self._user, self._password, priority=1, controlling=1, use_candidate=True
        )

    def frame(self) -> bytes:
        """The next packet of audio, not sealed."""
        payload = OPUS + self.sent.to_bytes(4) + bytes(60)
        packet = self._header.encode(self.sent & 0xFFFF, 960 * self.sent & 0xFFFFFFFF, False) + payload
        self.sent += 1
        return packet

    def seal(self, packet: bytes) -> bytes:
        """As its own SRTP."""
        assert self.keys is not None
        return self.keys.seal_rtp(packet)

    def send(self, datagram: bytes) -> None:
        """Anything, to the server; nothing once it has hung up."""
        if self._transport is not None:
            self._transport.sendto(datagram, self.server)

    def send_sctp(self, packet: bytes) -> None:
        """Anything, as what DTLS carries."""
        self._dtls.send(packet)
        self._flush()

    async def talk(self, seconds: float) -> None:
        """Say a frame each 20 ms."""
        loop = asyncio.get_running_loop()
        began = loop.time()
        for number in range(int(seconds * 50)):
            await asyncio.sleep(began + 0.02 * number - loop.time())
            self.send(self.seal(self.frame()))

    async def everything_came_back(self) -> None:
        """Wait until each frame that was said has come back."""
        await eventually(
            lambda: len(self.came_back) == self.sent,
            f"{self.sent - len(self.came_back)} of {self.sent} frames came back",
        )

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        match classify(data):
            case PacketKind.STUN:
                if stun.decode(data).cls is stun.Class.SUCCESS:
                    self._reached.set()
            case PacketKind.DTLS:
                self._dtls.on_datagram(data, time.monotonic())
                self._flush()
                if self._dtls.state is DtlsState.CONNECTED and self.keys is None:
                    self.keys = self._dtls.srtp
                    self._secured.set()
            case PacketKind.RTP:
                if self.first_audio is None:
                    self.first_audio = time.monotonic()
                if self.keys is not None:
                    packet = self.keys.open_rtp(data)
                    payload = rtp.decode_header(packet).payload(packet)
                    if payload[:1] == OPUS:  # and not the silence of a pause
                        self.came_back.add(int.from_bytes(payload[1:5]))

    def error_received(self, exc: Exception) -> None:
        """The server is gone."""

    def close(self) -> None:
        """Hang up."""
        transport, self._transport = self._transport, None
        if transport is not None:
            self._dtls.close()
            for datagram in self._dtls.outgoing(time.monotonic()):
                transport.sendto(datagram, self.server)
            transport.close()

    def _flush(self) -> None:
        for datagram in self._dtls.outgoing(time.monotonic()):
            self.send(datagram)


@asynccontextmanager
async def lean_caller(worker: Worker, *, channel: bool = False) -> AsyncIterator[LeanCaller]:
    """A caller whose call is up."""
    caller = LeanCaller(worker, channel=channel)
    await caller.open()
    try:
        await caller.connect()
        yield caller
    finally:
        caller.close()
