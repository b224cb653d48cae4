"""One packet process: its flows, its counters, and the sockets that the control process gives it.

It tells the control process what happens to flows and hears from it, over a channel that it never waits for; counters
stand in shared memory; the key file it reads itself. It ends when it is told to drain and has no flow (or the deadline
comes), and at once when the control process is gone: the next one has the port to itself.
"""

import os
import select
import signal
import socket
import sys
import time
from pathlib import Path

from voicefleet.contract import Component
from voicefleet.core.relay.actions import Accelerate, Action, Confirmed, Ended, LookUp, PeerGone
from voicefleet.core.relay.fast_path import FastPath, NoFastPath
from voicefleet.core.relay.flow import Client, Flow, Via
from voicefleet.core.relay.flow_record import FlowRecord, record_of
from voicefleet.core.relay.forwarder import MOVING_SECONDS, Forwarder
from voicefleet.core.relay.hop_networks import HopNetworks
from voicefleet.core.relay.knowledge import Surroundings
from voicefleet.net.configuration import load_or_exit
from voicefleet.net.descriptor_channel import Closed, DescriptorChannel
from voicefleet.net.hop_socket import HopSocket
from voicefleet.net.kernel_path import KernelPath
from voicefleet.net.kernel_program import KernelHandles
from voicefleet.net.key_file import KeyFile
from voicefleet.net.public_socket import PublicSocket
from voicefleet.observability import logs
from voicefleet.observability.shared_counters import CounterWriter, SharedCounters
from voicefleet.services.relay import messages
from voicefleet.services.relay.ice_tcp import IceTcp
from voicefleet.services.relay.messages import (
    Connection,
    Drain,
    Flows,
    Forget,
    Found,
    Gone,
    LookUps,
    Pause,
    Paused,
    Remember,
    Resume,
    Role,
    Suspect,
    Take,
)
from voicefleet.services.relay.metrics import LAYOUT, values
from voicefleet.services.relay.packet_loop import PacketLoop
from voicefleet.services.relay.settings import RelaySettings


