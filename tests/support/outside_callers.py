"""Callers outside of a cluster, as a program of their own: many calls at once, and how long each was without audio.

    python -m tests.support.outside_callers URL KEY COUNT

It runs in the network namespace that clients call from, makes the calls one after the other, and then says what it is
told to by lines on its input: `report` gives what happened since the last report, `end` hangs up. Every line of its
output is a JSON document. Each call says a numbered frame every 20 ms, and the echo brings it back: so what is measured
is the audio of both directions, by the arrival of frames that the caller has said itself.

A call holds on to its pair as Chromium does: it checks that pair every 2.5 s, and again after 0.9 s when an answer is
missing. After five checks and 5 s without an answer, or 2.5 s in which nothing came at all, it checks all pairs that it
was offered, and goes on with the first that answers. A check that is refused with an error ends the call.
"""

import asyncio
import json
import secrets
import sys
import time
from dataclasses import dataclass, field
from typing import Any, Final

import aiohttp

from tests.support.lean_caller import OPUS, offer_text
from tests.support.workers import identity
from voicefleet.net.dtls import Dtls, DtlsState
from voicefleet.net.srtp import Srtp
from voicefleet.wire import rtp, stun
from voicefleet.wire.demux import PacketKind, classify
from voicefleet.wire.rtp import HeaderTemplate

CHECKED_EVERY: Final = 2.5
MISSING_CHECKED_EVERY: Final = 0.9
WEAK_CHECKED_EVERY: Final = 0.25
WEAK_CHECKS: Final = 5
WEAK_SECONDS: Final = 5.0
SILENT_SECONDS: Final = 2.5
ON_ITS_WAY: Final = 75
"""The newest frames, which are neither heard nor lost: on a busy machine they are 1.5 s old at most."""
CONNECT_SECONDS: Final = 60.0


@dataclass(slots=True)
class Heard:
    """What came back since the last report."""

    since: float
    last: float
    gap: float = 0.0
    gap_at: float = 0.0
    """When the longest gap began, on the wall clock."""
    frames: set[int] = field(default_factory=set)
    first: int = 0


