"""Which of several operators acts: who holds a Lease, renews it in time, and gives it back when it ends.

The clock of another machine is never trusted: a holder counts as gone when its record has not changed for the lease's
duration by our own clock. Every write carries the version that was read, so of two that take a lease one is refused.
Who cannot renew stops to act before anybody else may begin.
"""

import asyncio
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from voicefleet_operator.kube.cluster import Cluster, Document
from voicefleet_operator.kube.endpoints import LEASE
from voicefleet_operator.kube.errors import Conflict, KubernetesError, NotFound

DURATION: Final = 10.0
"""Seconds without a sign of life after which another one takes over."""
GIVE_UP: Final = 7.0
"""Seconds without a renewal after which the holder stops to act; less than the duration, by more than a request."""
RENEW: Final = 2.0
"""Seconds between two renewals: one write each, and no read."""
RETRY: Final = 1.0
"""Seconds between two looks at somebody else's lease."""

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class _Seen:
    """Another one's record, and since when by our clock it has been like that."""

    record: tuple[Any, Any, Any]
    since: float


class Leadership:
    """This operator's part in the election."""

    def __init__(
        self,
        cluster: Cluster,
        namespace: str,
        name: str,
        identity: str,
        *,
        lead: Callable[[], None],
        follow: Callable[[], None],
    ) -> None:
        self._cluster, self._namespace, self._name, self._identity = cluster, namespace, name, identity
        self._lead, self._follow = lead, follow
        self._seen: _Seen | None = None
        self._renewed = float("-inf")
        self._leads = False
        self._held: Document | None = None
        """The lease as the API server answered our last write."""

    @property
    def leads(self) -> bool:
        """Whether this one acts."""
        return self._leads

    async def run(self) -> None:
        """Take part until cancelled."""
        try:
            while True:
                await self._turn()
                await asyncio.sleep(RENEW if self._leads and self._held is not None else RETRY)
        finally:
            self._stop()

    async def give_back(self) -> None:
        """Stop to act, and let another one begin at once."""
        if not self._leads:
            return
        self._stop()
        try:
            lease = await self._cluster.get(LEASE, self._namespace, self._name)
            if lease["spec"].get("holderIdentity") == self._identity:
                lease["spec"] |= {"holderIdentity": "", "leaseDurationSeconds": 1}
                await self._cluster.replace({**lease, "apiVersion": LEASE.api_version, "kind": LEASE.kind})
        except KubernetesError as error:
            _log.warning("the lease could not be given back: %s", error)

    async def _turn(self) -> None:
        try:
            async with asyncio.timeout(GIVE_UP / 2):
                held = await self._take_or_renew()
        except (KubernetesError, TimeoutError) as error:
            _log.warning("the lease could not be renewed: %s", str(error) or "no answer in time")
            held = None
        now = time.monotonic()
        if held:
            self._renewed = now
            if not self._leads:
                self._leads = True
                _log.info("leads as %s", self._identity)
                self._lead()
        elif self._leads and (held is False or now - self._renewed > GIVE_UP):
            _log.warning("no longer leads: %s", "another one does" if held is False else "the lease was not renewed")
            self._stop()

    def _stop(self) -> None:
        if self._leads:
            self._leads = False
            self._follow()

    async def _take_or_renew(self) -> bool:
        """Whether the lease is ours now."""
        lease, self._held = self._held, None
        if lease is None:
            try:
                lease = await self._cluster.get(LEASE, self._namespace, self._name)
            except NotFound:
                return await self._make()
        spec = lease.get("spec") or {}
        if spec.get("holderIdentity") != self._identity and not self._is_over(spec):
            return False
        changed = {**lease, "apiVersion": LEASE.api_version, "kind": LEASE.kind, "spec": self._spec(spec)}
        try:
            self._held = await self._cluster.replace(changed)
        except Conflict:
            return False  # somebody has written it: it is read again before it counts as ours
        return True

    def _is_over(self, spec: Document) -> bool:
        if not spec.get("holderIdentity"):
            return True
        record = (spec.get("holderIdentity"), spec.get("renewTime"), spec.get("leaseTransitions"))
        now = time.monotonic()
        if self._seen is None or self._seen.record != record:
            self._seen = _Seen(record, now)
        return now - self._seen.since > DURATION

    async def _make(self) -> bool:
        metadata = {"name": self._name, "namespace": self._namespace}
        document = {"apiVersion": LEASE.api_version, "kind": LEASE.kind, "metadata": metadata, "spec": self._spec({})}
        try:
            await self._cluster.create(document)
        except Conflict:
            return False
        return True

    def _spec(self, before: Document) -> Document:
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        ours = before.get("holderIdentity") == self._identity
        return {
            "holderIdentity": self._identity,
            "leaseDurationSeconds": int(DURATION),
            "acquireTime": before.get("acquireTime", now) if ours else now,
            "renewTime": now,
            "leaseTransitions": before.get("leaseTransitions", 0) + (0 if ours else 1),
        }
