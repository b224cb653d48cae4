"""Fifty good calls while strangers do all that they can at once: the calls lose nothing, and nothing grows."""

import asyncio
import random
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

from tests.support.echo_peer import EchoPeer
from tests.support.facts import eventually
from tests.support.ice_client import IceClient
from tests.support.relay_process import RelayProcess
from tests.support.relayed_calls import Speech, relayed_calls
from voicefleet.core.relay.limits import Limits
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.route_token import Route, mint

RING = KeyRing("test", (FleetKey(1, bytes(range(32)), 0.0, None),))
FORGED = KeyRing("test", (FleetKey(1, bytes(reversed(range(32))), 0.0, None),))
CALLS = 50
ROUNDS = 250
FLOOD_HOST = "127.0.0.66"
"""Where the source is that opens flows without end: a bound for each address is its own."""


class Stranger:
    """A socket of somebody, and how much it sent and was answered."""

    def __init__(self, relay: RelayProcess, stack: ExitStack, host: str = "127.0.0.1") -> None:
        self._relay = relay.address
        self._socket = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
        self._socket.setblocking(False)
        self._socket.bind((host, 0))
        self.sent = 0

    def send(self, packet: bytes) -> None:
        try:
            self.sent += self._socket.sendto(packet, self._relay)
        except BlockingIOError:
            pass

    def answered(self) -> int:
        """Octets that came since this was asked last."""
        octets = 0
        while True:
            try:
                octets += len(self._socket.recv(65_535))
            except BlockingIOError:
                return octets


async def test_fifty_calls_lose_nothing_beside_every_abuse_at_once_and_no_state_leaves_its_bound(
    tmp_path: Path,
) -> None:
    limits = Limits()
    with ExitStack() as stack:
        async with relayed_calls(tmp_path, RING, CALLS, ICE_TCP="true") as (peer, relay, clients):
            said, heard = sum(each.sent for each in clients), sum(len(each.echoed) for each in clients)
            unverified = [Stranger(relay, stack) for _ in range(5)]
            replayer = Stranger(relay, stack)
            flooder = [Stranger(relay, stack, FLOOD_HOST) for _ in range(limits.per_address + 200)]
            slow = [stack.enter_context(_connection(relay)) for _ in range(40)]
            rubbish, floods = _rubbish(peer, clients[0]), _floods(peer, relay)
            replayed = clients[0].request()
            async with Speech(clients, 0.2):
                for number in range(ROUNDS):
                    for stranger in unverified:
                        stranger.send(next(rubbish))
                    replayer.send(replayed)
                    for each in range(5):
                        flooder[(number * 5 + each) % len(flooder)].send(next(floods))
                    for connection in slow[number % 10 :: 10]:
                        _one_octet(connection)
                    await asyncio.sleep(0.02)
                metrics = await relay.metrics()
            await eventually(lambda: all(_all_but(each, 2) for each in clients), "the last packets are back")
            said, heard = sum(each.sent for each in clients) - said, sum(len(each.echoed) for each in clients) - heard
            print(f"{said} packets said, {said - heard} lost")
            assert said - heard < 0.001 * said
            assert not any(stranger.answered() for stranger in unverified), "nobody unverified is answered"
            assert 0 < replayer.answered() < replayer.sent, "its check is true, and yet it amplifies nothing"
            flows = "voicefleet_relay_flows{state=%s}"
            assert metrics[flows % "confirmed"] <= CALLS + limits.per_address + limits.per_token
            assert metrics[flows % "pending"] <= limits.pending
            assert metrics["voicefleet_relay_tcp_connections"] <= limits.tcp_unproven
            dropped = "voicefleet_relay_dropped_packets_total{reason=%s}"
            for reason in ("stun_bad_integrity", "token_forged", "token_malformed", "address_full", "too_long"):
                assert metrics[dropped % reason] > 0, reason
            assert metrics[dropped % "fault"] == 0


async def test_a_newcomer_gets_through_while_one_source_holds_all_that_it_may(tmp_path: Path) -> None:
    with ExitStack() as stack:
        async with relayed_calls(tmp_path, RING, 1) as (peer, relay, (client,)):
            floods = _floods(peer, relay)
            flooder = [Stranger(relay, stack, FLOOD_HOST) for _ in range(Limits().per_address + 100)]
            for at, each in enumerate(flooder):
                each.send(next(floods))
                if at % 10 == 0:
                    await asyncio.sleep(0.005)
            await relay.drops("address_full", 1)
            newcomer = IceClient(relay.address, peer.new_call(), RING, 9)
            await newcomer.rebind()
            await newcomer.check()
            await newcomer.talks()
            newcomer.close()
            await client.hears(client.media())


def _rubbish(peer: EchoPeer, good: IceClient) -> Iterator[bytes]:
    """Random octets, checks with wrong tokens, with a right token and wrong integrity, and datagrams of 64 KiB."""
    chance = random.Random(7)
    forged = mint(Route(*peer.address, 1, 1), FORGED.keys[0], RING.fleet_tag)
    while True:
        yield chance.randbytes(chance.randrange(1, 1500))
        yield IceClient(good.relay, forged, RING, 1).request(b"x")
        yield IceClient(good.relay, "no token", RING, 1).request(b"x")
        yield good.request(b"not the password")
        yield b"\x80" + bytes(65_000)


def _floods(peer: EchoPeer, relay: RelayProcess) -> Iterator[bytes]:
    """True checks; eight for each token that somebody was given."""
    while True:
        check = IceClient(relay.address, peer.new_call(), RING, 1).request()
        yield from [check] * 8


def _connection(relay: RelayProcess) -> socket.socket:
    connection = socket.create_connection(relay.address)
    connection.setblocking(False)
    return connection


def _one_octet(connection: socket.socket) -> None:
    try:
        connection.send(b"\0")
    except OSError:
        pass  # the relay has closed it


def _all_but(client: IceClient, few: int) -> bool:
    return client.lost <= few
