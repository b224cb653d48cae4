"""The kernel tier as a packet process has it: writes flows into the program's maps, and reads what it counted.

Promise: userspace stays complete. A flow that the kernel cannot or may not forward is refused, and nothing is lost by
that but speed. A packet process starts with none of its flows in the kernel, though it may have died with some there.
"""

import errno
import sys
from collections import Counter, deque
from ipaddress import ip_address
from typing import Final, NamedTuple

from voicefleet.core.relay.fast_path import FastFlow, FastTotals, Refused
from voicefleet.core.relay.flow import Flow, FlowState
from voicefleet.net import kernel_layout as layout
from voicefleet.net.kernel_layout import Carried, Seen
from voicefleet.net.kernel_program import KernelHandles
from voicefleet.net.libbpf import BpfMap
from voicefleet.net.routes import Change, Route, Routes

Address = tuple[str, int]

LOOK_EVERY: Final = 5.0
"""Seconds between looks whether the program is where it was put."""
AGAIN_AT_ONCE: Final = 100
"""Flows that go back into the kernel at each tick after routes have changed: some 10 ms."""


class _Installed(NamedTuple):
    uplink: bytes
    downlinks: tuple[bytes, ...]
    to_peer: Route
    to_client: Route


class _Refusal(Exception):
    def __init__(self, reason: Refused) -> None:
        self.reason = reason


