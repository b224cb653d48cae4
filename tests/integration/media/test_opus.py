"""Opus by the real libopus: content is checked by ear as far as a program has one (correlation, energy)."""

import math
from array import array

import av
import pytest

from tests.support.model_sound import tone_pcm
from tests.support.opus_fec import carries_fec
from tests.support.spoken_audio import speech
from tests.support.tiers import SPEECH
from tests.support.tone import share_of_tone
from voicefleet.core.media import opus_packet
from voicefleet.core.media.frame import AudioFrame, FrameKind
from voicefleet.core.media.g711 import Law
from voicefleet.net.opus import RATES, OpusDecoder, OpusEncoder, library, version
from voicefleet.net.telephone_audio import Resampler, TelephoneDecoder, TelephoneEncoder
from voicefleet.net.voice_encoder import VoiceEncoder


def tone(rate: int, seconds: float, pitch: float = 220.0) -> bytes:
    """A voice-like tone: a fundamental and overtones."""
    samples = (
        sum(math.sin(2 * math.pi * pitch * k * n / rate) / k for k in (1, 2, 3)) * 6000
        for n in range(round(rate * seconds))
    )
    return array("h", map(int, samples)).tobytes()


def heard(payload: bytes, index: int) -> AudioFrame:
    return AudioFrame(FrameKind.HEARD, payload, index * 960, 960, 0.0)


def lost(index: int, recovery: bytes = b"") -> AudioFrame:
    return AudioFrame(FrameKind.CONCEALED, b"", index * 960, 960, 0.0, recovery)


def encoded(encoder: OpusEncoder, pcm: bytes) -> list[bytes]:
    size = 2 * encoder.samples
    return [encoder.encode(pcm[at : at + size]) for at in range(0, len(pcm) - size + 1, size)]


