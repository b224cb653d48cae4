"""Parts of a fleet fail, one at a time, while twenty calls go on; what a call hears of it is held against the promises.

Each test is named after what fails. What was measured is written to docs/failures.md when all of them have run.
"""

import base64
import json
import signal
import time
from collections.abc import Callable

import pytest

from tests.cluster.pods.conftest import IN_EARNEST
from tests.support.kubernetes.talk import NOTHING, SECOND_RELAY, Talk
from tests.support.kubernetes.voice import Voice, slowness

LEADER_SECONDS = 20.0


def _relays(voice: Voice, pool: str) -> list[str]:
    return [each for each in voice.pods("relay") if each.startswith(f"{pool}-")]


# ---- what no call goes through


def test_the_operator_is_killed(talk: Talk) -> None:
    system = Voice(talk.voice.cluster, "voicefleet-system")

    def lease() -> dict[str, str]:
        found: dict[str, str] = system.get("lease/voicefleet")["spec"]
        return found

    def fail() -> None:
        before = lease()
        began = time.monotonic()
        system.kill(before["holderIdentity"])
        # The first renewal by the one that died may still be on its way; who acts renews again and again.
        for _ in range(2):
            at = lease()["renewTime"]
            system.until(lambda at=at: lease()["renewTime"] > at and lease()["holderIdentity"], "somebody acts")  # type: ignore[misc]
        took = time.monotonic() - began
        assert took <= LEADER_SECONDS * slowness(), f"nobody acted for {took:.1f} s"

    talk.hears("operator SIGKILLed", NOTHING, fail)


def test_redis_is_deleted(talk: Talk) -> None:
    def fail() -> None:
        before = talk.voice.pods("session-map")
        talk.voice.k("delete", "pod", *before, "--grace-period=0", "--force")
        talk.voice.until(talk.voice.are_replaced("session-map", before), "there is another Redis")

    talk.hears("Redis pod deleted", NOTHING, fail)


def _read_again(voice: Voice, components: tuple[str, ...], change: Callable[[], object]) -> None:
    """Change a Secret, and wait until every pod that mounts it has read it again."""
    pods = [pod for component in components for pod in voice.pods(component)]
    before = {pod: voice.metric(pod, "voicefleet_file_loads_total") for pod in pods}
    change()
    voice.until(
        lambda: all(voice.metric(pod, "voicefleet_file_loads_total") > before[pod] for pod in pods),
        "every pod has read the new one",
    )


def test_the_keys_are_rotated(talk: Talk) -> None:
    voice = talk.voice

    def ring() -> str:
        return base64.b64decode(voice.get("secret/demo-keys")["data"]["keyring.json"]).decode()

    def change() -> None:
        before = ring()
        voice.k("annotate", "--overwrite", "vf/demo", f"voicefleet.dev/rotate={time.time():.0f}")
        voice.until(lambda: len(json.loads(ring())["keys"]) > len(json.loads(before)["keys"]), "there is a new key")

    services = ("relay", "transceiver", "signaling")
    talk.hears("keys rotated", NOTHING, lambda: _read_again(voice, services, change))


def test_the_certificate_is_rotated(talk: Talk) -> None:
    voice = talk.voice

    def fail() -> None:  # pods take a new certificate when they start; calls keep the one that they began with
        before = voice.get("secret/demo-certificate")["metadata"]["uid"]
        voice.k("delete", "secret/demo-certificate")
        voice.until(
            lambda: any(
                each["metadata"]["name"] == "demo-certificate" and each["metadata"]["uid"] != before
                for each in voice.get("secrets")["items"]
            ),
            "there is a new one",
        )

    talk.hears("certificate rotated", NOTHING, fail)


def test_the_api_server_is_away_for_a_minute(talk: Talk) -> None:
    cluster = talk.voice.node

    def fail() -> None:
        cluster.end("kube-apiserver", signal.SIGKILL)
        time.sleep(60.0)  # the failure itself: nothing is waited for
        cluster.start_api_server()

    talk.hears("API server down for 60 s", NOTHING, fail)


def test_kubelet_is_restarted(talk: Talk) -> None:
    cluster = talk.voice.node

    def fail() -> None:
        cluster.end("kubelet", signal.SIGKILL)
        cluster.start_kubelet()
        cluster.must("wait", "--for=condition=Ready", f"node/{cluster.name}", "--timeout=90s")

    talk.hears("kubelet restarted", NOTHING, fail)


# ---- relays: the one that most calls go through


def test_a_relay_is_killed(talk: Talk) -> None:
    (relay,) = _relays(talk.voice, talk.carrier())

    def fail() -> None:
        talk.voice.kill(relay)
        time.sleep(SECOND_RELAY.gap)  # for as long as a call may need

    talk.hears("relay SIGKILLed, a second one offered", SECOND_RELAY, fail)


