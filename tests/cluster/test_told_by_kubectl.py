"""What kubectl tells: what a field is for, how things stand at a glance, and what mends what is broken."""

from functools import partial
from typing import Any

from tests.support.kubernetes.api_server import ApiServer
from tests.support.kubernetes.objects import Namespace

BROKEN: tuple[tuple[str, str, dict[str, Any], str, str], ...] = (
    ("RelayPool", "stray", {"fleetRef": "lost"}, "FleetNotFound", "there is no VoiceFleet lost in namespace"),
    ("TransceiverShard", "stray", {"fleetRef": "lost"}, "FleetNotFound", "create it"),
    (
        "RelayPool",
        "nowhere",
        {"fleetRef": "demo", "nodeSelector": {"edge": "never"}},
        "NoNode",
        "label one, or set spec.expose.advertise",
    ),
    (
        "RelayPool",
        "balanced",
        {"fleetRef": "demo", "expose": {"type": "LoadBalancer"}},
        "LoadBalancerPending",
        "does the cluster have a provider of UDP load balancers? or set spec.expose.advertise",
    ),
    (
        "VoiceFleet",
        "keyless",
        {
            "agent": {
                "type": "Realtime",
                "realtime": {"url": "wss://model.example", "apiKeySecretRef": {"name": "model", "key": "key"}},
            }
        },
        "SecretMissing",
        "Secret model (the key of the model)",
    ),
    ("ScalingPolicy", "aimless", {"targetRef": {"name": "gone"}, "freeSessions": 1}, "TargetNotFound", "create it"),
    (
        "ScalingPolicy",
        "untimely",
        {
            "targetRef": {"name": "main"},
            "freeSessions": 1,
            "schedules": [{"cron": "0 17 * * *", "timeZone": "Nowhere/Atall", "duration": "5h", "minReplicas": 2}],
        },
        "InvalidSchedule",
        "Nowhere/Atall",
    ),
)
"""Kind, name, spec, why it is not Ready, and what of the mend has to stand in its description."""


def test_kubectl_explains_how_a_pool_is_exposed(plane: ApiServer) -> None:
    said = plane.kubectl("explain", "relaypool.spec.expose").stdout
    text = " ".join(said.split())
    assert "How clients reach them" in text
    for field, words in {
        "type": "the port on each node that a relay runs on, with nothing in between; the fastest",
        "port": "`Auto` leases one from the fleet's range, and the pool keeps it. Default: Auto.",
        "tcp": "ICE-TCP, for networks that let no UDP through. Default: true.",
        "advertise": "for a NAT in front of the nodes.",
        "loadBalancer": "More about type LoadBalancer.",
    }.items():
        assert f"{field} <" in text and words in text, said
    assert "enum: HostPort, HostNetwork, NodePort, LoadBalancer" in text
    for name in ("voicefleet", "transceivershard", "scalingpolicy"):
        assert plane.kubectl("explain", f"{name}.spec", "--recursive").returncode == 0


async def test_kubectl_shows_at_a_glance_how_a_fleet_is(voice: Namespace) -> None:
    voice.apply("VoiceFleet", "demo")
    voice.apply("RelayPool", "edge", {"fleetRef": "demo", "region": "eu-central"})
    voice.apply("TransceiverShard", "main", {"fleetRef": "demo"})
    voice.apply("ScalingPolicy", "grows", {"targetRef": {"name": "main"}, "minReplicas": 1, "freeSessions": 1})
    await voice.until(lambda: len(voice.all("deployments")) == 4, "all workloads are there")
    await voice.run_pods()
    for target in ("vf/demo", "rp/edge", "ts/main"):
        await voice.until(partial(voice.is_ready, target), f"{target} is ready")
    port = (voice.get("rp/edge") or {})["status"]["port"]
    shown = _rows(voice.kubectl("get", "vf,rp,ts,vsp"))
    assert shown["voicefleet.voicefleet.dev/demo"] == {
        "READY": "True",
        "CALLS": "0",
        "CAPACITY": "0",
        "POOLS": "1",
        "SHARDS": "1",
        "SIGNALING": "2/2",
        "ENDPOINT": f"http://demo-signaling.{voice.name}.svc",
        "WHY": "PartsReady",
    }
    assert shown["relaypool.voicefleet.dev/edge"] == {
        "READY": "True",
        "RELAYS": "1",
        "FLOWS": "0",
        "REGION": "eu-central",
        "ADDRESS": f"127.198.51.1:{port}",
        "WHY": "RelaysReady",
    }
    shard = shown["transceivershard.voicefleet.dev/main"]
    assert (shard["READY"], shard["CALLS"], shard["WHY"]) == ("True", "0", "TransceiversReady")
    policy = shown["scalingpolicy.voicefleet.dev/grows"]
    assert (policy["KIND"], policy["TARGET"], policy["MIN"], policy["MAX"]) == ("TransceiverShard", "main", "1", "10")


async def test_kubectl_describe_of_what_is_broken_tells_the_mend(voice: Namespace) -> None:
    voice.smallest()
    port = await voice.until(lambda: ((voice.get("rp/edge") or {}).get("status") or {}).get("port"), "a port")
    taken = {"fleetRef": "demo", "expose": {"port": port}}
    broken = (*BROKEN, ("RelayPool", "twin", taken, "PortConflict", "in use by the pool edge; choose another, or Auto"))
    for kind, name, spec, _, _ in broken:
        voice.apply(kind, name, spec)
    for kind, name, _, reason, mend in broken:
        target = f"{kind.lower()}/{name}"
        await voice.until(partial(voice.is_ready, target, "False", reason), f"{target} is {reason}")
        said = " ".join(voice.kubectl("describe", target).split())
        assert f"Reason: {reason} Status: False Type: Ready" in said, said
        assert mend in said, said


def _rows(table: str) -> dict[str, dict[str, str]]:
    """Each row by its name, without its age; a cell without a value is empty."""
    rows: dict[str, dict[str, str]] = {}
    header: list[tuple[int, str]] = []
    for line in table.splitlines():
        if line.startswith("NAME "):
            words = line.split()
            header = [(line.index(word if word == "AGE" else f"{word} "), word) for word in words]
        elif line.strip():
            ends = [at for at, _ in header[1:]] + [len(line)]
            cells = {word: line[at:end].strip() for (at, word), end in zip(header, ends, strict=True)}
            cells.pop("AGE")
            rows[cells.pop("NAME")] = cells
    return rows
