"""Strangers at the public port: they get no answer, and take nothing from those who talk."""

import asyncio
import os
import random
import socket
from pathlib import Path

from tests.support.echo_peer import echo_peer
from tests.support.ice_client import IceClient, ice_client
from tests.support.relay_process import RelayProcess, relay_process
from tests.support.relayed_calls import relayed_call
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.route_token import Route, mint

RING = KeyRing("test", (FleetKey(1, bytes(range(32)), 0.0, None),))
FORGED = KeyRing("test", (FleetKey(1, bytes(reversed(range(32))), 0.0, None),))


class Stranger:
    """Somebody who sends whatever he likes, and notes whether anybody answers."""

    def __init__(self, relay: RelayProcess) -> None:
        self.relay = relay.address
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.bind(("127.0.0.1", 0))

    def send(self, packet: bytes) -> None:
        try:
            self.socket.sendto(packet, self.relay)
        except BlockingIOError:
            pass

    @property
    def answered(self) -> bool:
        try:
            self.socket.recv(2048)
        except BlockingIOError:
            return False
        return True


async def test_nobody_is_answered_whose_check_does_not_prove_the_password_of_a_token_of_this_fleet(
    tmp_path: Path,
) -> None:
    async with relayed_call(tmp_path, RING) as (peer, relay, good):
        checks = good.request
        outside = mint(Route("192.0.2.1", 4478, 1, 1), RING.keys[0], RING.fleet_tag)
        foreign = mint(Route(*peer.address, 1, 1), RING.keys[0], RING.fleet_tag ^ 0xFF)
        forged = mint(Route(*peer.address, 1, 1), FORGED.keys[0], RING.fleet_tag)
        unknown = mint(Route(*peer.address, 1, 1), FleetKey(5, bytes(32), 0.0, None), RING.fleet_tag)
        cases = {
            "stun_bad_integrity": checks(b"not the password"),
            "hop_not_allowed": IceClient(relay.address, outside, RING, 1).request(),
            "token_foreign_fleet": IceClient(relay.address, foreign, RING, 1).request(b"x"),
            "token_forged": IceClient(relay.address, forged, RING, 1).request(b"x"),
            "token_unknown_key": IceClient(relay.address, unknown, RING, 1).request(b"x"),
            "token_malformed": IceClient(relay.address, "short", RING, 1).request(b"x"),
            "stun_malformed": checks()[:-5],
            "stun_no_integrity": bytes.fromhex("000100002112a442") + bytes(12),
            "stun_not_request": bytes.fromhex("010100002112a442") + bytes(12),
            "unknown_client": b"\x80\x6f" + bytes(100),
            "unknown_kind": b"\x50" + bytes(20),
            "empty": b"",
            "too_long": b"\x80" + bytes(60_000),
        }
        heard = len(peer.arrived)
        stranger = Stranger(relay)
        for reason, packet in cases.items():
            before = await relay.dropped(reason)
            stranger.send(packet)
            await relay.drops(reason, before + 1)
        assert not stranger.answered
        assert len(peer.arrived) == heard, "and no transceiver hears of it"
        metrics = await relay.metrics()
        assert metrics["voicefleet_relay_flows{state=confirmed}"] == 1
        assert metrics["voicefleet_relay_flows{state=pending}"] == 0
        await good.hears(good.media())


async def test_one_source_that_opens_flows_without_end_stays_within_its_bound(tmp_path: Path) -> None:
    """It has a real token for each; a thousand and more flows of one address are refused, old ones go on."""
    async with relayed_call(tmp_path, RING) as (peer, relay, good):
        tokens = [peer.new_call() for _ in range(200)]
        for token in tokens:
            request = IceClient(relay.address, token, RING, 1).request()
            for _ in range(8):
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as port:
                    port.sendto(request, relay.address)
            await asyncio.sleep(0)
        await relay.counts("voicefleet_relay_events_total{event=checks_verified}", 1600)
        metrics = await relay.metrics()
        flows = metrics["voicefleet_relay_flows{state=confirmed}"] + metrics["voicefleet_relay_flows{state=pending}"]
        assert flows <= 1024
        assert metrics["voicefleet_relay_dropped_packets_total{reason=address_full}"] > 0
        for _ in range(20):
            await good.hears(good.media())


async def test_good_calls_lose_nothing_while_strangers_send_rubbish(tmp_path: Path) -> None:
    chance = random.Random(7)
    async with (
        echo_peer(RING) as peer,
        relay_process(tmp_path, RING) as relay,
        ice_client(relay.address, peer.new_call(), RING, ssrc=1) as first,
        ice_client(relay.address, peer.new_call(), RING, ssrc=2) as second,
    ):
        for client in (first, second):
            await client.check()
            await client.talks()
        replayed = first.request()
        wrong = second.request(b"not the password")
        strangers = [Stranger(relay) for _ in range(10)]
        for _ in range(300):
            for stranger in strangers:
                stranger.send(chance.randbytes(chance.randrange(1, 1500)))
                stranger.send(wrong)
                stranger.send(b"\0\1" + os.urandom(60))
            strangers[0].send(replayed)
            strangers[0].send(b"\x80" + bytes(60_000))
            numbers = [(client, client.media()) for client in (first, second)]
            for client, number in numbers:
                await client.hears(number)
        assert first.lost == second.lost == 0 or first.lost + second.lost <= 2, "only what was lost before the flood"
        assert not any(stranger.answered for stranger in strangers[1:])
        metrics = await relay.metrics()
        assert metrics["voicefleet_relay_flows{state=confirmed}"] <= 3
        assert metrics["voicefleet_relay_dropped_packets_total{reason=stun_bad_integrity}"] > 0
