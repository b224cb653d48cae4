"""Which model server a call goes to, and when none is to be asked."""

from random import Random

from voicefleet.core.model.back_off import BackOff
from voicefleet.core.model.endpoints import Busy, Endpoint, Endpoints, Limits
from voicefleet.core.rate_limit import Rate


def _endpoints(*limits: Limits) -> Endpoints:
    return Endpoints([Endpoint(f"wss://model-{n}", each) for n, each in enumerate(limits)], Random(1))


def _taken(endpoints: Endpoints, now: float) -> Endpoint:
    taken = endpoints.take(now)
    assert isinstance(taken, Endpoint)
    return taken


def test_the_first_is_used_while_it_has_room_and_then_the_next() -> None:
    endpoints = _endpoints(Limits(calls=2), Limits(calls=1))
    taken = [_taken(endpoints, 0.0).url for _ in range(3)]
    assert taken == ["wss://model-0", "wss://model-0", "wss://model-1"]
    full = endpoints.take(0.0)
    assert isinstance(full, Busy) and "taken" in full.why
    endpoints.leave(endpoints.all[0])
    assert _taken(endpoints, 0.0).url == "wss://model-0"


def test_no_more_new_sessions_begin_than_the_model_takes_in_a_minute() -> None:
    endpoints = _endpoints(Limits(rate=Rate(1.0, 2)))
    _taken(endpoints, 0.0), _taken(endpoints, 0.0)
    busy = endpoints.take(0.0)
    assert isinstance(busy, Busy) and 0.9 < busy.wait <= 1.0
    _taken(endpoints, 1.0)


def test_one_that_failed_is_left_alone_for_longer_each_time_and_tried_by_one_call() -> None:
    endpoints = _endpoints(Limits())
    waits = []
    now = 0.0
    for _ in range(4):
        endpoint = _taken(endpoints, now)
        assert isinstance(endpoints.take(now), Busy) or endpoint.well
        endpoints.leave(endpoint)
        endpoints.failed(endpoint, "gone", now)
        waits.append(endpoint.refused_until - now)
        busy = endpoints.take(now)
        assert isinstance(busy, Busy) and busy.why == "gone"
        now = endpoint.refused_until
    assert waits == sorted(waits) and waits[-1] > 3 * waits[0]
    endpoints.answered(_taken(endpoints, now))
    assert isinstance(endpoints.take(now), Endpoint), "all may go there again"


def test_one_that_asks_for_rest_gets_it_but_not_for_ever() -> None:
    endpoints = _endpoints(Limits())
    for asked, given in ((60.0, 60.0), (86_400.0, 300.0)):
        endpoint = endpoints.all[0]
        endpoint.refused_until = 0.0
        endpoints.failed(endpoint, "429", 0.0, asked)
        assert endpoint.refused_until == given


def test_those_who_wait_do_not_all_come_back_at_once() -> None:
    waits = {BackOff().wait(3, Random(seed)) for seed in range(50)}
    assert len(waits) == 50 and all(0.5 <= wait <= 1.0 for wait in waits)
