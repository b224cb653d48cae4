"""Structured logs: JSON in a pod, readable on a terminal; each line says which service, and which session it concerns.

structlog and the standard library's loggers (aiohttp, kopf, redis) end in one handler, so every line looks alike and
goes through the redaction, tracebacks included. `for_session` gives a logger of which every line names the session.
A line that cannot be written is counted and dropped: a log never raises into a call.
"""

import logging
import os
import sys
import threading
from collections import Counter
from collections.abc import Iterator, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Final, Literal, TextIO

import structlog
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from structlog.stdlib import BoundLogger, ProcessorFormatter
from structlog.typing import Processor

from voicefleet.contract import LogField
from voicefleet.contract import Metric as Name
from voicefleet.observability.redaction import Redactor

Format = Literal["auto", "json", "text"]
Level = Literal["debug", "info", "warning", "error"]

redactor: Final = Redactor()
"""What hides secrets in this process's lines; tell it what a service has read: `redactor.learn(password)`."""

_NOISY: Final = ("aioice", "asyncio", "aiohttp.access")
"""Libraries that write a line per packet, socket or request at a level where ours write one per event."""


def configure(service: str, *, format: Format = "auto", level: Level = "info", stream: TextIO | None = None) -> None:
    """Set up this process's logs, before anything else happens; a second call replaces the first."""
    stream = sys.stderr if stream is None else stream
    before: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        _named(service),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    _replace_handler(stream, before, _readable(format, stream))
    root = logging.getLogger()
    root.setLevel(level.upper())
    for name in _NOISY:
        logging.getLogger(name).setLevel(logging.DEBUG if level == "debug" else max(logging.WARNING, root.level))
    logging.captureWarnings(True)
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            structlog.stdlib.PositionalArgumentsFormatter(),
            *before,
            ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,
    )
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread


def logger(name: str) -> BoundLogger:
    """A logger for a module: `logger(__name__).info("relay started", pool=pool)`."""
    bound: BoundLogger = structlog.get_logger(name)
    return bound


def for_session(name: str, session: str) -> BoundLogger:
    """A logger of which every line names the session."""
    return logger(name).bind(**{LogField.SESSION: session})


class LogMetrics(Collector):
    """How many lines were written at each level, and how many could not be written (level `lost`)."""

    def collect(self) -> Iterator[Metric]:
        """One sample a level; the registry calls it."""
        lines = CounterMetricFamily(Name.LOG_LINES, "Log lines by level; lost: could not be written.", labels=["level"])
        for level in ("debug", "info", "warning", "error", "critical", "lost"):
            lines.add_metric([level], _lines[level])
        yield lines


_lines: Final[Counter[str]] = Counter()


class _Handler(logging.StreamHandler[TextIO]):
    """Counts what it writes, and only counts what it cannot write."""

    def emit(self, record: logging.LogRecord) -> None:
        _lines[record.levelname.lower()] += 1
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:
        _lines["lost"] += 1


def _replace_handler(stream: TextIO, before: list[Processor], readable: bool) -> None:
    renderer: Processor = structlog.processors.JSONRenderer()
    if readable:
        # The plain traceback: the pretty one prints local variables, which hold what must not be printed.
        renderer = structlog.dev.ConsoleRenderer(
            colors=stream.isatty(), exception_formatter=structlog.dev.plain_traceback, pad_event_to=0
        )
    handler = _Handler(stream)
    handler.setFormatter(
        ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *before],
            processors=[
                ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info,
                redactor,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    for old in [old for old in root.handlers if isinstance(old, _Handler)]:
        root.removeHandler(old)
    root.addHandler(handler)


def _readable(format: Format, stream: TextIO) -> bool:
    return format == "text" or (format == "auto" and stream.isatty() and "KUBERNETES_SERVICE_HOST" not in os.environ)


def _named(service: str) -> Processor:
    def add(_logger: Any, _method: str, line: MutableMapping[str, Any]) -> Mapping[str, Any]:
        line.setdefault(LogField.SERVICE, service)
        return line

    return add


def _uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if issubclass(kind, KeyboardInterrupt):
        return
    logging.getLogger("voicefleet").critical("ended by an error", exc_info=(kind, error, traceback))


def _uncaught_in_thread(hook: threading.ExceptHookArgs) -> None:
    if hook.exc_value is not None:
        _uncaught(hook.exc_type, hook.exc_value, hook.exc_traceback)
