"""Parts of a fleet fail, one at a time, while twenty calls go on; what a call hears of it is held against the promises.

Each test is named after what fails. It measures the longest time that any call was without audio, by the frames that a
caller said itself and that came back. What was measured is written to docs/failures.md when all of them have run.
"""

import base64
import json
import os
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest

from tests.support.failure_table import FailureTable, Row
from tests.support.kubernetes.voice import Call, Callers, Voice, slowness

CALLS = 20
LOST = 0.001
"""Share of frames that may be missing where nothing may be heard: whatever fails on a call's way loses what is under
way, so this is the measure of "nothing"."""
LATE = 0.5
"""Seconds that they may be late, on a node with two cores where pods start next to those with calls. Stretched by the
load of the machine."""
LEADER_SECONDS = 20.0
SETTLE_SECONDS = 3.0
"""How long calls are listened to before a failure and after it: longer than a browser's check and its answer take."""


@dataclass(frozen=True, slots=True)
class Promise:
    """What a caller may hear of a failure, as docs/architecture.md has it."""

    text: str
    gap: float


NOTHING = Promise("nothing", LATE)
SECOND_RELAY = Promise("audio back within 5 s, same call", 5.0)

SPARE = {
    "apiVersion": "voicefleet.dev/v1alpha1",
    "kind": "RelayPool",
    "metadata": {"name": "spare"},
    "spec": {"fleetRef": "demo", "region": "home", "expose": {"type": "HostPort"}},
}
IN_EARNEST = {"resources": {"requests": {"cpu": "250m"}}}
"""Of relays and transceivers: with the little that the example asks for, pods that start take the processor from those
that have calls."""
SHORT_DRAIN = {"drain": {"deadline": "12s"}}
"""Of relays, so that the tests wait less; clients begin to move nine seconds before the end in any case."""


class Talk:
    """Twenty calls that go on from test to test, until they cannot."""

    def __init__(self, voice: Voice, table: FailureTable) -> None:
        self.voice, self.table = voice, table
        self._stack = ExitStack()
        self._callers: Callers | None = None

    def callers(self) -> Callers:
        """The calls, made anew if there are none."""
        if self._callers is None:
            self._callers = self._stack.enter_context(self.voice.callers(CALLS))
        return self._callers

    def hang_up(self) -> None:
        """End them all."""
        self._callers = None
        self._stack.close()

    def carrier(self) -> str:
        """The pool whose relay most calls go through now."""
        (port, calls), *_ = Counter(each.port for each in self.callers().report()).most_common(1)
        assert calls >= CALLS / 2
        return next(
            str(each["metadata"]["name"]) for each in self.voice.get("rp")["items"] if each["status"]["port"] == port
        )

    def hears(self, what: str, promise: Promise, fail: Callable[[], object]) -> tuple[Call, ...]:
        """Have something fail, and hold what was heard of it against what may be."""
        callers = self.callers()
        callers.report()
        time.sleep(SETTLE_SECONDS)  # what is compared with: the same calls while nothing fails
        calm = callers.report()
        before = max(each.gap for each in calm)
        began = time.monotonic()
        fail()
        took = time.monotonic() - began
        time.sleep(SETTLE_SECONDS)
        calls = callers.report()
        ended = [each for each in calls if each.ended]
        gap = max(each.gap for each in calls)
        lost, said = sum(each.lost for each in calls), sum(each.said for each in calls)
        self.table.add(Row(what, promise.text, before, gap, len(ended), lost, said, took, os.getloadavg()[0]))
        if ended:
            self.hang_up()
        assert not ended, f"{len(ended)} of {CALLS} calls ended: {ended[0]}"
        allowed = max(promise.gap * slowness(), 3 * before)
        assert gap <= allowed, f"{gap:.2f} s without audio, {before:.2f} s before: {max(calls, key=_gap)}"
        if promise is NOTHING:
            assert lost <= LOST * said, f"{lost} of {said} frames are lost"
        return calls


def _gap(call: Call) -> float:
    return call.gap


@pytest.fixture(scope="module")
def table() -> Iterator[FailureTable]:
    """Collects a row of each test, and is written when all have run."""
    made = FailureTable()
    yield made
    made.write()


@pytest.fixture(scope="module")
def two_relays(voice: Voice) -> Iterator[Voice]:
    """A second relay, which answers offer beside the first. A node has a host port once, so it is of another pool."""
    voice.k("apply", "--server-side", "-f", "-", stdin=json.dumps(SPARE))
    for pool in ("edge", "spare"):
        voice.k("patch", f"rp/{pool}", "--type=merge", "-p", json.dumps({"spec": SHORT_DRAIN | IN_EARNEST}))
    voice.k("patch", "ts/main", "--type=merge", "-p", json.dumps({"spec": IN_EARNEST}))
    voice.wait_until_settled()
    yield voice
    voice.k("delete", "rp/spare")


