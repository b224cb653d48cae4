"""Two operators at once, crashes, pools that come and go: no port is ever used twice, and none is lost for ever."""

import os
from collections import Counter
from dataclasses import dataclass, field
from random import Random

import pytest

from voicefleet_operator.model.ports import (
    BALANCER,
    NODES,
    Lease,
    Plan,
    Problem,
    State,
    Terms,
    Want,
    plan,
    shares,
)

SCHEDULES = int(os.environ.get("VF_PORT_SCHEDULES", "100000"))
TERMS = Terms(30000, 30004, quarantine=60.0)
SCOPES = (NODES, NODES, NODES, f"{NODES}/edge=a", f"{NODES}/edge=b", f"{BALANCER}/192.0.2.1")


@dataclass
class World:
    """What the API server holds: each fleet's leases under a version, and the pools that there are."""

    leases: dict[str, tuple[Lease, ...]] = field(default_factory=lambda: {"a": (), "b": ()})
    versions: dict[str, int] = field(default_factory=lambda: {"a": 0, "b": 0})
    pools: dict[str, dict[str, Want]] = field(default_factory=lambda: {"a": {}, "b": {}})
    now: float = 0.0

    def others(self, fleet: str) -> list[Lease]:
        return [lease for other, leases in self.leases.items() if other != fleet for lease in leases]

    def write(self, fleet: str, version: int, leases: tuple[Lease, ...]) -> None:
        """As the API server does it: only if nobody has written since."""
        if self.versions[fleet] == version:
            self.leases[fleet] = leases
            self.versions[fleet] += 1

    def used(self) -> list[Lease]:
        return [each for leases in self.leases.values() for each in leases if each.state is State.BOUND]


def test_a_pool_whose_port_is_refused_for_no_visible_reason_gets_another_one_and_who_wants_it_does_not() -> None:
    bound = Lease("edge", 30001, State.BOUND, NODES)
    step = plan([bound], [Want("edge", NODES, None)], [], {}, TERMS, 0.0, Random(1), {30001})
    (lease,) = step.leases
    assert lease.state is State.CLAIMED and lease.port != 30001
    kept = plan([bound], [Want("edge", NODES, 30001)], [], {}, TERMS, 0.0, Random(1), {30001})
    assert kept.leases == (bound,), "its user said which port it has to be"


