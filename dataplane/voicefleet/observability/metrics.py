"""A service's metrics: one registry, and its text as Prometheus scrapes it.

A registry belongs to a process and is handed around; nothing registers itself globally, so two services can run in one
test. Parts that count for themselves (files, Redis, logs, shared counters) are collectors that a service registers.
"""

import platform
from importlib.metadata import PackageNotFoundError, version

from prometheus_client import CollectorRegistry, Info
from prometheus_client.exposition import choose_encoder
from prometheus_client.gc_collector import GCCollector
from prometheus_client.process_collector import ProcessCollector

from voicefleet.contract import LogField
from voicefleet.contract import Metric as Name
from voicefleet.observability.logs import LogMetrics
from voicefleet.wire import rtp


def registry(service: str) -> CollectorRegistry:
    """A service's registry, with what every process shows: version, CPU, memory, descriptors, log lines."""
    made = CollectorRegistry()
    ProcessCollector(registry=made)
    GCCollector(registry=made)
    made.register(LogMetrics())
    build = Info(Name.BUILD, "What runs here.", registry=made)
    build.info(
        {
            LogField.SERVICE: service,
            "version": _version(),
            "python": platform.python_version(),
            "packet_path": "interpreted" if (rtp.__file__ or "").endswith(".py") else "compiled",
        }
    )
    return made


def exposition(metrics: CollectorRegistry, accept: str) -> tuple[bytes, str]:
    """The metrics in the format that a scraper's Accept header asks for, and its content type."""
    encode, content_type = choose_encoder(accept)
    return encode(metrics), content_type


def _version() -> str:
    try:
        return version("voicefleet")
    except PackageNotFoundError:
        return "unknown"
