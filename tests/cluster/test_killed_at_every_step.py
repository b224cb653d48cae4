"""SIGKILL after each write of a reconcile: the next leader goes on from there and gets to the same end."""

import re
from functools import partial
from typing import Any

from tests.support.kubernetes.api_server import ApiServer
from tests.support.kubernetes.objects import Namespace
from tests.support.kubernetes.operator_process import operator_process

MADE = "deployments,services,configmaps,serviceaccounts,networkpolicies,poddisruptionbudgets,secrets"
LIVES_SECONDS = 240.0
_CHOSEN = re.compile(r"'(clusterIPs?|voicefleet.dev/configuration)': (\[[^]]*\]|'[^']*')")
"""Fields that are another one in each fleet."""


async def test_an_operator_that_dies_after_every_write_makes_the_same_fleet(
    voice: Namespace, apart: ApiServer, namespace_apart: str
) -> None:
    """What should come out, the operator of the other plane shows, whom nobody disturbs."""
    undisturbed, voice = voice, Namespace(apart, namespace_apart)
    await _settle(undisturbed)
    expected = _what_is_there(undisturbed)
    mortal = operator_process(apart, "mortal", [voice.name], module="tests.support.kubernetes.mortal_operator")
    async with mortal as process:
        await _settle(voice)
        deaths = re.findall(r"dies after (\S+) \S*?/namespaces/[^/]+/(\S+)", process.log.read_text())
        assert _what_is_there(voice) == expected
        ports = (voice.get("vf/demo") or {})["status"]["ports"]
        assert [(each["pool"], each["state"]) for each in ports] == [("edge", "Bound")]
    steps = {f"{method} {path}" for method, path in deaths}
    for step in (
        "PUT voicefleets/demo/status",
        "PUT relaypools/edge/status",
        "PUT transceivershards/main/status",
        "PATCH deployments/edge-relay",
        "PATCH deployments/main-transceiver",
        "PATCH deployments/demo-signaling",
        "PATCH services/edge-relay",
        "DELETE services/edge-relay",
    ):
        assert step in steps, sorted(steps)
    print(f"{len(deaths)} deaths at {len(steps)} different steps")


async def _settle(voice: Namespace) -> None:
    """A fleet comes, changes, and is Ready."""
    voice.smallest()
    voice.apply("RelayPool", "edge", {"fleetRef": "demo", "expose": {"type": "NodePort"}})
    await voice.until(lambda: voice.get("svc/edge-relay"), "there is a Service", LIVES_SECONDS)
    await voice.until(lambda: len(voice.all("deployments")) == 4, "all workloads are there", LIVES_SECONDS)
    voice.apply("RelayPool", "edge", {"fleetRef": "demo"})
    await voice.until(lambda: voice.get("svc/edge-relay") is None, "the Service is gone", LIVES_SECONDS)
    await voice.until(voice.run_new_pods, "all pods are ready", LIVES_SECONDS)
    for target in ("vf/demo", "rp/edge", "ts/main"):
        await voice.until(partial(voice.is_ready, target), f"{target} is ready", LIVES_SECONDS)


def _what_is_there(voice: Namespace) -> dict[str, Any]:
    """Everything that was made, without what differs between two fleets: the names of namespaces, secrets, ports."""
    port = str((voice.get("rp/edge") or {})["status"]["port"])
    found: dict[str, Any] = {}
    for each in voice.all(MADE):
        if each["metadata"]["name"] in ("kube-root-ca.crt", "default"):
            continue
        content = sorted(each.get("data") or ()) if each["kind"] == "Secret" else each.get("spec") or each.get("data")
        text = re.sub(rf"\b{port}\b", "PORT", repr(content)).replace(voice.name, "NAMESPACE")
        found[f"{each['kind']}/{each['metadata']['name']}"] = _CHOSEN.sub(r"\1", text)
    return found
