"""The relay's logic: a packet and `now` in, actions out. No socket, no clock.

The packet loop carries known flows' packets by two look-ups of its own (`flows`, and `replies` of a peer) and brings
everything else here: checks, unknown clients, unknown hop headers, the passing of time.
"""

from typing import Final

from voicefleet.core.relay.actions import Accelerate, Action, Confirmed, PeerGone, ToTransceiver
from voicefleet.core.relay.counters import Drop
from voicefleet.core.relay.downlink import Downlink
from voicefleet.core.relay.flow import Client, Flow, FlowState, Via
from voicefleet.core.relay.flow_record import FlowRecord
from voicefleet.core.relay.hop_peer import HopAddress, HopPeer, Verdict
from voicefleet.core.relay.knowledge import ANSWER_WITHIN, NOTHING, Knowledge, Surroundings
from voicefleet.core.relay.limits import Limits
from voicefleet.core.relay.uplink import Uplink
from voicefleet.wire import hop
from voicefleet.wire.hop import Flag, Kind
from voicefleet.wire.keyring import FleetKey, KeyRing

MOVING_SECONDS: Final = 9.0
"""How long before its end a relay begins to `leave`. Chromium takes a pair for weak after five checks and 5 s without
an answer, which takes 6.5 s, and gives it up after 15 s: so who has another relay is there by then, and who has none
still uses this port when its next relay starts."""
LEFT: Final = 3.0
"""Seconds of silence after which a client counts as moved; who stays sends at least a check every 2.7 s."""
_NO_CLIENT = ("0.0.0.0", 0)
"""The client in the header of a ping."""


class Forwarder:
    """One packet process's flows and what happens to them."""

    def __init__(self, ring: KeyRing, key: FleetKey, around: Surroundings, limits: Limits, now: float) -> None:
        known = self._known = Knowledge(ring, key, around, limits, now)
        self.counters = known.counters
        self.table = known.table
        self.flows = known.table.confirmed
        """Client -> confirmed flow: the loop's look-up for uplink."""
        self.peers = known.peers
        self.from_client = Uplink(known, now).packet
        """(packet, client, via, now) -> actions, for a packet of the public side that the loop did not carry."""
        self.from_hop = Downlink(known).packet
        """(packet, source, now) -> actions, for one packet of the hop, out of its bundle, of unknown header."""
        self.use_keys = known.use_keys

    def unreachable(self, address: HopAddress, port_closed: bool, now: float) -> list[Action]:
        """The network reports (ICMP) that a hop packet did not arrive: nobody has the port, or the way is broken."""
        peer = self._known.peers.by_address.get(address)
        if peer is None:
            return NOTHING
        if not port_closed:
            peer.hint(now)
            return NOTHING
        return self._gone(peer, now) if peer.lost(now) else NOTHING

    def suspect(self, address: HopAddress, now: float) -> None:
        """The directory says that this transceiver is gone: a hint, because a directory may be wrong."""
        if peer := self._known.peers.by_address.get(address):
            peer.hint(now)

    def found(self, client: Client, where: HopAddress | None, generation: int, now: float) -> list[Action]:
        """The session map's answer to a `LookUp`."""
        via = self._known.lookups.answered(client, where is not None, now)
        if via is None or where is None:
            return NOTHING
        self._known.counters.lookups_found += 1
        return self.remember(FlowRecord(client, via.local, where, generation, -1), via, now)

    def remember(self, record: FlowRecord, via: Via, now: float) -> list[Action]:
        """Goes on with a flow that another packet process had, or the session map knew."""
        if record.client in self.flows or record.client in self._known.table.pending:
            return NOTHING
        if not self._known.around.networks.allow(record.hop[0]):
            return self._known.drop(Drop.HOP_NOT_ALLOWED)
        peer = self._known.peers.at(record.hop, now)
        if peer is None:
            return self._known.drop(Drop.PEERS_FULL)
        flow = self._known.table.restore(record.client, via, peer, self._known.seal(record.client, Flag(0)), now)
        if isinstance(flow, Drop):
            return self._known.drop(flow)
        flow.generation = record.generation
        if record.ssrc < 0:
            return [Confirmed(flow)]
        self._known.roaming.learn(flow, record.ssrc)
        return [Confirmed(flow)] if flow.tcp else [Confirmed(flow), Accelerate(flow)]

    def leave(self) -> None:
        """From now on checks of live flows are not answered, while media goes on both ways.

        To a client the path looks weak, and not dead: it looks for another one, and hears no gap.
        """
        self._known.leaving = True

    def left(self, now: float) -> bool:
        """Whether all clients are gone."""
        return all(now - self._known.last_seen(flow) > LEFT for flow in self.flows.values())

    def forget(self, client: Client) -> list[Action]:
        """The client's flows are over: its TCP connection ended, or another relay says so."""
        actions: list[Action] = []
        for flow in (self.flows.get(client), self._known.table.pending.get(client)):
            if flow is not None:
                actions.append(self._known.end(flow))
        return actions

    def tick(self, now: float) -> list[Action]:
        """What time alone brings about: expiry, pings, verdicts. To be called about ten times a second."""
        actions: list[Action] = []
        for flow in self._known.table.due(now):
            self._look_at(flow, now, actions)
        for peer in self._known.peers:
            verdict = peer.judge(now, self._known.limits)
            if verdict is Verdict.PING:
                nonce = self._known.around.random(8)
                peer.pinged(nonce, now)
                self._known.counters.pings += 1
                actions.append(ToTransceiver(peer, hop.seal(Kind.PING, Flag(0), _NO_CLIENT, self._known.key), nonce))
            elif verdict is Verdict.GONE:
                actions += self._gone(peer, now)
        self._known.roaming.expire(now)
        self._known.lookups.expire(now)
        self._known.peers.tidy(now)
        return actions

    def _look_at(self, flow: Flow, now: float, actions: list[Action]) -> None:
        if flow.state is FlowState.PENDING:
            until = flow.check_at + self._known.limits.pending_for
        else:
            until = self._known.last_seen(flow) + self._known.limits.idle
        if until > now:
            self._known.table.look_again(flow, until)
            return
        self._known.counters.flows_expired += 1
        actions.append(self._known.end(flow))

    def _gone(self, peer: HopPeer, now: float) -> list[Action]:
        self._known.counters.peers_lost += 1
        actions: list[Action] = [PeerGone(peer)]
        for flow in self._known.flows_of(peer):
            if now - flow.check_at < ANSWER_WITHIN:
                actions += self._known.refuse(flow)
        return actions
