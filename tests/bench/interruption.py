"""How fast the agent falls silent when its caller speaks, and how well the model knows what was heard until then.

A real Chromium with `@openai/agents` talks through signaling, a relay and a transceiver to a model that hears its
caller after 40 ms of speech, and speaks over it again and again. The bars are absolute, and the client's clock is the
page's own audio clock; so it is to be run on a machine that does nothing else. What the machine took is told beside
them: how long threads waited for a processor, and what the browser's jitter buffer made of the sound.
"""

import asyncio
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

from tests.bench.report import Bar, Report, Row
from tests.support.agents_page import Interruption, agents_call, interruptions
from tests.support.realtime_model import Speech, Stall, model_server
from tests.support.spoken_audio import steady_speech

TITLE = "Interruption: from the caller's onset to silence, and what the model is told of what was heard"
TIMES: Final = 20
FEW: Final = 5
SILENT: Final = 120.0
"""Milliseconds, from the caller's onset at the transceiver."""
ASIDE: Final = 40.0
"""Milliseconds between `audio_end_ms` and what the client's clock says was played."""


async def measure(times: int) -> Sequence[Interruption]:
    """One call, interrupted so often."""
    replies = [Speech(steady_speech(20.0), late=3)] * times
    with tempfile.TemporaryDirectory() as folder:
        async with model_server(*replies, Stall()) as model, agents_call(Path(folder), model) as call:
            return await interruptions(call, times)


def run(quick: bool) -> Report:
    """A quick run interrupts less often."""
    found = asyncio.run(measure(FEW if quick else TIMES))
    figures = {
        "onset to silence": [each.silent for each in found],
        "of it without a processor": [each.starved for each in found],
        "audio_end_ms beside the page's clock": [abs(each.told - each.clock) for each in found],
        "audio_end_ms beside the words heard": [abs(each.told - each.words) for each in found],
    }
    rows = [
        Row(name, metric, of(values), "ms")
        for name, values in figures.items()
        for metric, of in (("median", median), ("most", max))
    ]
    bars = [
        Bar.at_most("most from onset to silence, ms", max(figures["onset to silence"]), SILENT),
        Bar.at_most("most beside the page's clock, ms", max(figures["audio_end_ms beside the page's clock"]), ASIDE),
    ]
    return Report("interruption", rows, bars)
