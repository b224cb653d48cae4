"""What one packet process knows: flows, peers, keys, counters; and the few things that both directions do with it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from voicefleet.core.relay.actions import Action, Ended, ToClient
from voicefleet.core.relay.check_gate import CheckGate
from voicefleet.core.relay.counters import Counters, Drop
from voicefleet.core.relay.flow import Client, Flow, Via
from voicefleet.core.relay.flow_table import FlowTable
from voicefleet.core.relay.hop_networks import HopNetworks
from voicefleet.core.relay.hop_peer import HopPeer
from voicefleet.core.relay.hop_peers import HopPeers
from voicefleet.core.relay.limits import Limits
from voicefleet.core.relay.lookups import LookUps
from voicefleet.core.relay.roaming import Roaming
from voicefleet.wire import hop
from voicefleet.wire.hop import Flag, Kind
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.stun import binding_error

ANSWER_WITHIN: Final = 5.0
"""Age up to which a check is still worth a refusal: ICE has given a transaction up after that."""
NOTHING: Final[list[Action]] = []


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What the core is given of the outside."""

    networks: HopNetworks
    random: Callable[[int], bytes]
    local_end: Callable[[Client], Via | None]
    """The local end to use for a client that has not been heard here yet."""
    seen_elsewhere: Callable[[Flow], float]
    """When the kernel last saw a packet of an accelerated flow."""
    pool: bytes = b""
    """The pool's name, for transceivers that ask."""


class Knowledge:
    """The state that uplink, downlink and clock share."""

    def __init__(self, ring: KeyRing, key: FleetKey, around: Surroundings, limits: Limits, now: float) -> None:
        self.around = around
        self.limits = limits
        self.counters = Counters()
        self.table = FlowTable(limits, self.counters, now)
        self.peers = HopPeers(limits, now)
        self.roaming = Roaming(limits)
        self.lookups = LookUps(limits, now)
        self.leaving = False
        """Whether clients are to look for another relay."""
        self.use_keys(ring, key)

    def use_keys(self, ring: KeyRing, key: FleetKey) -> None:
        """Opens with `ring` and seals with `key` from now on; flows keep their headers until their next check."""
        self.ring = ring
        self.key = key
        self.gate = CheckGate(ring, self.around.networks)

    def seal(self, client: Client, flags: Flag) -> bytes:
        """The uplink hop header of a client."""
        return hop.seal(Kind.DATA, flags | Flag.TCP if len(client) == 3 else flags, client[:2], self.key)

    def drop(self, reason: Drop) -> list[Action]:
        """Counts a packet that goes nowhere."""
        self.counters.drops[reason] += 1
        return NOTHING

    def flows_of(self, peer: HopPeer) -> list[Flow]:
        """All flows that point to a peer; a walk through the table, for rare events."""
        return [
            flow for flows in (self.table.confirmed, self.table.pending) for flow in flows.values() if flow.peer is peer
        ]

    def last_seen(self, flow: Flow) -> float:
        """When the flow's client was heard last, by whoever forwards it."""
        if flow.accelerated:
            flow.seen = max(flow.seen, self.around.seen_elsewhere(flow))
        return flow.seen

    def silent(self, token: bytes, now: float) -> Flow | None:
        """The flow of a call that has been silent longest, if that is long enough to give its place to a new one."""
        flow = min(self.table.of_token(token), key=self.last_seen, default=None)
        return flow if flow is not None and now - flow.seen >= self.limits.shed_idle else None

    def end(self, flow: Flow) -> Ended:
        """Removes a flow from everywhere."""
        self.table.remove(flow)
        self.roaming.forget(flow)
        return Ended(flow)

    def refuse(self, flow: Flow) -> list[Action]:
        """An authenticated error for the flow's last check, once: the client knows at once that the call is over."""
        password = self.gate.password(flow.token) if flow.token and flow.check else None
        if password is None:
            return NOTHING
        error = binding_error(flow.check, 400, "Gone", password)
        flow.check = b""
        self.counters.refusals += 1
        return [ToClient(flow.via, flow.client, error)]

    def vouched(self, client: Client, peer: HopPeer, origin: Flow | None, now: float) -> Flow | Drop:
        """A flow for a client that has proven itself to its transceiver only; `origin` is where it roamed from."""
        roamer = self.roaming.known(client)
        if roamer is not None:
            via: Via | None = roamer.via
            origin = origin or roamer.flow
            self.roaming.done(roamer)
        else:
            via = self.around.local_end(client)
        if via is None:
            return Drop.HOP_UNKNOWN_CLIENT
        flags = Flag(0) if origin is None else Flag.ROAMED
        flow = self.table.restore(client, via, peer, self.seal(client, flags), now)
        if isinstance(flow, Flow) and origin is not None and origin.peer is peer:
            self.table.adopt(flow, origin.token)
            flow.generation = origin.generation
            if origin.ssrc >= 0:
                self.roaming.learn(flow, origin.ssrc)
        return flow
