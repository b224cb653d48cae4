"""Speech for tests: espeak-ng says it, sox brings it to the rate that is wanted. Both are the part `SPEECH`."""

import subprocess
import tempfile
import wave
from array import array
from functools import lru_cache
from pathlib import Path

from tests.support.model_sound import tone_pcm

SENTENCES = (
    "Please book a table for seven people on the fourteenth of March at half past eight.",
    "My number is four nine, one seven two, five five, nine eight, three one, six.",
    "No, not on Tuesday. I said Thursday, the sixteenth, in the morning.",
    "The order was two boxes of the large ones and thirteen of the small ones.",
    "Could you tell me whether the train from Frankfurt to Brussels is on time?",
    "It costs nineteen euros and ninety five cents, and it should arrive by Friday.",
)


@lru_cache
def speech(seconds: float, rate: int) -> bytes:
    """So many seconds of sentences, 16 bit, mono, as often repeated as it takes."""
    with tempfile.TemporaryDirectory() as folder:
        spoken, resampled = Path(folder, "spoken.wav"), Path(folder, "resampled.wav")
        subprocess.run(["espeak-ng", "-w", spoken, " ".join(SENTENCES)], check=True, capture_output=True)
        subprocess.run(["sox", "-D", spoken, "-r", str(rate), "-c", "1", "-b", "16", resampled], check=True)
        with wave.open(str(resampled)) as audio:
            pcm = audio.readframes(audio.getnframes())
    size = 2 * round(seconds * rate)
    return bytes((pcm * (size // len(pcm) + 1))[:size])


def steady_speech(seconds: float, rate: int = 24_000) -> bytes:
    """Speech over a steady tone: where it begins or is cut off can be told to the millisecond, between words too."""
    voice, tone = array("h", speech(seconds, rate)), array("h", tone_pcm(seconds, rate=rate))
    return array("h", (one // 2 + other // 4 for one, other in zip(voice, tone, strict=True))).tobytes()


def sound_file(path: Path, pcm: bytes, rate: int) -> Path:
    """Such sound as a WAVE file."""
    with wave.open(str(path), "wb") as audio:
        audio.setparams((1, 2, rate, 0, "NONE", ""))
        audio.writeframes(pcm)
    return path
