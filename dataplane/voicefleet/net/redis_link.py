"""One process's link to Redis, of which the failure is a state and a metric, never an exception in a caller.

A command is asked with a deadline; the answer is its result or `Unavailable` with a fault from a closed list. While
Redis is known to be away, asking costs nothing and waits for nothing. `run` watches: it pings, connects anew with
growing pauses (reading the URL again each time, so that a changed password or a failed-over master is found), and logs
each change of state once.
"""

import asyncio
import logging
import random
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar

from prometheus_client import Counter, Histogram
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from voicefleet.contract import Metric as Name
from voicefleet.net.redis_address import RedisAddressError, connect
from voicefleet.net.redis_library import exceptions
from voicefleet.net.redis_target import RedisTarget
from voicefleet.observability.logs import redactor

if TYPE_CHECKING:
    from voicefleet.net.redis_library import PubSub, Redis

DEADLINE: Final = 0.5
"""Seconds for a command; Redis in the same cluster answers in one or two milliseconds."""
PATIENCE: Final = 3
"""Deadlines missed in a row after which Redis counts as away."""
CONNECTIONS: Final = 8
"""Commands on their way at once; the others wait within their deadlines."""
PING_EVERY: Final = 2.0
PAUSES: Final = (0.1, 2.0)
"""First and longest pause between two attempts to connect, doubled each time, cut to a random part."""

_log = logging.getLogger(__name__)
_Result = TypeVar("_Result")


class Fault(StrEnum):
    """Why Redis has no answer; the value of the metric label `result`."""

    OFF = "off"
    """No Redis is configured."""
    GONE = "gone"
    """It cannot be connected to, or the connection broke."""
    SLOW = "slow"
    """The deadline passed."""
    FULL = "full"
    """It takes no more data; reading goes on."""
    LOADING = "loading"
    READ_ONLY = "read_only"
    """A replica, as after a fail-over."""
    REFUSED = "refused"
    """A wrong password."""
    FORBIDDEN = "forbidden"
    """A command that the user may not use."""
    BROKEN = "broken"
    """An answer that makes no sense, such as a key of another type."""


_AWAY: Final = frozenset({Fault.GONE, Fault.LOADING, Fault.READ_ONLY, Fault.REFUSED})
"""Faults of the link as a whole."""
_ANSWERED: Final = frozenset({Fault.FULL, Fault.BROKEN, Fault.FORBIDDEN})
"""Faults of one command."""


@dataclass(frozen=True, slots=True)
class Unavailable:
    """Instead of a result. `why` is for a log line."""

    fault: Fault
    why: str = ""


Answer: TypeAlias = _Result | Unavailable


