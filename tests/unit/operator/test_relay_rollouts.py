"""Whose relays may go, when something changed for all pools of a fleet."""

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.support.operator import FLEET, HERE, fleet, pool
from voicefleet_operator.model.manifest import Manifest
from voicefleet_operator.model.relay_manifests import Advertised, relay_manifests
from voicefleet_operator.model.relay_rollouts import OVERDUE, STARTS_WITHIN, Relays, held, is_held, waits_for
from voicefleet_operator.model.resources import Fleet, Pool
from voicefleet_operator.reconcile.applying import marked
from voicefleet_operator.reconcile.context import Context
from voicefleet_operator.reconcile.relay_turns import turn
from voicefleet_operator.reconcile.store import Store

NOW = datetime(2026, 5, 1, 12, tzinfo=UTC).timestamp()
SERVES = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 1, "reason": "NewReplicaSetAvailable"}
REPLACED = {"replicas": 1, "updatedReplicas": 1, "readyReplicas": 0, "reason": "ReplicaSetUpdated"}


def _workload(state: dict[str, Any], revision: str = "2", seen: int = 2, wanted: int = 1) -> dict[str, Any]:
    told = {"type": "Progressing", "status": "True", "reason": state["reason"]}
    return {
        "kind": "Deployment",
        "metadata": {"generation": 2, "annotations": {"deployment.kubernetes.io/revision": revision}},
        "spec": {"replicas": wanted},
        "status": {**state, "observedGeneration": seen, "conditions": [told]},
    }


def _at(ago: float) -> str:
    return datetime.fromtimestamp(NOW - ago, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _going(since: float) -> dict[str, Any]:
    return {"metadata": {"name": "b", "deletionTimestamp": _at(since)}, "status": {}}


def _coming(since: float) -> dict[str, Any]:
    unready = {"type": "Ready", "status": "False"}
    return {"metadata": {"name": "b", "creationTimestamp": _at(since)}, "status": {"conditions": [unready]}}


ONE_LACKS = {**SERVES, "replicas": 2, "updatedReplicas": 2, "readyReplicas": 1}
OWN = Relays("a", _workload(SERVES), ())
QUIET = Relays("b", _workload(SERVES), ())


@pytest.mark.parametrize(
    ("other", "waits"),
    [
        (QUIET, False),
        (Relays("b", _workload(REPLACED), ()), True),
        (Relays("b", _workload(SERVES, seen=1), ()), True),
        (Relays("b", _workload(SERVES), (_going(-20.0),)), True),
        (Relays("b", held(_workload(REPLACED)), ()), False),
        (Relays("b", _workload(REPLACED, revision="1"), ()), False),
        (Relays("b", None, ()), False),
        (Relays("b", _workload({**SERVES, "readyReplicas": 0}), ()), True),
        (Relays("b", _workload(ONE_LACKS, wanted=2), (_coming(20.0),)), True),
        (Relays("b", _workload(ONE_LACKS, wanted=2), (_coming(STARTS_WITHIN + 1.0),)), False),
    ],
    ids=[
        *("serves", "is replaced", "is told to be", "drains", "waits itself", "starts for the first time", "is new"),
        *("has a template back and no relay", "has one back and not all relays", "has lacked one for long"),
    ],
)
def test_relays_stay_while_those_of_another_pool_go(other: Relays, waits: bool) -> None:
    assert waits_for(OWN, (QUIET, other), NOW) == ("b" if waits else "")


def test_a_rollout_that_has_begun_goes_on_whatever_others_do() -> None:
    """Else two that began at once would wait for each other; and a bad template could not be taken back."""
    begun = Relays("a", _workload({**REPLACED, "readyReplicas": 1}), ())
    assert waits_for(begun, (Relays("b", _workload(REPLACED), ()),), NOW) == ""


def test_who_serves_nobody_waits_for_nobody() -> None:
    assert waits_for(Relays("a", _workload(REPLACED, "1"), ()), (Relays("b", _workload(REPLACED), ()),), NOW) == ""


def test_a_pod_that_stays_with_its_lost_node_holds_nobody_up() -> None:
    assert waits_for(OWN, (Relays("b", _workload(SERVES), (_going(OVERDUE + 1.0),)),), NOW) == ""


def test_who_waits_has_its_template_and_holds_still() -> None:
    deployment = {"kind": "Deployment", "spec": {"template": {"new": True}, "replicas": 3}}
    daemons = {"kind": "DaemonSet", "spec": {"updateStrategy": {"type": "RollingUpdate"}}}
    assert held(deployment)["spec"] == {"template": {"new": True}, "replicas": 3, "paused": True}
    assert held(daemons)["spec"] == {"updateStrategy": {"type": "OnDelete"}}
    assert is_held(held(deployment)) and is_held(held(daemons))
    assert not is_held(deployment) and not is_held(daemons)


NODES = Advertised(by_node=(("edge-1", ("198.51.100.1",)),))


def _deployment(of: Pool, its: Fleet) -> Manifest:
    (found,) = (each for each in relay_manifests(of, its, HERE, 30478, NODES) if each["kind"] == "Deployment")
    return found


def _running(manifest: Manifest, state: dict[str, Any], version: str) -> Manifest:
    """As the API server would have it."""
    applied, status = marked(manifest), _workload(state)
    revision = status["metadata"]["annotations"]
    metadata = {
        **applied["metadata"],
        "annotations": applied["metadata"]["annotations"] | revision,
        "generation": 2,
        "resourceVersion": version,
        "uid": applied["metadata"]["name"],
    }
    return {**applied, "metadata": metadata, "status": status["status"]}


def _custom(of: Pool) -> dict[str, Any]:
    metadata = {"namespace": of.namespace, "name": of.name, "uid": of.uid, "resourceVersion": "1"}
    return {"kind": "RelayPool", "metadata": metadata, "spec": {"fleetRef": of.spec.fleet_ref}}


def test_of_two_pools_that_get_a_new_image_at_once_one_begins() -> None:
    first, second = pool("a"), pool("b")
    store = Store()
    for each in (first, second):
        store.put(_running(_deployment(each, FLEET), SERVES, "1"))
        store.put(_custom(each))
    context = cast(Context, SimpleNamespace(store=store, clock=lambda: NOW, turns={}))
    changed = fleet(image={"tag": "next"})
    with turn(context, FLEET, second, [_deployment(second, FLEET)]) as waits:
        assert waits == "", "nothing is to be replaced"
    with turn(context, changed, first, [_deployment(first, changed)]) as waits:
        assert waits == ""
        with turn(context, changed, second, [_deployment(second, changed)]) as other:
            assert other == "a", "it is being applied, which nobody can see yet"
    with turn(context, changed, second, [_deployment(second, changed)]) as other:
        assert other == "", "that was refused"
    store.put(_running(_deployment(first, changed), REPLACED, "2"))
    with turn(context, changed, second, [_deployment(second, changed)]) as other:
        assert other == "a", "its relays are being replaced"
    store.put(_running(held(_deployment(second, changed)), SERVES, "2"))
    store.put(_running(_deployment(first, changed), SERVES, "3"))
    with turn(context, changed, second, [_deployment(second, changed)]) as other:
        assert other == "", "they are new"