def likeness(a: bytes, b: bytes, rate: int, delay: int | None = None) -> float:
    """Correlation, 1 for the same sound, at the best shift up to 20 ms (the codec's own delay) or at a given one."""
    x, y = array("h", a[: 2 * rate // 20]), array("h", b)  # 50 ms tell
    shifts = range(rate // 50) if delay is None else (delay,)

    def at(shift: int) -> float:
        pairs = list(zip(x, y[shift:], strict=False))
        norm = math.sqrt(sum(p * p for p, _ in pairs) * sum(q * q for _, q in pairs)) or 1.0
        return sum(p * q for p, q in pairs) / norm

    return max(map(at, shifts))


def energy(pcm: bytes) -> float:
    samples = array("h", pcm)
    return math.sqrt(sum(s * s for s in samples) / max(1, len(samples)))


def test_the_library_is_a_current_one() -> None:
    assert version().startswith("libopus 1.")
    assert tuple(map(int, version().split()[1].split("-")[0].split(".")[:2])) >= (1, 3)


@pytest.mark.parametrize("rate", RATES)
def test_what_is_encoded_at_any_rate_sounds_the_same_when_decoded(rate: int) -> None:
    pcm = tone(rate, 0.4)
    decoder = OpusDecoder(rate)
    decoded = b"".join(decoder.decode(heard(p, n)) for n, p in enumerate(encoded(OpusEncoder(rate), pcm)))
    assert len(decoded) == len(pcm)
    assert likeness(pcm[2 * rate // 10 :], decoded[2 * rate // 10 :], rate) > 0.9


def test_a_frame_of_one_rate_decodes_at_another_without_a_resampler() -> None:
    pcm = tone(48_000, 0.4)
    decoder = OpusDecoder(24_000)
    decoded = b"".join(decoder.decode(heard(p, n)) for n, p in enumerate(encoded(OpusEncoder(48_000), pcm)))
    assert len(decoded) == len(pcm) // 2
    assert likeness(tone(24_000, 0.4)[4800:], decoded[4800:], 24_000) > 0.9


def test_ffmpegs_opus_decodes_ours() -> None:
    codec = av.CodecContext.create("libopus", "r")
    codec.sample_rate, codec.format, codec.layout = 48_000, "s16", "mono"
    decoded = b""
    for payload in encoded(OpusEncoder(24_000), tone(24_000, 0.4)):
        for frame in codec.decode(av.Packet(payload)):
            decoded += bytes(frame.planes[0])[: 2 * frame.samples]
    assert likeness(tone(48_000, 0.4)[19200:], decoded[19200:], 48_000) > 0.9


@pytest.mark.needs(SPEECH)
def test_in_band_fec_rebuilds_lost_speech_better_than_concealment() -> None:
    encoder = OpusEncoder(24_000)
    encoder.expect_loss(20)
    packets = encoded(encoder, speech(8.0, 24_000))
    whole, rebuilt, concealed = OpusDecoder(24_000), OpusDecoder(24_000), OpusDecoder(24_000)
    by_fec, by_concealment = [], []
    for n, payload in enumerate(packets[:-1]):
        truth = whole.decode(heard(payload, n))
        if n % 5 == 3 and carries_fec(packets[n + 1]) and energy(truth) > 300:
            by_fec.append(likeness(truth, rebuilt.decode(lost(n, packets[n + 1])), 24_000, 0))
            by_concealment.append(likeness(truth, concealed.decode(lost(n)), 24_000, 0))
        else:
            rebuilt.decode(heard(payload, n))
            concealed.decode(heard(payload, n))
    assert len(by_fec) > 20
    assert sum(by_fec) / len(by_fec) > 0.8
    assert sum(by_fec) / len(by_fec) > sum(by_concealment) / len(by_concealment) + 0.2
    assert rebuilt.rebuilt == len(by_fec)


def test_an_agents_voice_sounds_the_same_while_loss_comes_and_goes() -> None:
    """Plain frames, then such as describe their predecessor, then plain ones: one decoder hears one voice."""
    encoder, decoder = VoiceEncoder(24_000), OpusDecoder(24_000)
    pcm = tone(24_000, 1.2)
    step = 2 * encoder.samples
    packets = []
    for n in range(60):
        encoder.expect_loss(10 if 20 <= n < 40 else 0)
        packets.append(encoder.encode(pcm[n * step : (n + 1) * step]))
    assert not any(carries_fec(packet) for packet in (*packets[:20], *packets[41:])), "the way back takes a frame"
    assert any(carries_fec(packet) for packet in packets[20:40])
    decoded = b"".join(decoder.decode(heard(packet, n)) for n, packet in enumerate(packets))
    for at in (5 * step, 25 * step, 45 * step):
        assert likeness(pcm[at:], decoded[at : at + 5 * step], 24_000) > 0.9


@pytest.mark.parametrize("before", [0, 10])
def test_how_an_agents_voice_is_encoded_changes_without_a_jump_or_a_hush(before: int) -> None:
    encoder, decoder = VoiceEncoder(24_000), OpusDecoder(48_000)
    pcm, size = tone_pcm(1.0, 900.0), 2 * encoder.samples
    decoded = array("h")
    for n in range(50):
        encoder.expect_loss(before if n < 25 else 10 - before)
        decoded.frombytes(decoder.decode(heard(encoder.encode(pcm[n * size : (n + 1) * size]), n)))
    around = decoded[23 * 960 : 28 * 960]
    assert share_of_tone(around, 900.0, 48_000) > 0.95, "one tone, whose phase goes on"
    loud = [max(map(abs, around[at : at + 96])) for at in range(0, len(around), 96)]
    assert min(loud) > 0.9 * 8000, "in each 2 ms"


def test_our_reading_of_the_fec_flag_is_libopus_own() -> None:
    opus = library()
    if not hasattr(opus, "opus_packet_has_lbrr"):
        pytest.skip("libopus before 1.5 can't tell")
    flags = []
    for loss in (0, 5, 30):
        encoder = OpusEncoder(16_000)
        encoder.expect_loss(loss)
        for payload in encoded(encoder, tone(16_000, 1.0)):
            flags.append(carries_fec(payload))
            assert flags[-1] == bool(opus.opus_packet_has_lbrr(payload, len(payload)))
    assert True in flags
    assert False in flags


def test_a_long_loss_fades_into_silence() -> None:
    decoder = OpusDecoder(24_000)
    for n, payload in enumerate(encoded(OpusEncoder(24_000), tone(24_000, 0.4))):
        decoder.decode(heard(payload, n))
    concealed = [energy(decoder.decode(lost(20 + n))) for n in range(20)]
    assert concealed[0] > 1000
    assert concealed[-1] < 50


def test_frames_that_never_were_last_as_long_as_they_say() -> None:
    decoder = OpusDecoder(16_000)
    decoder.decode(heard(encoded(OpusEncoder(16_000), tone(16_000, 0.1))[0], 0))
    for kind in (FrameKind.CONCEALED, FrameKind.COMFORT, FrameKind.STALLED):
        for samples in (480, 960, 1920):
            assert len(decoder.decode(AudioFrame(kind, b"", 0, samples, 0.0))) == 2 * samples // 3


def test_garbage_is_concealed_and_counted() -> None:
    decoder = OpusDecoder(24_000)
    for payload in (b"\x03", b"\x4b\xff", b"\xff" * 40):
        assert len(decoder.decode(heard(payload, 0))) == 960
    assert decoder.malformed == 3


def test_the_silence_that_we_send_is_silent() -> None:
    decoder = OpusDecoder(24_000)
    for n, payload in enumerate(encoded(OpusEncoder(24_000), tone(24_000, 0.2))):
        decoder.decode(heard(payload, n))
    silence = [decoder.decode(heard(opus_packet.SILENCE, n)) for n in range(5)]
    assert energy(silence[-1]) < 5


def test_mistakes_of_ours_raise() -> None:
    with pytest.raises(ValueError, match="44100"):
        OpusEncoder(44_100)
    with pytest.raises(ValueError, match="960 octets"):
        OpusEncoder(24_000).encode(bytes(100))


@pytest.mark.parametrize("law", Law)
def test_a_telephones_tone_reaches_the_agent_and_comes_back(law: Law) -> None:
    pcm = tone(24_000, 0.4)
    encoder, decoder = TelephoneEncoder(law, 24_000), TelephoneDecoder(law, 24_000)
    back = b""
    for n in range(20):
        payload = encoder.encode(pcm[960 * n : 960 * (n + 1)])
        assert len(payload) == 160
        back += decoder.decode(AudioFrame(FrameKind.HEARD, payload, n * 160, 160, 0.0))
    assert len(back) == len(pcm)
    assert likeness(pcm[4800:], back[4800:], 24_000) > 0.95


def test_a_lost_telephone_frame_is_repeated_and_fades() -> None:
    encoder, decoder = TelephoneEncoder(Law.MU, 8000), TelephoneDecoder(Law.MU, 8000)
    decoder.decode(AudioFrame(FrameKind.HEARD, encoder.encode(tone(8000, 0.02)), 0, 160, 0.0))
    loudness = [energy(decoder.decode(AudioFrame(FrameKind.CONCEALED, b"", 0, 160, 0.0))) for _ in range(5)]
    assert loudness[0] > loudness[1] > loudness[2] > 0
    assert loudness[3:] == [0.0, 0.0]


def test_a_resampled_stream_keeps_its_length_and_its_sound() -> None:
    resampler = Resampler(24_000, 8000)
    pcm = tone(24_000, 0.4)
    pieces = [resampler.convert(pcm[960 * n : 960 * (n + 1)]) for n in range(20)]
    assert {len(piece) for piece in pieces} == {320}
    assert likeness(tone(8000, 0.4)[1600:], b"".join(pieces)[1600:], 8000) > 0.98
