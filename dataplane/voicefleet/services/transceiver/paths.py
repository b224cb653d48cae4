"""How packets reach this worker and leave it: through relays over the hop socket, or over a plain UDP socket.

It turns a datagram into (path, packet) and a (path, packet) into a datagram. A hop header is authenticated once, when
it is met for the first time; afterwards it is a key of a dictionary. The dictionary is bounded: headers are forgotten
oldest first, and one that is met again is simply checked again.

A relay that bundles is answered in bundles: what one turn of the media loop has for its clients leaves in as few
datagrams as hold it. A relay of the kernel tier forwards packets one by one in both directions, and so gets them.
"""

import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from voicefleet.core.ice_lite import Path
from voicefleet.net.udp import local_address, receive_batch
from voicefleet.wire import hop
from voicefleet.wire.errors import WireError
from voicefleet.wire.hop import Flag, Kind
from voicefleet.wire.keyring import FleetKey, KeyRing

MAX_HEADERS: Final = 65_536
"""Four for each of the calls that a worker can hold at most; 16 MiB."""
BATCH: Final = 32
"""Datagrams taken before the sending clock gets its turn: two thirds of a millisecond of work, more in bundles."""
LARGEST: Final = 4096
"""Octets; what is longer is cut off, and authentic to nobody. To make room for more costs a microsecond a packet."""
_NO_CLIENT: Final = ("0.0.0.0", 0)
"""The client in the header of a ping."""
BUNDLES_FOR: Final = 0.1
"""Seconds after its last bundle for which a relay is answered in bundles. A relay that forwards in userspace sends them
all the time while there is anything to gain; one of the kernel tier hardly ever."""
OnPacket = Callable[[Path, bool, bytes, float], None]
"""(path, verified, packet, now): not verified where the relay says that no check vouches for the client's address."""


@dataclass(frozen=True, slots=True)
class _Inbound:
    path: Path
    verified: bool
    kind: Kind


