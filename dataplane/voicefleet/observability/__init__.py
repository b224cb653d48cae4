"""Logs, metrics and health as every service shows them."""

from voicefleet.lean_import import without

with without("rich"):  # for tracebacks that no log of ours has: 100 ms for each process
    import structlog as structlog
