"""What a kubelet and an SRE ask a service: is it alive, is it ready, and if not, why.

Alive means that its loops turn: each stamps its heart-beat, and one that has not for too long makes the answer 500.
Nothing outside of the process takes part in that, so a dead Redis never restarts a relay. Ready means that every named
condition holds; the answer lists those that do not, each with its reason.
"""

import asyncio
import socket
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voicefleet.contract import HealthPath
from voicefleet.contract import Metric as Name
from voicefleet.observability.metrics import exposition

NOT_YET: Final = "not yet"


class Condition:
    """One thing that must hold for a service to be ready; it does not until somebody says so."""

    __slots__ = ("name", "reason")

    def __init__(self, name: str) -> None:
        self.name = name
        self.reason: str | None = NOT_YET
        """Why it does not hold; None while it does."""

    def holds(self) -> None:
        """It holds from now on."""
        self.reason = None

    def fails(self, reason: str) -> None:
        """It does not hold from now on, for this reason."""
        self.reason = reason


class Heart:
    """One loop's sign of life. `last` reads the monotonic time of the last beat; shared memory can stand behind it."""

    __slots__ = ("_beaten", "_clock", "last", "name", "stale_after")

    def __init__(
        self, name: str, stale_after: float, clock: Callable[[], float], last: Callable[[], float] | None = None
    ) -> None:
        self.name = name
        self.stale_after = stale_after
        self._clock = clock
        self._beaten = clock()
        self.last = last if last is not None else lambda: self._beaten

    def beat(self) -> None:
        """The loop has come round."""
        self._beaten = self._clock()

    async def beat_while_running(self) -> None:
        """Beat from inside an event loop until cancelled: what proves that the event loop itself turns."""
        while True:
            self.beat()
            await asyncio.sleep(self.stale_after / 5)

    def age(self) -> float:
        """Seconds since the last beat."""
        return self._clock() - self.last()


class Health(Collector):
    """All conditions and hearts of one process; register it as a collector to see them as metrics."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._conditions: dict[str, Condition] = {}
        self._hearts: dict[str, Heart] = {}

    def condition(self, name: str) -> Condition:
        """A new condition of readiness, not yet fulfilled."""
        if name in self._conditions:
            raise ValueError(f"there is a condition {name} already")
        return self._conditions.setdefault(name, Condition(name))

    def heart(self, name: str, stale_after: float, last: Callable[[], float] | None = None) -> Heart:
        """A new heart, beating as of now; `last` gives a worker's own stamp on the monotonic clock."""
        if name in self._hearts:
            raise ValueError(f"there is a heart {name} already")
        return self._hearts.setdefault(name, Heart(name, stale_after, self._clock, last))

    def not_ready(self) -> dict[str, str]:
        """The conditions that do not hold, with their reasons; empty means ready."""
        return {each.name: each.reason for each in self._conditions.values() if each.reason is not None}

    def not_alive(self) -> dict[str, str]:
        """The loops that stand still, with for how long; empty means alive."""
        ages = {heart: heart.age() for heart in self._hearts.values()}
        return {
            heart.name: f"last seen {age:.1f} s ago, at most {heart.stale_after:g} s are allowed"
            for heart, age in ages.items()
            if age > heart.stale_after
        }

    def collect(self) -> Iterator[Metric]:
        """Conditions and ages as gauges; the registry calls it."""
        conditions = GaugeMetricFamily(Name.CONDITION, "1 while a condition of readiness holds.", labels=["condition"])
        for condition in self._conditions.values():
            conditions.add_metric([condition.name], float(condition.reason is None))
        ages = GaugeMetricFamily(Name.HEARTBEAT_AGE, "Seconds since a loop last came round.", labels=["loop"])
        for heart in self._hearts.values():
            ages.add_metric([heart.name], heart.age())
        yield from (conditions, ages)


def application(health: Health, metrics: CollectorRegistry) -> web.Application:
    """`/livez`, `/readyz` and `/metrics`, to be served on the health port."""

    async def live(_request: web.Request) -> web.Response:
        wrong = health.not_alive()
        return web.json_response({"alive": not wrong, "stale": wrong}, status=500 if wrong else 200)

    async def ready(_request: web.Request) -> web.Response:
        wrong = health.not_ready()
        return web.json_response({"ready": not wrong, "waiting": wrong}, status=503 if wrong else 200)

    async def measured(request: web.Request) -> web.Response:
        body, content_type = exposition(metrics, request.headers.get("Accept", ""))
        response = web.Response(body=body, headers={"Content-Type": content_type})
        response.enable_compression()
        return response

    app = web.Application()
    app.router.add_get(HealthPath.LIVE, live)
    app.router.add_get(HealthPath.READY, ready)
    app.router.add_get(HealthPath.METRICS, measured)
    return app


def listener(host: str, port: int) -> socket.socket:
    """A socket for `served`, for whoever wants to hand it on."""
    return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)


@asynccontextmanager
async def served(app: web.Application, host: str, port: int, bound: socket.socket | None = None) -> AsyncIterator[int]:
    """Answers on this address while the context lasts, or on a listening socket, which stays open afterwards; gives
    the port, for a 0 that let the system choose."""
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    try:
        if bound is not None:
            await web.SockSite(runner, bound.dup()).start()
        else:
            await web.TCPSite(runner, host, port, reuse_port=False).start()
        address: tuple[str, int] = runner.addresses[0]
        yield address[1]
    finally:
        await runner.cleanup()
