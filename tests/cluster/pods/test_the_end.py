"""What is left when a user has had enough: run last, since nothing is there afterwards."""

import json
import time

from tests.support.kubernetes.voice import Voice, slowness

KINDS = (
    "deployments,daemonsets,jobs,pods,services,configmaps,secrets,serviceaccounts,roles,rolebindings,leases,"
    "poddisruptionbudgets,networkpolicies,clusterroles,clusterrolebindings"
)
DELETED_WITHIN = 60.0


def _chart_objects(voice: Voice) -> set[str]:
    every = json.loads(voice.cluster.must("get", KINDS, "-A", "-o", "json"))["items"]
    names = {
        f"{each['kind']}/{each['metadata'].get('namespace', '')}/{each['metadata']['name']}"
        for each in every
        if each["kind"] != "Event" and "voicefleet" in json.dumps(each["metadata"])
    }
    # What Kubernetes itself puts into every namespace, and the fleet's own.
    return {each for each in names if "kube-root-ca.crt" not in each and not each.endswith("/default")}


def test_a_namespace_ends_within_a_minute_also_when_the_operator_is_gone(voice: Voice) -> None:
    system = Voice(voice.cluster, "voicefleet-system")
    system.k("scale", "deploy/voicefleet", "--replicas=0")
    system.until(lambda: not system.pods("operator"), "the operator is gone")
    began = time.monotonic()
    voice.cluster.must("delete", "namespace", voice.namespace, "--timeout=100s")
    took = time.monotonic() - began
    print(f"the namespace was gone after {took:.0f} s")
    assert took <= DELETED_WITHIN * slowness()


def test_helm_uninstall_leaves_the_definitions_and_nothing_else(voice: Voice) -> None:
    ran = voice.cluster.helm("uninstall", "voicefleet", "--namespace", "voicefleet-system", "--wait")
    assert ran.returncode == 0, ran.stderr
    kept = voice.cluster.must("get", "crds", "-o", "name").split()
    assert len([each for each in kept if each.endswith(".voicefleet.dev")]) == 4
    voice.cluster.until(lambda: not _chart_objects(voice), "nothing is left", 60.0)
