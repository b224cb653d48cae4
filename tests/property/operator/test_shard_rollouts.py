"""Random shards roll out: those whose new pods are deaf stop before they lose an old one, all others come to an end."""

from dataclasses import dataclass, field
from random import Random

import pytest

from voicefleet_operator.model.shard_rollouts import QUIET, Taker, Trial, Verdict, observed, verdict

LOOK = 3.0
PATIENCE = 45.0


@dataclass
class Shard:
    """A Deployment with a surge, and callers who are placed by chance on pods that hear them."""

    random: Random
    size: int
    surge: int
    deaf: bool
    """Whether no call comes to new pods."""
    gap: float
    """Seconds between calls, on average; never more than twice that."""
    length: float
    now: float = 0.0
    old: list[str] = field(default_factory=list)
    new: dict[str, float] = field(default_factory=dict)
    calls: dict[str, dict[str, float]] = field(default_factory=dict)
    """Of each pod: when each began and is to end."""
    ends: dict[str, float] = field(default_factory=dict)
    trial: Trial | None = None
    found: Verdict = Verdict.GO_ON
    next_call: float = 0.0
    made: int = 0

    def begin(self) -> None:
        self.old = [f"old-{at}" for at in range(self.size)]
        self.calls = {name: {} for name in self.old}
        while self.now < 30.0:  # so that there are calls before it rolls
            self.time_passes()

    def time_passes(self) -> None:
        self.now += LOOK
        while self.next_call <= self.now:
            hears = self.old + ([] if self.deaf else list(self.new))
            if hears:
                self.made += 1
                call = f"rtc_{self.made}"
                self.calls[self.random.choice(hears)][call] = self.next_call
                self.ends[call] = self.next_call + LOOK + self.random.uniform(0.0, 2.0 * self.length)
            self.next_call += self.random.uniform(0.0, 2.0 * self.gap)
        for name, calls in self.calls.items():
            self.calls[name] = {call: at for call, at in calls.items() if self.ends[call] > self.now}

    def look(self) -> None:
        takers = [Taker(name, False, 0.0, self._ages(name)) for name in self.old]
        takers += [Taker(name, True, since, self._ages(name)) for name, since in self.new.items()]
        self.trial = observed(self.trial, "b", takers, PATIENCE, self.now)
        self.found = verdict(self.trial, takers, self.found is Verdict.STOP, PATIENCE, self.now)

    def roll(self) -> None:
        """As Kubernetes: old pods go for new ones that are ready, and new ones come as the surge allows."""
        if self.found is not Verdict.GO_ON:
            return
        while self.old and len(self.old) + len(self.new) > self.size:
            self.calls.pop(self.old.pop())
        while len(self.new) < self.size and len(self.old) + len(self.new) < self.size + self.surge:
            name = f"new-{len(self.new)}"
            self.new[name] = self.now
            self.calls[name] = {}

    def _ages(self, name: str) -> dict[str, float]:
        return {call: self.now - at for call, at in self.calls[name].items()}


def _shard(seed: int, deaf: bool, gap: float | None = None) -> Shard:
    random = Random(seed)
    made = Shard(
        random,
        size=random.randint(1, 20),
        surge=random.randint(1, 5),
        deaf=deaf,
        gap=gap or random.uniform(0.1, (QUIET - LOOK) / 2.0),
        length=random.uniform(QUIET, 300.0),
    )
    made.begin()
    return made


@pytest.mark.parametrize("part", range(2))
def test_while_calls_pass_new_pods_by_no_old_one_goes_and_it_is_said(part: int) -> None:
    for seed in range(part, 200, 2):
        shard = _shard(seed, deaf=True)
        for _ in range(1500):
            shard.roll()
            shard.time_passes()
            shard.look()
            assert len(shard.old) == shard.size, f"seed {seed} at {shard.now}"
            if shard.found is Verdict.STOP:
                break
        assert shard.found is Verdict.STOP, f"seed {seed}: {shard.trial}"
        shard.deaf = False  # it was signaling, say, and is mended
        _ends(shard, seed)


def test_new_pods_that_get_calls_replace_all_old_ones() -> None:
    stops = sum(_ends(_shard(seed, deaf=False), seed) for seed in range(200))
    assert stops <= 10, "chance alone looks like deaf pods"


def test_a_shard_without_new_calls_rolls_whatever_its_new_pods_hear() -> None:
    for seed in range(100):
        shard = _shard(seed, deaf=True, gap=1000.0)
        shard.next_call = float("inf")
        assert not _ends(shard, seed)
        assert shard.now < 30.0 + QUIET + LOOK * (shard.size + 5), f"seed {seed}"


def _ends(shard: Shard, seed: int) -> bool:
    """Whether it was stopped on the way to its end."""
    stopped = False
    for _ in range(2000):
        shard.roll()
        if not shard.old:
            return stopped
        shard.time_passes()
        shard.look()
        stopped |= shard.found is Verdict.STOP
    raise AssertionError(f"seed {seed}: {shard.old} are left at {shard.now}, {shard.found}")
