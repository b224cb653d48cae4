"""What checks from inside the cluster say of a pool's addresses: silence is news only where there was an answer."""

import asyncio
import socket
from ipaddress import ip_network

from tests.support.facts import eventually
from voicefleet.wire.keyring import FleetKey, KeyRing
from voicefleet.wire.route_token import TO_THE_RELAY, TokenOpener, ice_password
from voicefleet.wire.stun import binding_error, binding_success, decode
from voicefleet_operator.api.conditions import Condition, ConditionType, condition
from voicefleet_operator.model.reachability import (
    ROUNDS,
    WHILE_DOUBTFUL,
    WHILE_LOST,
    WHILE_SILENT,
    WHILE_WELL,
    Round,
    next_round,
    reachable,
)
from voicefleet_operator.reconcile.probes import Probes, Target
from voicefleet_operator.reconcile.store import Key

HERE, THERE = "192.0.2.1:30500", "192.0.2.2:30500"
WELL = Round(frozenset({HERE}), frozenset(), inside=True)
POOL: Key = ("RelayPool", "voice", "edge")
KEY = FleetKey(1, bytes(range(32)), 0.0, None)
RING = KeyRing("demo", (KEY,))


def _silent(missed: int, inside: bool = True) -> Round:
    return Round(frozenset(), frozenset({HERE}), inside, missed)


def _was(status: bool | None, reason: str = "Answered") -> Condition:
    return condition(ConditionType.REACHABLE, status, reason, "as it was")


def test_one_answer_proves_it() -> None:
    found = reachable(None, WELL)
    assert (found.status, found.reason) == ("True", "Answered") and HERE in found.message


def test_silence_where_nothing_ever_answered_is_not_known_to_be_a_fault() -> None:
    """Many networks let no pod call its own cluster's public addresses."""
    for missed in (1, ROUNDS, 99):
        found = reachable(_was(None, "NotTried"), _silent(missed))
        assert (found.status, found.reason) == ("Unknown", "NoAnswerFromInside")
        assert "voicefleet doctor" in found.message and "firewall" in found.message
        assert next_round(found, _silent(missed)) == WHILE_SILENT


def test_what_answered_counts_as_lost_after_three_silent_rounds_and_no_earlier() -> None:
    for missed in range(1, ROUNDS):
        assert reachable(_was(True), _silent(missed)) == _was(True)
        assert next_round(_was(True), _silent(missed)) == WHILE_DOUBTFUL
    lost = reachable(_was(True), _silent(ROUNDS))
    assert (lost.status, lost.reason) == ("False", "NoAnswer")
    assert "they answer inside the cluster" in lost.message and "firewall" in lost.message
    assert next_round(lost, _silent(ROUNDS)) == WHILE_LOST
    assert reachable(lost, _silent(ROUNDS + 1)).status == "False"
    assert reachable(lost, WELL).status == "True"
    assert "NetworkPolicies" in reachable(_was(True), _silent(ROUNDS, inside=False)).message


def test_new_addresses_start_anew_and_no_relay_at_all_changes_nothing() -> None:
    assert reachable(None, _silent(1)).status == "Unknown"
    for status in (True, None, False):  # nor does an operator that starts anew
        assert reachable(_was(status), None) == _was(status)
    assert reachable(None, None).reason == "NotTried"
    both = Round(frozenset({HERE}), frozenset({THERE}), inside=True, missed=1)
    assert THERE in reachable(None, both).message
    assert next_round(_was(True), WELL) == WHILE_WELL


async def test_only_a_signed_answer_from_the_very_address_counts() -> None:
    """A relay of the fleet, one that is silent, and one that answers with what it could not sign."""
    loop = asyncio.get_running_loop()
    woken: list[Key] = []
    probes = Probes(woken.append)
    sockets = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(3)]
    targets = []
    for each in sockets:
        each.bind(("127.0.0.1", 0))
        each.setblocking(False)
        targets.append(Target("127.0.0.1", each.getsockname()[1]))
    relay, _, impostor = sockets
    asked = 0

    def read(mine: socket.socket, genuine: bool) -> None:
        nonlocal asked
        asked += 1
        packet, sender = mine.recvfrom(2048)
        message = decode(packet)
        token = (message.username or "").partition(":")[0].encode()
        route = TokenOpener(RING).open(token)
        assert route.port == TO_THE_RELAY and route.address == str(ip_network("10.0.0.0/8")[0])
        if genuine and asked < 2:
            return  # lost: it is asked again
        password = ice_password(token, KEY) if genuine else b"guess"
        mine.sendto(binding_error(message.transaction_id, 400, "Gone", password), sender)
        mine.sendto(binding_success(message.transaction_id, sender, password), sender)

    loop.add_reader(relay, read, relay, True)
    loop.add_reader(impostor, read, impostor, False)
    try:
        probes.begin(POOL, targets, RING, 1000.0, "10.0.0.0/8")
        assert probes.running(POOL) and probes.last(POOL) is None
        await eventually(lambda: probes.last(POOL) is not None, "the round has ended")
        found = probes.last(POOL)
        assert found is not None and found.missed == 1 and woken == [POOL]
        assert found.answered == {targets[0].text} and found.silent == {targets[1].text, targets[2].text}
        probes.begin(POOL, targets[:1], RING, 1000.0, "10.0.0.0/8")
        await eventually(lambda: not probes.running(POOL), "it ends with the last answer")
        assert probes.last(POOL) == Round(frozenset({targets[0].text}), frozenset(), inside=False)
        probes.begin(POOL, targets, RING, 1000.0, "10.0.0.0/8")
        probes.forget(POOL)
        assert probes.last(POOL) is None and not probes.running(POOL)
    finally:
        probes.close()
        for each in sockets:
            loop.remove_reader(each)
            each.close()