class KernelPath:
    """A `FastPath`."""

    def __init__(self, handles: KernelHandles, process: int) -> None:
        self._handles = handles
        self._process = process
        self._uplink = BpfMap(handles.uplink, *layout.SIZES[layout.UPLINK])
        self._downlink = BpfMap(handles.downlink, *layout.SIZES[layout.DOWNLINK])
        self._sums = BpfMap(handles.carried, *layout.carried_sizes())
        self._routes = Routes()
        self._same: dict[Route, Route] = {}
        """One object for equal routes."""
        self._hops: dict[bool, Address] = {}
        """By IP version: where transceivers are spoken to from."""
        self._installed: dict[Flow, _Installed] = {}
        self._hosts: Counter[str] = Counter()
        """Clients and transceivers that a route is in use to."""
        self._attached: set[int] = set()
        self._again: deque[Flow] = deque()
        self._look_at = 0.0
        self._refused = dict.fromkeys(Refused, 0)
        self._clear()
        self._before = self._carried()
        """What its predecessors in this place did."""

    def add_hop(self, local: Address) -> None:
        """This process speaks to transceivers of that IP version from here."""
        self._hops[":" in local[0]] = local

    # --- FastPath -------------------------------------------------------------------------------------------------

    def install(self, flow: Flow) -> bool:
        """Takes a flow over; False when it stays in userspace."""
        before = self._installed.get(flow)
        try:
            installed = self._install(flow, before)
        except _Refusal as refusal:
            self._refused[refusal.reason] += 1
            self.remove(flow)
            return False
        except OSError as error:
            self._refused[Refused.FULL if error.errno in (errno.E2BIG, errno.ENOMEM) else Refused.SYSTEM] += 1
            self.remove(flow)
            return False
        if before is None:
            self._hosts.update((flow.client[0], flow.peer.address[0]))
        else:
            self._forget(
                [] if before.uplink == installed.uplink else [before.uplink],
                [key for key in before.downlinks if key not in installed.downlinks],
            )
        self._installed[flow] = installed
        return True

    def remove(self, flow: Flow) -> None:
        """Gives a flow back to userspace."""
        installed = self._installed.pop(flow, None)
        if installed is not None:
            self._leave_hosts(flow)
            self._forget([installed.uplink], installed.downlinks)

    def seen(self, flow: Flow) -> FastFlow | None:
        """Counters of one flow; None when it is not installed."""
        installed = self._installed.get(flow)
        if installed is None:
            return None
        up = self._seen(self._uplink, installed.uplink)
        down = [self._seen(self._downlink, key) for key in installed.downlinks]
        return FastFlow(
            up.last, up.packets, up.octets, sum(each.packets for each in down), sum(each.octets for each in down)
        )

    def totals(self) -> FastTotals:
        """What it did since this packet process began."""
        return FastTotals(len(self._installed), *self._carried().since(self._before))

    def refusals(self) -> dict[Refused, int]:
        """How many flows it did not take, by reason."""
        return self._refused

    def close(self) -> None:
        """Gives all flows back to userspace. The program stays: other packet processes have flows there."""
        self._clear()
        self._installed.clear()
        self._hosts.clear()
        self._routes.close()

    # --- while routes change --------------------------------------------------------------------------------------

    def fileno(self) -> int:
        """Readable when `reroute` has something to do."""
        return self._routes.fileno()

    def reroute(self, now: float) -> None:
        """Gives flows whose way may have changed back to userspace, which follows routes; `tend` brings them back."""
        changes = [change for change in self._routes.changes() if self._matters(change)]
        if not changes:
            return
        self._attached.clear()  # an interface may be another one by now
        concerned = [
            (flow, installed) for flow, installed in self._installed.items() if _concerned(flow, installed, changes)
        ]
        self._uplink.remove_all([installed.uplink for _, installed in concerned])
        self._downlink.remove_all([key for _, installed in concerned for key in installed.downlinks])
        for flow, _ in concerned:
            del self._installed[flow]
            self._leave_hosts(flow)
            flow.accelerated = False
            flow.seen = max(flow.seen, now)  # what the kernel knew of it is gone; it has as long as a new one
            self._again.append(flow)
        self._same.clear()

    def tend(self, now: float) -> None:
        """Takes some of the flows that `reroute` gave back, and keeps the program in its place; ten times a second."""
        if now >= self._look_at:
            self._look_at = now + LOOK_EVERY
            self._stay_attached()
        for _ in range(min(AGAIN_AT_ONCE, len(self._again))):
            flow = self._again.popleft()
            if flow.state is FlowState.CONFIRMED and not flow.accelerated:
                flow.accelerated = self.install(flow)

    # --- maps -----------------------------------------------------------------------------------------------------

    def _install(self, flow: Flow, before: _Installed | None) -> _Installed:
        client, peer, via = (flow.client[0], flow.client[1]), flow.peer.address, flow.via.local
        hop = self._hops.get(":" in peer[0])
        if flow.tcp:
            raise _Refusal(Refused.TCP)
        if hop is None or _link_local(client[0]) or _link_local(peer[0]):
            raise _Refusal(Refused.ADDRESS)
        to_peer, hop = self._way_to(peer[0], hop)
        to_client, public = self._way_to(client[0], via)
        for interface in (to_client.interface, to_peer.interface):
            self._attach(interface)
        uplink = layout.uplink_key(client, public)
        downlinks = {layout.downlink_key(peer, hop, header): header for header in flow.replies}
        seen = self._seen(self._uplink, uplink) if before is not None else layout.NEVER
        # Downlink first: an uplink entry alone would be a flow whose last second is nobody's.
        written: list[bytes] = []
        try:
            for key, header in downlinks.items():
                counted = self._seen(self._downlink, key) if before is not None else layout.NEVER
                way = layout.downlink_way(self._process, peer, hop, public, client, to_client, header, counted)
                self._downlink.put(key, way)
                written.append(key)
            way = layout.uplink_way(self._process, client, public, hop, peer, to_peer, flow.header, seen)
            self._uplink.put(uplink, way)
        except OSError:
            self._forget([], written)
            raise
        return _Installed(uplink, tuple(downlinks), to_peer, to_client)

    def _way_to(self, host: str, local: Address) -> tuple[Route, Address]:
        """The route, and the local end with the address that the system would use."""
        any_address = ip_address(local[0]).is_unspecified
        route = self._routes.to(host, None if any_address else local[0])
        if route is None:
            raise _Refusal(Refused.NO_ROUTE)
        return self._same.setdefault(route, route), (route.source if any_address else local[0], local[1])

    def _attach(self, interface: int) -> None:
        if interface not in self._attached:
            place = self._handles.filter
            if place.attached(interface) is None:  # what is there is ours, or already a successor's
                place.attach(interface, self._handles.program)
            self._attached.add(interface)

    def _stay_attached(self) -> None:
        """Who cleans an interface of filters takes ours along; userspace has had the packets since then."""
        place = self._handles.filter
        try:
            for interface in self._attached:
                if place.attached(interface) is None:
                    place.attach(interface, self._handles.program)
        except OSError:
            self._attached.clear()  # it went away, or is not ours; the next flow says more

    def _seen(self, where: BpfMap, key: bytes) -> Seen:
        way = where.get(key)
        return layout.NEVER if way is None else layout.seen_of(way)

    def _forget(self, uplinks: list[bytes], downlinks: list[bytes] | tuple[bytes, ...]) -> None:
        try:
            for key in uplinks:
                self._uplink.remove(key)
            for key in downlinks:
                self._downlink.remove(key)
        except OSError:
            self._refused[Refused.SYSTEM] += 1

    def _carried(self) -> Carried:
        values = self._sums.get(self._process.to_bytes(4, sys.byteorder))
        assert values is not None  # the map has an entry for each process that there may be
        return layout.carried_of(values)

    def _clear(self) -> None:
        for each in (self._uplink, self._downlink):
            each.remove_all([key for key, way in each.items() if layout.process_of(way) == self._process])

    def _matters(self, change: Change) -> bool:
        """Most changes are single addresses of others: a pod came or went."""
        if change.interface is not None or change.length < len(change.prefix) * 8:
            return True
        return str(ip_address(change.prefix)) in self._hosts

    def _leave_hosts(self, flow: Flow) -> None:
        for host in (flow.client[0], flow.peer.address[0]):
            self._hosts[host] -= 1
            if not self._hosts[host]:
                del self._hosts[host]


def _concerned(flow: Flow, installed: _Installed, changes: list[Change]) -> bool:
    client, peer = ip_address(flow.client[0]).packed, ip_address(flow.peer.address[0]).packed
    return any(
        change.concerns(client, installed.to_client.interface) or change.concerns(peer, installed.to_peer.interface)
        for change in changes
    )


def _link_local(host: str) -> bool:
    return "%" in host or host.startswith("fe80:")
