"""One call: ICE, DTLS, media and data channels tied together, and the agent on the other side.

Packets come in with the path they took and leave on the path that ICE has chosen. The order of a call's life is: the
first check starts DTLS, the end of DTLS starts media and SCTP and tells the agent, and the call ends by hang-up, by the
client's goodbye, by its silence, or by a failed handshake. After `end` nothing happens any more.
"""

import asyncio
import json
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from voicefleet.agents.link import AgentLink
from voicefleet.core.ice_lite import Answer, IceLite, Path
from voicefleet.core.media.coding import AudioTerms
from voicefleet.core.media.stream import AudioStream
from voicefleet.core.sdp.answer import CNAME
from voicefleet.core.sdp.offer import Offer
from voicefleet.net.dtls import Dtls, DtlsIdentity, DtlsState
from voicefleet.net.sctp_adapter import DataChannels
from voicefleet.wire.demux import PacketKind, classify

GOODBYE: Final = "voicefleet.goodbye"
"""Type of the last event of a call that the transceiver ends."""
SCTP_PORT: Final = 5000
REMOTE_MESSAGE: Final = 65536
"""What a client takes in one message if its offer does not say (RFC 8841 section 6.1)."""
MAX_WAITING_SCTP: Final = 256
"""SCTP packets that wait for the asyncio side; more is a flood, and SCTP repeats what is dropped."""


class Send(Protocol):
    """Sends a packet to the client on a path."""

    def __call__(self, path: Path, packet: bytes) -> None: ...


@dataclass(slots=True)
class Stages:
    """When each stage of the set-up was reached, in seconds after the offer; None until then."""

    first_check: float | None = None
    dtls_done: float | None = None
    first_audio_in: float | None = None
    first_audio_out: float | None = None