def test_a_relay_is_deleted(talk: Talk) -> None:
    before = _relays(talk.voice, talk.carrier())

    def fail() -> None:
        talk.voice.k("delete", "pod", *before, "--wait=false")
        talk.voice.until(talk.voice.are_replaced("relay", before), "there is another relay")

    talk.hears("relay pod deleted", NOTHING, fail)


# ---- each pod, as `kubectl drain` takes it


@pytest.mark.parametrize("component", ["operator", "signaling", "session-map", "relay", "transceiver"])
def test_a_pod_is_evicted(talk: Talk, component: str) -> None:
    voice = Voice(talk.voice.cluster, "voicefleet-system") if component == "operator" else talk.voice
    pod = _relays(voice, talk.carrier())[0] if component == "relay" else voice.pods(component)[0]

    def fail() -> None:
        eviction = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": pod, "namespace": voice.namespace},
        }
        path = f"/api/v1/namespaces/{voice.namespace}/pods/{pod}/eviction"
        voice.cluster.must("create", "--raw", path, "-f", "-", stdin=json.dumps(eviction))
        if component == "transceiver":  # which stays until its calls have ended
            count = len(voice.pods(component))
            voice.until(lambda: len(voice.ready(component)) > count or pod not in voice.pods(component), "it drains")
            voice.until(lambda: len(voice.ready(component)) >= 2, "another one takes calls")
        else:
            voice.until(voice.are_replaced(component, [pod]), "another one is there")

    talk.hears(f"{component} pod evicted", NOTHING, fail)
    assert component != "transceiver" or pod in voice.going(component), "it went with its calls"


# ---- transceivers, whose calls have to end before they can


def test_transceivers_are_rolled_out(talk: Talk) -> None:
    voice = talk.voice
    before = voice.pods("transceiver")

    def fail() -> None:
        change = {"spec": {"sessionsPerReplica": 300 + int(time.time()) % 90}}
        voice.k("patch", "ts/main", "--type=merge", "-p", json.dumps(change))
        voice.until(lambda: len(voice.ready("transceiver") - set(before)) >= 2, "new pods take all new calls")
        voice.until(lambda: not set(voice.pods("transceiver")) & set(before), "the old ones are told to go")

    talk.hears("transceiver rollout", NOTHING, fail)
    assert set(voice.going("transceiver")) & set(before), "they went with their calls"


def test_transceivers_that_crash_end_a_rollout_at_the_first_of_them(talk: Talk) -> None:
    voice = talk.voice
    before = set(voice.pods("transceiver"))

    def change(resources: dict[str, object]) -> None:
        voice.k("patch", "ts/main", "--type=merge", "-p", json.dumps({"spec": {"resources": resources}}))

    def fail() -> None:
        requests = IN_EARNEST["resources"]["requests"]
        change({"requests": requests | {"memory": "24Mi"}, "limits": {"memory": "24Mi"}})  # a mebibyte for a gibibyte
        voice.until(lambda: voice.condition("ts/main", "Degraded").reason == "PodsFail", "the shard says that it fails")
        (new,) = set(voice.pods("transceiver")) - before
        said = voice.condition("ts/main", "Degraded").message
        assert new in said and "2 others serve on: mend spec, or put the last one back" in said
        assert voice.condition("ts/main", "Ready").so and voice.ready("transceiver") == before
        with voice.callers(1) as another:
            assert [each.ended for each in another.report()] == [""], "old pods take new calls"
        change({"requests": requests | {"memory": None}, "limits": {"memory": None}})
        voice.until(lambda: set(voice.pods("transceiver")) == before, "the new pod goes, and no other")
        voice.until(lambda: not voice.condition("ts/main", "Degraded").so, "nothing is wrong any more")

    talk.hears("transceiver rollout whose pods crash, until it is taken back", NOTHING, fail)


def test_a_shard_shrinks_from_two_to_one(talk: Talk) -> None:
    voice = talk.voice

    def fail() -> None:
        voice.k("scale", "ts/main", "--replicas=1")
        voice.until(lambda: voice.get("ts/main")["status"].get("draining"), "one drains", 60.0)

    talk.hears("transceiver shard 2 -> 1", NOTHING, fail)
    assert len(voice.pods("transceiver")) == 2, "a pod with calls has gone"
    talk.hang_up()
    voice.until(lambda: len(voice.pods("transceiver")) == 1, "it shrinks when its calls have ended")
    voice.k("scale", "ts/main", "--replicas=2")
    voice.until(lambda: len(voice.ready("transceiver")) == 2, "it grows again")
