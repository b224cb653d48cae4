"""Steering over a made-up world: 100,000 clients in 20,000 networks, placed by population; 30 pools in real cities.

Every client calls once a round, in any order, a round each hour. Calls measure the relays that they were offered, as
transceivers do. A client is well placed where no other pool is more than 5 ms nearer, which nobody could hear; the
share on the very nearest stands beside it.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Final

from tests.bench.report import Bar, Report, Row
from tests.bench.steering.world import Network, World
from voicefleet.core.directory import Directory, Kind, PublicAddress, RelayEntry
from voicefleet.core.steering.policy import Client, PlaceSource, Policy
from voicefleet.core.steering.round_trips import RoundTrips
from voicefleet.core.steering.steering import Steering

TITLE = (
    "steering: 100,000 clients to the nearest of 30 relay pools, a tenth of their networks misplaced by the database"
)
CLIENTS: Final = 100_000
NETWORKS: Final = 20_000
SAME_MS: Final = 5.0
ROUNDS: Final = 3
"""Calls of each client until learning is judged, by the last."""
HEADROOM: Final = 1.5
"""Capacity of a pool, in clients that are nearest to it: all calling at once fill it by two thirds."""
SMALLEST: Final = 0.1
"""Capacity of a pool nearly nobody is nearest to, in the mean of all."""
BEAT: Final = 2.0
BEATS: Final = 400
"""Heartbeats during a round's calls."""
BETWEEN: Final = 3600.0
"""Seconds between two rounds: longer than a network sticks to its pool."""
RELAYS_EACH: Final = 2


