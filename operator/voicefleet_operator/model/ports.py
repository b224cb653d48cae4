"""Which pool has which public UDP port. What stands in a fleet's status goes in, what should stand there comes out.

A fleet's leases are one list in its status, written with a precondition on its version, so within a fleet no port can
be given twice. Fleets can share addresses (the nodes), and no one object holds all their leases. So a port is claimed
first and bound later: whoever binds has read all other fleets after its own claim was written. Of two that claim the
same port, at least one reads the other's claim, and who reads one gives up its own. Only bound ports are used.

A lease whose pool has gone is kept in quarantine: clients still send there, and the pool may come back.
"""

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from random import Random
from typing import NamedTuple

from voicefleet_operator.model.resources import Pool

NODES = "nodes"
BALANCER = "load-balancer"


class State(StrEnum):
    """How far a lease is."""

    CLAIMED = "Claimed"
    """Written down, not yet used: others may have claimed the same."""
    BOUND = "Bound"
    """In use."""
    RELEASED = "Released"
    """Its pool has gone; nobody else gets it yet."""


class Lease(NamedTuple):
    """One port of one pool."""

    pool: str
    port: int
    state: State
    addresses: str
    """The set of addresses that it is for; see `shares`."""
    released_at: float | None = None


class Want(NamedTuple):
    """A pool that needs a port."""

    pool: str
    addresses: str
    port: int | None
    """A certain one, or None for any of the range."""


class Problem(StrEnum):
    """Why a pool has no port; the reasons of its condition."""

    EXHAUSTED = "PortsExhausted"
    CONFLICT = "PortConflict"


class Refusal(NamedTuple):
    """A pool without a port, and why."""

    problem: Problem
    message: str


@dataclass(frozen=True, slots=True)
class Terms:
    """By which rules ports are given."""

    first: int
    last: int
    quarantine: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What the fleet's leases should become."""

    leases: tuple[Lease, ...]
    refused: Mapping[str, Refusal]

    @property
    def ports(self) -> dict[str, int]:
        """The ports that pools may use."""
        return {each.pool: each.port for each in self.leases if each.state is State.BOUND}

    @property
    def settled(self) -> bool:
        """Whether no claim waits to be bound."""
        return all(each.state is not State.CLAIMED for each in self.leases)


def plan(
    leases: Sequence[Lease],
    wants: Iterable[Want],
    others: Collection[Lease],
    taken: Mapping[int, str],
    terms: Terms,
    now: float,
    random: Random,
    stuck: Collection[int] = (),
) -> Plan:
    """The next step of a fleet's leases.

    `leases` are the fleet's as it was read, `others` those of all other fleets, read after that. `taken` are ports of
    the nodes that something else uses, and what that is. Pools that want nothing any more have gone. `stuck` are ports
    that nothing visible uses, and which the API server refuses all the same: a pool that may have any gets another one.
    """
    taken = {**taken, **{port: "something that the operator cannot see" for port in stuck if port not in taken}}
    wanted = {each.pool: each for each in wants}
    refused: dict[str, Refusal] = {}
    kept: list[Lease] = []
    for lease in leases:
        want = wanted.get(lease.pool)
        if want is None:
            kept += _leaving(lease, terms, now)
        elif lease.state is State.RELEASED and want.port in (None, lease.port) and lease.addresses == want.addresses:
            kept.append(lease._replace(state=State.BOUND, released_at=None))  # it was ours all the time
        elif lease.state is State.RELEASED or lease.addresses != want.addresses or want.port not in (None, lease.port):
            kept += _leaving(lease, terms, now)
        elif lease.state is State.BOUND and lease.port in stuck and want.port is None:
            pass  # it was never used: nobody has sent there
        elif lease.state is State.BOUND:
            kept.append(lease)
        elif (conflict := _conflict(lease.port, lease.addresses, others, taken)) is None:
            kept.append(lease._replace(state=State.BOUND))
        elif want.port is not None:
            refused[want.pool] = Refusal(Problem.CONFLICT, f"port {lease.port} is in use by {conflict}")
        # else: somebody else has claimed it too; another one is chosen below
    held = {each.pool for each in kept if each.state is not State.RELEASED}
    # Who wants a certain port comes before those who take any.
    for want in sorted(wanted.values(), key=lambda each: each.port is None):
        if want.pool in held or want.pool in refused:
            continue
        found = _choose(want, kept, others, taken, terms, random)
        if isinstance(found, Refusal):
            refused[want.pool] = found
        else:
            kept.append(Lease(want.pool, found, State.CLAIMED, want.addresses))
    return Plan(tuple(kept), refused)


