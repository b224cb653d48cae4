"""Ports of a local fleet's processes: who got which, so that a process that is started again finds its own.

A relay's seat is its slot, so that its replacement takes the very port over; any other process has a seat of its own.
"""

import socket
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Final

from voicefleet.cli.failure import Exit, Failure
from voicefleet.cli.local.desired import LOOPBACK
from voicefleet.cli.local.reconcile import Group, Instance
from voicefleet.contract import Component, Env, HealthPath
from voicefleet.net.port_holder import port_holder, port_is_free

_BOTH: Final = (socket.SOCK_DGRAM, socket.SOCK_STREAM)


def free_port(host: str, *kinds: socket.SocketKind) -> int:
    """A port that was free a moment ago; who loses the race says so when it starts, and is started again."""
    while True:
        with ExitStack() as stack:
            port = 0
            try:
                for kind in kinds:
                    probe = stack.enter_context(socket.socket(socket.AF_INET, kind))
                    probe.bind((host, port))
                    port = probe.getsockname()[1]
            except OSError:
                if not port:
                    raise
                continue  # free for one of them only
            return port


def require_free(host: str, port: int, kind: socket.SocketKind, what: str, instead: str) -> None:
    """Raise the sentence that says who has the port, if somebody has."""
    if port_is_free(host, port, kind):
        return
    if port < 1024 and port_holder(port, kind) is None:
        reason = "is one that only root may use, or is taken"
    else:
        reason = f"is taken by {port_holder(port, kind) or 'a process of another user'}"
    word = "UDP" if kind is socket.SOCK_DGRAM else "TCP"
    raise Failure(f"{word} port {port} of {host}, for {what}, {reason}", instead, Exit.TAKEN)


@dataclass(slots=True)
class Seats:
    """Gives addresses to processes, and remembers them."""

    host: str
    """Where clients reach relays."""
    _ports: dict[tuple[str, str], int] = field(default_factory=dict)

    def environment(self, group: Group, instance: Instance) -> dict[str, str]:
        """The addresses that a process listens on."""
        seat = self._seat(group, instance)
        environment = {Env.HEALTH_LISTEN: f"{LOOPBACK}:{self._port(seat, 'health')}"}
        if group.component == Component.TRANSCEIVER:
            environment[Env.API_LISTEN] = f"{LOOPBACK}:{self._port(seat, 'api')}"
        elif group.component == Component.RELAY:
            environment[Env.LISTEN] = self.relay(group, instance)
        return environment

    def ready_url(self, group: Group, instance: Instance) -> str:
        """Where it says that it is ready."""
        return f"http://{LOOPBACK}:{self._port(self._seat(group, instance), 'health')}{HealthPath.READY}"

    def api_url(self, group: Group, instance: Instance) -> str:
        """A transceiver's internal API."""
        return f"http://{LOOPBACK}:{self._port(self._seat(group, instance), 'api')}"

    def relay(self, group: Group, instance: Instance) -> str:
        """A relay's public address."""
        seat = self._seat(group, instance)
        if group.first_port is not None and (seat, "public") not in self._ports:
            port = group.first_port + instance.slot - 1
            for kind in _BOTH:
                require_free(self.host, port, kind, instance.name, "change spec.expose.port, or end that process")
            self._ports[seat, "public"] = port
        return f"{self.host}:{self._port(seat, 'public', self.host, _BOTH)}"

    def forget(self, group: Group, instance: Instance) -> None:
        """Somebody was quicker to take one of its ports: the next one gets others, unless the file names it."""
        seat = self._seat(group, instance)
        for key in [each for each in self._ports if each[0] == seat]:
            del self._ports[key]

    def _seat(self, group: Group, instance: Instance) -> str:
        if group.component != Component.RELAY:
            return f"{group.name}/{instance.number}"
        # Another wish for a port is another seat: who calls the old one goes on until it has drained.
        return f"{group.name}:{group.first_port or ''}/{instance.slot}"

    def _port(
        self,
        seat: str,
        purpose: str,
        host: str = LOOPBACK,
        kinds: tuple[socket.SocketKind, ...] = (socket.SOCK_STREAM,),
    ) -> int:
        if (seat, purpose) not in self._ports:
            self._ports[seat, purpose] = free_port(host, *kinds)
        return self._ports[seat, purpose]
