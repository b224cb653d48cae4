"""The operator knows about calls: it drains before it removes, and scales by what is left free."""

import base64
import json
import random
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from functools import partial

import pytest_asyncio

from tests.support.kubernetes.objects import Namespace
from tests.support.kubernetes.transceiver import StandIn
from voicefleet.wire.keyring import KeyRing
from voicefleet_operator.api.conditions import timestamp


class Shard:
    """The pods of the shard `main`, each a stand-in that answers at an address of its own."""

    def __init__(self, voice: Namespace, stack: AsyncExitStack) -> None:
        self.voice, self._stack = voice, stack
        self.pods: dict[str, StandIn] = {}

    async def run(self, count: int) -> None:
        """Start the pods that are new, until there are so many."""

        def there() -> bool:
            return len(self.voice.pods(shard="main")) == count

        await self.voice.until(there, f"there are {count} pods")
        for pod in self.voice.pods(shard="main"):
            name = pod["metadata"]["name"]
            if name not in self.pods:
                self.pods[name] = await self._stand_in()
                self.voice.run_pod(name, self.pods[name].address, timestamp(time.time()))

    def names(self) -> set[str]:
        return {each["metadata"]["name"] for each in self.voice.pods(shard="main")}

    async def _stand_in(self) -> StandIn:
        while True:
            made = StandIn(f"127.{random.randint(1, 250)}.{random.randint(0, 250)}.{random.randint(2, 250)}")
            try:
                return await self._stack.enter_async_context(made.served(self._keys()))
            except OSError:
                continue  # somebody has that address

    def _keys(self) -> set[str]:
        secret = self.voice.get("secret/demo-keys")
        assert secret is not None
        ring = KeyRing.parse(base64.b64decode(secret["data"]["keyring.json"]))
        return {key.api_bearer for key in ring.keys}


@pytest_asyncio.fixture
async def shard(voice: Namespace) -> AsyncIterator[Shard]:
    """Three pods of a shard whose drains have a minute."""
    voice.apply("VoiceFleet", "demo")
    voice.apply("TransceiverShard", "main", {"fleetRef": "demo", "replicas": 3, "drain": {"deadline": "1h"}})
    async with AsyncExitStack() as stack:
        made = Shard(voice, stack)
        await made.run(3)
        yield made


def _status(voice: Namespace, target: str) -> dict[str, object]:
    found: dict[str, object] = (voice.get(target) or {}).get("status") or {}
    return found


async def test_a_shard_that_shrinks_lets_the_calls_of_its_emptiest_pod_end_first(shard: Shard) -> None:
    voice = shard.voice
    first, second, third = shard.pods
    shard.pods[first].calls, shard.pods[second].calls, shard.pods[third].calls = 9, 2, 5
    await voice.until(lambda: _status(voice, "ts/main").get("calls") == 16, "the calls are counted")
    assert _status(voice, "ts/main")["capacity"] == 600
    voice.kubectl("scale", "ts/main", "--replicas=2")
    await voice.until(lambda: shard.pods[second].draining, "the emptiest pod is told to drain")
    await voice.until(lambda: voice.condition("ts/main", "Draining")[0] == "True", "the shard says so")
    assert not shard.pods[first].draining and not shard.pods[third].draining
    assert (voice.get("deploy/main-transceiver") or {})["spec"]["replicas"] == 3
    assert [each["name"] for each in _status(voice, "ts/main")["draining"]] == [second]  # type: ignore[attr-defined]
    shard.pods[second].silent = True  # not knowing is no reason to remove it
    voice.kubectl("annotate", "ts/main", "look=again")
    shard.pods[second].silent = False
    assert shard.names() == {first, second, third}
    shard.pods[second].calls = 0
    await voice.until(lambda: shard.names() == {first, third}, "the empty pod has gone, and no other")
    assert (voice.get("deploy/main-transceiver") or {})["spec"]["replicas"] == 2
    await voice.until(lambda: voice.condition("ts/main", "Draining")[0] == "False", "nothing drains any more")


async def test_a_shard_that_is_wanted_again_while_it_drains_gets_a_new_pod(shard: Shard) -> None:
    voice = shard.voice
    for pod in shard.pods.values():
        pod.calls = 3
    await voice.until(lambda: _status(voice, "ts/main").get("calls") == 9, "the calls are counted")
    voice.kubectl("scale", "ts/main", "--replicas=2")
    await voice.until(lambda: any(pod.draining for pod in shard.pods.values()), "one drains")
    voice.kubectl("scale", "ts/main", "--replicas=3")
    await shard.run(4)
    await voice.until(lambda: _status(voice, "ts/main").get("capacity") == 600, "three of the four take calls")
    assert sum(pod.draining for pod in shard.pods.values()) == 1


async def test_a_policy_grows_a_shard_when_calls_come_and_holds_when_it_cannot_count(shard: Shard) -> None:
    voice = shard.voice
    target = {"kind": "TransceiverShard", "name": "main"}
    voice.apply("ScalingPolicy", "by-calls", {"targetRef": target, "minReplicas": 3, "freeSessions": "20%"})
    await voice.until(lambda: voice.condition("vsp/by-calls", "Ready")[0] == "True", "the policy is at work")
    for pod in shard.pods.values():
        pod.calls = 190

    def wanted() -> object:
        return (voice.get("ts/main") or {})["spec"]["replicas"]

    await voice.until(lambda: wanted() == 4, "it has grown")
    assert "570 calls and 20% free" in str(_status(voice, "vsp/by-calls")["reason"])
    shown = voice.kubectl("get", "vsp", "-o", "wide")
    assert "by-calls" in shown and "TransceiverShard" in shown
    await shard.run(4)
    for pod in shard.pods.values():
        pod.silent = True
    voice.kubectl("patch", "vsp/by-calls", "--type=merge", "-p", json.dumps({"spec": {"staleAfter": "1s"}}))
    await voice.until(
        lambda: voice.condition("vsp/by-calls", "AbleToScale")[1] == "FiguresMissing", "it says that it cannot count"
    )
    assert wanted() == 4


