"""What a call's audio costs the processor: packets through the media core and real SRTP, and frames through Opus.

Processor time, since other people use the machine. No socket and no event loop: that is the transceiver's bench. Beside
each figure is what stock aiortc does for the same packet, with its own RTP, jitter buffer, SRTP and codec objects, in
the same run. Also whether codecs at full load on the codec threads disturb a loop that keeps the time, beside the same
load in another process, which can only take the processor and not the interpreter lock.
"""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from random import Random
from statistics import median

import av
from aiortc.codecs.opus import OpusDecoder as StockDecoder
from aiortc.codecs.opus import OpusEncoder as StockEncoder
from aiortc.jitterbuffer import JitterBuffer as StockBuffer
from aiortc.rtp import HeaderExtensionsMap, RtpPacket
from pylibsrtp import Policy, Session

from tests.bench.report import Bar, Report, Row
from tests.support.spoken_audio import speech
from voicefleet.core.media.coding import OPUS, AudioTerms
from voicefleet.core.media.frame import AudioFrame, FrameKind
from voicefleet.core.media.stream import AudioStream
from voicefleet.net.codec_threads import CodecThreads
from voicefleet.net.opus import OpusDecoder, OpusEncoder
from voicefleet.net.srtp import Srtp
from voicefleet.net.srtp_profile import SrtpProfile
from voicefleet.wire.red import RedBlock
from voicefleet.wire.red import encode as encode_red
from voicefleet.wire.rtp import HeaderTemplate, RtpHeader, encode_extensions
from voicefleet.wire.rtp import encode as encode_rtp

TITLE = "Media path: microseconds a packet through RTP, SRTP, jitter buffer and pacer, and a frame through Opus"

RATE = 24_000
KEYS = bytes(range(56))
FRAME = b"\x78" + bytes(range(80))
"""About what 32 kbit/s of voice are in 20 ms."""


def best(work: Callable[[], float], rounds: int = 5) -> float:
    """The median of some rounds."""
    return median(work() for _ in range(rounds))


def packets(count: int, red: bool) -> list[bytes]:
    """The caller's, sealed, with the header extensions that Chromium sends."""
    seal = Srtp(SrtpProfile.AEAD_AES_128_GCM, KEYS, client=True)
    kind = 63 if red else 111
    payload = encode_red([RedBlock(111, 960, FRAME), RedBlock(111, 0, FRAME)]) if red else FRAME
    sealed = []
    for number in range(count):
        profile, elements = encode_extensions({1: b"\x80", 2: b"abc", 3: (number & 0xFFFF).to_bytes(2), 4: b"0"})
        head = RtpHeader(kind, False, number & 0xFFFF, number * 960 & 0xFFFFFFFF, 0x1111, (), profile, elements)
        sealed.append(seal.seal_rtp(encode_rtp(head, payload)))
    return sealed


def stream(red: bool, transport_feedback: bool) -> AudioStream:
    """Our end of the call."""
    terms = AudioTerms(
        OPUS,
        111,
        red=63 if red else None,
        nack=True,
        reduced_size=True,
        transport_sequence=3 if transport_feedback else None,
    )
    seal = Srtp(SrtpProfile.AEAD_AES_128_GCM, KEYS, client=False)
    return AudioStream(terms, seal, ssrc=0x2222, cname="bench", now=0.0, wall_offset=1.7e9, random=Random(1))


def uplink(count: int, red: bool = False, transport_feedback: bool = False) -> float:
    """Seconds a packet: opened, counted, put in order, handed over, the next deadline asked for."""
    sealed, ours = packets(count, red), stream(red, transport_feedback)
    started = time.process_time()
    for number, datagram in enumerate(sealed):
        now = number * 0.02
        ours.on_srtp(datagram, now)
        ours.take_audio()
        if ours.next_deadline() <= now:
            ours.poll(now)
    return (time.process_time() - started) / count


def downlink(count: int, copies: int = 0) -> float:
    """Seconds a packet: queued, paced, numbered, sealed, kept for retransmission, the next deadline asked for."""
    ours = stream(copies > 0, False)
    ours.sender.copies = copies
    started = time.process_time()
    for number in range(count):
        now = number * 0.02
        ours.say(FRAME, now)
        ours.poll(now)
        ours.next_deadline()
    return (time.process_time() - started) / count


