"""From clients to transceivers: every packet of the public side that the packet loop's look-up does not carry.

Checks are verified before anything is kept or answered; media without a flow may still be recognised by its SSRC, or by
the session map.
"""

from voicefleet.contract import HOP_MTU
from voicefleet.core.relay.actions import Accelerate, Action, LookUp, ToClient, ToTransceiver
from voicefleet.core.relay.counters import Drop
from voicefleet.core.relay.flow import Client, Flow, FlowState, Via
from voicefleet.core.relay.knowledge import NOTHING, Knowledge
from voicefleet.core.relay.limits import TokenBucket
from voicefleet.wire import hop
from voicefleet.wire.demux import FIRST_OCTET, PacketKind
from voicefleet.wire.errors import WireError
from voicefleet.wire.hop import Flag
from voicefleet.wire.route_token import TO_THE_RELAY, Route
from voicefleet.wire.stun import BINDING, Class, binding_success, peek

MAX_PAYLOAD = HOP_MTU - hop.HEADER
"""Longest packet of a client that fits the hop in one piece."""
_OPENED = (Drop.HOP_NOT_ALLOWED, Drop.STUN_BAD_INTEGRITY)
"""What is wrong with a check whose token is this fleet's."""


class Uplink:
    """Decides about packets of clients."""

    def __init__(self, knowledge: Knowledge, now: float) -> None:
        self._known = knowledge
        self._new_checks = TokenBucket(knowledge.limits.new_checks, now)

    def packet(self, packet: bytes, client: Client, via: Via, now: float) -> list[Action]:
        """What to do with a packet that the loop did not carry."""
        if not packet:
            return self._known.drop(Drop.EMPTY)
        if len(packet) > MAX_PAYLOAD:
            return self._known.drop(Drop.TOO_LONG)
        kind = FIRST_OCTET[packet[0]]
        if kind is PacketKind.STUN:
            return self._stun(packet, client, via, now)
        if kind is not PacketKind.RTP and kind is not PacketKind.DTLS:
            return self._known.drop(Drop.UNKNOWN_KIND)
        flow = self._known.table.confirmed.get(client)
        if flow is not None:
            return self._carry(packet, flow, kind, now)
        flow = self._known.table.pending.get(client)
        if flow is not None:
            if flow.allowance <= 0:
                return self._known.drop(Drop.PENDING_ALLOWANCE)
            flow.allowance -= 1
            flow.seen = now
            return [ToTransceiver(flow.peer, flow.header, packet)]
        if len(client) == 3:
            return self._known.drop(Drop.UNKNOWN_CLIENT)
        return self._unknown(packet, client, via, kind, now)

    def _carry(self, packet: bytes, flow: Flow, kind: PacketKind, now: float) -> list[Action]:
        flow.seen = now
        actions: list[Action] = [ToTransceiver(flow.peer, flow.header, packet)]
        if flow.ssrc < 0 and kind is PacketKind.RTP and (ssrc := _ssrc(packet)) >= 0:
            self._known.roaming.learn(flow, ssrc)
            if not flow.tcp:
                actions.append(Accelerate(flow))
        return actions

    def _unknown(self, packet: bytes, client: Client, via: Via, kind: PacketKind, now: float) -> list[Action]:
        roamer = self._known.roaming.known(client)
        if roamer is None and kind is PacketKind.RTP:
            owner = self._known.roaming.owner(_ssrc(packet))
            if owner is not None:
                header = self._known.seal(client, Flag.UNVERIFIED | Flag.ROAMED)
                followed = self._known.roaming.follow(client, via, owner, header, now)
                if isinstance(followed, Drop):
                    return self._known.drop(followed)
                roamer = followed
        if roamer is not None and roamer.flow.state is FlowState.CONFIRMED:
            if not roamer.rate.take(now):
                return self._known.drop(Drop.ROAMING_OVER_RATE)
            self._known.counters.roaming_packets += 1
            return [ToTransceiver(roamer.flow.peer, roamer.header, packet)]
        self._known.counters.drops[Drop.UNKNOWN_CLIENT] += 1
        if client[1] and self._known.lookups.ask(client, via, now):
            self._known.counters.lookups += 1
            return [LookUp(client)]
        return NOTHING

    def _stun(self, packet: bytes, client: Client, via: Via, now: float) -> list[Action]:
        try:
            cls, method, username, integrity_at = peek(packet)
        except WireError:
            return self._known.drop(Drop.STUN_MALFORMED)
        flow = self._known.table.confirmed.get(client)
        if cls != Class.REQUEST or method != BINDING:
            if flow is None or method != BINDING:
                return self._known.drop(Drop.STUN_NOT_REQUEST)
            return [ToTransceiver(flow.peer, flow.header, packet)]
        if flow is None and client not in self._known.table.pending and not self._new_checks.take(now):
            return self._known.drop(Drop.CHECKS_OVER_RATE)
        if client[1] == 0:
            return self._known.drop(Drop.BAD_SOURCE)
        verified = self._known.gate.verify(packet, username, integrity_at)
        if isinstance(verified, Drop):
            self._known.counters.tokens_opened += verified in _OPENED
            return self._known.drop(verified)
        self._known.counters.tokens_opened += 1
        self._known.counters.checks_verified += 1
        token, route, transaction = verified
        if route.port == TO_THE_RELAY:
            password = self._known.gate.password(token)
            if password is None:
                return self._known.drop(Drop.TOKEN_UNKNOWN_KEY)
            return [ToClient(via, client, binding_success(transaction, client[:2], password))]
        actions: list[Action] = []
        found = self._flow_for(client, via, token, route, now, actions)
        if isinstance(found, Drop):
            return self._known.drop(found)
        flow = found
        again = flow.accelerated and flow.via is not via
        flow.via = via
        flow.seen = now
        flow.check = transaction
        flow.check_at = now
        if flow.generation != route.generation:
            flow.generation = route.generation
            flow.refused = False
        peer = flow.peer
        if peer.gone or flow.refused:
            self._known.counters.drops[Drop.REFUSED] += 1
            return actions + self._known.refuse(flow)
        if self._known.leaving and flow.state is FlowState.CONFIRMED:
            return actions + self._known.drop(Drop.LEAVING)
        if peer.generation not in (-1, flow.generation):
            peer.doubt(flow, now)
        if flow.header[6] != self._known.key.key_id:
            flow.header = self._known.seal(client, Flag(flow.header[3]))
            again = flow.accelerated
        if again:
            actions.append(Accelerate(flow))
        actions.append(ToTransceiver(peer, flow.header, packet))
        return actions

    def _flow_for(
        self, client: Client, via: Via, token: bytes, route: Route, now: float, actions: list[Action]
    ) -> Flow | Drop:
        """The flow that a verified check belongs to: known, re-routed, or new."""
        peer = self._known.peers.at((route.address, route.port), now)
        if peer is None:
            return Drop.PEERS_FULL
        known = self._known.table.confirmed.get(client)
        waiting = self._known.table.pending.get(client)
        if waiting is not None and (waiting.peer is not peer or (known is not None and known.peer is peer)):
            self._known.table.remove(waiting)
            waiting = None
        flow = known if known is not None and known.peer is peer else waiting
        if flow is not None:
            self._known.table.adopt(flow, token)
            return flow
        if known is not None:
            self._known.counters.flows_rerouted += 1
        header = self._known.seal(client, Flag(0))
        opened = self._known.table.open(client, via, peer, header, token, now)
        if opened is Drop.TOKEN_FULL and (silent := self._known.silent(token, now)):
            actions.append(self._known.end(silent))
            self._known.counters.flows_shed += 1
            opened = self._known.table.open(client, via, peer, header, token, now)
        return opened


def _ssrc(packet: bytes) -> int:
    """The sender's SSRC in an RTP or RTCP packet (RFC 5761 section 4 tells them apart); -1 in a stump."""
    if len(packet) < 12:
        return -1 if len(packet) < 8 or not 192 <= packet[1] <= 223 else int.from_bytes(packet[4:8])
    return int.from_bytes(packet[4:8] if 192 <= packet[1] <= 223 else packet[8:12])
