"""One request for a call from its first byte to its answer: stages timed, counted, and told in one audit line."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

from voicefleet.contract import LogField
from voicefleet.core.steering.policy import Client
from voicefleet.core.steering.relay_choice import RelayChoice
from voicefleet.observability import logs
from voicefleet.observability.traces import UNTRACED, Span
from voicefleet.services.signaling.callers import Caller
from voicefleet.services.signaling.metrics import SignalingMetrics
from voicefleet.services.signaling.placement import Placed
from voicefleet.services.signaling.problems import Problem

_audit = logs.logger("voicefleet.audit")


class CallAttempt:
    """What is known of the request so far; whatever is missing at the end was not reached."""

    def __init__(self, door: str, metrics: SignalingMetrics, span: Span = UNTRACED) -> None:
        self.door = door
        self.span = span
        self.caller: Caller | None = None
        self.client: Client | None = None
        self.choice: RelayChoice | None = None
        self.placed: Placed | None = None
        self.redirected: str | None = None
        self._metrics = metrics
        self._stages: dict[str, float] = {}
        self._started = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[Span]:
        """Time what is done inside, which may have parts."""
        started = time.perf_counter()
        span = self.span.child(name)
        failure = ""
        try:
            yield span
        except Problem as problem:
            failure = problem.code
            raise
        except BaseException as error:
            failure = type(error).__name__
            raise
        finally:
            seconds = time.perf_counter() - started
            self._stages[name] = self._stages.get(name, 0.0) + seconds
            self._metrics.stage(name, seconds, self.span.trace_id)
            span.end(failure)

    def server_timing(self) -> str:
        """The stages as the Server-Timing header tells them, in milliseconds."""
        total = time.perf_counter() - self._started
        stages = [*self._stages.items(), ("total", total)]
        return ", ".join(f"{name};dur={seconds * 1000:.1f}" for name, seconds in stages)

    def finish(self, result: str, reason: str = "") -> None:
        """Count it, write its audit line and end its span."""
        self._metrics.stage("total", time.perf_counter() - self._started, self.span.trace_id)
        self._metrics.call(self.door, result, reason)
        line: dict[str, Any] = {"door": self.door, "result": result}
        if reason:
            line["reason"] = reason
        if self.caller is not None:
            line |= {"key": self.caller.key_name, "ephemeral": self.caller.ephemeral}
        if self.client is not None:
            line |= {"network": self.client.network, "place_source": self.client.source}
        if self.choice is not None and self.client is not None:
            self._metrics.steered(self.choice, self.client.source)
            line |= {"relays": [relay.id for relay in self.choice.relays], "ground": self.choice.belief.ground}
            if self.choice.candidates:
                first = self.choice.candidates[0]
                self.span.note(pool=first.relay.pool)
                line |= {"pool": first.relay.pool, "expected_ms": round(first.ranked.milliseconds)}
                if first.ranked.distance_km is not None:
                    line["kilometres"] = round(first.ranked.distance_km)
        if self.placed is not None:
            self._metrics.asked(self.placed.asked)
            self.span.note(call=self.placed.call_id, transceiver=self.placed.transceiver, asked=self.placed.asked)
            line |= {
                LogField.SESSION: self.placed.call_id,
                "transceiver": self.placed.transceiver,
                "asked": self.placed.asked,
            }
        if self.redirected is not None:
            line["redirected"] = self.redirected
        line["ms"] = {name: round(seconds * 1000, 1) for name, seconds in self._stages.items()}
        self.span.note(door=self.door, result=result)
        self.span.end(reason if result == "failed" else "")
        _audit.info("call", **line)


@asynccontextmanager
async def attempted(door: str, metrics: SignalingMetrics, span: Span = UNTRACED) -> AsyncIterator[CallAttempt]:
    """An attempt that is counted and told whichever way it ends."""
    attempt = CallAttempt(door, metrics, span)
    try:
        yield attempt
    except Problem as problem:
        attempt.finish("refused" if problem.status < 500 else "failed", problem.code)
        raise
    except asyncio.CancelledError:
        attempt.finish("abandoned")
        raise
    except Exception:
        attempt.finish("failed", "internal_error")
        raise
    attempt.finish("redirected" if attempt.redirected is not None else "answered")
