"""Logs, metrics and health as every service shows them."""

import sys
from typing import cast


def _import_structlog_lean() -> None:
    """structlog imports rich where that is there, for tracebacks that no log of ours has: 100 ms for each process."""
    if "rich" in sys.modules:
        return
    modules = cast(dict[str, object], sys.modules)
    modules["rich"] = None  # so that importing it fails, until structlog has tried
    try:
        import structlog as structlog
    finally:
        del modules["rich"]


_import_structlog_lean()
