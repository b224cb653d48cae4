"""What packets say without being decoded, and the codecs that need no library."""

import math
from array import array

import pytest

from voicefleet.core.media import g711, opus_packet, quality
from voicefleet.core.media.g711 import Law
from voicefleet.core.media.telephone_event import KeyPress, TelephoneEvents


@pytest.mark.parametrize(
    ("payload", "milliseconds"),
    [
        (b"\x48\x00", 20),  # SILK wideband 20 ms
        (b"\x58\x00", 60),
        (b"\x00\x00", 10),
        (b"\x78\x00", 20),  # hybrid fullband
        (b"\xe0\x00", 2.5),  # CELT
        (b"\xf9\x00", 40),  # two frames
        (b"\xfb\x03", 60),  # three of 20 ms, told by the second octet
        (b"\x5b\x02", 120),
        (b"\x5b\x03", 0),  # 180 ms: not allowed
        (b"\x03", 0),
        (b"", 0),
        (opus_packet.SILENCE, 20),
    ],
)
def test_an_opus_packet_tells_how_long_it_lasts(payload: bytes, milliseconds: float) -> None:
    assert opus_packet.samples(payload) == milliseconds * 48


def test_dtx_is_known_by_its_size() -> None:
    assert opus_packet.is_pause(b"\x48")
    assert opus_packet.is_pause(b"\x48\x00")
    assert not opus_packet.is_pause(opus_packet.SILENCE)


def test_g711_knows_the_points_of_its_curves() -> None:
    """G.711, tables 1a and 2a: silence, the loudest and the quietest codes."""
    assert array("h", g711.decode(b"\xff\x7f\x80\x00", Law.MU)).tolist() == [0, 0, 32124, -32124]
    assert array("h", g711.decode(b"\xd5\x55\xaa\x2a", Law.A)).tolist() == [8, -8, 32256, -32256]


@pytest.mark.parametrize("law", list(Law))
def test_every_g711_code_survives_decoding_and_encoding(law: Law) -> None:
    codes = bytes(range(256))
    again = g711.encode(g711.decode(codes, law), law)
    assert g711.decode(again, law) == g711.decode(codes, law)
    assert g711.encode(bytes(2), law) == bytes((law.value,))


@pytest.mark.parametrize("law", list(Law))
def test_g711_keeps_a_tone_to_one_part_in_thirty_of_each_sample(law: Law) -> None:
    tone = array("h", [int(12_000 * math.sin(n / 5)) for n in range(800)])
    decoded = array("h", g711.decode(g711.encode(tone.tobytes(), law), law))
    assert all(abs(a - b) <= 40 + abs(a) / 30 for a, b in zip(tone, decoded, strict=True))


def test_a_key_is_reported_once_with_its_length_whatever_is_lost() -> None:
    events = TelephoneEvents(8000)
    packets = [(bytes((5, 0x0A)) + (160 * n).to_bytes(2), 1000) for n in range(1, 6)]
    end = (bytes((5, 0x8A)) + (800).to_bytes(2), 1000)
    presses = [press for packet in [*packets, end, end, end] for press in events.read(*packet)]
    assert presses == [KeyPress("5", 0.1)]


def test_a_key_whose_end_is_lost_counts_when_the_next_one_begins() -> None:
    events = TelephoneEvents(8000)
    events.read(bytes((11, 0x0A, 0, 160)), 0xFFFFFF00)
    assert events.read(bytes((1, 0x8A, 0, 160)), 800) == [KeyPress("#", 0.02), KeyPress("1", 0.02)]
    assert events.read(bytes((11, 0x8A, 0, 160)), 0xFFFFFF00) == []  # a straggler of the one before


def test_what_is_no_key_is_passed_over() -> None:
    events = TelephoneEvents(8000)
    assert events.read(bytes((16, 0x80, 0, 160)), 0) == []  # a hook flash
    assert events.read(b"\x01", 0) == []


def test_a_good_path_is_rated_good_and_each_impairment_costs() -> None:
    perfect = quality.mean_opinion_score(quality.rating(0.05, 0.0, 1.0, quality.OPUS))
    assert 4.3 < perfect < 4.5
    worse = [
        quality.rating(0.3, 0.0, 1.0, quality.OPUS),
        quality.rating(0.05, 0.05, 1.0, quality.OPUS),
        quality.rating(0.05, 0.05, 2.0, quality.OPUS),
        quality.rating(0.3, 0.2, 3.0, quality.OPUS),
    ]
    scores = [perfect, *map(quality.mean_opinion_score, worse)]
    assert scores[1] < scores[0]
    assert scores[0] > scores[2] > scores[3] > scores[4]
    assert min(scores) >= 1.0


def test_the_e_model_gives_the_values_of_its_recommendation() -> None:
    """G.107, Annex B: R of 93.2 is a MOS of 4.41, 70 one of 3.60, 50 one of 2.58."""
    for r, mos in ((93.2, 4.41), (80, 4.03), (70, 3.60), (60, 3.10), (50, 2.58)):
        assert quality.mean_opinion_score(r) == pytest.approx(mos, abs=0.01)
    assert quality.mean_opinion_score(-5) == 1.0
    assert quality.mean_opinion_score(120) == 4.5
