"""Things that people say to a machine, with the pauses that they make, in the noise around them.

The recipe: espeak-ng says a sentence with its own intonation, with breaks where a person would stop to think: after a
comma, in the middle of a phrase, after an "um". Each break is then made as long as the seed says (0.2 to 1.5 s), and
noise is laid over the whole at a given distance below the speech. Everything follows from the seed. The part `SPEECH`.
"""

import io
import re
import subprocess
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache, lru_cache
from random import Random
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RATE: Final = 16_000
LEAD: Final = 0.8
"""Seconds of noise before the first word."""
TAIL: Final = 3.0
"""And after the last."""
_LEVEL: Final = 2000.0
"""Root mean square of speech."""
_HUSH: Final = 60.0
"""Clean speech is silent below this."""
_BREAK: Final = 0.9
"""Seconds of the breaks that espeak-ng is asked for, so long that they are found again."""


class Noise(StrEnum):
    """What is around the caller."""

    STREET = "street"
    FAN = "fan"
    VOICES = "voices"


class Place(StrEnum):
    """Where a person stops to think, and how a sentence of a set is marked for it."""

    COMMA = "|"
    PHRASE = "~"
    FILLER = "%"


@dataclass(frozen=True)
class Speaker:
    """A voice of espeak-ng."""

    voice: str
    speed: int
    pitch: int


@dataclass(frozen=True)
class Utterance:
    """One turn of a caller as the microphone hears it."""

    text: str
    pcm: bytes
    """16 bit, mono, at `RATE`."""
    spoken: tuple[tuple[float, float], ...]
    """Seconds from and to which there is speech; between two of them the caller thinks."""

    @property
    def end(self) -> float:
        """When the turn is really over."""
        return self.spoken[-1][1]


TUNING: Final = (
    "I would like to book a table,| for ~ seven people,| on the fourteenth % of March.",
    "My number is ~ four nine, one seven two,| five five, nine eight,| three one, six.",
    "No, not on Tuesday,| I said ~ Thursday,| in the % morning.",
    "The order was two boxes ~ of the large ones,| and thirteen % of the small ones.",
    "Could you tell me,| whether the train ~ from Frankfurt to Brussels is on time?",
    "It costs nineteen euros,| and it should ~ arrive by % Friday.",
    "Well,| I think % we should ~ take the earlier flight.",
    "When does the museum ~ open,| on the % second Sunday of May?",
    "Yes,| please.",
    "Let me see,| it was % somewhere near the ~ old harbour.",
)
"""What the detector was tuned on."""
TRIAL: Final = (
    "My account number is ~ eight eight four,| two one nine,| and the name is % Henderson.",
    "I bought a lamp ~ in your shop last week,| and it stopped % working yesterday.",
    "Please send the invoice ~ to my office,| not to % my home.",
    "If it rains tomorrow,| we would rather ~ stay inside % with the children.",
    "The doctor said,| I should take one ~ in the morning,| and two % at night.",
    "Can you hear me,| or is the line ~ too bad today?",
    "I am looking for % a present,| for my ~ sister,| she turns thirty next month.",
    "We are four adults,| and two ~ children,| under % the age of six.",
    "Okay,| then I will take ~ the blue one.",
    "Is there a bus,| that goes ~ to the airport before % six o'clock?",
    "My street is ~ Longfellow Road,| number % one hundred and twelve.",
    "Turn off the lights ~ in the kitchen,| and close % the blinds.",
    "I forgot my password,| and the mail with the ~ new one,| never % arrived.",
    "No,| thank you.",
    "First I need the price ~ for one month,| then % for a whole year.",
    "She told me,| that the meeting ~ was moved,| to % Wednesday afternoon.",
)
"""What it is measured on: other sentences, other voices."""
TUNING_VOICES: Final = ("en-us", "en-gb", "en-us+f2", "en-gb+m3", "en-us+m4", "en-gb+f1", "en-gb-x-gbclan", "en-us+m2")
TRIAL_VOICES: Final = ("en-us+m1", "en-gb+f4", "en-gb-scotland", "en-us+f3", "en-029", "en-gb-x-rp+m7", "en-us+f5")


def utterances(
    sentences: Sequence[str], voices: Sequence[str], count: int, seed: int, distance: float
) -> list[Utterance]:
    """So many turns; with the same seed the same words, pauses and speakers at every `distance` (dB) of the noise."""
    draw = Random(seed)
    made = []
    for n in range(count):
        speaker = Speaker(draw.choice(voices), draw.randint(135, 195), draw.randint(35, 70))
        text = _places(sentences[n % len(sentences)], draw)
        pauses = [round(draw.uniform(0.2, 1.5), 2) for _ in range(text.count("<break"))]
        clean, spoken = _stretched(*_said(text, speaker), pauses)
        noise = _noise(list(Noise)[n % len(Noise)], len(clean), Random(seed * 7919 + n))
        made.append(Utterance(re.sub(r"<[^>]*>", "…", text), _mixed(clean, spoken, noise, distance), spoken))
    return made


