"""What a user does first: helm install, kubectl apply, and a call from outside of the cluster."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.chromium import chromium_page, speech
from tests.support.facts import eventually_seen
from tests.support.failure_table import FailureTable
from tests.support.kubernetes.cluster import Cluster
from tests.support.kubernetes.one_node import CLIENT
from tests.support.kubernetes.talk import NOTHING, Talk
from tests.support.kubernetes.voice import PROJECT, SMALL, Voice, slowness
from tests.support.tiers import CHROMIUM, SPEECH

READY_WITHIN = 60.0
PACKETS = "voicefleet_relay_packets_total"


def _aiortc(voice: Voice) -> dict[str, object]:
    command = (*voice.cluster.caller, sys.executable, "-m", "tests.support.outside_aiortc", voice.url, voice.key)
    ran = subprocess.run(command, capture_output=True, text=True, cwd=PROJECT, timeout=180, check=False)
    assert ran.returncode == 0, ran.stderr
    document: dict[str, object] = json.loads(ran.stdout)
    return document


def test_helm_install_and_one_apply_make_a_fleet_that_is_ready(voice: Voice) -> None:
    allowed = READY_WITHIN * slowness()
    assert voice.ready_after <= allowed, f"{voice.ready_after:.0f} s; allowed at this load: {allowed:.0f} s"
    fleet = voice.get("vf/demo")["status"]
    assert fleet["conditions"], fleet
    for target in ("vf/demo", "rp/edge", "ts/main"):
        conditions = {each["type"]: each["status"] for each in voice.get(target)["status"]["conditions"]}
        assert conditions["Ready"] == "True", conditions
    for pod in voice.get("pods")["items"]:
        for container in pod["spec"]["containers"]:
            assert container["securityContext"]["readOnlyRootFilesystem"], pod["metadata"]["name"]


def test_an_aiortc_client_hears_its_voice_through_the_host_port_and_its_address_arrives(voice: Voice) -> None:
    called = _aiortc(voice)
    assert called["heard"] is True
    (pool,) = voice.get("rp")["items"]
    client = CLIENT if voice.cluster.own else called["address"]
    assert str(called["remote"]) in pool["status"]["addresses"], (called, pool["status"])
    ask = "redis-cli --no-auth-warning -a $(sed -n 's/requirepass //p' /etc/redis/redis.conf) keys '*:flow:*'"
    flows = voice.k("exec", "deploy/demo-session-map", "--", "sh", "-c", ask)
    assert f":flow:edge:{client}|{called['port']}" in flows, flows
    told = "".join(voice.k("logs", pod) for pod in voice.pods("signaling"))
    network = f"{str(client).rpartition('.')[0]}.0/24"
    assert f'"network": "{network}"' in told, "signaling places clients by their own addresses"


@pytest.mark.timeout(600)
def test_twenty_calls_lose_nothing_when_nothing_fails(voice: Voice) -> None:
    with voice.callers(20) as callers:
        callers.report()
        voice.until(lambda: sum(each["status"]["calls"] for each in voice.get("ts")["items"]) == 20, "20 are counted")
        calls = callers.report()
    assert [each.ended for each in calls] == [""] * 20
    assert sum(each.lost for each in calls) <= 0.001 * sum(each.said for each in calls), calls


_CALL = """
async () => {
  const peer = window.peer = new RTCPeerConnection();
  const sound = await navigator.mediaDevices.getUserMedia({audio: true});
  sound.getTracks().forEach(track => peer.addTrack(track, sound));
  peer.ontrack = event => {
    const audio = new Audio();
    audio.srcObject = event.streams[0] ?? new MediaStream([event.track]);
    audio.play();
  };
  await peer.setLocalDescription(await peer.createOffer());
  return peer.localDescription.sdp;
}
"""
_STATISTICS = """
async () => {
  const found = {energy: 0, remote: null, state: peer.connectionState};
  const report = await peer.getStats();
  report.forEach(each => {
    if (each.type === "inbound-rtp" && each.kind === "audio") found.energy = each.totalAudioEnergy;
    if (each.type === "transport" && each.selectedCandidatePairId) {
      const pair = report.get(each.selectedCandidatePairId);
      const remote = report.get(pair.remoteCandidateId), local = report.get(pair.localCandidateId);
      found.remote = {address: remote.address, port: remote.port, protocol: remote.protocol};
      found.local = {port: local.port};
    }
  });
  return found;
}
"""


async def _chromium(voice: Voice, folder: Path) -> dict[str, Any]:
    """A call by Chromium from outside: what it says of itself once it has heard words."""
    client = voice.node.client
    async with chromium_page(speech(folder / "speech.wav"), namespace=client) as page:
        # A microphone is given to secure origins only, of which this is one; nobody has to listen there.
        await page.route("http://localhost/", lambda route: route.fulfill(body="<title>call</title>"))
        await page.goto("http://localhost/")
        (folder / "offer.sdp").write_text(await page.evaluate(_CALL))
        # 503 is an answer on a machine that a starting browser keeps busy: who is told so asks again.
        command = (
            "curl",
            "-sSf",
            "--retry",
            "30",
            "--retry-delay",
            "1",
            "--max-time",
            "90",
            f"{voice.url}/v1/realtime/calls",
        )
        headers = ("-H", f"Authorization: Bearer {voice.key}", "-H", "Content-Type: application/sdp")
        answer = client.run(*command, *headers, "--data-binary", f"@{folder / 'offer.sdp'}")
        await page.evaluate("text => peer.setRemoteDescription({type: 'answer', sdp: text})", answer)
        found: dict[str, Any] = {}

        async def heard() -> bool:
            nonlocal found
            found = await page.evaluate(_STATISTICS)
            return found["state"] == "connected" and found["energy"] > 0.001 and found["remote"] is not None

        await eventually_seen(heard, lambda: f"words come back: {found}", 120.0)
        return found


@pytest.mark.needs(CHROMIUM, SPEECH)
async def test_chromium_hears_its_voice_through_the_host_port(voice: Voice, tmp_path: Path) -> None:
    found = await _chromium(voice, tmp_path)
    (pool,) = voice.get("rp")["items"]
    assert found["remote"] == {"address": voice.cluster.address, "port": pool["status"]["port"], "protocol": "udp"}


@pytest.mark.needs(CHROMIUM, SPEECH)
async def test_chromium_in_a_network_without_udp_talks_over_tcp(voice: Voice, tmp_path: Path) -> None:
    client = voice.node.client
    (pool,) = voice.get("rp")["items"]
    client.run("nft", "add table inet block")
    try:
        client.run("nft", "add chain inet block out { type filter hook output priority 0; }")
        client.run("nft", f"add rule inet block out udp dport {pool['status']['port']} drop")
        found = await _chromium(voice, tmp_path)
    finally:
        client.run("nft", "delete table inet block")
    assert found["remote"] == {"address": voice.cluster.address, "port": pool["status"]["port"], "protocol": "tcp"}


@pytest.fixture(scope="module")
def kernel_voice(chart: Cluster) -> Iterator[Voice]:
    """A second fleet: its relay is reached by a port that every node has, and forwards in the kernel."""
    made = Voice(chart, "voice-kernel")
    # The capabilities of the kernel program are more than `baseline` allows, and no privileged container is needed.
    labels = {"pod-security.kubernetes.io/enforce": "privileged", "pod-security.kubernetes.io/warn": "baseline"}
    chart.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": made.namespace, "labels": labels}})
    api = {"apiVersion": "voicefleet.dev/v1alpha1"}
    documents = (
        api
        | {"kind": "VoiceFleet", "metadata": {"name": "demo"}}
        | {"spec": {"signaling": {"service": {"type": "LoadBalancer"}}}},
        api
        | {"kind": "RelayPool", "metadata": {"name": "edge"}}
        | {"spec": {"fleetRef": "demo", "expose": {"type": "NodePort"}, "datapath": "Kernel", **SMALL}},
        api | {"kind": "TransceiverShard", "metadata": {"name": "main"}} | {"spec": {"fleetRef": "demo", **SMALL}},
    )
    made.k("apply", "--server-side", "-f", "-", stdin="\n---\n".join(json.dumps(each) for each in documents))
    made.wait_until_ready()
    yield made
    chart.must("delete", "namespace", made.namespace, "--wait=false")


def test_a_call_through_a_node_port_is_carried_by_the_kernel_in_a_pod_without_privileges(kernel_voice: Voice) -> None:
    (relay,) = kernel_voice.pods("relay")
    security = kernel_voice.get(f"pod/{relay}")["spec"]["containers"][0]["securityContext"]
    assert sorted(security["capabilities"]["add"]) == ["BPF", "NET_ADMIN", "PERFMON"]
    assert not security.get("privileged") and security["allowPrivilegeEscalation"] is False
    with kernel_voice.callers(5) as callers:
        callers.report()
        kernel = {"direction": "uplink", "tier": "kernel"}
        kernel_voice.until(
            lambda: kernel_voice.metric(relay, PACKETS, **kernel) > 1000, "the kernel has carried a thousand packets"
        )
        calls = callers.report()
        by_kernel = kernel_voice.metric(relay, PACKETS, tier="kernel")
        by_userspace = kernel_voice.metric(relay, PACKETS, tier="userspace")
    assert [each.ended for each in calls] == [""] * 5
    assert by_kernel > 9 * by_userspace, f"kernel {by_kernel:.0f}, userspace {by_userspace:.0f}"
    assert sum(each.lost for each in calls) <= 0.002 * sum(each.said for each in calls), calls


@pytest.fixture
def voice_on_the_node(kernel_voice: Voice) -> Voice:
    """The same fleet with its only relay in the node's own network."""
    pool = {"apiVersion": "voicefleet.dev/v1alpha1", "kind": "RelayPool", "metadata": {"name": "node"}}
    spec = {"fleetRef": "demo", "workload": "DaemonSet", "expose": {"type": "HostNetwork"}, **SMALL}
    kernel_voice.k("apply", "--server-side", "-f", "-", stdin=json.dumps(pool | {"spec": spec}))
    kernel_voice.k("wait", "--for=condition=Ready", "rp/node", "--timeout=300s")
    kernel_voice.k("delete", "rp/edge", "--wait=true")
    return kernel_voice


def test_a_relay_on_the_network_of_its_node_gives_its_port_and_its_calls_to_the_next(
    voice_on_the_node: Voice, table: FailureTable
) -> None:
    voice, talk = voice_on_the_node, Talk(voice_on_the_node, table)
    port = voice.get("rp/node")["status"]["port"]
    (old,) = [each for each in voice.pods("relay") if each.startswith("node-")]

    def fail() -> None:
        voice.k("patch", "rp/node", "--type=merge", "-p", json.dumps({"spec": {"limits": {"flows": 40_000}}}))
        voice.until(voice.are_replaced("relay", [old]), "the next one has its place")

    try:
        assert {each.port for each in talk.callers().report()} == {port}
        calls = talk.hears("relay rollout in the node's network, without a second relay", NOTHING, fail)
        assert {each.port for each in calls} == {port}
        (new,) = [each for each in voice.pods("relay") if each.startswith("node-")]
        assert "port taken over" in voice.k("logs", new)
    finally:
        talk.hang_up()
