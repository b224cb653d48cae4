"""Who is looked at when an object changes: those that read what changed, and nobody else."""

from typing import Any

from voicefleet_operator.reconcile.concerned import concerned
from voicefleet_operator.reconcile.store import Document, Key, Store


def _object(
    kind: str, name: str, spec: Document | None = None, status: Document | None = None, **meta: Any
) -> Document:
    metadata = {"name": name, "namespace": "voice", "uid": f"uid-{name}", "generation": 1, **meta}
    return {"kind": kind, "metadata": metadata, "spec": spec or {}, "status": status or {}}


FLEET = _object("VoiceFleet", "demo", status={"ports": [{"port": 20000}], "counts": {"calls": 1}})
POOL = _object("RelayPool", "edge", {"fleetRef": "demo"}, {"port": 20000})
SHARD = _object("TransceiverShard", "main", {"fleetRef": "demo"}, {"calls": 3, "capacity": 200, "replicas": 1})
OTHER = _object("RelayPool", "elsewhere", {"fleetRef": "another"})
POLICY = _object("ScalingPolicy", "grow", {"targetRef": {"kind": "TransceiverShard", "name": "main"}})
_KEYS = {
    name: (each["kind"], "voice", each["metadata"]["name"])
    for name, each in {"fleet": FLEET, "pool": POOL, "shard": SHARD, "policy": POLICY}.items()
}


def _concerned(document: Document, before: Document | None, gone: bool = False) -> set[Key]:
    store = Store()
    for number, each in enumerate((FLEET, POOL, SHARD, OTHER, POLICY)):
        store.put({**each, "metadata": {**each["metadata"], "resourceVersion": str(number)}})
    return set(concerned(store, document, before, gone))


def _with(document: Document, **status: Any) -> Document:
    return {**document, "status": {**document["status"], **status}}


def test_a_lease_in_a_fleet_concerns_its_parts_and_a_count_does_not() -> None:
    """Else each of five hundred parts would have all the others looked at whenever a call comes."""
    leased = _with(FLEET, ports=[{"port": 20000}, {"port": 20001}])
    assert _concerned(leased, FLEET) == {_KEYS["fleet"], _KEYS["pool"], _KEYS["shard"]}
    assert _concerned(_with(FLEET, counts={"calls": 2}), FLEET) == {_KEYS["fleet"]}


def test_a_fleet_that_comes_goes_or_is_paused_concerns_its_parts() -> None:
    """They are what says that it is missing."""
    parts = {_KEYS["pool"], _KEYS["shard"]}
    assert _concerned(FLEET, None) == {_KEYS["fleet"], *parts}
    assert _concerned(FLEET, None, gone=True) == parts
    paused = _object("VoiceFleet", "demo", annotations={"voicefleet.dev/paused": "true"})
    assert _concerned({**paused, "status": FLEET["status"]}, FLEET) == {_KEYS["fleet"], *parts}


def test_calls_of_a_shard_concern_its_fleet_and_pods_that_start_do_not() -> None:
    """A policy reads more of it than its fleet does."""
    assert _concerned(_with(SHARD, calls=4), SHARD) == {_KEYS["shard"], _KEYS["fleet"], _KEYS["policy"]}
    assert _concerned(_with(SHARD, replicas=2), SHARD) == {_KEYS["shard"], _KEYS["policy"]}


def test_an_object_that_somebody_owns_concerns_its_owner() -> None:
    """Drift is seen by who has to mend it."""
    reference = {"kind": "RelayPool", "name": "edge", "uid": "uid-edge", "controller": True}
    deployment = _object("Deployment", "edge-relay", ownerReferences=[reference])
    assert _concerned(deployment, None) == {_KEYS["pool"]}


def test_a_node_concerns_pools_when_its_addresses_or_labels_change_and_not_with_each_heartbeat() -> None:
    """Kubelets report every few seconds."""
    node = _object("Node", "n1", status={"addresses": [{"address": "198.51.100.1"}]})
    beat = {**node, "metadata": {**node["metadata"], "resourceVersion": "9"}}
    moved = {**node, "status": {"addresses": []}}
    pools = {_KEYS["pool"], ("RelayPool", "voice", "elsewhere")}
    assert _concerned(node, None) == _concerned(moved, node) == pools
    assert not _concerned(beat, node)


def test_an_autoscaler_of_somebody_else_concerns_the_policies_of_its_target_and_its_status_nobody() -> None:
    """They are what says that two scale one thing."""
    theirs = _object(
        "HorizontalPodAutoscaler", "theirs", {"scaleTargetRef": {"kind": "TransceiverShard", "name": "main"}}
    )
    elsewhere = _object("HorizontalPodAutoscaler", "theirs", {"scaleTargetRef": {"kind": "Deployment", "name": "main"}})
    assert _concerned(theirs, None) == {_KEYS["policy"]}
    assert _concerned(theirs, None, gone=True) == {_KEYS["policy"]}
    assert _concerned(elsewhere, theirs) == {_KEYS["policy"]}
    assert _concerned(_with(theirs, currentReplicas=2), theirs) == set()
    assert _concerned(elsewhere, None) == set()


def test_a_pod_concerns_whose_it_is() -> None:
    """A fleet, its pools and its shards tell why their own pods do not start, and not why others' do."""
    fleet = {"voicefleet.dev/fleet": "demo"}

    def of(**more: str) -> set[Key]:
        labels = fleet | {f"voicefleet.dev/{name}": value for name, value in more.items()}
        return _concerned(_object("Pod", "a", labels=labels), None)

    assert of() == {_KEYS["fleet"]}
    assert of(pool="edge") == {_KEYS["pool"]}
    assert of(shard="main") == {_KEYS["shard"]}
