"""Twenty calls that go on while something fails: what each of them hears is held against the promise.

The longest time that any call was without audio is measured by the frames that a caller said itself and that came back.
"""

import os
import time
from collections import Counter
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Final

from tests.support.failure_table import FailureTable, Row
from tests.support.kubernetes.voice import Call, Callers, Voice, slowness

CALLS: Final = 20
LOST: Final = 0.001
"""Share of frames that may be missing where nothing may be heard: whatever fails on a call's way loses what is under
way, so this is the measure of "nothing"."""
LATE: Final = 0.5
"""Seconds that they may be late, on a node with two cores where pods start next to those with calls. Stretched by the
load of the machine."""
SETTLE_SECONDS: Final = 3.0
"""How long calls are listened to before a failure and after it: longer than a browser's check and its answer take."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What a caller may hear of a failure, as docs/architecture.md has it."""

    text: str
    gap: float


NOTHING: Final = Promise("nothing", LATE)
SECOND_RELAY: Final = Promise("audio back within 5 s, same call", 5.0)


class Talk:
    """Twenty calls that go on from test to test, until they cannot."""

    def __init__(self, voice: Voice, table: FailureTable) -> None:
        self.voice, self.table = voice, table
        self._stack = ExitStack()
        self._callers: Callers | None = None

    def callers(self) -> Callers:
        """The calls, made anew if there are none."""
        if self._callers is None:
            self._callers = self._stack.enter_context(self.voice.callers(CALLS))
        return self._callers

    def hang_up(self) -> None:
        """End them all."""
        self._callers = None
        self._stack.close()

    def carrier(self) -> str:
        """The pool whose relay most calls go through now."""
        (port, calls), *_ = Counter(each.port for each in self.callers().report()).most_common(1)
        assert calls >= CALLS / 2
        return next(
            str(each["metadata"]["name"]) for each in self.voice.get("rp")["items"] if each["status"]["port"] == port
        )

    def hears(self, what: str, promise: Promise, fail: Callable[[], object]) -> tuple[Call, ...]:
        """Have something fail, and hold what was heard of it against what may be."""
        callers = self.callers()
        callers.report()
        time.sleep(SETTLE_SECONDS)  # what is compared with: the same calls while nothing fails
        calm = callers.report()
        before = max(each.gap for each in calm)
        began = time.monotonic()
        fail()
        took = time.monotonic() - began
        time.sleep(SETTLE_SECONDS)
        calls = callers.report()
        ended = [each for each in calls if each.ended]
        gap = max(each.gap for each in calls)
        lost, said = sum(each.lost for each in calls), sum(each.said for each in calls)
        self.table.add(Row(what, promise.text, before, gap, len(ended), lost, said, took, os.getloadavg()[0]))
        if ended:
            self.hang_up()
        assert not ended, f"{len(ended)} of {CALLS} calls ended: {ended[0]}"
        allowed = max(promise.gap * slowness(), 3 * before)
        assert gap <= allowed, f"{gap:.2f} s without audio, {before:.2f} s before: {max(calls, key=_gap)}"
        if promise is NOTHING:
            assert lost <= LOST * said, f"{lost} of {said} frames are lost"
        return calls


def _gap(call: Call) -> float:
    return call.gap
