"""One synthetic call: checks, DTLS, SRTP and a frame each 20 ms, with what comes back measured.

Everything is called by one media thread, with the time as an argument; nothing here waits. Its parts are the product's
own in the client's role: that they speak with browsers is shown elsewhere, and they hold hundreds of calls on a core.
A frame carries its number, so that it is known which of them an echo said back.
"""

import secrets
import socket
import struct
from collections import deque
from typing import Final

from voicefleet.cli.load.figures import CallFigures
from voicefleet.cli.load.offer import UFRAG, Answered
from voicefleet.net.dtls import Dtls, DtlsIdentity, DtlsState
from voicefleet.net.srtp import Srtp
from voicefleet.wire import rtp, stun
from voicefleet.wire.demux import PacketKind, classify
from voicefleet.wire.errors import WireError
from voicefleet.wire.rtp import HeaderTemplate

FRAME: Final = 0.02
PAYLOAD: Final = 80
"""Octets of a frame: Opus at 32 kbit/s."""
OPUS: Final = b"\x78"
"""The first octet of a frame of 20 ms."""
MARK: Final = b"vf-load"
"""Tells our own frames from what an agent says itself."""
FIRST_CHECKS: Final = 0.1
"""Seconds between checks until one is answered."""
CONSENT: Final = 2.5
"""Seconds between checks then, as browsers do it."""
NEXT_CANDIDATE: Final = 1.5
"""Seconds without an answer after which the next address is tried."""
SET_UP: Final = 10.0
"""Seconds after which a call that has no audio has failed."""
SILENCE: Final = 5.0
"""Seconds without a packet after which a call is lost."""
TAIL: Final = 50
"""Frames at the end that are not counted: they are still on their way."""
_STAMP: Final = struct.Struct("@qq")
_SO_TIMESTAMPNS: Final = 35
_ANCILLARY: Final = socket.CMSG_SPACE(_STAMP.size)


