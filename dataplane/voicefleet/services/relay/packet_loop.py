"""The packet process's loop: one epoll over a few non-blocking sockets, and nothing else in the way of a packet.

A known flow's packet costs one look-up: uplink by the client's address, downlink by the first 32 octets of the hop
datagram. Everything else goes to the pure core, whose actions are carried out here. Packets of one wake-up to one
transceiver leave together. There is no asyncio in this process: its cost per packet is four times this loop's.
"""

import gc
import select
import socket
import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from voicefleet.core.relay.actions import Action, ToClient, ToTransceiver
from voicefleet.core.relay.counters import Drop
from voicefleet.core.relay.flow import Client, Send
from voicefleet.core.relay.forwarder import Forwarder
from voicefleet.core.relay.hop_peer import HopPeer
from voicefleet.core.relay.uplink import MAX_PAYLOAD
from voicefleet.net.udp import BATCH, LARGEST, local_address, udp_socket
from voicefleet.wire import hop
from voicefleet.wire.demux import FIRST_OCTET, PacketKind
from voicefleet.wire.errors import WireError

TICK: Final = 0.1
"""Seconds between looks at the clock's own business."""
_IP_RECVERR: Final = 11
_IPV6_RECVERR: Final = 25
_MSG_ERRQUEUE: Final = 0x2000
_EXTENDED_ERROR: Final = struct.Struct("=LBBBBLL")
_FROM_ICMP: Final = (2, 3)
"""SO_EE_ORIGIN_ICMP and SO_EE_ORIGIN_ICMP6."""
_ECONNREFUSED: Final = 111
_CARRIED: Final = tuple(kind in (PacketKind.RTP, PacketKind.DTLS) for kind in FIRST_OCTET)
"""By first octet: whether a known flow's packet may be forwarded without a closer look."""


