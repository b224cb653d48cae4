"""What every reconcile works with, and what it answers."""

from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

import aiohttp

from voicefleet_operator.kube.cluster import Cluster
from voicefleet_operator.model.ports import Refusal
from voicefleet_operator.model.resources import Installation
from voicefleet_operator.model.shard_rollouts import Trial
from voicefleet_operator.reconcile.measured import Measured
from voicefleet_operator.reconcile.probes import Probes
from voicefleet_operator.reconcile.relays import Sample
from voicefleet_operator.reconcile.store import Document, Key, Store

PAUSED = "voicefleet.dev/paused"
"""An annotation: while it is `true`, nothing of the object is changed."""


@dataclass(frozen=True, slots=True)
class Counted:
    """Calls of a target, and when they were counted."""

    at: float
    calls: int


@dataclass(slots=True)
class Context:
    """The cluster, what was seen of it, and the outside world's time and chance."""

    cluster: Cluster
    store: Store
    here: Installation
    clock: Callable[[], float]
    """Unix seconds."""
    random: Random
    secret: Callable[[int], bytes]
    """So many random octets that nobody can guess."""
    wake: Callable[[Key], None]
    """Have another object reconciled soon."""
    saw: Callable[[Document], None]
    """An object as the API server answered with it: known at once, and told to those whom it concerns."""
    measured: Measured
    probes: Probes
    """Checks of relays that are under way, and what came of them."""
    namespaces: tuple[str, ...] = ()
    """Those that the operator is responsible for; none means all."""
    counted: dict[Key, Counted] = field(default_factory=dict)
    """The last full count of the calls of a shard."""
    carried: dict[Key, tuple[Sample | None, Sample]] = field(default_factory=dict)
    """What the relays of a pool said last, and the time before."""
    trials: dict[Key, Trial] = field(default_factory=dict)
    """What was seen of a shard's new pods, while it rolls out."""
    refused_ports: dict[Key, Refusal] = field(default_factory=dict)
    """Pools that could get no port, found out when their fleet was reconciled."""
    stuck_ports: dict[int, float] = field(default_factory=dict)
    """Node ports that the API server refused though nothing visible has them, and until when they are left alone."""
    port_refused_since: dict[int, float] = field(default_factory=dict)
    """When the API server first refused a node port, of those that it still refuses."""
    turns: dict[tuple[str, str], str] = field(default_factory=dict)
    """The pool of a fleet whose relays are just being told to go, until the store knows it."""
    arrived: dict[Key, float] = field(default_factory=dict)
    """When a pool was seen first that waits for its port."""

    _http: aiohttp.ClientSession | None = None

    def http(self) -> aiohttp.ClientSession:
        """For questions to pods; connections stay open for as long as pods are asked often."""
        if self._http is None or self._http.closed:
            self._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return self._http

    async def close(self) -> None:
        """End these connections, and the checks."""
        self.probes.close()
        if self._http is not None:
            await self._http.close()


@dataclass(frozen=True, slots=True)
class Again:
    """When the object should be looked at again, though nothing may have happened to it."""

    after: float


def paused(annotations: dict[str, str]) -> bool:
    """Whether somebody wants to work on it by hand."""
    return annotations.get(PAUSED, "").lower() == "true"
