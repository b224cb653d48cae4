"""What is applied becomes a fleet, stays as it was made, and goes again."""

import asyncio
import base64
import json
import time
from datetime import datetime, timedelta
from functools import partial
from random import Random

from cryptography import x509

from tests.support.kubernetes.api_server import ApiServer
from tests.support.kubernetes.objects import Namespace
from tests.support.kubernetes.operator_process import operator_process
from voicefleet.wire.certificate import self_signed
from voicefleet.wire.keyring import KeyRing
from voicefleet_operator.model.ports import NODES, Terms, Want, plan
from voicefleet_operator.reconcile.secrets import CERTIFICATE_LIFE


async def test_three_objects_become_a_fleet(voice: Namespace) -> None:
    voice.smallest()
    await voice.until(lambda: voice.get("deploy/edge-relay"), "there are relays")
    await voice.until(lambda: len(voice.all("deployments")) == 4, "all workloads are there")
    assert {each["metadata"]["name"] for each in voice.all("secrets")} == {
        "demo-keys",
        "demo-certificate",
        "demo-api-keys",
        "demo-session-map",
    }
    await voice.until(lambda: len(voice.all("networkpolicies")) == 4, "every part has its policy")
    port = (voice.get("rp/edge") or {})["status"]["port"]
    relay = (voice.get("deploy/edge-relay") or {})["spec"]["template"]["spec"]["containers"][0]
    assert {each["hostPort"] for each in relay["ports"] if "hostPort" in each} == {port}
    addresses = (voice.get("cm/edge-relay-addresses") or {})["data"]
    assert json.loads(addresses["node-1.yaml"]) == {"publicAddresses": ["127.198.51.1"]}
    for target in ("vf/demo", "rp/edge", "ts/main"):
        assert voice.condition(target, "Ready")[0] == "False"
    await voice.run_pods()
    for target in ("vf/demo", "rp/edge", "ts/main"):
        await voice.until(partial(voice.is_ready, target), f"{target} is ready")
    shown = voice.kubectl("get", "rp")
    assert f"127.198.51.1:{port}" in shown and "True" in shown
    events = voice.kubectl("get", "events")
    assert "RelaysReady" in events and "TransceiversReady" in events


async def test_what_somebody_removes_or_changes_is_put_back_and_what_is_not_ours_stays(voice: Namespace) -> None:
    voice.smallest()
    await voice.until(lambda: len(voice.all("deployments")) == 4, "all workloads are there")
    uid = (voice.get("deploy/demo-signaling") or {})["metadata"]["uid"]
    voice.kubectl("delete", "deploy/demo-signaling")
    await voice.until(
        lambda: (voice.get("deploy/demo-signaling") or {"metadata": {"uid": uid}})["metadata"]["uid"] != uid,
        "signaling was made again",
    )
    voice.kubectl("label", "deploy/main-transceiver", "team=voice")
    voice.kubectl("set", "image", "deploy/main-transceiver", "transceiver=elsewhere/thing:9")

    def image() -> str:
        pod = (voice.get("deploy/main-transceiver") or {})["spec"]["template"]["spec"]
        found: str = pod["containers"][0]["image"]
        return found

    await voice.until(lambda: image() == "registry.example/voicefleet:0.1.0", "the image is ours again")
    assert (voice.get("deploy/main-transceiver") or {})["metadata"]["labels"]["team"] == "voice"
    voice.kubectl("delete", "secret/demo-keys")
    await voice.until(lambda: voice.get("secret/demo-keys"), "there are keys again")


