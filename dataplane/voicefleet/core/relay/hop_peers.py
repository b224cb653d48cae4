"""The transceiver workers that one packet process has to do with; few, and forgotten when no flow needs them."""

from collections.abc import Iterator

from voicefleet.core.relay.hop_peer import HopAddress, HopPeer
from voicefleet.core.relay.limits import Limits

_TIDY_EVERY = 5.0


class HopPeers:
    """Peers by hop address; the packet loop looks into `by_address` for every hop datagram."""

    def __init__(self, limits: Limits, now: float) -> None:
        self._limits = limits
        self._tidied = now
        self.by_address: dict[HopAddress, HopPeer] = {}

    def __iter__(self) -> Iterator[HopPeer]:
        return iter(self.by_address.values())

    def __len__(self) -> int:
        return len(self.by_address)

    def at(self, address: HopAddress, now: float) -> HopPeer | None:
        """The peer at this address, made if need be; None when there are too many."""
        peer = self.by_address.get(address)
        if peer is None:
            if len(self.by_address) >= self._limits.peers and not self._forget_idle(now, 0.0):
                return None
            peer = self.by_address[address] = HopPeer(address, now)
        return peer

    def tidy(self, now: float) -> None:
        """Forgets those that nobody needs any more; cheap to call often."""
        if now - self._tidied >= _TIDY_EVERY:
            self._tidied = now
            self._forget_idle(now, self._limits.peer_idle)

    def _forget_idle(self, now: float, idle: float) -> bool:
        idle_ones = [
            peer for peer in self if not peer.flows and not peer.lane and now - max(peer.heard, peer.last_ping) >= idle
        ]
        for peer in idle_ones:
            del self.by_address[peer.address]
        return bool(idle_ones)
