"""Traces of calls' set-up: what a service says of it, whether somebody collects that or nobody.

Without an endpoint every span is `UNTRACED` and costs a method call; OpenTelemetry is imported only with one, by
`otlp`. Spans are for set-ups, a handful a call: nothing on a packet's path makes one. A trace is never awaited, and a
collector that is away costs no call anything.
"""

from typing import Final, Protocol

from voicefleet.observability import logs

TRACEPARENT: Final = "traceparent"
"""The header that carries a trace on (W3C Trace Context)."""


class Span(Protocol):
    """One thing that takes time, within a trace."""

    @property
    def traceparent(self) -> str:
        """What makes it a parent in another process; empty where nobody traces."""
        ...

    @property
    def trace_id(self) -> str:
        """Where to find its trace, in hexadecimal; empty where that is not collected."""
        ...

    def child(self, name: str, *, asks: bool = False, began: float | None = None) -> "Span":
        """Something within it, which `asks` another process or does not. `began` is Unix time."""
        ...

    def note(self, **attributes: str | int) -> None:
        """What is known of it, each as `voicefleet.NAME`; no keys, no addresses, nothing of what is said."""
        ...

    def end(self, failure: str = "", *, at: float | None = None) -> None:
        """It is over; why it failed, if it did. `at` is Unix time."""
        ...


class Traces(Protocol):
    """Where a process's spans go."""

    def begin(self, name: str, parent: str = "", *, began: float | None = None) -> Span:
        """The first span of this process for a request; its parent is a `traceparent` that came with it, if one did."""
        ...

    def close(self) -> None:
        """Send what is left, for a moment at most; blocks."""
        ...


class _Untraced:
    """A span of which nothing remains."""

    traceparent: Final = ""
    trace_id: Final = ""

    def child(self, _name: str, *, asks: bool = False, began: float | None = None) -> Span:
        """Itself."""
        return self

    def note(self, **_attributes: str | int) -> None:
        """Nothing."""

    def end(self, failure: str = "", *, at: float | None = None) -> None:
        """Nothing."""


class _NoTraces:
    def begin(self, _name: str, parent: str = "", *, began: float | None = None) -> Span:
        return UNTRACED

    def close(self) -> None:
        """Nothing is left."""


UNTRACED: Final[Span] = _Untraced()
NO_TRACES: Final[Traces] = _NoTraces()


def traces(endpoint: str | None, service: str, instance: str) -> Traces:
    """Where a service's spans go: to an OTLP endpoint (its base URL), or nowhere without one."""
    if endpoint is None:
        return NO_TRACES
    try:
        from voicefleet.observability.otlp import OtlpTraces
    except ImportError as missing:
        logs.logger(__name__).error(
            "no traces: OpenTelemetry is not installed; pip install 'voicefleet[traces]'", missing=missing.name
        )
        return NO_TRACES
    return OtlpTraces(endpoint, service, instance)


def exemplar(trace_id: str) -> dict[str, str] | None:
    """What an observation of a histogram carries so that a dashboard leads to its trace."""
    return {"trace_id": trace_id} if trace_id else None