async def test_a_change_is_applied_and_what_is_no_longer_wanted_goes(voice: Namespace) -> None:
    voice.smallest()
    voice.apply("RelayPool", "edge", {"fleetRef": "demo", "expose": {"type": "NodePort"}})
    service = await voice.until(lambda: voice.get("svc/edge-relay"), "there is a Service")
    port = await voice.until(lambda: ((voice.get("rp/edge") or {}).get("status") or {}).get("port"), "a port")
    assert [each["nodePort"] for each in service["spec"]["ports"]] == [port, port]
    voice.apply("RelayPool", "edge", {"fleetRef": "demo", "expose": {"type": "LoadBalancer"}})
    await voice.until(lambda: voice.get("svc/edge-relay-tcp"), "there is a Service for TCP")
    await voice.until(lambda: voice.get("svc/edge-relay") is None, "the Service for node ports is gone")
    voice.apply("RelayPool", "edge", {"fleetRef": "demo", "expose": {"type": "LoadBalancer", "tcp": False}})
    await voice.until(lambda: voice.get("svc/edge-relay-tcp") is None, "the Service for TCP is gone")
    assert voice.get("svc/edge-relay-udp") is not None
    voice.apply("TransceiverShard", "main", {"fleetRef": "demo", "replicas": 5})
    await voice.until(
        lambda: ((voice.get("deploy/main-transceiver") or {}).get("spec") or {}).get("replicas") == 5,
        "five are to be there",
    )


async def test_a_pool_that_goes_takes_everything_along_and_finds_its_port_again(voice: Namespace) -> None:
    voice.smallest()
    first = await voice.until(lambda: ((voice.get("rp/edge") or {}).get("status") or {}).get("port"), "a port")
    await voice.until(lambda: voice.get("deploy/edge-relay"), "there are relays")
    voice.kubectl("delete", "rp/edge")
    await voice.until(lambda: voice.get("deploy/edge-relay") is None, "the relays are gone")

    def states() -> dict[str, str]:
        status = (voice.get("vf/demo") or {})["status"]
        return {each["pool"]: each["state"] for each in status["ports"]}

    await voice.until(lambda: states() == {"edge": "Released"}, "the port is in quarantine")
    voice.apply("RelayPool", "other", {"fleetRef": "demo", "expose": {"port": first}})
    reason = await voice.until(lambda: voice.condition("rp/other", "PortsAllocated")[1:], "an answer")
    await voice.until(lambda: voice.condition("rp/other", "PortsAllocated")[1] == "PortConflict", f"not {reason}")
    voice.apply("RelayPool", "edge", {"fleetRef": "demo"})
    again = await voice.until(lambda: ((voice.get("rp/edge") or {}).get("status") or {}).get("port"), "a port")
    assert again == first
    await voice.until(lambda: voice.get("deploy/edge-relay"), "there are relays again")


async def test_what_refers_to_no_fleet_says_so_until_there_is_one(voice: Namespace) -> None:
    voice.apply("RelayPool", "edge", {"fleetRef": "demo"})
    voice.apply("TransceiverShard", "main", {"fleetRef": "demo"})
    for target in ("rp/edge", "ts/main"):
        await voice.until(partial(voice.is_ready, target, "False", "FleetNotFound"), f"{target} says what it misses")
        assert "create it" in voice.condition(target, "Ready")[2]
    assert voice.all("deployments") == []
    voice.apply("VoiceFleet", "demo")
    await voice.until(lambda: len(voice.all("deployments")) == 4, "all workloads are there")
    assert voice.condition("rp/edge", "Ready")[1] != "FleetNotFound"


async def test_a_missing_secret_is_named_and_healed_when_it_comes(voice: Namespace) -> None:
    key = {"name": "model", "key": "key"}
    voice.apply(
        "VoiceFleet",
        "demo",
        {"agent": {"type": "Realtime", "realtime": {"url": "wss://model.example", "apiKeySecretRef": key}}},
    )
    await voice.until(lambda: voice.condition("vf/demo", "Ready")[1] == "SecretMissing", "it says what is missing")
    assert "Secret model (the key of the model)" in voice.condition("vf/demo", "Ready")[2]
    voice.kubectl("create", "secret", "generic", "model", "--from-literal=other=1")
    await voice.until(lambda: "has no key key" in voice.condition("vf/demo", "Ready")[2], "it says which key")
    voice.kubectl("delete", "secret/model")
    voice.kubectl("create", "secret", "generic", "model", "--from-literal=key=1")
    await voice.until(
        lambda: voice.condition("vf/demo", "Ready")[1] in ("Starting", "PodsNotReady"), "nothing is missing"
    )