def srtp(profile: SrtpProfile, count: int) -> float:
    """Seconds for sealing and opening a packet."""
    keys = bytes(range(profile.exported_length))
    ours, theirs = Srtp(profile, keys, client=True), Srtp(profile, keys, client=False)
    header = HeaderTemplate(111, 1)
    plain = [header.encode(number & 0xFFFF, 0) + FRAME for number in range(count)]
    started = time.process_time()
    for packet in plain:
        theirs.open_rtp(ours.seal_rtp(packet))
    return (time.process_time() - started) / count


def _stock_session(client: bool, inbound: bool) -> Session:
    kind = Policy.SSRC_ANY_INBOUND if inbound else Policy.SSRC_ANY_OUTBOUND
    start = 0 if client != inbound else 28
    key = (KEYS + KEYS)[start : start + 28]
    return Session(Policy(key=key, ssrc_type=kind, srtp_profile=Policy.SRTP_PROFILE_AEAD_AES_128_GCM))


def stock_uplink(frames: list[bytes], codec: bool) -> float:
    """aiortc's objects for the same packet: open, parse, jitter buffer, and the decoder unless left out."""
    key = _stock_session(client=False, inbound=True)
    seal = _stock_session(client=True, inbound=False)
    header = HeaderTemplate(111, 0x1111)
    sealed = [seal.protect(header.encode(n & 0xFFFF, n * 960) + frame) for n, frame in enumerate(frames)]
    buffer, decoder, extensions = StockBuffer(capacity=16, prefetch=4), StockDecoder(), HeaderExtensionsMap()
    started = time.process_time()
    for datagram in sealed:
        packet = RtpPacket.parse(key.unprotect(datagram), extensions)
        packet._data = packet.payload  # type: ignore[attr-defined]
        _, frame = buffer.add(packet)
        if frame is not None and codec:
            decoder.decode(frame)
    return (time.process_time() - started) / len(sealed)


def stock_downlink(pcm: list[bytes], codec: bool) -> float:
    """aiortc's objects for the same packet: the encoder unless left out, serialize, seal."""
    seal, encoder, extensions = _stock_session(client=False, inbound=False), StockEncoder(), HeaderExtensionsMap()
    audio = []
    for number, piece in enumerate(pcm):
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(piece) // 2)
        frame.planes[0].update(piece)
        frame.sample_rate, frame.pts = RATE, number * len(piece) // 2
        audio.append(frame)
    started = time.process_time()
    for number, frame in enumerate(audio):
        payloads = encoder.encode(frame)[0] if codec else [FRAME]
        for payload in payloads:
            packet = RtpPacket(payload_type=111, sequence_number=number & 0xFFFF, timestamp=number * 960)
            packet.ssrc, packet.payload = 0x2222, payload
            seal.protect(packet.serialize(extensions))
    return (time.process_time() - started) / len(audio)


def opus(pcm: list[bytes], fec: int = 0) -> tuple[float, float, list[bytes]]:
    """Seconds a frame for encoding and for decoding, and the frames."""
    encoder, decoder = OpusEncoder(RATE), OpusDecoder(RATE)
    encoder.expect_loss(fec)
    started = time.process_time()
    frames = [encoder.encode(piece) for piece in pcm]
    encoded = time.process_time()
    for number, payload in enumerate(frames):
        decoder.decode(AudioFrame(FrameKind.HEARD, payload, number * 960, 960, 0.0))
    return (encoded - started) / len(pcm), (time.process_time() - encoded) / len(pcm), frames


def clock_errors(seconds: float, threads: int = 0) -> list[float]:
    """How late a loop wakes that has a packet to take and one to send each 2 ms, beside codec threads at full load."""
    errors: list[float] = []
    ours, sealed = stream(False, False), packets(int(seconds * 500) + 10, False)
    with CodecThreads(max(1, threads)) as running:
        stop = threading.Event()
        for _ in range(threads):
            _never_idle(running, stop)
        due = time.perf_counter() + 0.002
        for datagram in sealed:
            time.sleep(max(0.0, due - time.perf_counter()))
            errors.append(time.perf_counter() - due)
            ours.on_srtp(datagram, due)
            ours.take_audio()
            ours.poll(due)
            due = max(due + 0.002, time.perf_counter())
        stop.set()
    return sorted(errors)


