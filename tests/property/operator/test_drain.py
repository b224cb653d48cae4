"""A shard that shrinks and grows at random never loses a call before its deadline, and always gets where it should."""

from dataclasses import dataclass, field, replace
from random import Random

import pytest

from voicefleet_operator.model.drain import PodState, plan_drain

DEADLINE = 100.0
TICK = 5.0


@dataclass
class Shard:
    """A Deployment with its ReplicaSet and pods, as Kubernetes would have them."""

    random: Random
    deployed: int
    pods: dict[str, PodState] = field(default_factory=dict)
    made: int = 0
    now: float = 0.0
    lost_early: list[str] = field(default_factory=list)
    rolling: bool = False
    """Whether the Deployment chooses who goes; a pod that it ends has the time of its drain all the same."""

    def change_template(self) -> None:
        """Somebody changes the shard's spec."""
        self.pods = {name: replace(pod, outdated=True) for name, pod in self.pods.items()}

    def roll(self) -> None:
        """One step of a rollout: one pod more than the count, and old ones end, with all their time, for new ones."""
        self.rolling = True
        old = [pod for pod in self.pods.values() if pod.outdated]
        new = [pod for pod in self.pods.values() if not pod.outdated]
        spare = len(self.pods) - self.deployed - sum(not pod.ready for pod in new)
        for pod in sorted(old, key=lambda pod: (pod.ready, pod.cost))[: max(0, spare)]:
            del self.pods[pod.name]
        if len(self.pods) <= self.deployed and len(new) < self.deployed:
            self.make()

    def make(self) -> None:
        self.made += 1
        name = f"pod-{self.made:03}"
        self.pods[name] = PodState(name, running=False, ready=False, calls=None)

    def replica_set(self) -> None:
        """Makes what is missing; removes what is too many in the order of Kubernetes."""
        if any(pod.outdated for pod in self.pods.values()):
            self.roll()
            return
        while len(self.pods) < self.deployed:
            self.make()
        order = sorted(self.pods.values(), key=lambda pod: (pod.running, pod.ready, pod.cost, self.random.random()))
        for pod in order[: len(self.pods) - self.deployed]:
            self.remove(pod.name)
        self.rolling = False

    def remove(self, name: str) -> None:
        pod = self.pods.pop(name)
        overdue = pod.draining_since is not None and self.now >= pod.draining_since + DEADLINE
        if pod.running and pod.calls and not overdue and not self.rolling:
            self.lost_early.append(f"{name} had {pod.calls} calls")

    def time_passes(self) -> None:
        self.now += TICK
        for name, pod in self.pods.items():
            calls, ready = pod.calls or 0, pod.ready
            if not pod.running:
                running = self.random.random() < 0.5
                self.pods[name] = replace(pod, running=running, calls=0 if running else None)
                continue
            if self.random.random() < 0.1:
                ready = not ready
            elif not pod.ready:
                ready = self.random.random() < 0.6
            if pod.draining_since is None and ready:
                calls += self.random.choice((0, 0, 1, 2))
            if self.random.random() < 0.3:
                calls = max(0, calls - self.random.randint(1, 3))
            self.pods[name] = replace(pod, calls=calls, ready=ready)

    def seen(self) -> list[PodState]:
        """What the operator sees: sometimes a pod does not answer."""
        return [replace(pod, calls=None) if self.random.random() < 0.1 else pod for pod in self.pods.values()]

    def operate(self, wanted: int, crash: float = 0.0) -> None:
        """One look; with a chance the operator dies between two of its writes."""
        step = plan_drain(self.seen(), wanted, self.deployed, DEADLINE, self.now)
        for name in step.mark:
            self.pods[name] = replace(self.pods[name], draining_since=self.now)
            if self.random.random() < crash:
                return
        for name, cost in step.costs.items():
            self.pods[name] = replace(self.pods[name], cost=cost)
            if self.random.random() < crash:
                return
        for name in step.remove:
            self.remove(name)
        self.deployed = step.replicas