class PacketProcess:
    """Everything that one packet process has."""

    def __init__(
        self, settings: RelaySettings, counters: CounterWriter, control: DescriptorChannel, kernel: KernelPath | None
    ) -> None:
        self._counters = counters
        self._control = control
        self._kernel = kernel
        self._fast_path: FastPath = kernel or NoFastPath()
        self._keys = KeyFile(settings.key_file)
        self._drain_until: float | None = None
        self._public: list[PublicSocket] = []
        self._hops: list[HopSocket] = []
        self._reading = False
        self._news: dict[Client, FlowRecord | None] = {}
        """Flows that the control process has not been told about yet; None for one that ended."""
        self._lookups: list[Client] = []
        around = Surroundings(
            networks=HopNetworks(str(network) for network in settings.hop_networks),
            random=os.urandom,
            local_end=self._local_end,
            seen_elsewhere=self._seen_by_kernel,
            pool=settings.pool.encode(),
        )
        ring = self._keys.value.accepted(time.time())
        self._minting, self._accepted = ring.minting(time.time()), len(ring.keys)
        self._forwarder = Forwarder(ring, self._minting, around, settings.limits(), time.monotonic())
        self._loop = PacketLoop(self._forwarder, time.monotonic, self._on_tick, self._on_event)
        self._tcp = IceTcp(self._loop, self._forwarder, settings.limits())
        self._loop.serve(control, self._hear)
        if kernel is not None:
            self._loop.serve(kernel, lambda _event, now: kernel.reroute(now))

    def run(self) -> None:
        """Forward packets until it is time to end."""
        try:
            self._loop.run()
            self._fast_path.close()
        except Closed:
            # The control process is gone, and whoever comes next has the port to itself; until then the kernel goes on
            # with the flows that it has.
            pass
        finally:
            for public in self._public:
                public.close()
            for hop in self._hops:
                hop.close()
            self._tcp.close()
            self._control.close()

    # --- from the control process ---------------------------------------------------------------------------------

    def _hear(self, event: int, now: float) -> None:
        if event & select.EPOLLOUT:
            self._control.flush()
            if not self._control.waiting:
                self._loop.expect(self._control, select.EPOLLIN)
        while (received := self._control.receive()) is not None:
            message = messages.decode(received.message)
            if isinstance(message, Take):
                for role, each in zip(message.roles, received.sockets, strict=True):
                    self._take(role, each)
            elif isinstance(message, Remember):
                for record in message.records:
                    via = self._via(record)
                    if via is not None:
                        self._loop.perform(self._forwarder.remember(record, via, now), now)
            elif isinstance(message, Found):
                for client, where in message.answers:
                    self._loop.perform(self._forwarder.found(client, where, -1, now), now)
            elif isinstance(message, Suspect):
                for hop in message.hops:
                    self._forwarder.suspect(hop, now)
            elif isinstance(message, Forget):
                for client in message.clients:
                    self._loop.perform(self._forwarder.forget(client), now)
            elif isinstance(message, Connection):
                self._tcp.adopt(message, received.sockets[0], now)
            elif isinstance(message, Drain):
                self._drain_until = now + message.seconds
            elif isinstance(message, Pause):
                self._pause()
            elif isinstance(message, Resume):
                self._resume()

    def _take(self, role: Role, bound: socket.socket) -> None:
        if role is Role.PUBLIC:
            public = PublicSocket(bound)
            self._public.append(public)
            if self._reading:
                self._loop.serve_public(public)
        elif role is Role.HOP:
            hop = HopSocket(bound, trains=self._kernel is None)
            self._hops.append(hop)
            if self._kernel is not None:
                self._kernel.add_hop(hop.local)
            self._loop.add_hop(hop)
            if self._reading:
                self._loop.serve_hop(hop)
        else:
            self._tcp.add(bound)

    def _pause(self) -> None:
        for public in self._public:
            self._loop.leave(public)
        for hop in self._hops:
            self._loop.leave(hop)
        self._tcp.pause()
        self._loop.flush()
        self._reading = False
        self._tell()
        for connection, connected in self._tcp.connections():
            self._say(connection, connected)
        self._say(Paused())

    def _resume(self) -> None:
        if not self._reading:
            self._reading = True
            for public in self._public:
                self._loop.serve_public(public)
            for hop in self._hops:
                self._loop.serve_hop(hop)
            self._tcp.resume()

    # --- to the control process -----------------------------------------------------------------------------------

    def _on_event(self, action: Action, now: float) -> None:
        """What happened to flows: the kernel tier hears of it at once, the control process with the next tick."""
        if isinstance(action, Confirmed):
            if not action.flow.tcp:
                self._news[action.flow.client] = record_of(action.flow)
        elif isinstance(action, Accelerate):
            self._news[action.flow.client] = record_of(action.flow)
            action.flow.accelerated = self._fast_path.install(action.flow)
        elif isinstance(action, Ended):
            if action.flow.accelerated:
                self._fast_path.remove(action.flow)
            if action.flow.tcp:
                self._tcp.flow_ended(action.flow.client)
            elif action.flow.client not in self._forwarder.flows:
                self._news[action.flow.client] = None
        elif isinstance(action, LookUp):
            self._lookups.append(action.client)
            if len(self._lookups) == 1:
                self._loop.soon(self._ask)
        elif isinstance(action, PeerGone):
            logs.logger(__name__).warning("transceiver does not answer", hop=f"{action.peer.address}")
            self._say(Gone(action.peer.address))

    def _ask(self) -> None:
        for piece in messages.chunks(self._lookups):
            self._say(LookUps(piece))
        self._lookups.clear()

    def _tell(self) -> None:
        news, self._news = self._news, {}
        for records in messages.chunks(record for record in news.values() if record is not None):
            self._say(Flows(records))
        for clients in messages.chunks(client for client, record in news.items() if record is None):
            self._say(messages.Ended(clients))

    def _say(self, message: messages.Message, *sockets: socket.socket) -> None:
        self._control.send(messages.encode(message), sockets)
        if self._control.waiting:
            self._loop.expect(self._control, select.EPOLLIN | select.EPOLLOUT)

    # --- the clock ------------------------------------------------------------------------------------------------

    def _on_tick(self, now: float) -> None:
        changed = self._keys.refresh(now)
        ring = self._keys.value.accepted(time.time())
        minting = ring.minting(time.time())
        if changed is not None or minting is not self._minting or len(ring.keys) != self._accepted:
            self._minting, self._accepted = minting, len(ring.keys)
            self._forwarder.use_keys(ring, minting)
        if self._kernel is not None:
            self._kernel.tend(now)
        self._tcp.tick(now)
        if self._news:
            self._tell()
        self._counters.publish(
            values(self._forwarder, self._fast_path, self._loop.turns, self._tcp, self._control.lost, now)
        )
        if self._drain_until is not None:
            self._drain(self._drain_until - now, now)

    def _drain(self, remaining: float, now: float) -> None:
        leaving = remaining <= MOVING_SECONDS
        if leaving:
            self._forwarder.leave()
        if remaining <= 0 or not len(self._forwarder.table) or (leaving and self._forwarder.left(now)):
            self._loop.stop()

    # --- what the core asks of the outside ------------------------------------------------------------------------

    def _local_end(self, client: Client) -> Via | None:
        if len(client) == 3:
            return self._tcp.stream(client)
        usable = [each for each in self._public if each.serves(client[0])]
        return min(usable, key=_wildcards_first, default=None)

    def _via(self, record: FlowRecord) -> Via | None:
        """The socket that a flow used; for one that is no longer there another that reaches the client."""
        for each in self._public:
            if each.local == record.local:
                return each
        return self._local_end(record.client)

    def _seen_by_kernel(self, flow: Flow) -> float:
        seen = self._fast_path.seen(flow)
        return flow.seen if seen is None else seen.last_seen


def _wildcards_first(public: PublicSocket) -> bool:
    """A client that was not heard here yet is answered from the address that the route to it prefers."""
    return not public.wildcard


def main() -> None:
    """The entry point: worker number, path of the shared counters, descriptor of the channel, the kernel's handles."""
    worker, path, descriptor = int(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    # Only the control process decides about an end; Ctrl-C reaches the whole group.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)
    settings = load_or_exit(RelaySettings)
    logs.configure(Component.RELAY, format=settings.log_format, level=settings.log_level)
    counters = SharedCounters.attach(LAYOUT, path).writer(worker)
    control = DescriptorChannel(socket.socket(fileno=descriptor))
    PacketProcess(settings, counters, control, _kernel_path(sys.argv[4:], worker)).run()


def _kernel_path(handles: list[str], worker: int) -> KernelPath | None:
    if not handles:
        return None
    try:
        return KernelPath(KernelHandles.parse(handles[0]), worker)
    except OSError as error:
        logs.logger(__name__).error("kernel program cannot be used; userspace forwards", reason=str(error))
        return None


if __name__ == "__main__":
    main()