def _places(sentence: str, draw: Random) -> str:
    """The sentence with a break at one to three of its places, and plain at the others."""
    places = [at for at, letter in enumerate(sentence) if letter in tuple(Place)]
    chosen = set(draw.sample(places, min(len(places), draw.choice((1, 2, 2, 3)))))
    wait = f" <break time='{round(_BREAK * 1000)}ms'/> "
    parts = []
    for at, letter in enumerate(sentence):
        if letter not in tuple(Place):
            parts.append(letter)
        elif at in chosen:
            parts.append((" ummm," if letter == Place.FILLER else "") + wait)
    return re.sub(r" +", " ", "".join(parts))


@lru_cache(maxsize=512)
def _said(text: str, speaker: Speaker) -> tuple[Floats, tuple[tuple[int, int], ...]]:
    """What espeak-ng makes of it, and from where to where it speaks between the breaks."""
    command = ["espeak-ng", "-m", "-v", speaker.voice, "-s", str(speaker.speed), "-p", str(speaker.pitch), "--stdout"]
    made = subprocess.run([*command, f"<speak>{text}</speak>"], check=True, capture_output=True).stdout
    with wave.open(io.BytesIO(made)) as audio:
        rate = audio.getframerate()
    spoken = np.frombuffer(made[44 : len(made) - len(made) % 2], np.int16).astype(np.float64)
    points = round(len(spoken) * RATE / rate)
    clean = np.fft.irfft(np.fft.rfft(spoken)[: points // 2 + 1], points) * points / len(spoken)
    loud = np.flatnonzero(np.abs(clean) > _HUSH)
    gaps = np.flatnonzero(np.diff(loud) > 0.75 * _BREAK * RATE)
    starts = [int(loud[0]), *(int(loud[gap + 1]) for gap in gaps)]
    ends = [*(int(loud[gap]) + 1 for gap in gaps), int(loud[-1]) + 1]
    return clean, tuple(zip(starts, ends, strict=True))


def _stretched(
    clean: Floats, spans: Sequence[tuple[int, int]], pauses: Sequence[float]
) -> tuple[Floats, tuple[tuple[float, float], ...]]:
    if len(spans) != len(pauses) + 1:
        raise ValueError(f"{len(pauses)} breaks were asked for, {len(spans) - 1} are heard")
    pieces: list[Floats] = [np.zeros(round(LEAD * RATE))]
    at, spoken = len(pieces[0]), []
    for (start, end), pause in zip(spans, [*pauses, TAIL], strict=True):
        spoken.append((at / RATE, (at + end - start) / RATE))
        pieces += [clean[start:end], np.zeros(round(pause * RATE))]
        at += len(pieces[-2]) + len(pieces[-1])
    return np.concatenate(pieces), tuple(spoken)


def _mixed(clean: Floats, spoken: Sequence[tuple[float, float]], noise: Floats, distance: float) -> bytes:
    voice = np.concatenate([clean[round(start * RATE) : round(end * RATE)] for start, end in spoken])
    speech = clean * (_LEVEL / np.sqrt(np.mean(voice**2)))
    mixed = speech + noise * (_LEVEL / np.sqrt(np.mean(noise**2)) * 10 ** (-distance / 20))
    return bytes(np.clip(np.round(mixed), -32768, 32767).astype(np.int16).tobytes())


def _noise(kind: Noise, length: int, draw: Random) -> Floats:
    random = np.random.default_rng(draw.randrange(2**32))
    time = np.arange(length) / RATE
    match kind:
        case Noise.STREET:  # cars that come and go over a rumble
            swell = 1 + 0.5 * np.sin(2 * np.pi * time / random.uniform(3, 6) + random.uniform(0, 6))
            return _coloured(random, length, 1.0) * swell
        case Noise.FAN:
            hum = sum(np.sin(2 * np.pi * 50 * n * time) / n for n in range(1, 5))
            return _coloured(random, length, 0.6) + 0.7 * np.asarray(hum)
        case Noise.VOICES:  # a room in which many speak at once
            room = _room()
            at = random.integers(0, len(room))
            return np.resize(np.roll(room, int(at)), length)


def _coloured(random: np.random.Generator, length: int, slope: float) -> Floats:
    spectrum = np.fft.rfft(random.standard_normal(length))
    hertz = np.maximum(np.fft.rfftfreq(length, 1 / RATE), 50.0)
    made = np.fft.irfft(spectrum / (hertz / 50.0) ** (slope / 2), length)
    return np.asarray(made / np.sqrt(np.mean(made**2)))


_MURMUR: Final = (
    *("over", "there", "we", "were", "the", "garden", "another", "seven"),
    *("people", "walking", "home", "later", "again"),
)


@cache
def _room() -> Floats:
    """Eight who read other sentences, for 10 s, in no order."""
    draw = Random(1)
    total = np.zeros(10 * RATE)
    for voice in ("en-us+m2", "en-gb+f1", "en-us+f4", "en-gb+m5", "en-us+m6", "en-gb+f2", "en-us", "en-gb+m4"):
        words = " ".join(draw.sample(_MURMUR, 9))
        clean, _ = _said(f"{words}, {words}", Speaker(voice, draw.randint(130, 190), draw.randint(30, 70)))
        total += np.roll(np.resize(clean, len(total)), draw.randrange(len(total)))
    return total
