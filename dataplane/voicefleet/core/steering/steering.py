"""Puts the parts together: a client in, relays and transceivers out, each with what speaks for it.

Pure: the directory, the averages and the random source are given, `now` is an argument. What it remembers (which pool a
network used, what it placed where) is bounded and may be lost; it makes calls flap less, never wrong.
"""

from collections import OrderedDict
from random import Random
from typing import Final

from voicefleet.core.directory import Directory, RelayEntry
from voicefleet.core.steering.belief import believe
from voicefleet.core.steering.distances import Distances
from voicefleet.core.steering.exploration import explore, heard_of, in_order
from voicefleet.core.steering.fleet_view import NOTHING, FleetView, look
from voicefleet.core.steering.policy import Client, Policy
from voicefleet.core.steering.relay_choice import RelayChoice, choose, explored, rank
from voicefleet.core.steering.round_trips import RoundTrips
from voicefleet.core.steering.transceiver_choice import Asked, TransceiverChoice

STICKY_FOR: Final = 300.0
"""Seconds that a network stays with the pool it was sent to, if that is nearly the best; then the best is asked for."""
STICKY_NETWORKS: Final = 20_000


class Steering:
    """One for each replica of signaling."""

    def __init__(
        self, directory: Directory, policy: Policy, random: Random, measured: RoundTrips | None = None
    ) -> None:
        self.policy = policy
        """May be replaced at any time."""
        self.measured = measured if measured is not None else RoundTrips()
        self._directory = directory
        self._random = random
        self._view = NOTHING
        self._transceivers = TransceiverChoice(random)
        self._distances = Distances()
        self._used: OrderedDict[str, tuple[str, float]] = OrderedDict()

    def view(self, now: float) -> FleetView:
        """What there is to choose from."""
        if self._view.old(self._directory, now):
            self._view = look(self._directory, now)
            self._transceivers.seen(self._view, now)
        return self._view

    def relays(self, client: Client, now: float, *, count: int | None = None, remember: bool = True) -> RelayChoice:
        """The relays to offer, best first. `remember` off asks without leaving a trace, as an explanation does."""
        view = self.view(now)
        measured = self.measured.of(client.network, now) if client.network else {}
        belief = believe(client.place, view.places, measured)
        used = self._used.get(client.network)
        kept = used[0] if used is not None and now - used[1] < STICKY_FOR else None
        distances = self._distances.to(belief.place, view.places)
        ranked = rank(view, client, self.policy, belief, distances, measured, kept, self._random)
        candidates = choose(ranked, self.policy.relays if count is None else count, self._random)
        if candidates and remember and client.network:
            self._remember(client.network, candidates[0].relay.pool, now)
            offered = heard_of(candidates, belief)
            worth = explore(ranked, offered, belief, measured, view.places)
            tried = tuple(explored(each, self._random) for each in worth)
            candidates = in_order(candidates, tried, belief)
        forbidden = tuple(pool.name for pool in view.pools if not self.policy.allows(pool.region))
        return RelayChoice(candidates, tuple(ranked), belief, forbidden, view.gone)

    def direct(self, now: float) -> bool:
        """Whether calls can do without a relay: transceivers are there that clients reach by themselves."""
        return self.view(now).direct

    def transceivers(self, client: Client, first: RelayEntry | None, now: float) -> tuple[Asked, ...]:
        """The transceivers to ask, in order; `first` is the relay that the client is offered first."""
        return self._transceivers.choose(self.view(now), first, client.key, self.policy, now)

    def placed(self, client: Client, transceiver: str) -> None:
        """The call went there: it counts until the directory has heard of it."""
        self._transceivers.placed(transceiver, client.key)

    def _remember(self, network: str, pool: str, now: float) -> None:
        used = self._used.get(network)
        if used is None or used[0] != pool or now - used[1] >= STICKY_FOR:
            self._used[network] = (pool, now)
        self._used.move_to_end(network)
        while len(self._used) > STICKY_NETWORKS:
            self._used.popitem(last=False)