class RedisLink(Collector):
    """The link, and the collector of its metrics. `target` None: there is no Redis, which is a state like others."""

    def __init__(
        self, target: RedisTarget | None, *, deadline: float = DEADLINE, chance: Callable[[], float] = random.random
    ) -> None:
        self.epoch = 0
        """Counts how often Redis came (back)."""
        self.state: Fault | None = Fault.OFF if target is None else Fault.GONE
        """None while it answers."""
        self._target = target
        self._deadline = deadline
        self._chance = chance
        self._client: Redis | None = None
        self._slots = asyncio.Semaphore(CONNECTIONS)
        self._missed = 0
        self._up = asyncio.Event()
        self._down = asyncio.Event()
        labels = ["operation", "result"]
        self._calls = Counter(Name.REDIS_CALLS, "Commands to Redis by outcome.", labels, registry=None)
        self._seconds = Histogram(
            Name.REDIS_SECONDS,
            "Time until Redis answered.",
            ["operation"],
            buckets=(0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0),
            registry=None,
        )

    @property
    def up(self) -> bool:
        """Whether Redis answers."""
        return self.state is None

    async def wait_up(self, timeout: float | None = None) -> bool:
        """Wait until Redis answers, at most so long; whether it does."""
        try:
            async with asyncio.timeout(timeout):
                await self._up.wait()
        except TimeoutError:
            return False
        return True

    async def wait_down(self, timeout: float | None = None) -> bool:
        """Wait until Redis does not answer, at most so long; whether that is so."""
        try:
            async with asyncio.timeout(timeout):
                await self._down.wait()
        except TimeoutError:
            return False
        return True

    async def ask(
        self, operation: str, command: "Callable[[Redis], Awaitable[_Result]]", *, deadline: float | None = None
    ) -> "Answer[_Result]":
        """The command's result, or why there is none. `operation` names it in the metrics."""
        client = self._client
        if client is None or self.state is not None:
            self._calls.labels(operation, (self.state or Fault.GONE).value).inc()
            return Unavailable(self.state or Fault.GONE, "not connected")
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._deadline if deadline is None else deadline), self._slots:
                result = await command(client)
        except (exceptions.RedisError, OSError, UnicodeError) as error:  # TimeoutError is an OSError
            unavailable = Unavailable(fault_of(error), redactor.text(str(error)))
            self._calls.labels(operation, unavailable.fault.value).inc()
            self._judge(client, unavailable)
            return unavailable
        self._missed = 0
        self._calls.labels(operation, "ok").inc()
        self._seconds.labels(operation).observe(time.perf_counter() - started)
        return result

    async def run(self) -> None:
        """Keep the link until cancelled."""
        if self._target is None:
            await asyncio.Event().wait()
            return
        pause, longest = PAUSES
        try:
            while True:
                if await self._connect(self._target):
                    pause = PAUSES[0]
                    await self._watch()
                await asyncio.sleep(pause * (0.5 + 0.5 * self._chance()))
                pause = min(pause * 2, longest)
        finally:
            self._fail(Unavailable(Fault.GONE, "shut down"), quiet=True)
            await self._let_go()

    def collect(self) -> Iterator[Metric]:
        """State, outcomes and times; the registry calls it."""
        up = GaugeMetricFamily(Name.REDIS_UP, "1 for the state that the link to Redis is in.", labels=["state"])
        for state in (None, *Fault):
            up.add_metric([state.value if state else "ok"], float(state is self.state))
        yield up
        yield from self._calls.collect()
        yield from self._seconds.collect()

    def subscriber(self) -> "PubSub | None":
        """A pub/sub object on a connection of its own, None while Redis is away; its methods do raise."""
        return None if self._client is None or not self.up else self._client.pubsub()

    async def _connect(self, target: RedisTarget) -> bool:
        await self._let_go()
        try:
            async with asyncio.timeout(max(self._deadline, 1.0)):
                client = connect(target.read(), self._deadline)
                self._client = client
                await client.ping()
        except (exceptions.RedisError, RedisAddressError, OSError, ValueError) as error:
            self._fail(Unavailable(fault_of(error), redactor.text(str(error))))
            return False
        self.epoch += 1
        self._missed = 0
        self.state = None
        self._down.clear()
        self._up.set()
        _log.info("redis answers", extra={"epoch": self.epoch})
        return True

    async def _watch(self) -> None:
        """Until Redis is away."""
        while self.up:
            try:
                async with asyncio.timeout(PING_EVERY):
                    await self._down.wait()
            except TimeoutError:
                await self.ask("ping", lambda redis: redis.ping())

    def _judge(self, client: "Redis", unavailable: Unavailable) -> None:
        """Whether one failed command means that Redis is away."""
        if client is not self._client or not self.up:
            return  # of an earlier connection, or known already
        if unavailable.fault is Fault.SLOW:
            self._missed += 1
        elif unavailable.fault in _ANSWERED:
            self._missed = 0
        if self._missed >= PATIENCE or unavailable.fault in _AWAY:
            self._fail(unavailable)

    def _fail(self, unavailable: Unavailable, *, quiet: bool = False) -> None:
        if self.state is not unavailable.fault and not quiet:
            _log.warning("redis is away", extra={"fault": unavailable.fault.value, "why": unavailable.why})
        self.state = unavailable.fault
        self._missed = 0
        self._up.clear()
        self._down.set()

    async def _let_go(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            try:
                async with asyncio.timeout(self._deadline):
                    await client.aclose()
            except (exceptions.RedisError, OSError):
                pass  # it is gone anyway


def fault_of(error: Exception) -> Fault:
    """Which fault an exception of the library stands for."""
    text = str(error)
    if isinstance(error, exceptions.TimeoutError | TimeoutError):
        return Fault.SLOW
    if isinstance(error, exceptions.OutOfMemoryError) or "OOM command not allowed" in text:
        return Fault.FULL
    if isinstance(error, exceptions.ReadOnlyError) or "READONLY" in text:
        return Fault.READ_ONLY
    if isinstance(error, exceptions.BusyLoadingError):
        return Fault.LOADING
    if isinstance(error, exceptions.NoPermissionError | exceptions.AuthorizationError) or text.startswith("NOPERM"):
        return Fault.FORBIDDEN
    if isinstance(error, exceptions.AuthenticationError) or text.startswith(("WRONGPASS", "NOAUTH")):
        return Fault.REFUSED
    if isinstance(error, exceptions.ConnectionError | OSError):
        return Fault.GONE
    return Fault.BROKEN