class Caller:
    """From an answer to the hanging up. Times are Unix seconds, since the kernel stamps packets with those."""

    def __init__(self, identity: DtlsIdentity, answered: Answered, offered_at: float, now: float) -> None:
        self.figures = CallFigures()
        self.ended = False
        self._answered = answered
        self._offered_at = offered_at
        self._dtls = Dtls(identity, [("sha-256", answered.fingerprint)], client=False)
        self._dtls.start(now)
        self._keys: Srtp | None = None
        self._candidate = 0
        self._since = now
        """When this candidate was first tried, or last answered."""
        self._next_check = now
        self._checks: dict[bytes, float] = {}
        self._next_frame = 0.0
        self._header = HeaderTemplate(111, secrets.randbits(32))
        self._number = 0
        self._said: deque[float] = deque(maxlen=512)
        """When the last frames were said."""
        self._last_audio = 0.0
        self._highest = -1
        self._first_sequence = 0
        self._seen: set[int] = set()
        family = socket.AF_INET6 if ":" in answered.candidates[0][0] else socket.AF_INET
        self.socket = socket.socket(family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)

    @property
    def due(self) -> float:
        """When `on_time` is due."""
        return min(self._next_check, self._next_frame) if self._keys is not None else self._next_check

    def on_time(self, now: float) -> None:
        """Say what is due."""
        if now >= self._next_check:
            self._check(now)
        if self._keys is not None and now >= self._next_frame:
            self._say(now)
        elif self._keys is None and (deadline := self._dtls.deadline(now)) is not None and now >= deadline:
            for datagram in self._dtls.on_timeout(now):
                self._send(datagram)
        self._judge(now)

    def on_readable(self) -> None:
        """Take every packet that is there."""
        while not self.ended:
            try:
                data, ancillary, _, _ = self.socket.recvmsg(2048, _ANCILLARY)
            except BlockingIOError:
                return
            except OSError:
                continue  # what ICMP told of an earlier packet
            seconds, nanoseconds = _STAMP.unpack(ancillary[0][2][: _STAMP.size])
            self._on_datagram(data, seconds + nanoseconds * 1e-9)

    def hang_up(self, now: float) -> None:
        """Leave, and count."""
        if self.ended:
            return
        self.ended = True
        if self.figures.setup is None and self.figures.failure is None:
            self.figures.failure = self._unfinished()
        self._count()
        self._dtls.close()
        for datagram in self._dtls.outgoing(now):
            self._send(datagram)
        self.socket.close()

    def _on_datagram(self, data: bytes, at: float) -> None:
        match classify(data):
            case PacketKind.RTP:
                self._on_audio(data, at)
            case PacketKind.STUN:
                self._on_stun(data, at)
            case PacketKind.DTLS:
                self._dtls.on_datagram(data, at)
                for datagram in self._dtls.outgoing(at):
                    self._send(datagram)
                if self._dtls.state is DtlsState.CONNECTED and self._keys is None:
                    self._keys = self._dtls.srtp
                    self._next_frame = at
                elif self._dtls.state is DtlsState.CLOSED:
                    self._fail("the other side hung up", at)

    def _on_audio(self, data: bytes, at: float) -> None:
        if self._keys is None:
            return
        try:
            packet = self._keys.open_rtp(data)
            header = rtp.decode_header(packet)
        except WireError:
            return
        figures = self.figures
        if figures.setup is None:
            figures.setup = at - self._offered_at
            self._first_sequence = self._highest = header.sequence
        else:
            gap = at - self._last_audio
            figures.gaps.add(gap)
            figures.longest_gap = max(figures.longest_gap, gap)
        self._last_audio = at
        figures.received += 1
        ahead = (header.sequence - self._highest) & 0xFFFF
        if ahead < 0x8000:
            self._highest += ahead
        payload = header.payload(packet)
        if payload[1 : 1 + len(MARK)] == MARK:
            number = int.from_bytes(payload[1 + len(MARK) : 5 + len(MARK)])
            if number not in self._seen:
                self._seen.add(number)
                age = self._number - number
                if 0 < age <= len(self._said):
                    figures.echoes.add(at - self._said[-age])

    def _on_stun(self, data: bytes, at: float) -> None:
        try:
            message = stun.decode(data)
        except WireError:
            return
        sent = self._checks.pop(message.transaction_id, None)
        if sent is None or message.integrity_at is None:
            return
        if not stun.integrity_ok(data, message.integrity_at, self._answered.password):
            return
        if message.cls is stun.Class.ERROR:
            self._fail("the call is not known there any more", at)
            return
        self.figures.round_trips.add(at - sent)
        self._since = at
        self._next_check = at + CONSENT

    def _check(self, now: float) -> None:
        if now - self._since > NEXT_CANDIDATE + (CONSENT if self._keys is not None else 0.0):
            self._candidate = (self._candidate + 1) % len(self._answered.candidates)
            self._since = now
        transaction = secrets.token_bytes(12)
        self._checks[transaction] = now
        username = f"{self._answered.ufrag}:{UFRAG}"
        self._send(
            stun.binding_request(
                transaction, username, self._answered.password, priority=1, controlling=1, use_candidate=True
            )
        )
        if len(self._checks) > 64:
            del self._checks[next(iter(self._checks))]
        self._next_check = now + FIRST_CHECKS

    def _say(self, now: float) -> None:
        assert self._keys is not None
        payload = OPUS + MARK + self._number.to_bytes(4)
        header = self._header.encode(self._number & 0xFFFF, 960 * self._number & 0xFFFFFFFF, self._number == 0)
        self._said.append(now)
        self._number += 1
        self._send(self._keys.seal_rtp(header + payload + bytes(PAYLOAD - len(payload))))
        self._next_frame += FRAME
        if self._next_frame < now - 1.0:  # this machine stood still: what was not said then is not said now
            self._next_frame = now

    def _judge(self, now: float) -> None:
        if self.figures.setup is None and now - self._offered_at > SET_UP:
            self._fail(self._unfinished(), now)
        elif self.figures.setup is not None and now - self._last_audio > SILENCE:
            self._fail(f"no audio for {SILENCE:g} s", now)

    def _unfinished(self) -> str:
        if not self.figures.round_trips.count:
            addresses = ", ".join(f"{address}:{port}" for address, port in self._answered.candidates)
            return f"no relay answered ({addresses})"
        return "no audio came" if self._keys is not None else "the DTLS handshake did not end"

    def _fail(self, why: str, now: float) -> None:
        self.figures.failure = why
        self.hang_up(now)

    def _count(self) -> None:
        if self.figures.setup is None:
            return
        self.figures.expected = self._highest - self._first_sequence + 1
        # From the first frame that came back: what was said before that, the other side's keys were not ready for.
        first = min(self._seen, default=0)
        last = self._number - TAIL
        self.figures.sent = max(0, last - first)
        self.figures.came_back = sum(first <= number < last for number in self._seen)

    def _send(self, datagram: bytes) -> None:
        try:
            self.socket.sendto(datagram, self._answered.candidates[self._candidate])
        except OSError:
            pass  # no route, or what ICMP told: the next check tells whether it matters