async def test_a_port_that_a_service_has_is_refused_and_a_full_range_too(voice: Namespace) -> None:
    voice.kubectl("create", "service", "nodeport", "taken", "--tcp=80", "--node-port=31999")
    voice.apply("VoiceFleet", "demo", {"ports": {"range": {"from": 31999, "to": 32000}}})
    voice.apply("RelayPool", "wants-it", {"fleetRef": "demo", "expose": {"port": 31999}})
    await voice.until(lambda: voice.condition("rp/wants-it", "PortsAllocated")[1] == "PortConflict", "it is refused")
    assert f"the Service {voice.name}/taken" in voice.condition("rp/wants-it", "PortsAllocated")[2]
    voice.apply("RelayPool", "first", {"fleetRef": "demo"})
    await voice.until(lambda: voice.condition("rp/first", "PortsAllocated")[0] == "True", "it has the last port")
    voice.apply("RelayPool", "second", {"fleetRef": "demo"})
    await voice.until(lambda: voice.condition("rp/second", "PortsAllocated")[1] == "PortsExhausted", "none is left")
    assert voice.get("deploy/second-relay") is None
    assert "widen spec.ports.range" in voice.kubectl("describe", "rp/second")
    voice.kubectl("delete", "service/taken")  # and who wants a certain port comes before who takes any
    await voice.until(lambda: voice.condition("rp/wants-it", "PortsAllocated")[0] == "True", "it has its port", 60.0)


async def test_a_pool_waits_for_the_address_of_its_load_balancer(voice: Namespace) -> None:
    voice.apply("VoiceFleet", "demo")
    voice.apply("RelayPool", "edge", {"fleetRef": "demo", "expose": {"type": "LoadBalancer"}})
    await voice.until(lambda: voice.condition("rp/edge", "Ready")[1] == "LoadBalancerPending", "it waits")
    assert voice.get("deploy/edge-relay") is None
    voice.set_status("svc/edge-relay-udp", {"loadBalancer": {"ingress": [{"ip": "192.0.2.7"}]}})
    await voice.until(lambda: voice.get("deploy/edge-relay"), "there are relays")
    status = (voice.get("rp/edge") or {})["status"]
    assert status["addresses"] == [f"192.0.2.7:{status['port']}"]


async def test_a_paused_fleet_is_left_as_it_is(voice: Namespace) -> None:
    voice.smallest()
    await voice.until(lambda: len(voice.all("deployments")) == 4, "all workloads are there")
    voice.kubectl("annotate", "vf/demo", "voicefleet.dev/paused=true")
    await voice.until(lambda: voice.condition("ts/main", "Paused")[0] == "True", "the shard is paused too")
    voice.kubectl("delete", "deploy/main-transceiver")
    voice.apply("VoiceFleet", "bystander")
    await voice.until(lambda: voice.get("deploy/bystander-signaling"), "the operator is at work elsewhere")
    assert voice.get("deploy/main-transceiver") is None
    voice.kubectl("annotate", "vf/demo", "voicefleet.dev/paused-")
    await voice.until(lambda: voice.get("deploy/main-transceiver"), "it was made again")


async def test_an_annotation_rotates_the_keys_once_and_the_old_ones_stay_good(voice: Namespace) -> None:
    voice.smallest()

    def ring() -> KeyRing | None:
        secret = voice.get("secret/demo-keys")
        return None if secret is None else KeyRing.parse(base64.b64decode(secret["data"]["keyring.json"]))

    before = await voice.until(ring, "there are keys")
    voice.kubectl("annotate", "vf/demo", "voicefleet.dev/rotate=now")
    after = await voice.until(lambda: (found := ring()) and len(found.keys) == 2 and found, "there are two keys")
    assert after.keys[0].secret == before.keys[0].secret and after.keys[0].accept_until is not None
    assert after.keys[1].mint_from > before.keys[0].mint_from
    await voice.until(lambda: (voice.get("vf/demo") or {})["status"].get("rotationHandled") == "now", "it is noted")
    voice.kubectl("annotate", "vf/demo", "voicefleet.dev/paused=false")  # another look at it rotates nothing
    voice.apply("VoiceFleet", "bystander")
    await voice.until(lambda: voice.get("secret/bystander-keys"), "the operator has gone on")
    assert ring() == after


