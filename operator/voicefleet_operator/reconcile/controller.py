"""The operator without its watches: takes what they saw, decides what to look at, and looks.

It looks only while it leads. An operator that does not lead sees everything too, so that it can take over at once.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from random import Random
from typing import Any, Final

from voicefleet.contract import Label
from voicefleet_operator.api.conditions import ConditionType, condition
from voicefleet_operator.api.kinds import KINDS
from voicefleet_operator.kube.cluster import Cluster
from voicefleet_operator.kube.endpoints import POD
from voicefleet_operator.kube.errors import Conflict, Forbidden, KubernetesError, NotFound, Unavailable
from voicefleet_operator.model.manifest import MANAGED_BY, MANAGER
from voicefleet_operator.model.resources import Installation
from voicefleet_operator.reconcile.concerned import concerned
from voicefleet_operator.reconcile.context import Again, Context
from voicefleet_operator.reconcile.echoes import LATE, LOST, Echoes
from voicefleet_operator.reconcile.inventory import Inventory
from voicefleet_operator.reconcile.measured import Measured
from voicefleet_operator.reconcile.observed import Unreadable, known, resource
from voicefleet_operator.reconcile.probes import Probes
from voicefleet_operator.reconcile.relay_pool import reconcile_pool
from voicefleet_operator.reconcile.scaling_policy import reconcile_policy
from voicefleet_operator.reconcile.statuses import write_status
from voicefleet_operator.reconcile.store import Document, Key, Store, key_of
from voicefleet_operator.reconcile.transceiver_shard import reconcile_shard
from voicefleet_operator.reconcile.voice_fleet import reconcile_fleet
from voicefleet_operator.reconcile.watched import watched
from voicefleet_operator.reconcile.work_queue import WorkQueue

WORKERS: Final = 8
"""Objects that are looked at at the same time."""
RESYNC: Final = 600.0
"""Seconds after which everything is looked at, whatever was seen."""
RESYNC_LOOK: Final = 15.0
FORBIDDEN_AGAIN: Final = 30.0
STUCK: Final = 180.0
"""Seconds without the end of a look; each has a few requests, and these have deadlines."""
ANSWERS: Final = 30.0
"""Seconds since the last answer after which the API server counts as absent."""

_log = logging.getLogger(__name__)

_looking: Final[ContextVar[Key | None]] = ContextVar("looking", default=None)
"""What this task is looking at."""

Reconcile = Callable[[Context, Any], Awaitable[Again | None]]
_RECONCILE: Final[dict[str, Reconcile]] = {
    "VoiceFleet": reconcile_fleet,
    "RelayPool": reconcile_pool,
    "TransceiverShard": reconcile_shard,
    "ScalingPolicy": reconcile_policy,
}


class Controller:
    """Everything between the watches and the API server."""

    def __init__(
        self,
        cluster: Cluster,
        here: Installation,
        measured: Measured,
        *,
        clock: Callable[[], float] = time.time,
        namespaces: tuple[str, ...] = (),
    ) -> None:
        self.queue = WorkQueue(time.monotonic)
        self.context = Context(
            cluster=cluster,
            store=Store(),
            here=here,
            clock=clock,
            random=Random(),
            secret=secrets.token_bytes,
            wake=self.queue.add,
            saw=self._answered,
            measured=measured,
            probes=Probes(self.queue.add),
            namespaces=namespaces,
        )
        self._measured = measured
        self._leads = False
        self._echoes = Echoes(time.monotonic)
        self._relisted = time.monotonic()
        self.queue.waited = measured.waits.observe
        cluster.asked = lambda method, status: measured.requests.labels(method, status).inc()
        measured.registry.register(Inventory(self.context.store, self.queue, lambda: self._leads))

    @property
    def leads(self) -> bool:
        """Whether this is the one that acts."""
        return self._leads

    def lead(self) -> None:
        """Act from now on: look at everything that was seen."""
        self._leads = True
        self._measured.leads.set(1)
        self.look_at_all()

    def follow(self) -> None:
        """Another one acts."""
        self._leads = False
        self._measured.leads.set(0)
        self.queue.clear()

    def look_at_all(self) -> None:
        """Have every object looked at."""
        for kind in _RECONCILE:
            for document in self.context.store.all(kind):
                self._add(key_of(document))

    def seen(self, document: Document, *, gone: bool = False) -> None:
        """A watch saw an object, or that it is gone."""
        self._echoes.heard(document, gone)
        self._take(document, gone)

    def obstacles_to_life(self) -> list[str]:
        """Why only a new process would help, if so."""
        found = []
        if (seconds := self.queue.stuck()) > STUCK:
            found.append(f"no look has ended for {seconds:.0f} s, and some are due")
        lost = self._echoes.missing(LOST)
        if lost and time.monotonic() - self.context.cluster.answered_at < ANSWERS:
            found.append(f"the watch of {lost[0][0]} does not tell what was written minutes ago")
        return found

    def _answered(self, document: Document) -> None:
        """The API server answered with an object: known before any watch tells of it."""
        known = self.context.store.get(*key_of(document))
        fresh = known is None or known["metadata"].get("resourceVersion") != document["metadata"]["resourceVersion"]
        if fresh and _is_watched(document):
            self._echoes.wrote(document)
        # Who wrote it goes on with the answer in hand, and need not look again because of it.
        self._take(document, False, written_by=_looking.get() if document["kind"] != POD.kind else None)

    def _take(self, document: Document, gone: bool, written_by: Key | None = None) -> None:
        store = self.context.store
        key = key_of(document)
        before = store.get(*key)
        if gone:
            known = store.drop(key)
            if known is None:
                return
            document = known
            self.queue.forget(key)
            self.context.probes.forget(key)
        elif not store.put(document):
            return
        current = store.get(*key) or document
        for each in concerned(store, current, None if gone else before, gone):
            if each != written_by:
                self._add(each)

    async def run(self) -> None:
        """Look at what is due, until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for _ in range(WORKERS):
                    tasks.create_task(self._work())
                tasks.create_task(self._resync())
        finally:
            await self.context.close()

    async def relist(self) -> None:
        """Find out what came or went while no watch was looking."""
        self._relisted = time.monotonic()
        for endpoint, selector in watched(self.context.here):
            before = {key_of(each) for each in self.context.store.all(endpoint.kind)}
            there: set[Key] = set()
            for namespace in self.context.namespaces or (None,):
                for item in await self.context.cluster.list(endpoint, namespace, selector):
                    document = {**item, "apiVersion": endpoint.api_version, "kind": endpoint.kind}
                    there.add(key_of(document))
                    self._take(document, False)
            for key in sorted(before - there):  # what came since then is in no answer, and there all the same
                if (left := self.context.store.get(*key)) is not None:
                    self.seen(left, gone=True)

    def _add(self, key: Key) -> None:
        if self._leads and self.context.store.get(*key) is not None:
            self.queue.add(key)

    async def _work(self) -> None:
        while True:
            key = await self.queue.get()
            try:
                await self._look(key)
            finally:
                self.queue.done(key)

    async def _look(self, key: Key) -> None:
        document = self.context.store.get(*key)
        if document is None or not self._leads:
            return
        _looking.set(key)
        with self._measured.reconciles.labels(key[0]).time():
            await self._try(key, document)

    async def _try(self, key: Key, document: Document) -> None:
        try:
            try:
                value = known(self.context.store, key)
            except Unreadable as error:
                await self._unreadable(document, str(error))
                return
            again = await _RECONCILE[key[0]](self.context, value)
        except (Conflict, NotFound) as error:
            # Somebody was faster, or the store lags: the newest state is on its way, and a look at it decides anew.
            _log.debug("%s %s/%s: %s", *key, error)
            self._failed(key, error)
        except Unavailable as error:
            _log.warning("%s %s/%s: %s", *key, error)
            self._failed(key, error, error.retry_after or 0.0)
        except Forbidden as error:
            _log.error("%s %s/%s: the operator's role does not allow it: %s", *key, error)
            self._failed(key, error, FORBIDDEN_AGAIN)
        except KubernetesError as error:
            _log.error("%s %s/%s: %s", *key, error)
            self._failed(key, error)
        except Exception as error:
            # One object that we cannot handle must not stop the others.
            _log.exception("%s %s/%s: failed", *key)
            self._failed(key, error)
        else:
            self.queue.succeeded(key)
            if again is not None:
                self.queue.add(key, max(again.after, 0.01))

    def _failed(self, key: Key, error: Exception, at_least: float = 0.0) -> None:
        self._measured.errors.labels(key[0], type(error).__name__).inc()
        self.queue.failed(key, at_least)

    async def _unreadable(self, document: Document, message: str) -> None:
        """Say in the status what cannot be read; what runs goes on running."""
        value = resource({**document, "spec": _least_spec(document)})
        found = condition(ConditionType.READY, False, "InvalidSpec", f"{message}; what ran before goes on")
        await write_status(self.context, value, [found])

    async def _resync(self) -> None:
        while True:
            await asyncio.sleep(RESYNC_LOOK)
            age = time.monotonic() - self._relisted
            late = self._echoes.missing(LATE)
            if not self._leads or not (age > RESYNC or (late and age > LATE)):
                continue
            if late:
                _log.warning("no watch tells of %s %s/%s, which was written; all is read anew", *late[0])
            try:
                await self.relist()
            except KubernetesError as error:
                _log.warning("relist: %s", error)
            self.look_at_all()


def _least_spec(document: Document) -> Document:
    """A spec that can be read whatever stands there; only the status is written by it."""
    return {"fleetRef": "unreadable", "targetRef": {"name": "unreadable"}}


def _is_watched(document: Document) -> bool:
    labels = document["metadata"].get("labels") or {}
    return document["kind"] in KINDS or labels.get(MANAGED_BY) == MANAGER or Label.FLEET in labels