@pytest.fixture(scope="module")
def talking(two_relays: Voice, table: FailureTable) -> Iterator[Talk]:
    """Calls that one test leaves to the next."""
    made = Talk(two_relays, table)
    yield made
    made.hang_up()


@pytest.fixture
def talk(talking: Talk) -> Iterator[Talk]:
    """The calls in a fleet that is whole, which it is again afterwards."""
    talking.callers()
    yield talking
    if talking.voice.going("transceiver"):
        talking.hang_up()  # a pod that was told to go stays for as long as it has calls
    talking.voice.wait_until_settled()


def _replaced(voice: Voice, component: str, gone: list[str]) -> Callable[[], bool]:
    """Whether these pods are gone and as many others of the component are ready."""

    def fact() -> bool:
        items = voice.get(f"pods -l app.kubernetes.io/component={component}")["items"]
        names = {each["metadata"]["name"] for each in items}
        return not names & set(gone) and bool(items) and all(_is_ready(each) for each in items)

    return fact


def _is_ready(pod: dict[str, object]) -> bool:
    status: dict[str, list[dict[str, str]]] = pod["status"]  # type: ignore[assignment]
    return any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", ()))


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
        talk.voice.until(_replaced(talk.voice, "session-map", before), "there is another Redis")

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


def test_kubelet_is_restarted(talk: Talk) -> None:
    cluster = talk.voice.node

    def fail() -> None:
        cluster.end("kubelet", signal.SIGKILL)
        cluster.start_kubelet()
        cluster.must("wait", "--for=condition=Ready", f"node/{cluster.name}", "--timeout=90s")

    talk.hears("kubelet restarted", NOTHING, fail)


def test_the_api_server_is_away_for_a_minute(talk: Talk) -> None:
    cluster = talk.voice.node

    def fail() -> None:
        cluster.end("kube-apiserver", signal.SIGKILL)
        time.sleep(60.0)  # the failure itself: nothing is waited for
        cluster.start_api_server()

    talk.hears("API server down for 60 s", NOTHING, fail)


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
        talk.voice.until(_replaced(talk.voice, "relay", before), "there is another relay")

    talk.hears("relay pod deleted", NOTHING, fail)


def test_a_relay_is_rolled_out(talk: Talk) -> None:
    pool = talk.carrier()
    before = _relays(talk.voice, pool)

    def fail() -> None:
        change = {"spec": {"limits": {"flows": 40_000 + int(time.time()) % 10_000}}}
        talk.voice.k("patch", f"rp/{pool}", "--type=merge", "-p", json.dumps(change))
        talk.voice.until(_replaced(talk.voice, "relay", before), "there is another relay")

    talk.hears("relay rollout", NOTHING, fail)


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
            voice.until(lambda: len(_ready(voice, component)) > count or pod not in voice.pods(component), "it drains")
            voice.until(lambda: len(_ready(voice, component)) >= 2, "another one takes calls")
        else:
            voice.until(_replaced(voice, component, [pod]), "another one is there")

    talk.hears(f"{component} pod evicted", NOTHING, fail)
    assert component != "transceiver" or pod in voice.going(component), "it went with its calls"


def _ready(voice: Voice, component: str) -> set[str]:
    """Pods that are ready and not about to go."""
    items = voice.get(f"pods -l app.kubernetes.io/component={component}")["items"]
    return {each["metadata"]["name"] for each in items if _is_ready(each)} & set(voice.pods(component))


# ---- transceivers, whose calls have to end before they can


def test_transceivers_are_rolled_out(talk: Talk) -> None:
    voice = talk.voice
    before = voice.pods("transceiver")

    def fail() -> None:
        change = {"spec": {"sessionsPerReplica": 300 + int(time.time()) % 90}}
        voice.k("patch", "ts/main", "--type=merge", "-p", json.dumps(change))
        voice.until(lambda: len(_ready(voice, "transceiver") - set(before)) >= 2, "new pods take all new calls")
        voice.until(lambda: not set(voice.pods("transceiver")) & set(before), "the old ones are told to go")

    talk.hears("transceiver rollout", NOTHING, fail)
    assert set(voice.going("transceiver")) & set(before), "they went with their calls"


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
    voice.until(lambda: len(_ready(voice, "transceiver")) == 2, "it grows again")