async def test_a_dry_run_only_says_what_it_would_do(shard: Shard) -> None:
    voice = shard.voice
    for pod in shard.pods.values():
        pod.calls = 190
    target = {"kind": "TransceiverShard", "name": "main"}
    voice.apply("ScalingPolicy", "dry", {"targetRef": target, "minReplicas": 3, "freeSessions": "20%", "dryRun": True})
    await voice.until(lambda: _status(voice, "vsp/dry").get("desiredReplicas") == 4, "it says what it would do")
    assert str(_status(voice, "vsp/dry")["reason"]).startswith("would go from 3 to 4: ")
    assert (voice.get("ts/main") or {})["spec"]["replicas"] == 3


async def test_two_who_scale_one_target_are_told_of_each_other(shard: Shard) -> None:
    voice = shard.voice
    policy = {"targetRef": {"kind": "TransceiverShard", "name": "main"}, "minReplicas": 3, "freeSessions": 1}
    voice.apply("ScalingPolicy", "one", policy)
    await voice.until(lambda: voice.condition("vsp/one", "Ready")[0] == "True", "alone it is at work")
    voice.apply("ScalingPolicy", "two", policy)
    for name, other in (("one", "two"), ("two", "one")):
        await voice.until(partial(voice.is_ready, f"vsp/{name}", "False", "ConflictingPolicies"), f"{name} sees it")
        assert voice.condition(f"vsp/{name}", "AbleToScale")[2].startswith(f"{other} scales the same target")
    voice.kubectl("delete", "vsp/two")
    await voice.until(lambda: voice.condition("vsp/one", "Ready")[0] == "True", "alone it is at work again")
    autoscaler = {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "theirs", "namespace": voice.name},
        "spec": {
            "maxReplicas": 5,
            "scaleTargetRef": {"apiVersion": "voicefleet.dev/v1alpha1", "kind": "TransceiverShard", "name": "main"},
        },
    }
    voice.kubectl("apply", "-f", "-", stdin=json.dumps(autoscaler))
    await voice.until(
        lambda: voice.condition("vsp/one", "AbleToScale")[1] == "ConflictingAutoscaler", "it sees the autoscaler"
    )
    voice.kubectl("delete", "hpa/theirs")
    await voice.until(lambda: voice.condition("vsp/one", "Ready")[0] == "True", "alone it is at work once more")


async def test_a_policy_for_nothing_says_so(voice: Namespace) -> None:
    voice.apply("ScalingPolicy", "lost", {"targetRef": {"name": "main"}, "freeSessions": 1})
    await voice.until(lambda: voice.condition("vsp/lost", "Ready")[1] == "TargetNotFound", "it says what it misses")


async def test_a_rollout_whose_new_pods_get_no_calls_stops_says_so_and_heals(shard: Shard) -> None:
    voice = shard.voice
    old = set(shard.pods)
    voice.kubectl("patch", "ts/main", "--type=merge", "-p", '{"spec": {"rollout": {"patience": "3s"}}}')

    async def is_stopped(sessions: int) -> str:
        voice.kubectl("patch", "ts/main", "--type=merge", "-p", json.dumps({"spec": {"sessionsPerReplica": sessions}}))
        await shard.run(4)
        (new,) = shard.names() - old

        def stopped() -> bool:
            for name in old:
                shard.pods[name].calls += 1  # signaling goes on with the old ones
            return voice.condition("ts/main", "Degraded")[1] == "NewPodsGetNoCalls"

        await voice.until(stopped, "it stops")
        assert shard.names() == {*old, new}, "all old pods are there"
        assert new in voice.condition("ts/main", "Degraded")[2]
        assert voice.condition("ts/main", "Progressing")[:2] == ("False", "NewPodsGetNoCalls")
        assert voice.condition("ts/main", "Ready")[0] == "True", "callers lack nothing"
        return new

    def told() -> set[str]:
        return {each["type"] for each in voice.all("events.events.k8s.io") if each["reason"] == "NewPodsGetNoCalls"}

    for name in old:
        shard.pods[name].calls = 3
    await voice.until(lambda: _status(voice, "ts/main").get("calls") == 9, "the calls are counted")
    await is_stopped(150)
    await voice.until(lambda: told() == {"Warning"}, "an Event tells")
    voice.kubectl("patch", "ts/main", "--type=merge", "-p", '{"spec": {"sessionsPerReplica": 200}}')
    await voice.until(lambda: shard.names() == old, "with the last spec put back the new pod goes, and no other")
    await voice.until(lambda: voice.condition("ts/main", "Degraded")[0] == "False", "it is mended")
    shard.pods[await is_stopped(160)].calls = 1
    await voice.until(lambda: voice.condition("ts/main", "Degraded")[0] == "False", "a call on a new pod mends it")
    await voice.until(lambda: not old <= shard.names(), "old pods go")