class OutsideCall(asyncio.DatagramProtocol):
    """One call, from its answer on."""

    def __init__(self, answer: str) -> None:
        lines = answer.split("\r\n")
        values = dict(line[2:].split(":", 1) for line in lines if line.startswith(("a=ice-ufrag:", "a=ice-pwd:")))
        self._user, self._password = f"{values['ice-ufrag']}:lean", values["ice-pwd"].encode()
        candidates = [line.split() for line in lines if line.startswith("a=candidate:") and " udp " in line.lower()]
        self.pairs = list(dict.fromkeys((each[4], int(each[5])) for each in candidates))
        self.pair = self.pairs[0]
        (printed,) = {line.split()[1] for line in lines if line.startswith("a=fingerprint:sha-256 ")}
        fingerprint = bytes.fromhex(printed.replace(":", ""))
        self._dtls = Dtls(identity(), [("sha-256", fingerprint)], client=False)
        self._keys: Srtp | None = None
        self._header = HeaderTemplate(111, secrets.randbits(32))
        self._transport: asyncio.DatagramTransport | None = None
        self.secured = asyncio.Event()
        self.said = 0
        self.ended = ""
        self._answered = time.monotonic()
        """When the pair in use last answered a check."""
        self._checked = 0.0
        self._received = time.monotonic()
        """When anything last came by that pair."""
        self._unanswered = 0
        """Checks of the pair in use since then."""
        now = time.monotonic()
        self.heard = Heard(now, now)

    def connect(self, transport: asyncio.DatagramTransport) -> None:
        """Begin to be somewhere."""
        self._transport = transport

    def tick(self, now: float) -> None:
        """Every 20 ms: a frame, and checks where they are due."""
        if self._transport is None or self.ended:
            return
        if self._keys is not None:
            header = self._header.encode(self.said & 0xFFFF, 960 * self.said & 0xFFFFFFFF, False)
            self._send(self._keys.seal_rtp(header + OPUS + self.said.to_bytes(4) + bytes(60)))
            self.said += 1
        weak = self._weak(now)
        every = WEAK_CHECKED_EVERY if weak else MISSING_CHECKED_EVERY if self._unanswered else CHECKED_EVERY
        if now - self._checked > every:
            self._checked = now
            self._unanswered += 1
            for pair in self.pairs if weak else (self.pair,):
                self._transport.sendto(self._check(), pair)

    def report(self, now: float) -> dict[str, Any]:
        """What happened since the last report, which ends with this one."""
        heard = self.heard
        if now - heard.last > heard.gap:
            heard.gap, heard.gap_at = now - heard.last, time.time() - (now - heard.last)
        expected = self.said - ON_ITS_WAY - heard.first
        lost = expected - sum(1 for each in heard.frames if each < self.said - ON_ITS_WAY)
        first = max(heard.first, self.said - ON_ITS_WAY)
        self.heard = Heard(now, heard.last, frames={each for each in heard.frames if each >= first}, first=first)
        return {
            "gap": round(heard.gap, 3),
            "gap_at": round(heard.gap_at, 3),
            "lost": max(0, lost),
            "said": max(0, expected),
            "ended": self.ended,
            "port": self.pair[1],
        }

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        now = time.monotonic()
        if addr == self.pair:
            self._received = now
        match classify(data):
            case PacketKind.STUN:
                self._on_stun(data, addr, now)
            case PacketKind.DTLS:
                self._dtls.on_datagram(data, now)
                self.flush()
                if self._dtls.state is DtlsState.CONNECTED and self._keys is None:
                    self._keys = self._dtls.srtp
                    self.heard = Heard(now, now)
                    self.secured.set()
                elif self._dtls.state in (DtlsState.CLOSED, DtlsState.FAILED):
                    self.ended = self.ended or "closed"
            case PacketKind.RTP if self._keys is not None:
                packet = self._keys.open_rtp(data)
                payload = rtp.decode_header(packet).payload(packet)
                if payload[:1] == OPUS and len(payload) == 65:  # and not the silence of a pause
                    self._on_frame(int.from_bytes(payload[1:5]), now)

    def error_received(self, exc: Exception) -> None:
        """Nobody listens there at the moment."""

    def hang_up(self) -> None:
        """Say goodbye."""
        if self._transport is not None:
            self._dtls.close()
            self.flush()
            self._transport.close()
            self._transport = None

    def flush(self) -> None:
        """Send what DTLS has to say."""
        for datagram in self._dtls.outgoing(time.monotonic()):
            self._send(datagram)

    def _on_stun(self, data: bytes, addr: tuple[str, int], now: float) -> None:
        message = stun.decode(data)
        if message.cls is stun.Class.SUCCESS:
            pair = (addr[0], addr[1])
            if pair != self.pair and self._weak(now):
                self.pair, self._received = pair, now
            if pair == self.pair:
                self._answered, self._unanswered = now, 0
        elif message.cls is stun.Class.ERROR:
            self.ended = self.ended or "refused"

    def _on_frame(self, number: int, now: float) -> None:
        heard = self.heard
        if number in heard.frames:
            return
        if now - heard.last > heard.gap:
            heard.gap, heard.gap_at = now - heard.last, time.time() - (now - heard.last)
        heard.last = now
        if number >= heard.first:
            heard.frames.add(number)

    def _weak(self, now: float) -> bool:
        unanswered = self._unanswered >= WEAK_CHECKS and now - self._answered > WEAK_SECONDS
        return unanswered or (self._keys is not None and now - self._received > SILENT_SECONDS)

    def _check(self) -> bytes:
        return stun.binding_request(
            secrets.token_bytes(12), self._user, self._password, priority=1, controlling=1, use_candidate=True
        )

    def _send(self, datagram: bytes) -> None:
        if self._transport is not None:
            self._transport.sendto(datagram, self.pair)


async def _call(client: aiohttp.ClientSession, url: str, key: str) -> OutsideCall:
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/sdp"}
    offer = offer_text("lean", channel=False)
    end = time.monotonic() + CONNECT_SECONDS
    while True:
        async with client.post(f"{url}/v1/realtime/calls", data=offer, headers=headers) as answer:
            text = await answer.text()
            if answer.status == 201:
                break
        if time.monotonic() > end or answer.status not in (429, 503):
            raise SystemExit(f"a call was refused with {answer.status}: {text}")
        await asyncio.sleep(0.5)
    call = OutsideCall(text)
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(lambda: call, ("0.0.0.0", 0))
    call.connect(transport)
    return call


async def _tick(calls: list[OutsideCall]) -> None:
    loop = asyncio.get_running_loop()
    due = loop.time()
    while True:
        for call in list(calls):
            call.tick(time.monotonic())
        due = max(due + 0.02, loop.time() - 0.1)
        await asyncio.sleep(due - loop.time())


async def main(url: str, key: str, count: int) -> None:
    """Make the calls, and do what the input says."""
    calls: list[OutsideCall] = []
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as client:
        ticking = asyncio.create_task(_tick(calls))
        try:
            for _ in range(count):
                call = await _call(client, url, key)
                calls.append(call)
                async with asyncio.timeout(CONNECT_SECONDS):
                    await call.secured.wait()
            _say({"up": len(calls)})
            while (line := (await reader.readline()).decode().strip()) not in ("", "end"):
                if line == "report":
                    _say({"calls": [call.report(time.monotonic()) for call in calls]})
        finally:
            ticking.cancel()
            for call in calls:
                call.hang_up()


def _say(document: dict[str, Any]) -> None:
    print(json.dumps(document), flush=True)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