def _never_idle(threads: CodecThreads, stop: threading.Event) -> None:
    lane, encoder, piece = threads.lane(), OpusEncoder(RATE), bytes(960)

    def again() -> None:
        encoder.encode(piece)
        if not stop.is_set():
            lane.put(again)

    lane.put(again)


def clock_errors_beside_a_process(seconds: float) -> list[float]:
    """The same loop beside another process that encodes without pause."""
    code = (
        "import os; from voicefleet.net.opus import OpusEncoder\n"
        "os.nice(5); e = OpusEncoder(24000); print(flush=True)\n"
        "while True: e.encode(bytes(960))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            return clock_errors(seconds)
        finally:
            process.kill()


def run(quick: bool) -> Report:
    """A quick run has fewer packets."""
    count = 4000 if quick else 20_000
    seconds = 4.0 if quick else 20.0
    voice = speech(seconds, RATE)
    pcm = [voice[at : at + 960] for at in range(0, len(voice) - 959, 960)]
    encode, decode, frames = opus(pcm)
    encode, decode = best(lambda: opus(pcm)[0], 3), best(lambda: opus(pcm)[1], 3)
    up, down = best(lambda: uplink(count)), best(lambda: downlink(count))
    stock_up, stock_down = best(lambda: stock_uplink(frames, True), 3), best(lambda: stock_downlink(pcm, True), 3)
    bare_up, bare_down = best(lambda: stock_uplink(frames, False), 3), best(lambda: stock_downlink(pcm, False), 3)
    length = 3.0 if quick else 10.0
    clocks = {
        "alone": clock_errors(length),
        "beside a codec process": clock_errors_beside_a_process(length),
        "beside a codec thread": clock_errors(length, 1),
    }
    one_copy = best(lambda: downlink(count, 1))
    rows = [
        _us("passthrough, up", up),
        _us("passthrough, up, RED", best(lambda: uplink(count, red=True))),
        _us("passthrough, up, transport feedback", best(lambda: uplink(count, transport_feedback=True))),
        _us("passthrough, down", down),
        _us("passthrough, down, one copy", one_copy),
        _us("stock aiortc, up, no codec", bare_up),
        _us("stock aiortc, down, no codec", bare_down),
        _us("stock aiortc, up, decoded", stock_up),
        _us("stock aiortc, down, encoded", stock_down),
        *(_us(f"of which SRTP, seal and open, {p.name}", best(lambda p=p: srtp(p, count))) for p in SrtpProfile),  # type: ignore[misc]
        Row("libopus, 24 kHz", "decode", decode * 1e6, "us a frame"),
        Row("libopus, 24 kHz, complexity 5", "encode", encode * 1e6, "us a frame"),
        Row("libopus, 24 kHz, complexity 5, FEC", "encode", best(lambda: opus(pcm, 10)[0], 3) * 1e6, "us a frame"),
    ]
    for beside, errors in clocks.items():
        rows += [
            Row(f"media loop's clock, {beside}", "error, p50", 1000 * errors[len(errors) // 2], "ms"),
            Row(f"media loop's clock, {beside}", "error, p99", 1000 * errors[int(0.99 * len(errors))], "ms"),
        ]
    bars = [
        Bar.at_most(
            "passthrough, both ways, over stock aiortc with codecs", (up + down) / (stock_up + stock_down), 0.1
        ),
        Bar.at_most(
            "Opus both ways over stock aiortc's",
            (encode + decode) / _codecs(stock_up, stock_down, bare_up, bare_down),
            0.8,
        ),
    ]
    calls = 1 / (50 * (up + down))
    notes = [f"passthrough alone would fill a core at {calls:.0f} calls; {os.cpu_count()} cores, others use them too"]
    return Report("media_path", rows, bars, notes)


def _codecs(up: float, down: float, bare_up: float, bare_down: float) -> float:
    """What of stock aiortc's cost is its codecs'."""
    return up - bare_up + down - bare_down


def _us(name: str, seconds: float) -> Row:
    return Row(name, "cost", seconds * 1e6, "us a packet")
