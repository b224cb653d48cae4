"""The packet process's loop: one epoll over a few non-blocking sockets, and nothing else in the way of a packet.

A known flow's packet costs one look-up: uplink by the client's address, downlink by the first 32 octets of the hop
datagram. Everything else goes to the pure core. Packets of one wake-up to one transceiver leave together. What it
costs is measured by `scripts/bench relay`. The system calls are half of it; so the loop asks epoll what is there rather
than reading until nothing is, and from some rate on lets packets come together. `recvfrom` into a new object is as fast
as into a reused buffer, and a tenth faster than `recvmsg`; so public sockets are bound to addresses instead of asking
for each packet's destination.
"""

import gc
import logging
import select
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, Final, Protocol

from voicefleet.core.relay.actions import Action, ToClient, ToTransceiver
from voicefleet.core.relay.counters import Drop
from voicefleet.core.relay.flow import Buffer, Client, Send
from voicefleet.core.relay.forwarder import Forwarder
from voicefleet.core.relay.hop_peer import HopAddress, HopPeer
from voicefleet.core.relay.uplink import MAX_PAYLOAD
from voicefleet.net.descriptor_channel import Closed
from voicefleet.net.hop_socket import HopSocket
from voicefleet.net.public_socket import PublicSocket
from voicefleet.wire.demux import FIRST_OCTET, PacketKind
from voicefleet.wire.errors import WireError
from voicefleet.wire.hop import HEADER, bundle, is_bundle, unbundle

TICK: Final = 0.1
"""Seconds between looks at the clock's own business."""
BATCH: Final = 64
"""Datagrams read from one socket before the others get their turn: about 0.3 ms."""
_FAULTS_APART: Final = 1.0
_log = logging.getLogger(__name__)
_EVENTS: Final = 64
CROWD: Final = 10_000
"""Packets a second from which on the loop naps before it looks again, as network cards delay their interrupts: to be
woken for each packet would cost more than to forward it, and packets that come together share a datagram of the hop."""
COMPANY: Final = 32
"""Packets of a turn from which on there is no nap before the next: they come together by themselves."""
NAP: Final = 1e-4
"""Seconds; the kernel's usual timer slack adds half as much."""
_CARRIED: Final = tuple(kind in (PacketKind.RTP, PacketKind.DTLS) for kind in FIRST_OCTET)
"""By first octet: whether a known flow's packet may be forwarded without a closer look."""
_TOO_LONG: Final = 2048
"""Octets read of a public datagram: more than may pass, so what is cut off is dropped, and 64 KiB cost no more."""


class Pollable(Protocol):
    """Whatever epoll takes."""

    def fileno(self) -> int:
        """Its descriptor."""


class Turns:
    """How the loop spends its time: plain numbers, read by whoever publishes them."""

    __slots__ = ("batches", "busy", "packets", "sent")

    BUCKETS: Final = (0, 1, 2, 4, 8, 16, 32, 64, 128)

    def __init__(self) -> None:
        self.batches = [0] * (len(self.BUCKETS) + 1)
        """Wake-ups by the packets that they brought, as a histogram with these upper bounds."""
        self.packets = 0
        self.busy = 0.0
        """Seconds spent outside of epoll."""
        self.sent = 0
        """Datagrams sent over the hop; fewer than packets by what was bundled."""


_BUCKETS: Final = tuple(bisect_left(Turns.BUCKETS, packets) for packets in range(Turns.BUCKETS[-1] + 1))
"""By packets of a turn: where it stands in the histogram."""