class PublicSocket:
    """One of the addresses that clients talk to."""

    def __init__(self, bind: tuple[str, int]) -> None:
        self._socket = udp_socket(bind, shared=True)
        self.local: Final = local_address(self._socket)
        self.send: Final[Send] = self._socket.sendto
        self.receive: Final = self._socket.recvfrom

    def fileno(self) -> int:
        """For epoll."""
        return self._socket.fileno()

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class HopSocket:
    """The address that transceivers answer to; of this process alone."""

    def __init__(self, bind: tuple[str, int]) -> None:
        self._socket = udp_socket(bind)
        level, option = (socket.IPPROTO_IPV6, _IPV6_RECVERR) if ":" in bind[0] else (socket.IPPROTO_IP, _IP_RECVERR)
        self._socket.setsockopt(level, option, 1)
        self.send: Final = self._socket.sendto
        self.receive: Final = self._socket.recvfrom

    def fileno(self) -> int:
        """For epoll."""
        return self._socket.fileno()

    def errors(self) -> Iterable[tuple[tuple[str, int], bool]]:
        """What the network reported about datagrams sent: (destination, whether its port is closed)."""
        while True:
            try:
                _, ancillary, _, source = self._socket.recvmsg(0, 512, _MSG_ERRQUEUE)
            except OSError:
                return
            for _, _, data in ancillary:
                if len(data) >= _EXTENDED_ERROR.size:
                    code, origin, *_ = _EXTENDED_ERROR.unpack_from(data)
                    if origin in _FROM_ICMP:
                        yield (source[0], source[1]), code == _ECONNREFUSED

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class PacketLoop:
    """Runs one forwarder over its sockets until `stop` is called from a signal handler or a tick."""

    def __init__(
        self,
        forwarder: Forwarder,
        public: Sequence[PublicSocket],
        hop_socket: HopSocket,
        clock: Callable[[], float],
        on_tick: Callable[[float], None],
    ) -> None:
        self._forwarder = forwarder
        self._public = {each.fileno(): each for each in public}
        self._hop = hop_socket
        self._clock = clock
        self._on_tick = on_tick
        self._laden: list[HopPeer] = []
        self._running = True

    def stop(self) -> None:
        """Leave `run` at the next turn."""
        self._running = False

    def run(self) -> None:
        """Forward packets."""
        epoll = select.epoll()
        for fd in self._public:
            epoll.register(fd, select.EPOLLIN)
        hop_fd = self._hop.fileno()
        epoll.register(hop_fd, select.EPOLLIN)
        gc.collect()
        gc.freeze()
        clock, poll, public = self._clock, epoll.poll, self._public
        next_tick = clock()
        while self._running:
            events = poll(max(0.0, next_tick - clock()))
            now = clock()
            for fd, event in events:
                if fd != hop_fd:
                    self._read_public(public[fd], now)
                    continue
                if event & select.EPOLLERR:
                    for address, closed in self._hop.errors():
                        self._do(self._forwarder.unreachable(address, closed, now))
                self._read_hop(now)
            if now >= next_tick:
                self._do(self._forwarder.tick(now))
                self._on_tick(now)
                next_tick = now + TICK
            if self._laden:
                self._flush()
        epoll.close()

    def _read_public(self, via: PublicSocket, now: float) -> None:
        receive, flows, counters = via.receive, self._forwarder.flows, self._forwarder.counters
        for _ in range(BATCH):
            try:
                packet, client = receive(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error of an earlier answer; the client's silence says the same
            flow = flows.get(client)
            if flow is not None and flow.ssrc >= 0 and packet and _CARRIED[packet[0]] and len(packet) <= MAX_PAYLOAD:
                flow.seen = now
                counters.uplink_packets += 1
                counters.uplink_bytes += len(packet)
                peer = flow.peer
                if not peer.lane:
                    self._laden.append(peer)
                peer.lane.append((flow.header, packet))
            else:
                self._do(self._forwarder.from_client(packet, client, via, now))

    def _read_hop(self, now: float) -> None:
        receive, peers = self._hop.receive, self._forwarder.peers.by_address
        for _ in range(BATCH):
            try:
                datagram, source = receive(LARGEST)
            except BlockingIOError:
                return
            except OSError:
                continue  # reported on the error queue
            source = source[:2]
            peer = peers.get(source)
            if hop.is_bundle(datagram):
                try:
                    parts = hop.unbundle(datagram)
                except WireError:
                    self._forwarder.counters.drops[Drop.HOP_MALFORMED] += 1
                    continue
                for header, payload in parts:
                    self._downlink(peer, header, payload, source, now)
            else:
                self._downlink(peer, datagram[: hop.HEADER], datagram[hop.HEADER :], source, now)

    def _downlink(
        self, peer: HopPeer | None, header: bytes, payload: bytes, source: tuple[str, int], now: float
    ) -> None:
        flow = peer.replies.get(header) if peer is not None else None
        if peer is None or flow is None:
            self._do(self._forwarder.from_hop(header + payload, source, now))
            return
        peer.heard = now
        counters = self._forwarder.counters
        counters.downlink_packets += 1
        counters.downlink_bytes += len(payload)
        self._send(flow.via.send, payload, flow.client)

    def _do(self, actions: Iterable[Action]) -> None:
        counters = self._forwarder.counters
        for action in actions:
            if isinstance(action, ToTransceiver):
                counters.uplink_packets += 1
                counters.uplink_bytes += len(action.payload)
                if not action.peer.lane:
                    self._laden.append(action.peer)
                action.peer.lane.append((action.header, action.payload))
            elif isinstance(action, ToClient):
                counters.downlink_packets += 1
                counters.downlink_bytes += len(action.payload)
                self._send(action.via.send, action.payload, action.client)

    def _send(self, send: Send, payload: bytes | memoryview, client: Client) -> None:
        try:
            send(payload, client)
        except BlockingIOError:
            self._forwarder.counters.drops[Drop.CLIENT_SEND_FULL] += 1
        except OSError:
            self._forwarder.counters.drops[Drop.CLIENT_SEND_FAILED] += 1

    def _flush(self) -> None:
        send, counters = self._hop.send, self._forwarder.counters
        for peer in self._laden:
            lane, peer.lane = peer.lane, []
            for datagram in hop.bundle(lane):
                try:
                    send(datagram, peer.address)
                except BlockingIOError:
                    counters.drops[Drop.HOP_SEND_FULL] += 1
                except OSError:
                    counters.drops[Drop.HOP_SEND_FAILED] += 1
        self._laden.clear()
