"""The client library of Redis, imported without what it would bring along.

It imports OpenTelemetry's metrics where that is installed, for metrics that nobody here asks it for: 75 ms for each
process. What needs Redis imports it from here.
"""

import sys
from importlib import import_module
from typing import cast


def _import_lean() -> None:
    if "opentelemetry" in sys.modules:
        return
    modules = cast(dict[str, object], sys.modules)
    modules["opentelemetry"] = None  # so that importing it fails, until redis has tried
    try:
        import_module("redis.asyncio")
    finally:
        del modules["opentelemetry"]


_import_lean()

from redis import exceptions as exceptions  # noqa: E402
from redis.asyncio import Redis as Redis  # noqa: E402
from redis.asyncio.client import PubSub as PubSub  # noqa: E402
from redis.asyncio.retry import Retry as Retry  # noqa: E402
from redis.asyncio.sentinel import Sentinel as Sentinel  # noqa: E402
from redis.backoff import NoBackoff as NoBackoff  # noqa: E402
