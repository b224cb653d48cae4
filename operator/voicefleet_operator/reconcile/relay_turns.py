"""Whose turn it is to replace relays, of a fleet's pools."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from voicefleet_operator.model.manifest import Manifest, pool_selector, relay_name
from voicefleet_operator.model.relay_rollouts import Relays, is_held, waits_for
from voicefleet_operator.model.resources import Fleet, Pool
from voicefleet_operator.reconcile.applying import differs
from voicefleet_operator.reconcile.context import Context
from voicefleet_operator.reconcile.observed import pools_of
from voicefleet_operator.reconcile.store import key_of


@contextmanager
def turn(context: Context, fleet: Fleet, pool: Pool, manifests: Iterable[Manifest]) -> Iterator[str]:
    """The pool that this one has to wait for; nothing where there is nothing to replace or it may begin.

    Other pools are looked at meanwhile: what is being applied counts as begun.
    """
    workload = next((each for each in manifests if each["kind"] == pool.spec.workload), None)
    present = None if workload is None else context.store.get(*key_of(workload))
    if workload is None or present is None or not (is_held(present) or differs(workload, present)):
        yield ""
        return
    others = [_relays(context, each) for each in pools_of(context.store, fleet) if each.name != pool.name]
    begun = context.turns.get(fleet.key, "")
    found = waits_for(_relays(context, pool), others, context.clock()) or (begun if begun != pool.name else "")
    if found:
        yield found
        return
    context.turns[fleet.key] = pool.name
    try:
        yield ""
    finally:
        if context.turns.get(fleet.key) == pool.name:
            del context.turns[fleet.key]


def _relays(context: Context, pool: Pool) -> Relays:
    labels = pool_selector(pool)
    return Relays(
        pool.name,
        context.store.get(pool.spec.workload, pool.namespace, relay_name(pool.name)),
        [
            pod
            for pod in context.store.all("Pod", pool.namespace)
            if (pod["metadata"].get("labels") or {}).items() >= labels.items()
        ],
    )