class Operator:
    """One of several that believe they lead: each call of `step` is one thing that it asks of the API server."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.crash()

    def crash(self) -> None:
        """All that it knew is gone."""
        self.fleet: str | None = None
        self.read: tuple[int, tuple[Lease, ...], tuple[Want, ...]] | None = None
        self.planned: Plan | None = None

    def step(self, world: World) -> None:
        if self.fleet is None:
            self.fleet = self.random.choice("ab")
        if self.read is None:
            pools = tuple(world.pools[self.fleet].values())
            self.read = world.versions[self.fleet], world.leases[self.fleet], pools
        elif self.planned is None:
            _, leases, pools = self.read
            self.planned = plan(
                leases, pools, world.others(self.fleet), {30001: "a Service"}, TERMS, world.now, self.random
            )
        else:
            world.write(self.fleet, self.read[0], self.planned.leases)
            self.crash()


def nobody_shares_a_port(world: World) -> bool:
    used = world.used()
    return not any(
        some.port == other.port and shares(some.addresses, other.addresses)
        for at, some in enumerate(used)
        for other in used[at + 1 :]
    )


def run(seed: int) -> Counter[str]:
    random = Random(seed)
    world, seen = World(), Counter[str]()
    operators = (Operator(random), Operator(random))
    for _ in range(random.randint(20, 60)):
        chance = random.random()
        if chance < 0.86:
            random.choice(operators).step(world)
        elif chance < 0.93:
            fleet, name = random.choice("ab"), f"pool-{random.randint(1, 3)}"
            port = random.choice((None, None, None, 30002))
            world.pools[fleet][name] = Want(name, random.choice(SCOPES), port)
        elif chance < 0.96:
            world.pools[random.choice("ab")].pop(f"pool-{random.randint(1, 3)}", None)
        elif chance < 0.98:
            random.choice(operators).crash()
        else:
            world.now += random.choice((1.0, 30.0, 61.0))
        assert nobody_shares_a_port(world), f"seed {seed}: {world.used()}"
        assert not any(each.port == 30001 and each.addresses.startswith(NODES) for each in world.used())
        seen["two claims at once"] += len({each.port for some in world.leases.values() for each in some}) < sum(
            map(len, world.leases.values())
        )
    seen["bound"] += len(world.used())
    # Nobody disturbs them any more: what can have a port gets one, and what nobody wants is free in the end.
    for _ in range(12):
        _settle(world, random)
        world.now += 61.0
    for fleet, pools in world.pools.items():
        bound = {each.pool for each in world.leases[fleet] if each.state is State.BOUND}
        last = plan(world.leases[fleet], pools.values(), world.others(fleet), {30001: "a"}, TERMS, world.now, random)
        assert bound | set(last.refused) == set(pools), f"seed {seed}"
        assert all(each.state is State.BOUND for each in world.leases[fleet]), f"seed {seed}: leaked"
    assert nobody_shares_a_port(world), f"seed {seed}"
    return seen


def _settle(world: World, random: Random) -> None:
    for fleet in ("a", "b"):
        operator = Operator(random)
        operator.fleet = fleet
        for _ in range(3):
            operator.step(world)


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("part", range(8))
def test_two_operators_never_give_one_port_twice_and_never_lose_one(part: int) -> None:
    seen = Counter[str]()
    for seed in range(part, SCHEDULES, 8):
        seen += run(seed)
    # The schedules are worth something only if the operators really met.
    assert seen["bound"] > SCHEDULES / 8 * 0.9 and seen["two claims at once"] > SCHEDULES / 80


def _after(leases: tuple[Lease, ...], *wants: Want, now: float = 0.0, taken: dict[int, str] | None = None) -> Plan:
    return plan(leases, wants, (), taken or {}, TERMS, now, Random(1))


def _bound(*wants: Want) -> tuple[Lease, ...]:
    return _after(_after((), *wants).leases, *wants).leases


def test_a_pool_that_comes_back_within_the_quarantine_has_its_port_again() -> None:
    edge = Want("edge", NODES, None)
    (lease,) = _bound(edge)
    (released,) = _after((lease,), now=100.0).leases
    assert released.state is State.RELEASED
    others = tuple(Want(f"other-{at}", NODES, None) for at in range(5))
    full = _after((released,), *others, now=120.0)
    assert lease.port not in {each.port for each in full.leases if each.pool != "edge"}
    assert _after((released,), edge, now=159.0).leases == (lease,)
    assert _after((released,), now=160.0).leases == ()


def test_the_same_pool_finds_the_same_port_in_an_empty_fleet() -> None:
    assert _bound(Want("edge", NODES, None)) == _bound(Want("edge", NODES, None))


def test_a_port_that_a_service_uses_is_never_given() -> None:
    taken = dict.fromkeys(range(30000, 30004), "the Service kube-system/dns")
    (lease,) = _after((), Want("edge", NODES, None), taken=taken).leases
    assert lease.port == 30004
    refused = _after((), Want("edge", NODES, 30002), taken=taken).refused["edge"]
    assert refused.problem is Problem.CONFLICT and "the Service kube-system/dns" in refused.message


def test_a_full_range_is_said_to_be_full() -> None:
    wants = tuple(Want(f"pool-{at}", NODES, None) for at in range(6))
    outcome = _after((), *wants)
    assert len(outcome.leases) == 5
    (refusal,) = outcome.refused.values()
    assert refusal.problem is Problem.EXHAUSTED and "widen spec.ports.range" in refusal.message


def test_pools_on_other_nodes_or_balancers_may_have_the_same_port() -> None:
    assert not shares(f"{NODES}/edge=a", f"{NODES}/edge=b")
    assert shares(f"{NODES}/edge=a", f"{NODES}/disk=ssd"), "a node may have both labels"
    assert shares(NODES, f"{NODES}/edge=a")
    assert not shares(f"{BALANCER}/192.0.2.1", f"{BALANCER}/192.0.2.2")
    assert not shares(NODES, f"{BALANCER}/192.0.2.1")
    wants = [Want("a", f"{NODES}/edge=a", 30002), Want("b", f"{NODES}/edge=b", 30002)]
    assert not _after((), *wants).refused


def test_a_port_is_used_only_after_all_others_were_read_again() -> None:
    want = Want("edge", NODES, None)
    first = _after((), want)
    assert first.ports == {} and not first.settled
    assert list(_after(first.leases, want).ports) == ["edge"]


def test_who_sees_that_another_fleet_has_claimed_the_same_port_takes_another() -> None:
    want = Want("edge", NODES, None)
    (claimed,) = _after((), want).leases
    other = claimed._replace(pool="theirs")
    (again,) = plan((claimed,), (want,), (other,), {}, TERMS, 0.0, Random(1)).leases
    assert again.state is State.CLAIMED and again.port != claimed.port
