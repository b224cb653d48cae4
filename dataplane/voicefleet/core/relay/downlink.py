"""From transceivers to clients: every hop packet whose header the packet loop does not know, and what else they say.

A header is believed by its tag, and only from an address in the hop networks; a packet for a client only from the
transceiver that the client's flow belongs to.
"""

from collections.abc import Iterable

from voicefleet.core.relay.actions import Accelerate, Action, Confirmed, ToClient, ToTransceiver
from voicefleet.core.relay.counters import Drop
from voicefleet.core.relay.flow import TCP, Client, Flow, FlowState, udp_client
from voicefleet.core.relay.hop_peer import HopAddress, HopPeer
from voicefleet.core.relay.knowledge import ANSWER_WITHIN, NOTHING, Knowledge
from voicefleet.wire import hop
from voicefleet.wire.errors import Reason, WireError
from voicefleet.wire.hop import Flag, HopHeader, Kind

_REPLIES = 4
"""Downlink headers remembered for a flow: transceivers change theirs when a key is rotated."""


class Downlink:
    """Decides about packets of transceivers."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._known = knowledge

    def packet(self, packet: bytes, source: HopAddress, now: float) -> list[Action]:
        """What to do with one packet, out of its bundle, whose header the loop does not know for this source."""
        peer = self._known.peers.by_address.get(source)
        if peer is None and not self._known.around.networks.allow(source[0]):
            return self._known.drop(Drop.HOP_STRANGER)
        try:
            header = hop.open(packet[: hop.HEADER], self._known.ring)
        except WireError as error:
            if error.reason is Reason.NOT_AUTHENTIC:
                return self._known.drop(Drop.HOP_FORGED)
            return self._known.drop(Drop.HOP_UNKNOWN_KEY if error.reason is Reason.UNKNOWN_KEY else Drop.HOP_MALFORMED)
        if not header.flags & Flag.DOWNLINK:
            return self._known.drop(Drop.HOP_REFLECTED)
        peer = peer or self._known.peers.at(source, now)
        if peer is None:
            return self._known.drop(Drop.PEERS_FULL)
        peer.heard = now
        payload = packet[hop.HEADER :]
        if header.kind is Kind.DATA:
            return self._downlink(packet[: hop.HEADER], header, payload, peer, now)
        if header.kind is Kind.MOVED:
            return self._moved(header, payload, peer, now)
        if header.kind is Kind.PONG:
            return self._pong(payload, peer)
        answer = hop.seal(Kind.PONG, Flag(0), header.client, self._known.key)
        return [ToTransceiver(peer, answer, payload[:8] + b"\0\0" + self._known.around.pool)]

    def _downlink(self, head: bytes, header: HopHeader, payload: bytes, peer: HopPeer, now: float) -> list[Action]:
        client: Client
        client = (*header.client, TCP) if header.flags & Flag.TCP else udp_client(*header.client)
        actions: list[Action] = []
        flow = self._known.table.confirmed.get(client)
        waiting = self._known.table.pending.get(client)
        if waiting is not None and waiting.peer is peer:
            if _is_stun_error(payload):
                return [ToClient(waiting.via, client, payload)]
            replaced = self._known.table.confirm(waiting, now)
            if replaced is not None:
                actions.append(self._known.end(replaced))
            flow = waiting
            actions.append(Confirmed(flow))
        elif flow is None and waiting is None:
            restored = self._known.vouched(client, peer, None, now)
            if isinstance(restored, Drop):
                return self._known.drop(restored)
            flow = restored
            actions.append(Confirmed(flow))
        elif flow is None or flow.peer is not peer:
            return self._known.drop(Drop.HOP_WRONG_PEER)
        self._learn_reply(flow, head, actions)
        actions.append(ToClient(flow.via, client, payload))
        return actions

    def _learn_reply(self, flow: Flow, head: bytes, actions: list[Action]) -> None:
        for forgotten in flow.replies[: max(0, len(flow.replies) + 1 - _REPLIES)]:
            flow.peer.replies.pop(forgotten, None)
        flow.replies = (*flow.replies[-(_REPLIES - 1) :], head)
        flow.peer.replies[head] = flow
        if flow.accelerated:
            actions.append(Accelerate(flow))

    def _moved(self, header: HopHeader, payload: bytes, peer: HopPeer, now: float) -> list[Action]:
        if len(payload) != 18 or header.flags & Flag.TCP:
            return self._known.drop(Drop.HOP_MALFORMED)
        client = udp_client(*header.client)
        old = udp_client(hop.unpack_address(payload[:16]), int.from_bytes(payload[16:]))
        known = self._known.table.confirmed.get(client)
        if known is not None:
            return NOTHING if known.peer is peer else self._known.drop(Drop.HOP_WRONG_PEER)
        if client in self._known.table.pending:
            return NOTHING  # its check is on the way and says the same
        origin = self._known.table.confirmed.get(old)
        flow = self._known.vouched(client, peer, origin if origin is not None and origin.peer is peer else None, now)
        if isinstance(flow, Drop):
            return self._known.drop(flow)
        self._known.counters.moves += 1
        return [Confirmed(flow)] if flow.ssrc < 0 else [Confirmed(flow), Accelerate(flow)]

    def _pong(self, payload: bytes, peer: HopPeer) -> list[Action]:
        if len(payload) != 10:
            return self._known.drop(Drop.HOP_MALFORMED)
        if payload[:8] != peer.nonce:
            return NOTHING  # to an earlier ping: it lives, and that is all that this says
        generation = int.from_bytes(payload[8:])
        suspects: Iterable[Flow] = peer.settle()
        if peer.generation not in (-1, generation):
            suspects = self._known.flows_of(peer)
        peer.generation = generation
        actions: list[Action] = []
        for flow in suspects:
            if flow.state is not FlowState.ENDED and flow.generation not in (-1, generation):
                flow.refused = True
                if peer.heard - flow.check_at < ANSWER_WITHIN:
                    actions += self._known.refuse(flow)
        return actions


def _is_stun_error(payload: bytes) -> bool:
    return len(payload) >= 20 and payload[:2] == b"\x01\x11"