@dataclass(slots=True)
class Session:
    """A call. Belongs to its worker's thread."""

    call_id: str
    offer: Offer
    terms: AudioTerms | None
    config: dict[str, Any]
    ice: IceLite
    ssrc: int
    agent: AgentLink
    send: Send
    on_end: Callable[["Session", str], None]
    created_at: float
    identity: DtlsIdentity
    stages: Stages = field(default_factory=Stages)
    refused: Counter[str] = field(default_factory=Counter)
    audio: AudioStream | None = None
    ended: str = ""
    _dtls: Dtls | None = None
    _channels: DataChannels | None = None
    _sctp_in: "asyncio.Queue[bytes]" = field(default_factory=lambda: asyncio.Queue(MAX_WAITING_SCTP))
    _sctp_task: "asyncio.Task[None] | None" = None

    # What comes from the client.

    def on_check(self, path: Path, datagram: bytes, now: float) -> Answer:
        """A STUN packet for this call; the answer has been sent, with the ClientHello behind the first."""
        answer = self.ice.on_datagram(datagram, path, now)
        if answer.datagram is not None:
            self.send(path, answer.datagram)
        if self._dtls is None and self.ice.chosen is not None:
            self.stages.first_check = now - self.created_at
            self._dtls = Dtls(self.identity, self.offer.credentials.fingerprints, now)
            self._flush(self._dtls.start())
        return answer

    def on_packet(self, path: Path, packet: bytes, now: float) -> None:
        """Any other packet of this call."""
        kind = classify(packet)
        if kind is PacketKind.RTP and self.audio is not None:
            if self.audio.on_srtp(packet, now):
                if self.stages.first_audio_in is None:
                    self.stages.first_audio_in = now - self.created_at
                self.ice.on_media(path, now)
        elif kind is PacketKind.RTCP and self.audio is not None:
            if self.audio.on_srtcp(packet, now):
                self.ice.on_media(path, now)
        elif kind is PacketKind.DTLS and self._dtls is not None:
            self._on_dtls(packet, now)
        else:
            self.refused[kind.name.lower()] += 1

    # What time brings.

    def poll(self, now: float) -> None:
        """Send what is due, hand over what was heard, notice what has run out."""
        if self.ice.expired(now):
            self.end("the client fell silent")
            return
        dtls = self._dtls
        if dtls is not None and dtls.state is DtlsState.HANDSHAKE:
            due = dtls.deadline(now)
            if due is not None and due <= now:
                dtls.on_timeout(now)
                self._flush(dtls.outgoing())
                self._look_at(dtls, now)
        audio = self.audio
        if audio is not None:
            for frame in audio.take_audio():
                self.agent.on_audio(frame)
            path = self.ice.chosen
            if path is not None:
                packets = audio.poll(now)
                if packets and self.stages.first_audio_out is None:
                    self.stages.first_audio_out = now - self.created_at
                for packet in packets:
                    self.send(path, packet)

    # What the agent does (voicefleet.agents.link.Voice).

    def say(self, payload: bytes) -> None:
        """Queue one encoded frame."""
        if self.audio is not None:
            self.audio.say(payload, asyncio.get_running_loop().time())

    def hush(self) -> float:
        """Drop what has not been played; the milliseconds that were."""
        return self.audio.flush().played_ms if self.audio is not None else 0.0

    def tell(self, channel: str, message: str | bytes) -> bool:
        """Send on a data channel."""
        return self._channels.send(channel, message) if self._channels is not None else False

    # The end.

    def say_goodbye(self, reason: str) -> None:
        """Tell the client on its data channels that the call will end, and why."""
        if self._channels is not None:
            self._channels.tell_all(
                json.dumps({"type": GOODBYE, "event_id": f"event_{secrets.token_hex(8)}", "reason": reason})
            )

    @property
    def delivered(self) -> bool:
        """Whether the client has acknowledged all messages."""
        return self._channels is None or self._channels.delivered

    def end(self, reason: str) -> None:
        """End the call: BYE and close_notify to the client, the reason to the agent."""
        if self.ended:
            return
        self.ended = reason
        path = self.ice.chosen
        if path is not None and self.audio is not None:
            for packet in self.audio.goodbye(asyncio.get_running_loop().time()):
                self.send(path, packet)
        if self._sctp_task is not None:
            self._sctp_task.cancel()
        if self._dtls is not None:
            self._dtls.close()
            self._flush(self._dtls.outgoing())
        self.agent.on_end(reason)
        self.on_end(self, reason)

    # Inside.

    def _on_dtls(self, packet: bytes, now: float) -> None:
        dtls = self._dtls
        assert dtls is not None
        for data in dtls.on_datagram(packet):
            try:
                self._sctp_in.put_nowait(data)
            except asyncio.QueueFull:
                self.refused["sctp_flood"] += 1
        self._flush(dtls.outgoing())
        self._look_at(dtls, now)

    def _look_at(self, dtls: Dtls, now: float) -> None:
        if dtls.state is DtlsState.CONNECTED and self.stages.dtls_done is None:
            self._connected(dtls, now)
        elif dtls.state is DtlsState.FAILED:
            self.end(f"DTLS failed: {dtls.failure}")
        elif dtls.state is DtlsState.CLOSED:
            self.end("the client hung up")

    def _connected(self, dtls: Dtls, now: float) -> None:
        self.stages.dtls_done = now - self.created_at
        if self.terms is not None and dtls.srtp is not None:
            self.audio = AudioStream(
                self.terms,
                dtls.srtp,
                ssrc=self.ssrc,
                cname=CNAME,
                now=now,
                wall_offset=time.time() - now,
                random=random.Random(),
            )
        if self.offer.application is not None:
            self._channels = DataChannels(self._send_sctp, self.agent.on_message, self.agent.on_channel)
            self._sctp_task = asyncio.get_running_loop().create_task(self._run_sctp(self._channels))
        self.agent.on_start(self)

    async def _run_sctp(self, channels: DataChannels) -> None:
        application = self.offer.application
        assert application is not None
        try:
            await channels.start(application.sctp_port or SCTP_PORT, application.max_message_size or REMOTE_MESSAGE)
            while True:
                await channels.on_packet(await self._sctp_in.get())
        finally:
            await channels.stop()

    def _send_sctp(self, data: bytes) -> None:
        if self._dtls is not None:
            self._dtls.send(data)
            self._flush(self._dtls.outgoing())

    def _flush(self, datagrams: list[bytes]) -> None:
        path = self.ice.chosen
        if path is not None:
            for datagram in datagrams:
                self.send(path, datagram)
