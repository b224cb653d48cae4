"""A whole call's audio under any script: packets with any numbers, garbage that is authentic, time, and a busy agent.

The octets are a script of steps, so that a fuzzer (or Hypothesis) can make up a hostile caller. What holds: no
exception; bounded memory; bounded work for each step; no deadline that stays due; everything that leaves can be read.
"""

import math
from dataclasses import replace
from random import Random
from typing import Final

from tests.support.simulated_call import TERMS, WALL, Clear
from voicefleet.core.media.frame import FrameKind
from voicefleet.core.media.jitter_buffer import MAX_COMFORT, MAX_CONCEALED, MAX_HELD
from voicefleet.core.media.loss_recovery import MAX_WANTED
from voicefleet.core.media.patience import ACCURATE, CONVERSATIONAL
from voicefleet.core.media.sender import ANSWERS_PER_NACK
from voicefleet.core.media.stream import AudioStream
from voicefleet.wire import rtcp, rtp

LONGEST: Final = 400
"""Steps: what a call remembers, it remembers of fewer packets."""
_KINDS: Final = (111, 63, 126, 13, 77)
_PAYLOADS: Final = (b"\x48", b"\x78" * 40, b"\xfb\x03abc", b"\x03", b"", b"\xe0\x01")
_OURS: Final = 0x2222


class Script:
    """Octets that are read as steps; behind its end there are zeros."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._at = 0

    def __bool__(self) -> bool:
        return self._at < len(self._octets)

    def octet(self) -> int:
        self._at += 1
        return self._octets[self._at - 1] if self._at <= len(self._octets) else 0

    def number(self, size: int) -> int:
        return int.from_bytes(bytes(self.octet() for _ in range(size)))

    def piece(self) -> bytes:
        size = self.octet()
        self._at += size
        return self._octets[self._at - size : self._at]


class _Caller:
    """What the script does, and what is asked of the stream after each step."""

    def __init__(self, terms_of: int) -> None:
        self.now = 1000.0
        terms = replace(
            TERMS,
            red=63,
            comfort_noise=13,
            telephone_events={126: 48_000},
            transport_sequence=3,
            nack=bool(terms_of & 1),
            reduced_size=bool(terms_of & 2),
        )
        self.stream = AudioStream(
            terms, Clear(), ssrc=_OURS, cname="s", now=self.now, wall_offset=WALL, random=Random(terms_of)
        )
        self.seal = Clear()
        self.sequence = self.timestamp = 0

    def step(self, script: Script) -> None:
        stream = self.stream
        match script.octet() % 9:
            case 0:  # the next packet, as it should be
                self.sequence, self.timestamp = self.sequence + 1, self.timestamp + 960
                self._packet(_KINDS[0], self.sequence, self.timestamp, _PAYLOADS[1], 1)
            case 1:  # some packets are lost
                lost = script.octet()
                self.sequence, self.timestamp = self.sequence + lost, self.timestamp + 960 * lost
            case 2:  # any packet near by
                kind = _KINDS[script.octet() % len(_KINDS)]
                sequence = self.sequence + script.octet() - 128
                payload = script.piece() if script.octet() & 1 else _PAYLOADS[script.octet() % len(_PAYLOADS)]
                self._packet(kind, sequence, self.timestamp + 960 * (script.octet() - 128), payload, 1)
            case 3:  # a packet from anywhere
                self._packet(
                    _KINDS[script.octet() % 5], script.number(2), script.number(4), script.piece(), script.octet() % 12
                )
            case 4:
                stream.on_srtp(self.seal.seal_rtp(script.piece()), self.now)
            case 5:
                stream.on_srtcp(self.seal.seal_rtcp(script.piece()), self.now)
            case 6:  # feedback about us
                lost_numbers = tuple(script.number(2) for _ in range(script.octet() % 8 + 1))
                block = rtcp.ReportBlock(
                    _OURS, script.octet(), 0, 0, script.number(3), script.number(4), script.number(4)
                )
                compound = rtcp.encode([rtcp.ReceiverReport(1, (block,)), rtcp.Nack(1, _OURS, lost_numbers)])
                stream.on_srtcp(self.seal.seal_rtcp(compound), self.now)
            case 7:
                for _ in range(script.octet()):
                    stream.say(_PAYLOADS[1], self.now)
                if script.octet() & 1:
                    flushed = stream.flush()
                    assert stream.playout.queued == 0
                    assert flushed.played_ms == stream.playout.played_ms
                stream.profile = (CONVERSATIONAL, ACCURATE)[script.octet() & 1]
            case _:
                self._wait(script.octet() / 100)
        self._hold()

    def _packet(self, kind: int, sequence: int, timestamp: int, payload: bytes, ssrc: int) -> None:
        profile, elements = rtp.encode_extensions({3: (sequence & 0xFFFF).to_bytes(2)})
        header = rtp.RtpHeader(kind, False, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc, (), profile, elements)
        self.stream.on_srtp(self.seal.seal_rtp(rtp.encode(header, payload)), self.now)
        self._take(1 + MAX_HELD * 3 + (MAX_CONCEALED + MAX_COMFORT) * 40)

    def _wait(self, seconds: float) -> None:
        end, polls = self.now + seconds, 0
        while (at := self.stream.next_deadline()) <= end:
            self.now = max(self.now, at)
            for datagram in self.stream.poll(self.now):
                _readable(datagram)
            polls += 1
            assert polls <= 20 + 400 * seconds, "polled again and again"
            self._take(MAX_HELD * 3 + (MAX_CONCEALED + MAX_COMFORT) * 40)
        self.now = end

    def _take(self, most: int) -> None:
        frames = self.stream.take_audio()
        assert len(frames) <= most
        for frame in frames:
            assert math.isfinite(frame.captured)
            assert frame.samples > 0
            assert bool(frame.payload) == (frame.kind is FrameKind.HEARD)
        assert len(self.stream.take_keys()) <= 2

    def _hold(self) -> None:
        uplink = self.stream.uplink
        assert len(uplink.buffer._held) <= MAX_HELD
        assert len(uplink.buffer._given_up) <= 2 * MAX_HELD
        assert len(uplink.recovery._wanted) <= MAX_WANTED
        assert len(uplink.recovery._given_up) <= MAX_WANTED
        assert len(uplink.arrivals._times) <= 512
        assert len(self.stream._outgoing) <= ANSWERS_PER_NACK * LONGEST
        assert uplink.buffer.delay_max <= ACCURATE.limit + 3.0  # a step's time may pass before anybody polls
        measured = self.stream.measurements()
        assert 1.0 <= measured.uplink.mos <= 4.5
        assert 1.0 <= measured.downlink.mos <= 4.5
        assert 0.0 <= measured.uplink.concealment <= 1.0


def _readable(datagram: bytes) -> None:
    if 192 <= datagram[1] <= 223:
        rtcp.decode(datagram[:-5])
    else:
        rtp.decode_header(datagram[:-1])


def media_stream(data: bytes) -> None:
    """Play the script."""
    script = Script(data)
    caller = _Caller(script.octet())
    for _ in range(LONGEST):
        if not script:
            break
        caller.step(script)
    caller._wait(2.0)
