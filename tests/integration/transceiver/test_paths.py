"""The hop socket as a relay meets it."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from socket import socket

import pytest

from tests.support.facts import DEADLINE
from tests.support.workers import RING
from voicefleet.core.ice_lite import Path
from voicefleet.net.udp import udp_socket
from voicefleet.services.transceiver.paths import BUNDLES_FOR, HopSocket
from voicefleet.wire import hop
from voicefleet.wire.hop import Flag, Kind
from voicefleet.wire.keyring import FleetKey

CLIENTS = (("192.0.2.1", 1000), ("192.0.2.2", 2000))


class Hop:
    """A worker's hop socket, and a relay's beside it."""

    def __init__(self, worker: socket, relay: socket) -> None:
        self.relay = relay
        self.heard: list[tuple[Path, bytes]] = []
        self.refused: Counter[str] = Counter()
        key: FleetKey = RING.keys[0]
        self.socket = HopSocket(worker, lambda: RING, lambda: key, 1, self._heard, self._refused)
        self.headers = [hop.seal(Kind.DATA, Flag(0), client, key) for client in CLIENTS]

    def _heard(self, path: Path, _verified: bool, packet: bytes, _now: float) -> None:
        self.heard.append((path, packet))

    def _refused(self, reason: str) -> None:
        self.refused[reason] += 1

    def says(self, datagram: bytes, now: float) -> None:
        """The relay sends something, and the worker reads it."""
        self.relay.sendto(datagram, self.socket.address)
        self.socket.receive(lambda: now)

    def answers(self, now: float) -> None:
        """The worker says something to each client that it heard of, and its turn ends."""
        for path in dict.fromkeys(path for path, _ in self.heard):
            self.socket.send(path, f"to {path.client[1]}".encode())
        self.socket.flush(now)

    def gets(self) -> bytes:
        """The next datagram that comes to the relay."""
        return self.relay.recv(2048)


@pytest.fixture
def lab() -> Iterator[Hop]:
    with _bound() as worker, _bound() as relay:
        relay.settimeout(DEADLINE)
        yield Hop(worker, relay)


@contextmanager
def _bound() -> Iterator[socket]:
    with udp_socket(("127.0.0.1", 0)) as bound:
        yield bound


def test_a_relay_that_bundles_is_answered_in_bundles(lab: Hop) -> None:
    lab.says(hop.bundle([(header, b"hello") for header in lab.headers])[0], 1.0)
    assert [(path.client, packet) for path, packet in lab.heard] == [(client, b"hello") for client in CLIENTS]
    lab.answers(1.0)
    parts = hop.unbundle(lab.gets())
    assert [packet for _, packet in parts] == [b"to 1000", b"to 2000"]
    assert [hop.open(header, RING).client for header, _ in parts] == list(CLIENTS)
    assert all(hop.open(header, RING).flags == Flag.DOWNLINK for header, _ in parts)


def test_a_relay_that_forwards_one_by_one_gets_its_packets_one_by_one(lab: Hop) -> None:
    for header in lab.headers:
        lab.says(header + b"hello", 1.0)
    lab.answers(1.0)
    assert [lab.gets()[hop.HEADER :] for _ in CLIENTS] == [b"to 1000", b"to 2000"]


def test_bundles_end_soon_after_those_of_the_relay(lab: Hop) -> None:
    lab.says(hop.bundle([(header, b"hello") for header in lab.headers])[0], 1.0)
    lab.answers(1.0)
    assert hop.is_bundle(lab.gets())
    lab.socket.flush(1.0 + 2 * BUNDLES_FOR)
    lab.answers(1.0 + 2 * BUNDLES_FOR)
    assert [lab.gets()[hop.HEADER :] for _ in CLIENTS] == [b"to 1000", b"to 2000"]


def test_bundles_of_who_has_no_key_change_nothing(lab: Hop) -> None:
    for header in lab.headers:
        lab.says(header + b"hello", 1.0)
    forged = [header[:-1] + bytes([header[-1] ^ 1]) for header in lab.headers]
    lab.says(hop.bundle([(header, b"hello") for header in forged])[0], 1.0)
    assert lab.refused["not_authentic"] == 2
    lab.answers(1.0)
    assert not hop.is_bundle(lab.gets())
