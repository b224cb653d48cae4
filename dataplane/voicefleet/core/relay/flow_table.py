"""The table of flows, with every bound on it. It keeps old flows and sheds new ones.

Promises: never more flows than `Limits` say, in all, pending, per address, per network and per token; a flow leaves at
its time, though nothing scans the table (flows wait in buckets of one second).
"""

from collections.abc import Sequence
from ipaddress import IPv6Address

from voicefleet.core.relay.counters import Counters, Drop
from voicefleet.core.relay.flow import Client, Flow, FlowState, Via
from voicefleet.core.relay.hop_peer import HopPeer
from voicefleet.core.relay.limits import Limits


class FlowTable:
    """Flows by client; the packet loop looks into `confirmed` for every packet and changes nothing."""

    def __init__(self, limits: Limits, counters: Counters, now: float) -> None:
        self._limits = limits
        self._counters = counters
        self.confirmed: dict[Client, Flow] = {}
        self.pending: dict[Client, Flow] = {}
        """Also holds the challenger of a confirmed flow: a verified check with another transceiver's token."""
        self._per_source: dict[str | bytes, int] = {}
        """Flows of each address and of each network, which are never spelled alike."""
        self._per_token: dict[bytes, list[Flow]] = {}
        self._due: dict[int, list[Flow]] = {}
        self._swept = int(now)

    def __len__(self) -> int:
        return len(self.confirmed) + len(self.pending)

    def open(self, client: Client, via: Via, peer: HopPeer, header: bytes, token: bytes, now: float) -> Flow | Drop:
        """A new pending flow, or the bound that it would break."""
        limits = self._limits
        if len(self) >= limits.flows:
            return Drop.FLOWS_FULL
        if len(self.pending) >= limits.pending:
            return Drop.PENDING_FULL
        if full := self._source_full(client):
            return full
        if len(self._per_token.get(token, ())) >= limits.per_token:
            return Drop.TOKEN_FULL
        flow = Flow(client, via, peer, header, now)
        flow.allowance = limits.pending_packets
        self.pending[client] = flow
        self._enter(flow, token)
        self._at(flow, now + limits.pending_for)
        self._counters.flows_opened += 1
        return flow

    def restore(self, client: Client, via: Via, peer: HopPeer, header: bytes, now: float) -> Flow | Drop:
        """A confirmed flow for a client that a transceiver or the session map vouches for."""
        if len(self) >= self._limits.flows:
            return Drop.FLOWS_FULL
        if full := self._source_full(client):
            return full
        flow = Flow(client, via, peer, header, now)
        flow.state = FlowState.CONFIRMED
        self.confirmed[client] = flow
        self._enter(flow, b"")
        self._at(flow, now + self._limits.idle)
        self._counters.flows_restored += 1
        return flow

    def confirm(self, flow: Flow, now: float) -> Flow | None:
        """Moves a pending flow among the confirmed ones; returns the flow of the same client that it replaced."""
        del self.pending[flow.client]
        replaced = self.confirmed.get(flow.client)
        if replaced is not None:
            self.remove(replaced)
        flow.state = FlowState.CONFIRMED
        self.confirmed[flow.client] = flow
        self._at(flow, now + self._limits.idle)
        self._counters.flows_confirmed += 1
        return replaced

    def adopt(self, flow: Flow, token: bytes) -> None:
        """Puts a flow under another token of the same transceiver (ICE restart), or under its first one."""
        if flow.token != token:
            self._leave_token(flow)
            flow.token = token
            self._per_token.setdefault(token, []).append(flow)

    def remove(self, flow: Flow) -> None:
        """Forgets a flow, whatever its state; its answers are no longer known either."""
        if flow.state is FlowState.ENDED:
            return
        where = self.pending if flow.state is FlowState.PENDING else self.confirmed
        del where[flow.client]
        flow.state = FlowState.ENDED
        host = flow.client[0]
        for source in (host, network_of(host)):
            left = self._per_source[source] - 1
            if left:
                self._per_source[source] = left
            else:
                del self._per_source[source]
        self._leave_token(flow)
        flow.peer.flows -= 1
        for header in flow.replies:
            if flow.peer.replies.get(header) is flow:
                del flow.peer.replies[header]

    def of_token(self, token: bytes) -> Sequence[Flow]:
        """The flows of one call; few."""
        return self._per_token.get(token, ())

    def due(self, now: float) -> list[Flow]:
        """Flows whose time has come to be looked at; each is either removed or given back by `look_again`."""
        second = int(now)
        found: list[Flow] = []
        while self._swept < second:
            found += [
                flow
                for flow in self._due.pop(self._swept, ())
                if flow.due == self._swept and flow.state is not FlowState.ENDED
            ]
            self._swept += 1
        return found

    def look_again(self, flow: Flow, at: float) -> None:
        """Lets `due` name the flow at `at` (within a second)."""
        self._at(flow, at)

    def _enter(self, flow: Flow, token: bytes) -> None:
        host = flow.client[0]
        for source in (host, network_of(host)):
            self._per_source[source] = self._per_source.get(source, 0) + 1
        flow.peer.flows += 1
        if token:
            flow.token = token
            self._per_token.setdefault(token, []).append(flow)

    def _leave_token(self, flow: Flow) -> None:
        siblings = self._per_token.get(flow.token)
        if siblings is not None and flow in siblings:
            siblings.remove(flow)
            if not siblings:
                del self._per_token[flow.token]

    def _source_full(self, client: Client) -> Drop | None:
        limits = self._limits
        host = client[0]
        if limits.per_address and self._per_source.get(host, 0) >= limits.per_address:
            return Drop.ADDRESS_FULL
        if limits.per_network and self._per_source.get(network_of(host), 0) >= limits.per_network:
            return Drop.NETWORK_FULL
        return None

    def _at(self, flow: Flow, moment: float) -> None:
        second = max(int(moment) + 1, self._swept)
        if flow.due != second:
            flow.due = second
            self._due.setdefault(second, []).append(flow)


def network_of(host: str) -> str | bytes:
    """The /24 or /64 that an address is in, as a key."""
    return IPv6Address(host).packed[:8] if ":" in host else host[: host.rindex(".")]