async def test_a_certificate_that_ends_in_a_month_is_renewed(voice: Namespace) -> None:
    voice.apply("VoiceFleet", "demo")

    def ends() -> datetime | None:
        secret = voice.get("secret/demo-certificate")
        pem = base64.b64decode(secret["data"]["tls.crt"]) if secret is not None else b""
        return x509.load_pem_x509_certificate(pem).not_valid_after_utc if pem else None

    first = await voice.until(ends, "there is one")
    # Two of its three months later: as it would be then, since nobody waits for that.
    then = time.time() - timedelta(days=61).total_seconds()
    old = dict(zip(("tls.crt", "tls.key"), self_signed(then, CERTIFICATE_LIFE), strict=True))
    data = {name: base64.b64encode(pem).decode() for name, pem in old.items()}
    voice.kubectl("patch", "secret/demo-certificate", "--type=merge", "-p", json.dumps({"data": data}))
    await voice.until(lambda: (ends() or first) >= first, "there is one that is good for as long as the first")


async def test_a_fleet_that_is_as_it_should_be_is_not_written_to(voice: Namespace) -> None:
    voice.smallest()
    await voice.until(lambda: len(voice.all("deployments")) == 4, "all workloads are there")
    await voice.run_pods()
    for target in ("vf/demo", "rp/edge", "ts/main"):
        await voice.until(partial(voice.is_ready, target), f"{target} is ready")
    kinds = "voice,deployments,services,secrets,configmaps,serviceaccounts,networkpolicies,poddisruptionbudgets"

    def versions() -> dict[tuple[str, str], str]:
        return {
            (each["kind"], each["metadata"]["name"]): each["metadata"]["resourceVersion"]
            for each in voice.all(kinds)
            if each["metadata"]["name"] != "kube-root-ca.crt"
        }

    before = versions()
    # Something happens to each of them that changes nothing: the operator looks, and leaves it.
    voice.apply("VoiceFleet", "bystander")
    voice.kubectl("annotate", "node/node-1", "--overwrite", "looked=again")
    await voice.until(lambda: voice.get("deploy/bystander-signaling"), "the operator has looked")
    await asyncio.sleep(2.0)  # that something does not happen has no fact to wait for
    after = versions()
    assert {key: after[key] for key in before} == before


async def test_a_port_that_only_the_api_server_knows_to_be_taken_is_given_up_for_another(
    apart: ApiServer, namespace_apart: str
) -> None:
    """As one is in a namespace that the operator may not see, or whose request was cut off half way."""
    foreign = Namespace(apart, "default")
    async with operator_process(apart, "scoped", [namespace_apart]) as scoped:
        await scoped.says("leads as")
        voice = Namespace(apart, namespace_apart)
        voice.apply("VoiceFleet", "demo", {"ports": {"range": {"from": 32110, "to": 32111}}})
        terms = Terms(32110, 32111, quarantine=600.0)
        first = plan([], [Want("edge", NODES, None)], [], {}, terms, 0.0, Random(0)).leases[0].port
        foreign.kubectl("create", "service", "nodeport", "unseen", "--tcp=80", f"--node-port={first}")
        try:
            voice.apply("RelayPool", "edge", {"fleetRef": "demo", "expose": {"type": "NodePort"}})
            voice.apply("RelayPool", "fixed", {"fleetRef": "demo", "expose": {"type": "NodePort", "port": first}})
            other = 32110 + 32111 - first
            await voice.until(lambda: _port(voice, "rp/edge") == other, "it has the other", 90.0)
            await voice.until(
                lambda: "cannot see" in voice.condition("rp/fixed", "PortsAllocated")[2], "the other is told why", 90.0
            )
            assert voice.condition("rp/fixed", "PortsAllocated")[1] == "PortConflict"
        finally:
            foreign.kubectl("delete", "service/unseen")


def _port(voice: Namespace, target: str) -> int | None:
    found = voice.get(target) or {}
    port: int | None = (found.get("status") or {}).get("port")
    return port
