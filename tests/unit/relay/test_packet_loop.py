"""The packet loop outlives whatever a packet brings about."""

import logging

import pytest

from tests.unit.relay.test_forwarder import HOME, Relay
from voicefleet.core.relay.actions import Action, Confirmed
from voicefleet.core.relay.counters import Drop
from voicefleet.net.descriptor_channel import Closed
from voicefleet.services.relay.packet_loop import PacketLoop


def loop_of(relay: Relay) -> PacketLoop:
    return PacketLoop(relay.core, lambda: relay.now, lambda _now: None, lambda _action, _now: None)


def test_a_packet_that_makes_the_core_raise_is_counted_and_told_once_a_second(caplog: pytest.LogCaptureFixture) -> None:
    relay = Relay()
    loop = loop_of(relay)

    def mistaken(_packet: bytes, _client: object, now: float) -> list[Action]:
        raise TypeError("AF_INET address must be a pair")

    with caplog.at_level(logging.ERROR):
        for _ in range(50):
            loop.consider(mistaken, b"\x80", HOME, relay.now)
        relay.now += 1.0
        loop.consider(mistaken, b"\x80", HOME, relay.now)
    assert relay.core.counters.drops[Drop.FAULT] == 51
    assert len(caplog.records) == 2


def test_what_goes_wrong_while_an_action_is_carried_out_is_a_fault_too() -> None:
    relay = Relay()  # whose socket raises AssertionError when something is sent
    loop = loop_of(relay)
    relay.check(relay.token())
    loop.consider(lambda now: relay.answers(), relay.now)
    assert relay.core.counters.drops[Drop.FAULT] == 1
    assert HOME in relay.core.flows


def test_the_end_of_the_control_process_is_no_fault() -> None:
    relay = Relay()

    def gone(_action: Action, _now: float) -> None:
        raise Closed("gone")

    loop = PacketLoop(relay.core, lambda: relay.now, lambda _now: None, gone)
    relay.check(relay.token())
    (confirmed,) = (each for each in relay.answers() if isinstance(each, Confirmed))
    with pytest.raises(Closed):
        loop.consider(lambda _now: [confirmed], relay.now)
