"""How far clients are, path by path: requests that clients answer, less what the hop to the relay takes."""

import pytest

from voicefleet.core.ice_lite import Path
from voicefleet.core.transceiver.hop_meter import ASK_EVERY, LONGEST, RELAYS, HopMeter
from voicefleet.core.transceiver.path_probes import AGAIN, LOST, SERIES, TRIES, PathProbes
from voicefleet.wire import stun

NOW = 1000.0
RELAY = ("192.0.2.1", 4000)
NEAR, FAR = Path(RELAY, ("198.51.100.7", 1)), Path(("192.0.2.2", 4000), ("198.51.100.7", 1))
PASSWORD = b"the client's own password"


def probes() -> PathProbes:
    return PathProbes("theirs:ours", PASSWORD, 7)


def transaction(number: int) -> bytes:
    return number.to_bytes(12)


def answered(request: bytes, password: bytes = PASSWORD) -> bytes:
    return stun.binding_success(request[8:20], ("192.0.2.9", 9), password)


def seen(meter: HopMeter) -> tuple[str, float] | None:
    known = meter.of(RELAY)
    return None if known is None else (known[0], round(known[1] * 1000, 3))


def test_a_request_is_one_that_a_full_agent_answers() -> None:
    request = probes().on_check(NEAR, transaction(1), NOW)
    assert request is not None
    message = stun.decode(request)
    assert (message.cls, message.method, message.username) == (stun.Class.REQUEST, stun.BINDING, "theirs:ours")
    assert message.priority is not None and message.ice_controlled == 7 and not message.use_candidate
    assert message.integrity_at is not None and stun.integrity_ok(request, message.integrity_at, PASSWORD)


def test_the_shortest_of_a_series_counts_and_each_path_has_its_own() -> None:
    probe = probes()
    for path, samples in ((NEAR, (0.050, 0.031, 0.090)), (FAR, (0.200, 0.210, 0.190))):
        now, seconds = NOW, None
        request = probe.on_check(path, transaction(0), now)
        for number, took in enumerate(samples, 1):
            assert request is not None and seconds is None
            now += took
            seconds, request = probe.on_answer(path, answered(request), transaction(number), now)
        assert seconds == pytest.approx(min(samples)) and request is None
        assert probe.on_check(path, transaction(9), now) is None
        assert probe.on_check(path, transaction(9), NOW + AGAIN) is not None


def test_what_did_not_come_from_the_client_is_no_answer() -> None:
    probe = probes()
    request = probe.on_check(NEAR, transaction(1), NOW)
    assert request is not None
    late = stun.binding_error(request[8:20], 400, "Bad Request", PASSWORD)
    for wrong in (answered(request, b"another password"), late, answered(request)[:-1], answered(bytes(20))):
        assert probe.on_answer(NEAR, wrong, transaction(2), NOW + 0.01) == (None, None)
    assert probe.on_answer(FAR, answered(request), transaction(2), NOW + 0.01) == (None, None)
    assert probe.on_answer(NEAR, answered(request), transaction(2), NOW + 0.02)[1] is not None


def test_a_client_that_never_answers_is_asked_a_few_times_and_then_left_alone() -> None:
    probe = probes()
    requests = [probe.on_check(NEAR, transaction(n), NOW + n * 0.5) for n in range(int(AGAIN / 0.5))]
    assert sum(each is not None for each in requests) == TRIES > SERIES
    assert requests[0] is not None and all(each is None for each in requests[1 : int(LOST / 0.5)])


def test_a_relay_tells_its_pool_and_how_far_it_is() -> None:
    meter = HopMeter()
    assert meter.due(RELAY, NOW) and meter.of(RELAY) is None
    meter.asked(RELAY, b"nonce--1", NOW)
    assert not meter.due(RELAY, NOW + 1) and meter.due(RELAY, NOW + ASK_EVERY)
    for wrong in (b"nonce--2\0\0fra", b"", b"nonce--1\0\0" + bytes(64), b"nonce--1\0\0\xff"):
        assert not meter.answered(RELAY, wrong, NOW + 0.01)
    assert meter.answered(RELAY, b"nonce--1\0\0fra", NOW + 0.010)
    assert not meter.answered(RELAY, b"nonce--1\0\0fra", NOW + 0.011), "an answer counts once"
    assert seen(meter) == ("fra", 10.0)
    meter.asked(RELAY, b"nonce--3", NOW + 10)
    assert meter.answered(RELAY, b"nonce--3\0\0fra", NOW + 10.020)
    assert seen(meter) == ("fra", 12.0), "one that was held up says little"


def test_a_late_answer_and_a_relay_without_a_pool_tell_nothing() -> None:
    meter = HopMeter()
    meter.asked(RELAY, b"nonce--1", NOW)
    assert not meter.answered(RELAY, b"nonce--1\0\0fra", NOW + LONGEST + 0.1)
    meter.asked(RELAY, b"nonce--2", NOW)
    assert meter.answered(RELAY, b"nonce--2\0\0", NOW + 0.01)
    assert meter.of(RELAY) is None


def test_relays_that_came_and_went_are_forgotten() -> None:
    meter = HopMeter()
    for number in range(RELAYS + 10):
        meter.asked(("192.0.2.1", number), b"nonce--1", NOW)
    assert meter.due(("192.0.2.1", 0), NOW) and not meter.due(("192.0.2.1", RELAYS + 9), NOW)
