"""What a load reports, and when it is beyond its limits."""

from hypothesis import given
from hypothesis import strategies as st

from voicefleet.cli.load.figures import BIN, CallFigures, Limits, Times, report
from voicefleet.cli.load.offer import read_answer


def call(setup: float = 0.05, sent: int = 500, came_back: int = 500, gap: float = 0.02) -> CallFigures:
    figures = CallFigures(setup=setup, sent=sent, came_back=came_back, received=came_back, expected=sent)
    figures.gaps.add(gap)
    figures.round_trips.add(0.001)
    return figures


def test_a_clean_load_is_within_its_limits() -> None:
    told = report([call(), call()], processor=0.1)
    assert told.beyond(Limits(0, 0.0, 60, 5, 40)) == []
    assert told.document()["lossPercent"] == 0 and told.document()["frames"] == 1000
    assert told.processor == 1000 * 0.1 / 20


def test_each_limit_that_is_passed_is_named() -> None:
    told = report([call(setup=0.2, came_back=490, gap=0.05), CallFigures(failure="no relay answered")], processor=0.0)
    assert told.beyond(Limits(0, 1.0, 100, 0.5, 40)) == [
        "1 of 2 calls failed, at most 0 may",
        "loss is 2%, at most 1% is allowed",
        "p99 of set-up is 200 ms, at most 100 ms is allowed",
        "p99 of the round trip is 1 ms, at most 0.5 ms is allowed",
        "p99 of gaps is 50 ms, at most 40 ms is allowed",
    ]
    assert told.document()["failures"] == {"no relay answered": 1}


def test_what_was_not_measured_is_not_taken_for_good() -> None:
    told = report([CallFigures(failure="x")], processor=0.0)
    assert "p99 of gaps was not measured: no call got so far" in told.beyond(Limits(1, gap=40))


def test_an_agent_that_says_nothing_back_is_measured_by_packet_numbers() -> None:
    silent = CallFigures(setup=0.1, sent=100, came_back=0, received=95, expected=100)
    assert (silent.lost, silent.of) == (5, 100)


@given(st.lists(st.floats(0, 10), min_size=1), st.floats(0.01, 1))
def test_a_quantile_is_one_of_the_times_as_far_as_they_are_kept(values: list[float], share: float) -> None:
    times = Times()
    for value in values:
        times.add(value)
    found = times.quantile(share)
    assert found is not None
    assert sum(value <= found + BIN for value in values) >= share * len(values) - 1e-9
    assert min(abs(value - found) for value in values) <= BIN


def test_udp_addresses_of_an_answer_are_tried_best_first() -> None:
    answer = read_answer(
        "a=ice-ufrag:u\r\na=ice-pwd:p\r\na=fingerprint:sha-256 00:FF\r\n"
        "a=candidate:1 1 udp 10 192.0.2.1 1 typ host\r\na=candidate:2 1 udp 20 192.0.2.2 2 typ host\r\n"
        "a=candidate:3 1 tcp 90 192.0.2.3 3 typ host tcptype passive\r\n"
    )
    assert answer.candidates == (("192.0.2.2", 2), ("192.0.2.1", 1)) and answer.fingerprint == b"\x00\xff"
