"""The client library of Redis, imported without what it would bring along; what needs Redis imports it from here.

It imports OpenTelemetry's metrics where that is installed, for metrics that nobody here asks it for: 75 ms for each
process.
"""

from voicefleet.lean_import import without

with without("opentelemetry"):
    from redis import exceptions as exceptions
    from redis.asyncio import Redis as Redis
    from redis.asyncio.client import PubSub as PubSub
    from redis.asyncio.retry import Retry as Retry
    from redis.asyncio.sentinel import Sentinel as Sentinel
    from redis.backoff import NoBackoff as NoBackoff