def wants_of(pool: Pool) -> tuple[Want, ...]:
    """The public port; in its nodes' networks, where each port is everybody's, one for its health as well."""
    public = Want(pool.name, addresses_of(pool), pool.spec.expose.port)
    if pool.spec.expose.type != "HostNetwork":
        return (public,)
    return public, Want(health_of(pool.name), public.addresses, None)


def health_of(pool: str) -> str:
    """Under which name a lease for the health of a pool's relays stands; no pool can be called so."""
    return f"{pool}/health"


def addresses_of(pool: Pool) -> str:
    """The set of addresses that a pool's port is open on."""
    expose = pool.spec.expose
    if expose.type == "LoadBalancer":
        shared = expose.load_balancer.address if expose.load_balancer is not None else ""
        return f"{BALANCER}/{shared or f'{pool.namespace}/{pool.name}'}"
    if expose.type == "NodePort" or not pool.spec.node_selector:
        return NODES  # a node port is open on every node, wherever its pods run
    return NODES + "/" + ",".join(f"{key}={value}" for key, value in sorted(pool.spec.node_selector.items()))


def shares(some: str, other: str) -> bool:
    """Whether two sets may have an address in common. Node sets are apart only if a label says so."""
    if some == other:
        return True
    first, second = _labels(some), _labels(other)
    if first is None or second is None:
        return False
    return all(second[key] == value for key, value in first.items() if key in second)


def _labels(addresses: str) -> dict[str, str] | None:
    kind, _, text = addresses.partition("/")
    if kind != NODES:
        return None
    return dict(each.split("=", 1) for each in text.split(",") if each)


def _leaving(lease: Lease, terms: Terms, now: float) -> list[Lease]:
    """A lease that nobody wants any more: gone if it was never used, else in quarantine until that is over."""
    if lease.state is State.CLAIMED:
        return []
    if lease.state is State.BOUND or lease.released_at is None:
        return [lease._replace(state=State.RELEASED, released_at=now)]
    return [lease] if now < lease.released_at + terms.quarantine else []


def _conflict(port: int, addresses: str, others: Iterable[Lease], taken: Mapping[int, str]) -> str | None:
    """Who else has the port on some of these addresses."""
    for other in others:
        if other.port == port and shares(other.addresses, addresses):
            return f"the pool {other.pool}"
    if port in taken and shares(addresses, NODES):
        return taken[port]
    return None


def _choose(
    want: Want,
    own: Sequence[Lease],
    others: Collection[Lease],
    taken: Mapping[int, str],
    terms: Terms,
    random: Random,
) -> int | Refusal:
    everybody = [*own, *others]
    if want.port is not None:
        conflict = _conflict(want.port, want.addresses, everybody, taken)
        if conflict is None:
            return want.port
        return Refusal(Problem.CONFLICT, f"port {want.port} is in use by {conflict}; choose another, or Auto")
    used = {each.port for each in everybody if shares(each.addresses, want.addresses)}
    if shares(want.addresses, NODES):
        used |= taken.keys()
    size = terms.last - terms.first + 1
    # Where a pool begins to look depends on its name, so that it finds the same port again in an empty fleet; a little
    # chance keeps two fleets that gave way to each other from meeting again.
    begin = int.from_bytes(hashlib.blake2s(want.pool.encode(), digest_size=4).digest()) % size
    free = (terms.first + (begin + at) % size for at in range(size) if terms.first + (begin + at) % size not in used)
    first = next(free, None)
    if first is None:
        return Refusal(
            Problem.EXHAUSTED,
            f"all {size} ports from {terms.first} to {terms.last} are in use or in quarantine; "
            "widen spec.ports.range of the fleet",
        )
    met = any(other.state is State.CLAIMED for other in others)
    return random.choice([first, *free]) if met else first