class Fleet:
    """The pools as a replica of signaling hears of them, and what it has placed there."""

    def __init__(self, world: World, capacity: dict[str, float], random: Random, learning: bool) -> None:
        self.now = 1000.0
        self.live: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self.alive = set(world.pools)
        self.offered = 0
        self.refused = 0
        self._world = world
        self._capacity = capacity
        self._directory = Directory()
        self._random = random
        self._learning = learning
        self.measured = RoundTrips()
        self.steering = Steering(self._directory, Policy(), random, self.measured)
        self._beat()

    def round(self) -> list[str]:
        """Every client calls once, while the calls of the round before end one by one; the pools that carried them."""
        clients = list(enumerate(self._world.clients))
        self._random.shuffle(clients)
        ending = list(self.live.elements())
        self._random.shuffle(ending)
        carried = [""] * len(clients)
        each_beat = max(1, len(clients) // BEATS)
        for number, (client, network) in enumerate(clients):
            if number % each_beat == 0:
                self.now += BEAT
                self._beat()
            if ending:
                self.live[ending.pop()] -= 1
            carried[client] = self._call(network)
        self.now += BETWEEN
        self._beat()
        return carried

    def fullest(self) -> float:
        """The most that any pool carried, by its capacity."""
        return max(self.most[pool] / self._capacity[pool] for pool in self._world.pools)

    def _call(self, network: Network) -> str:
        client = Client(network.told, network.name, "key", PlaceSource.DATABASE)
        relays = [each.pool for each in self.steering.relays(client, self.now).relays]
        self.offered += len(relays)
        there = list(dict.fromkeys(pool for pool in relays if pool in self.alive))
        if not there:
            self.refused += 1
            return relays[0]
        if self._learning:
            for pool, milliseconds in self._world.measured(network, self._world.checked(network, there)):
                self.measured.record(network.name, pool, milliseconds, self.now)
        # A relay that has just died is found out by the client's own ICE: the next one carries the call.
        pool = there[0]
        self.live[pool] += 1
        self.most[pool] = max(self.most[pool], self.live[pool])
        return pool

    def _beat(self) -> None:
        for kind in Kind:
            self._directory.source_is_there(kind, self.now)
        for pool in sorted(self.alive):
            load = round(min(1.0, self.live[pool] / self._capacity[pool]) * 50) / 50
            for number in range(RELAYS_EACH):
                name, address = f"{pool}-{number}", (PublicAddress("192.0.2.1", 3478),)
                relay = RelayEntry(name, pool, "", self._world.pools[pool], address, load, node=name)
                self._directory.heard(relay, self.now)
        self._directory.expire(self.now)


@dataclass(frozen=True, slots=True)
class Outcome:
    """How one round went."""

    near: float
    nearest: float
    misplaced_near: float
    detours: tuple[float, ...]
    """Milliseconds beyond the shortest round trip, in order."""

    @property
    def detour_p99(self) -> float:
        """What one call in a hundred is farther than need be, at least."""
        return self.detours[int(len(self.detours) * 0.99)]


def judged(world: World, carried: Sequence[str], pools: Sequence[str]) -> Outcome:
    """A round against the truth."""
    best = {network.name: network.floor[world.nearest(network, pools)] for network in world.networks}
    pairs = list(zip(world.clients, carried, strict=True))
    detours = [network.floor[pool] - best[network.name] for network, pool in pairs]
    misplaced = [detour for detour, (network, _) in zip(detours, pairs, strict=True) if network.misplaced]
    return Outcome(
        near=_share(detour <= SAME_MS for detour in detours),
        nearest=_share(detour == 0.0 for detour in detours),
        misplaced_near=_share(detour <= SAME_MS for detour in misplaced),
        detours=tuple(sorted(detours)),
    )


@dataclass(frozen=True, slots=True)
class Story:
    """All that the simulation showed."""

    unlearned: Outcome
    rounds: tuple[Outcome, ...]
    moved: float
    """Clients whose pool changed between the last two rounds although nothing else had."""
    lost: Outcome
    lost_moved: float
    """Clients of other pools that moved when one was lost."""
    back: Outcome
    back_moved: float
    again_moved: float
    """Clients whose pool changed a round after the return: what does not come to rest."""
    fullest: float
    refused: int
    offered: float
    microseconds: float


def simulate(clients: int, networks: int, seed: int = 6) -> Story:
    """Without learning, with it, then a large pool lost and back."""
    random = Random(seed)
    world = World(clients, networks, random)
    pools = tuple(world.pools)
    nearest = Counter(world.nearest(network, pools) for network in world.clients)
    capacity = {pool: max(nearest[pool], SMALLEST * clients / len(pools)) * HEADROOM for pool in pools}
    unlearned = judged(world, Fleet(world, capacity, Random(seed + 1), False).round(), pools)
    fleet = Fleet(world, capacity, Random(seed + 2), True)
    started = time.perf_counter()
    rounds = [fleet.round() for _ in range(ROUNDS)]
    microseconds = (time.perf_counter() - started) / (ROUNDS * clients) * 1e6
    offered = fleet.offered / (ROUNDS * clients)
    settled = rounds[-1]
    victim = nearest.most_common(4)[-1][0]
    bystanders = [pool != victim for pool in settled]
    fleet.alive.discard(victim)
    fleet.round()
    without = fleet.round()
    fleet.alive.add(victim)
    fleet.round()
    back = fleet.round()
    again = fleet.round()
    return Story(
        unlearned=unlearned,
        rounds=tuple(judged(world, each, pools) for each in rounds),
        moved=_moved(rounds[-2], settled),
        lost=judged(world, without, [pool for pool in pools if pool != victim]),
        lost_moved=_moved(settled, without, bystanders),
        back=judged(world, back, pools),
        back_moved=_moved(settled, back, bystanders),
        again_moved=_moved(back, again),
        fullest=fleet.fullest(),
        refused=fleet.refused,
        offered=offered,
        microseconds=microseconds,
    )


def run(quick: bool) -> Report:
    """The simulation; a quick one has a twentieth of the clients and networks."""
    return report(simulate(CLIENTS // 20, NETWORKS // 20) if quick else simulate(CLIENTS, NETWORKS))


def report(story: Story) -> Report:
    """Its figures and bars."""
    rows = _rows("without learning", story.unlearned)
    for number, each in enumerate(story.rounds, 1):
        rows += _rows(f"round {number}", each)
    rows += [
        Row("one round to the next", "clients that changed pool", story.moved * 100, "%"),
        *_rows("a pool lost", story.lost),
        Row("a pool lost", "clients of other pools that moved", story.lost_moved * 100, "%"),
        *_rows("the pool back", story.back),
        Row("the pool back", "clients of other pools that moved", story.back_moved * 100, "%"),
        Row("a round later", "clients that changed pool", story.again_moved * 100, "%"),
        Row("all rounds", "fullest pool by its capacity", story.fullest * 100, "%"),
        Row("all rounds", "calls that no offered relay carried", story.refused, ""),
        Row("learning", "relays offered to a client", story.offered, ""),
        Row("learning", "time of one call, with what it measures", story.microseconds, "us"),
    ]
    last = story.rounds[-1]
    bars = [
        Bar.at_least("clients well placed after learning, %", last.near * 100, 97.0),
        Bar.at_most("p99 detour after learning, ms", last.detour_p99, 20.0),
        Bar.at_most("fullest pool by its capacity, %", story.fullest * 100, 100.0),
        Bar.at_least("clients well placed with the pool back, %", story.back.near * 100, 97.0),
        Bar.at_most("clients that changed pool a round after the return, %", story.again_moved * 100, 3.0),
    ]
    return Report("steering", rows, bars)


def _rows(name: str, outcome: Outcome) -> list[Row]:
    return [
        Row(name, "well placed", outcome.near * 100, "%"),
        Row(name, "on the very nearest", outcome.nearest * 100, "%"),
        Row(name, "misplaced ones well placed", outcome.misplaced_near * 100, "%"),
        Row(name, "p99 detour", outcome.detour_p99, "ms"),
    ]


def _share(each: Iterable[bool]) -> float:
    counted = list(each)
    return sum(counted) / max(1, len(counted))


def _moved(before: Sequence[str], after: Sequence[str], of: Sequence[bool] | None = None) -> float:
    looked = [
        one != other for number, (one, other) in enumerate(zip(before, after, strict=True)) if of is None or of[number]
    ]
    return sum(looked) / max(1, len(looked))
