"""The stages of a call's set-up as spans: made afterwards, out of the figures that its worker tells anyway.

A worker knows nothing of traces. Its moments are on the machine's monotonic clock, which all processes share.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from voicefleet.observability.traces import Traces

STAGES: Final = ("answer", "first_check", "dtls_done", "first_audio_in", "first_audio_out")
"""As the call's record has them, each as `setup_STAGE`."""
_FAILURES: Final = frozenset(("handshake", "silence", "failed"))
"""Of `record.EndCause`, whose module brings libraries that the pod's process does without."""


@dataclass(slots=True)
class _Taken:
    worker: int
    traceparent: str
    told: bool = False
    trace_id: str = ""


class CallTraces:
    """The traces of a pod's live calls."""

    def __init__(
        self,
        traces: Traces,
        shard: str,
        transceiver: str,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self._traces = traces
        self._shard = shard
        self._transceiver = transceiver
        self._clock = clock
        self._monotonic = monotonic
        self._calls: dict[str, _Taken] = {}

    def taken(self, call: str, worker: int, traceparent: str) -> None:
        """A worker took a call; signaling's span is the parent of what follows."""
        self._calls[call] = _Taken(worker, traceparent)

    def looked(self, call: str, figures: Mapping[str, float], began: float) -> None:
        """How a live call is: told once its set-up is complete."""
        taken = self._calls.get(call)
        if taken is not None and not taken.told and all(f"setup_{stage}" in figures for stage in STAGES):
            self._tell(call, taken, figures, began)

    def ended(self, call: str, figures: Mapping[str, float], began: float, cause: str = "") -> str:
        """A call is over, with a set-up that is complete or never will be; where its trace is, if it is collected."""
        taken = self._calls.pop(call, None)
        if taken is None:
            return ""
        if not taken.told and figures:
            # Media that never were secured failed; a WebSocket has none, and ends by other causes.
            failed = cause in _FAILURES and "setup_dtls_done" not in figures
            self._tell(call, taken, figures, began, cause if failed else "")
        return taken.trace_id

    def _tell(self, call: str, taken: _Taken, figures: Mapping[str, float], began: float, failure: str = "") -> None:
        # Both clocks now: a wall clock that was set since would move the whole set-up, never a stage in it.
        start = began + self._clock() - self._monotonic()
        moments = sorted((figures[f"setup_{stage}"], stage) for stage in STAGES if f"setup_{stage}" in figures)
        span = self._traces.begin("set-up", taken.traceparent, began=start)
        span.note(call=call, shard=self._shard, transceiver=self._transceiver, worker=taken.worker)
        before = 0.0
        for moment, stage in moments:
            part = span.child(stage, began=start + before)
            part.note(call=call)
            part.end(at=start + moment)
            before = moment
        span.end(failure, at=start + before)
        taken.told, taken.trace_id = True, span.trace_id