class HopSocket:
    """The socket that relays speak to."""

    def __init__(
        self,
        bound: socket.socket,
        ring: Callable[[], KeyRing],
        minting: Callable[[], FleetKey],
        generation: int,
        on_packet: OnPacket,
        refused: Callable[[str], None],
        on_pong: Callable[[tuple[str, int], bytes, float], None] = lambda _relay, _answer, _now: None,
    ) -> None:
        self._socket = bound
        self.address: Final = local_address(bound)
        """Where it listens."""
        self._on_packet = on_packet
        self._ring = ring
        self._minting = minting
        self._checked_under = ring()
        self._generation = generation.to_bytes(2)
        self._refused = refused
        self._on_pong = on_pong
        self._inbound: dict[bytes, _Inbound] = {}
        """By header, of the relay that sent it last: a client that comes through two is met at each change."""
        self._outbound: dict[Path, bytes] = {}
        self._lanes: dict[tuple[str, int], list[tuple[bytes, bytes]]] = {}
        """What waits for relays that bundle, until the turn ends."""
        self._bundled_at: dict[tuple[str, int], float] = {}

    def fileno(self) -> int:
        """For epoll."""
        return self._socket.fileno()

    def receive(self, clock: Callable[[], float]) -> bool:
        """Hand over the packets that wait, at most a batch of datagrams; whether there may be more."""
        if self._ring() is not self._checked_under:
            self._checked_under = self._ring()
            self._inbound.clear()  # each header is checked again, under the keys that count now
        return receive_batch(
            self._socket, lambda datagram, relay: self._unpack(datagram, relay, clock()), BATCH, LARGEST
        )

    def send(self, path: Path, packet: bytes) -> None:
        """Send to a client through the relay of its path."""
        header = self._outbound.get(path)
        if header is None or path.relay is None:
            return
        lane = self._lanes.get(path.relay)
        if lane is not None:
            lane.append((header, packet))
            return
        self._sendto(header + packet, path.relay)

    def flush(self, now: float) -> None:
        """Send what this turn has gathered."""
        if not self._lanes:
            return
        for relay, lane in list(self._lanes.items()):
            if lane:
                for datagram in hop.bundle(lane):
                    self._sendto(datagram, relay)
                lane.clear()
            if now - self._bundled_at[relay] > BUNDLES_FOR:
                del self._lanes[relay], self._bundled_at[relay]

    def moved(self, old: Path, new: Path) -> None:
        """Tell a relay that authentic media of the old path's client came from the new one's address."""
        if new.relay is None:
            return
        header = hop.seal(Kind.MOVED, Flag.DOWNLINK, new.client, self._minting())
        self._sendto(header + hop.pack_address(old.client[0]) + old.client[1].to_bytes(2), new.relay)

    def ping(self, relay: tuple[str, int], nonce: bytes) -> None:
        """Ask a relay for an answer."""
        header = hop.seal(Kind.PING, Flag.DOWNLINK, _NO_CLIENT, self._minting())
        self._sendto(header + nonce, relay)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()

    def _unpack(self, datagram: bytes, relay: tuple[str, int], now: float) -> None:
        if not hop.is_bundle(datagram):
            self._take(datagram[: hop.HEADER], datagram[hop.HEADER :], relay, now)
            return
        try:
            parts = hop.unbundle(datagram)
        except WireError as error:
            self._refused(error.reason)
            return
        known = False
        for header, packet in parts:
            known = self._take(header, packet, relay, now) or known
        if known:
            self._bundled_at[relay] = now
            self._lanes.setdefault(relay, [])

    def _take(self, header: bytes, packet: bytes, relay: tuple[str, int], now: float) -> bool:
        """Whether its header is authentic."""
        inbound = self._inbound.get(header)
        if inbound is None or inbound.path.relay != relay:
            inbound = self._meet(header, relay)
            if inbound is None:
                return False
        if inbound.kind is Kind.DATA:
            self._on_packet(inbound.path, inbound.verified, packet, now)
        elif inbound.kind is Kind.PING:
            self._pong(inbound.path, packet, relay)
        elif inbound.kind is Kind.PONG:
            self._on_pong(relay, packet, now)
        return True

    def _meet(self, header: bytes, relay: tuple[str, int]) -> _Inbound | None:
        ring = self._ring()
        try:
            opened = hop.open(header, ring)
        except WireError as error:
            self._refused(error.reason)
            return None
        if opened.flags & Flag.DOWNLINK:
            self._refused("reflected")
            return None
        path = Path(relay, opened.client, bool(opened.flags & Flag.TCP))
        inbound = _Inbound(path, not opened.flags & Flag.UNVERIFIED, opened.kind)
        key = ring.key(opened.key_id)
        assert key is not None  # hop.open has just used it
        if len(self._inbound) >= MAX_HEADERS:
            del self._inbound[next(iter(self._inbound))]
        self._inbound[header] = inbound
        if opened.kind is Kind.DATA:
            flags = Flag.DOWNLINK | opened.flags & Flag.TCP
            self._outbound.pop(path, None)
            if len(self._outbound) >= MAX_HEADERS:
                del self._outbound[next(iter(self._outbound))]
            self._outbound[path] = hop.seal(Kind.DATA, flags, opened.client, key)
        return inbound

    def _pong(self, path: Path, nonce: bytes, relay: tuple[str, int]) -> None:
        header = hop.seal(Kind.PONG, Flag.DOWNLINK, path.client, self._minting())
        self._sendto(header + nonce[:8] + self._generation, relay)

    def _sendto(self, datagram: bytes, relay: tuple[str, int]) -> None:
        try:
            self._socket.sendto(datagram, relay)
        except OSError:
            self._refused("send")


class DirectSocket:
    """A plain UDP socket for clients that reach this worker without a relay."""

    def __init__(self, bound: socket.socket, on_packet: OnPacket) -> None:
        self._socket = bound
        self.address: Final = local_address(bound)
        """Where it listens."""
        self._on_packet = on_packet

    def fileno(self) -> int:
        """For epoll."""
        return self._socket.fileno()

    def receive(self, clock: Callable[[], float]) -> bool:
        """Hand over the packets that wait, at most a batch; whether there may be more."""
        take = self._on_packet
        return receive_batch(
            self._socket, lambda datagram, source: take(Path(None, source), True, datagram, clock()), BATCH, LARGEST
        )

    def send(self, path: Path, packet: bytes) -> None:
        """Send to a client."""
        try:
            self._socket.sendto(packet, path.client)
        except OSError:
            pass  # the client's address went away; its silence is noticed by consent

    def flush(self, now: float) -> None:
        """Nothing waits here."""

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()