class PacketLoop:
    """Runs one forwarder over its sockets until `stop`."""

    def __init__(
        self,
        forwarder: Forwarder,
        clock: Callable[[], float],
        on_tick: Callable[[float], None],
        on_event: Callable[[Action, float], None],
    ) -> None:
        self._forwarder = forwarder
        self._clock = clock
        self._on_tick = on_tick
        self._on_event = on_event
        """Takes the actions that are not packets."""
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[int, float], None]] = {}
        self._hops: dict[bool, HopSocket] = {}
        """By IP version: whether it is version 6."""
        self._laden: list[HopPeer] = []
        self._soon: list[Callable[[], None]] = []
        self._running = True
        self._tell_fault_at = 0.0
        self._appetite = 1
        """Datagrams to read from one socket in this turn. To read until nothing is left costs four times as much as to
        ask epoll again, so it is one where packets come one by one, and doubles while they wait."""
        self._crowded = False
        """Whether packets come so often that it pays to let some come together."""
        self.turns: Final = Turns()

    # --- what it serves -------------------------------------------------------------------------------------------

    def serve(self, what: Pollable, handler: Callable[[int, float], None], events: int = select.EPOLLIN) -> None:
        """Call the handler with (events, now) when the descriptor is ready."""
        self._handlers[what.fileno()] = handler
        self._epoll.register(what.fileno(), events)

    def expect(self, what: Pollable, events: int) -> None:
        """Wait for other events than before."""
        self._epoll.modify(what.fileno(), events)

    def leave(self, what: Pollable) -> None:
        """No longer serve a descriptor; before it is closed."""
        if self._handlers.pop(what.fileno(), None) is not None:
            self._epoll.unregister(what.fileno())

    def serve_public(self, via: PublicSocket) -> None:
        """Read clients' packets here."""
        self.serve(via, partial(self._read_public, via))

    def add_hop(self, socket: HopSocket) -> None:
        """Send to transceivers of this socket's IP version from here."""
        self._hops[socket.v6] = socket

    def serve_hop(self, socket: HopSocket) -> None:
        """Read transceivers' packets here."""
        self.serve(socket, partial(self._read_hop, socket))

    def soon(self, call: Callable[[], None]) -> None:
        """Call this once at the end of the turn."""
        self._soon.append(call)

    # --- the loop -------------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """Leave `run` at the end of this turn."""
        self._running = False

    def run(self) -> None:
        """Forward packets."""
        # Nothing on the packet path makes a cycle, so what exists now is all that a collection could ever look at.
        gc.collect()
        gc.freeze()
        gc.disable()
        clock, poll, handlers, turns = self._clock, self._epoll.poll, self._handlers, self.turns
        counters = self._forwarder.counters
        told = turns.packets
        packets = 0
        next_tick = woke = now = clock()
        while self._running:
            if self._crowded and packets < COMPANY:
                turns.busy += now - woke
                time.sleep(NAP)
                self._appetite = BATCH
                events = poll(0.0, _EVENTS) or poll(max(0.0, next_tick - now), _EVENTS)
                woke = now = clock()
            elif events := poll(0.0, _EVENTS):  # it came during the turn before, so there may be more of it now
                self._appetite = min(2 * self._appetite, BATCH)
            else:
                turns.busy += now - woke
                self._appetite = 1
                events = poll(max(0.0, next_tick - now), _EVENTS)
                woke = now = clock()
            before = counters.uplink_packets + counters.downlink_packets
            for descriptor, event in events:
                handler = handlers.get(descriptor)
                if handler is not None:  # it may have been left during this very turn
                    handler(event, now)
            if now >= next_tick:
                turns.busy += now - woke
                woke = now
                self.perform(self._forwarder.tick(now), now)
                self._on_tick(now)
                self._crowded = turns.packets - told >= CROWD * TICK
                told = turns.packets
                next_tick = now + TICK
            if self._laden:
                self._flush()
            if self._soon:
                calls, self._soon = self._soon, []
                for call in calls:
                    call()
            packets = counters.uplink_packets + counters.downlink_packets - before
            turns.packets += packets
            turns.batches[_BUCKETS[packets] if packets < len(_BUCKETS) else -1] += 1
            now = clock()

    def flush(self) -> None:
        """Send what waits for transceivers; for whoever is about to stop reading."""
        self._flush()

    # --- packets --------------------------------------------------------------------------------------------------

    def _read_public(self, via: PublicSocket, _event: int, now: float) -> None:
        receive, lookup, counters = via.receive, self._forwarder.flows.get, self._forwarder.counters
        packets = octets = 0
        for taken in range(self._appetite):
            try:
                packet, client = receive(_TOO_LONG)
            except BlockingIOError:
                self._appetite = taken or 1
                break
            except OSError:
                continue  # an ICMP error of an earlier answer; the client's silence says the same
            flow = lookup(client)
            if flow is not None and packet and _CARRIED[packet[0]] and flow.ssrc >= 0 and len(packet) <= MAX_PAYLOAD:
                flow.seen = now
                packets += 1
                octets += len(packet)
                peer = flow.peer
                lane = peer.lane
                if not lane:
                    self._laden.append(peer)
                lane.append((flow.header, packet))
            else:
                self.consider(self._forwarder.from_client, packet, client, via, now)
        counters.uplink_packets += packets
        counters.uplink_bytes += octets

    def _read_hop(self, socket: HopSocket, event: int, now: float) -> None:
        if event & select.EPOLLERR:
            for address, closed in socket.errors():
                self.perform(self._forwarder.unreachable(address, closed, now), now)
        receive, peers, counters = socket.receive, self._forwarder.peers.by_address, self._forwarder.counters
        packets = octets = 0
        for taken in range(self._appetite):
            try:
                datagram, step, source = receive()
            except BlockingIOError:
                self._appetite = taken or 1
                break
            except OSError:
                continue  # it stands in the error queue as well
            peer = peers.get(source)
            flow = peer.replies.get(datagram[:HEADER]) if peer is not None else None
            if flow is not None and not step:
                packets += 1
                octets += len(datagram) - HEADER
                peer.heard = now  # type: ignore[union-attr] # nobody has no flows
                try:
                    flow.via.send(datagram[HEADER:], flow.client)
                except OSError as error:
                    self._unsent(error)
            else:
                self._take_apart(datagram, step, source, now)
        counters.downlink_packets += packets
        counters.downlink_bytes += octets

    def _take_apart(self, train: bytes, step: int, source: HopAddress, now: float) -> None:
        """Datagrams that came as one, bundles, and what only the core understands."""
        counters = self._forwarder.counters
        peer = self._forwarder.peers.by_address.get(source)
        lookup = peer.replies.get if peer is not None else _nobody
        for at in range(0, len(train) or 1, step or len(train) or 1):
            datagram = train[at : at + step] if step else train
            if is_bundle(datagram):
                try:
                    parts = unbundle(datagram)
                except WireError:
                    counters.drops[Drop.HOP_MALFORMED] += 1
                    continue
            else:
                parts = [(datagram[:HEADER], datagram[HEADER:])]
            for header, payload in parts:
                flow = lookup(header)
                if flow is None:
                    self.consider(self._forwarder.from_hop, header + payload, source, now)
                    continue
                counters.downlink_packets += 1
                counters.downlink_bytes += len(payload)
                peer.heard = now  # type: ignore[union-attr] # nobody has no flows
                self._send(flow.via.send, payload, flow.client)

    def consider(self, decide: Callable[..., Iterable[Action]], *packet: Any) -> None:
        """Let the core decide about a packet that the look-up does not carry, and do so. A mistake of ours costs this
        packet, never the loop: it is counted, and told once a second."""
        now = packet[-1]
        try:
            self.perform(decide(*packet), now)
        except Closed:
            raise
        except Exception:
            self._forwarder.counters.drops[Drop.FAULT] += 1
            if now >= self._tell_fault_at:
                self._tell_fault_at = now + _FAULTS_APART
                _log.exception("a packet was too much for this relay")

    def perform(self, actions: Iterable[Action], now: float) -> None:
        """Carry out what the core decided."""
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
            else:
                self._on_event(action, now)

    # --- sending --------------------------------------------------------------------------------------------------

    def _send(self, send: Send, payload: Buffer, client: Client) -> None:
        try:
            send(payload, client)
        except OSError as error:
            self._unsent(error)

    def _unsent(self, error: OSError) -> None:
        full = isinstance(error, BlockingIOError)
        self._forwarder.counters.drops[Drop.CLIENT_SEND_FULL if full else Drop.CLIENT_SEND_FAILED] += 1

    def _flush(self) -> None:
        counters, hops = self._forwarder.counters, self._hops
        for peer in self._laden:
            lane, peer.lane = peer.lane, []
            address = peer.address
            socket = hops.get(":" in address[0])
            if socket is None:
                counters.drops[Drop.HOP_SEND_FAILED] += len(lane)
                continue
            for datagram in bundle(lane):
                try:
                    socket.send(datagram, address)
                    self.turns.sent += 1
                except OSError as error:
                    full = isinstance(error, BlockingIOError)
                    counters.drops[Drop.HOP_SEND_FULL if full else Drop.HOP_SEND_FAILED] += (
                        datagram[3] if is_bundle(datagram) else 1
                    )
        self._laden.clear()


def _nobody(_header: bytes) -> None:
    """The flow of a header that came from an unknown peer."""