@pytest.mark.parametrize("part", range(4))
def test_no_call_ends_before_its_deadline_and_every_drain_ends(part: int) -> None:
    for seed in range(part, 4000, 4):
        random = Random(seed)
        wanted = random.randint(0, 6)
        shard = Shard(random, deployed=wanted)
        for _ in range(40):
            if random.random() < 0.15:
                wanted = random.randint(0, 6)
            if random.random() < 0.05:
                shard.change_template()
            shard.operate(wanted, crash=0.1)
            shard.replica_set()
            shard.time_passes()
            assert not shard.lost_early, f"seed {seed} at {shard.now}: {shard.lost_early}"
        for _ in range(int(DEADLINE / TICK) + 80):
            shard.operate(wanted)
            shard.replica_set()
            shard.time_passes()
            assert not shard.lost_early, f"seed {seed} at {shard.now}: {shard.lost_early}"
            serving = [pod for pod in shard.pods.values() if pod.draining_since is None]
            old = [pod for pod in serving if pod.outdated]
            if not old and len(serving) == len(shard.pods) == shard.deployed == wanted:
                break
        else:
            raise AssertionError(f"seed {seed}: {wanted} wanted, after the deadline there are {shard.pods}")


def test_a_rollout_is_not_taken_for_a_surplus() -> None:
    """Its new pod has not started yet: it would be the first to go, again and again."""
    pods = [_pod("a", 3, outdated=True), _pod("b", 2, outdated=True), PodState("c", False, False, None)]
    step = plan_drain(pods, 2, 2, DEADLINE, 0.0)
    assert (step.mark, step.remove, step.replicas) == ((), (), 2)


def _pod(name: str, calls: int | None = 0, **more: object) -> PodState:
    return replace(PodState(name, running=True, ready=True, calls=calls), **more)  # type: ignore[arg-type]


def test_the_pods_with_the_fewest_calls_go_and_old_templates_before_new_ones() -> None:
    pods = [_pod("a", 5), _pod("b", 1), _pod("c", 9, outdated=True), _pod("d", None)]
    assert plan_drain(pods, 2, 4, DEADLINE, 0.0).mark == ("c", "b")


def test_the_count_stays_until_a_victim_is_empty() -> None:
    pods = [_pod("a", 5), _pod("b", 1)]
    first = plan_drain(pods, 1, 2, DEADLINE, 0.0)
    assert (first.mark, first.replicas) == (("b",), 2)
    marked = [_pod("a", 5), _pod("b", 1, draining_since=0.0, cost=first.costs["b"])]
    assert plan_drain(marked, 1, 2, DEADLINE, 50.0).replicas == 2
    empty = [_pod("a", 5), _pod("b", 0, draining_since=0.0, cost=-1000)]
    costs_first = plan_drain(empty, 1, 2, DEADLINE, 50.0)
    assert costs_first.replicas == 2 and costs_first.costs["b"] < -1000
    ready_to_go = [_pod("a", 5), _pod("b", 0, draining_since=0.0, cost=costs_first.costs["b"])]
    assert plan_drain(ready_to_go, 1, 2, DEADLINE, 50.0).replicas == 1


def test_after_the_deadline_a_pod_goes_with_the_calls_that_it_has() -> None:
    pods = [_pod("a", 5), _pod("b", 3, draining_since=0.0, cost=-2000)]
    assert plan_drain(pods, 1, 2, DEADLINE, DEADLINE).replicas == 1


def test_who_wants_more_again_gets_new_pods_since_a_draining_one_takes_no_calls() -> None:
    pods = [_pod("a", 5), _pod("b", 3, draining_since=0.0, cost=-1000)]
    assert plan_drain(pods, 2, 2, DEADLINE, 10.0).replicas == 3


def test_a_pod_that_does_not_answer_counts_as_full() -> None:
    pods = [_pod("a", None, draining_since=0.0, cost=-1000), _pod("b", 7)]
    assert plan_drain(pods, 1, 2, DEADLINE, 99.0).waiting == ("a",)
