"""STUN checks of relays, beside everything else: nobody waits for them, and who is concerned is woken by the outcome.

A check carries a route token that belongs to no call, which only who has the fleet's key can mint; the relay answers it
by itself. Both directions are signed, so an answer is a relay of this fleet.
"""

import asyncio
import secrets
import socket
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from ipaddress import ip_network
from typing import Final

from voicefleet.wire.errors import WireError
from voicefleet.wire.keyring import KeyRing
from voicefleet.wire.route_token import TO_THE_RELAY, Route, ice_password, mint
from voicefleet.wire.stun import Class, binding_request, decode, integrity_ok
from voicefleet_operator.model.reachability import ROUNDS, Round
from voicefleet_operator.reconcile.store import Key

SENT_AT: Final = (0.0, 0.3, 0.8)
"""Seconds of a round at which a check that has no answer is sent, since datagrams get lost."""
SECONDS: Final = 1.5
"""A round's length, for those that stay silent."""
AT_ONCE: Final = 64
"""Answers that are read before the event loop has its turn again."""


@dataclass(frozen=True, slots=True)
class Target:
    """An address to check."""

    host: str
    port: int
    inside: bool = False
    """A pod's own, which no client calls."""

    @property
    def text(self) -> str:
        """As the pool's status shows it."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(slots=True)
class _Check:
    target: Target
    request: bytes
    password: bytes
    answered: bool = False


@dataclass(slots=True)
class _Running:
    """A round under way."""

    key: Key
    checks: dict[bytes, _Check]
    """By the transaction's id."""
    timers: list[asyncio.TimerHandle] = field(default_factory=list)


class Probes:
    """What is being checked, and what came of it."""

    def __init__(self, wake: Callable[[Key], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._wake, self._clock = wake, clock
        self._running: dict[Key, _Running] = {}
        self._waiting: dict[bytes, _Running] = {}
        self._found: dict[Key, tuple[float, Round]] = {}
        self._sockets: dict[socket.AddressFamily, socket.socket] = {}

    def last(self, key: Key) -> Round | None:
        """What the last round found."""
        return self._found[key][1] if key in self._found else None

    def age(self, key: Key) -> float:
        """Seconds since that."""
        return self._clock() - self._found[key][0] if key in self._found else float("inf")

    def running(self, key: Key) -> bool:
        """Whether a round is under way."""
        return key in self._running

    def begin(self, key: Key, targets: Iterable[Target], fleet: KeyRing, now: float, network: str) -> None:
        """Check these addresses with tokens that name an address of `network`, where transceivers may be."""
        key_of_fleet = fleet.minting(now)
        checks = {}
        for target in targets:
            route = Route(str(ip_network(network)[0]), TO_THE_RELAY, 0, secrets.randbits(32))
            token = mint(route, key_of_fleet, fleet.fleet_tag)
            password = ice_password(token.encode(), key_of_fleet)
            transaction = secrets.token_bytes(12)
            request = binding_request(transaction, f"{token}:operator", password, priority=1, controlling=1)
            checks[transaction] = _Check(target, request, password)
        running = self._running[key] = _Running(key, checks)
        self._waiting |= dict.fromkeys(checks, running)
        later = asyncio.get_running_loop().call_later
        running.timers = [later(after, self._send, running) for after in SENT_AT]
        running.timers.append(later(SECONDS, self._end, running))

    def forget(self, key: Key) -> None:
        """It is gone, or has no relay to check."""
        if key in self._running:
            self._stop(self._running[key])
        self._found.pop(key, None)

    def close(self) -> None:
        """End what is under way."""
        for running in tuple(self._running.values()):
            self._stop(running)
        for made in self._sockets.values():
            asyncio.get_running_loop().remove_reader(made)
            made.close()
        self._sockets.clear()

    def _send(self, running: _Running) -> None:
        for check in running.checks.values():
            if check.answered:
                continue
            family = socket.AF_INET6 if ":" in check.target.host else socket.AF_INET
            try:
                self._socket(family).sendto(check.request, (check.target.host, check.target.port))
            except OSError:
                continue  # no way there: silent, like any other

    def _socket(self, family: socket.AddressFamily) -> socket.socket:
        if family not in self._sockets:
            made = socket.socket(family, socket.SOCK_DGRAM)
            made.setblocking(False)
            asyncio.get_running_loop().add_reader(made, partial(self._read, made))
            self._sockets[family] = made
        return self._sockets[family]

    def _read(self, made: socket.socket) -> None:
        for _ in range(AT_ONCE):
            try:
                packet, sender = made.recvfrom(2048)
            except BlockingIOError:
                return
            except OSError:
                continue  # an ICMP error that an earlier check met: its round ends without an answer
            self._take(packet, sender[:2])

    def _take(self, packet: bytes, sender: tuple[str, int]) -> None:
        try:
            message = decode(packet)
        except WireError:
            return
        running = self._waiting.get(message.transaction_id)
        if running is None or message.cls is not Class.SUCCESS or message.integrity_at is None:
            return
        check = running.checks[message.transaction_id]
        # From where it was asked: a client takes an answer from nowhere else.
        if sender != (check.target.host, check.target.port):
            return
        if not integrity_ok(packet, message.integrity_at, check.password):
            return
        check.answered = True
        if all(each.answered for each in running.checks.values()):
            self._end(running)

    def _end(self, running: _Running) -> None:
        self._stop(running)
        before = self.last(running.key)
        outside = [each for each in running.checks.values() if not each.target.inside]
        silent = frozenset(each.target.text for each in outside if not each.answered)
        found = Round(
            answered=frozenset(each.target.text for each in outside if each.answered),
            silent=silent,
            inside=any(each.answered for each in running.checks.values() if each.target.inside),
            missed=(before.missed if before is not None else 0) + 1 if silent else 0,
        )
        self._found[running.key] = (self._clock(), found)
        if found != before and found.missed <= ROUNDS:
            self._wake(running.key)

    def _stop(self, running: _Running) -> None:
        for timer in running.timers:
            timer.cancel()
        for transaction in running.checks:
            self._waiting.pop(transaction, None)
        self._running.pop(running.key, None)
