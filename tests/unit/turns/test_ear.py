import math
import random
from array import array

import pytest

from voicefleet.agents.ear import Ear
from voicefleet.core.turns.sound import HOP, Sound

RATES = (8_000, 16_000, 24_000)


def voice(seconds: float, rate: int, pitch: float) -> list[float]:
    """A buzz with the overtones that a voice has."""
    overtones = range(1, int(3_400 / pitch))
    return [
        4_000 * sum(math.sin(2 * math.pi * pitch * n * t / rate) / n for n in overtones) / 3
        for t in range(round(seconds * rate))
    ]


def noise(seconds: float, rate: int, loud: float, seed: int = 1) -> list[float]:
    draw = random.Random(seed)
    return [draw.gauss(0, loud) for _ in range(round(seconds * rate))]


def heard(samples: list[float], rate: int) -> list[Sound]:
    return list(Ear(rate).listen(array("h", (round(sample) for sample in samples)).tobytes()))


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("pitch", (80.0, 131.0, 220.0, 350.0))
def test_the_pitch_of_a_voice_is_told_to_a_quarter_tone(rate: int, pitch: float) -> None:
    sounds = heard(noise(0.5, rate, 30) + voice(1.0, rate, pitch), rate)[30:]
    assert all(12 * abs(math.log2(sound.pitch / pitch)) < 0.5 for sound in sounds)


@pytest.mark.parametrize("rate", RATES)
def test_noise_stands_out_of_nothing_and_seldom_has_a_pitch(rate: int) -> None:
    sounds = heard(noise(4.0, rate, 300), rate)[50:]
    assert sum(sound.pitch > 0 for sound in sounds) < 0.2 * len(sounds)
    assert max(sound.contrast for sound in sounds) < 2.0


def test_a_voice_stands_out_of_the_noise_around_it_and_the_noise_is_the_same_afterwards() -> None:
    rate = 16_000
    around = noise(5.0, rate, 200)
    buzz = voice(1.0, rate, 120.0)
    samples = [a + (buzz[i - 2 * rate] if 2 * rate <= i < 3 * rate else 0.0) for i, a in enumerate(around)]
    sounds = heard(samples, rate)
    during, after = sounds[105:148], sounds[160:]
    assert min(sound.contrast for sound in during) > 4.0
    assert max(sound.contrast for sound in after) < 2.2


def test_a_hum_that_was_always_there_is_not_taken_for_a_voice() -> None:
    rate = 16_000
    hum = [sample + extra for sample, extra in zip(voice(4.0, rate, 100.0), noise(4.0, rate, 20), strict=True)]
    sounds = heard(hum, rate)[100:]
    assert not any(sound.pitch for sound in sounds)


def test_a_fan_that_is_switched_on_is_learned() -> None:
    rate = 16_000
    sounds = heard(noise(1.0, rate, 20) + noise(16.0, rate, 120), rate)
    assert sounds[60].contrast > 5.0
    assert max(sound.contrast for sound in sounds[-50:]) < 2.2


def test_sound_may_come_in_pieces_of_any_length() -> None:
    rate = 16_000
    pcm = array("h", (round(sample) for sample in voice(0.5, rate, 150.0))).tobytes()
    whole = list(Ear(rate).listen(pcm))
    ear, draw, pieces, at = Ear(rate), random.Random(3), [], 0
    while at < len(pcm):
        size = 2 * draw.randint(1, 900)
        pieces += list(ear.listen(pcm[at : at + size]))
        at += size
    assert pieces == whole
    assert len(whole) == round(0.5 / HOP)


def test_digital_silence_is_silent() -> None:
    assert all(sound.contrast == 0 and sound.pitch == 0 for sound in heard([0.0] * 16_000, 16_000))
