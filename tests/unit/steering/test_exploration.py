"""Pools that are offered only to be measured: after those that carry the call, a few, and each but once or twice."""

import math

from tests.bench.steering import cities
from tests.support.directories import NOW, POOLS, steering_of_pools
from voicefleet.core.place import Place, distance_km
from voicefleet.core.steering.belief import MS_PER_KM, Ground
from voicefleet.core.steering.explanation import explain_candidate
from voicefleet.core.steering.exploration import ALONE_MS, IN_DOUBT
from voicefleet.core.steering.policy import Client, PlaceSource, Policy
from voicefleet.core.steering.round_trips import POOLS_EACH
from voicefleet.core.steering.steering import Steering

CITIES = dict(cities.POOLS)
BERLIN = Client(Place(52.52, 13.4), "198.51.100.0/24", source=PlaceSource.DATABASE)


def call(choice: Steering, client: Client, truth: dict[str, float], now: float = NOW) -> list[str]:
    """One call that measures all it was offered; the pools, best first."""
    offered = [each.pool for each in choice.relays(client, now).relays]
    for pool in offered:
        choice.measured.record(client.network, pool, truth[pool], now)
    return offered


def browser_call(choice: Steering, client: Client, truth: dict[str, float], now: float) -> list[str]:
    """One call of a browser that checks a relay every 48 ms and none after the first answer; the pools, best first."""
    offered = [each.pool for each in choice.relays(client, now).relays]
    answered = math.inf
    for number, pool in enumerate(offered):
        if answered > number * ALONE_MS:
            answered = min(answered, number * ALONE_MS + truth[pool])
            choice.measured.record(client.network, pool, truth[pool], now)
    return offered


def test_nothing_is_explored_for_a_network_that_nobody_has_measured_or_that_has_no_name() -> None:
    assert call(steering_of_pools(), BERLIN, dict.fromkeys(POOLS, 20.0)) == ["fra", "par"]
    nameless = Client(BERLIN.place)
    assert len(steering_of_pools().relays(nameless, NOW).relays) == 2


def test_where_cables_are_as_maps_say_only_pools_that_could_be_nearer_are_tried_and_not_for_long() -> None:
    choice, near = (
        steering_of_pools(),
        {"fra": 21.0, "par": 29.0, "dub": 38.0, "us": 122.0, "jp": 157.0, "au": 269.0, "br": 177.0},
    )
    calls = [call(choice, BERLIN, near, NOW + number) for number in range(8)]
    assert {each[0] for each in calls} == {"fra"}
    assert {pool for each in calls for pool in each} <= {"fra", "par", "dub"}
    assert all(len(each) == 2 for each in calls[-4:])


def test_a_network_that_is_slow_from_where_the_map_puts_it_is_looked_for_where_it_may_be() -> None:
    # The map says Berlin; it is in Osaka.
    choice, truth = (
        steering_of_pools(),
        {"jp": 18.0, "au": 140.0, "us": 190.0, "fra": 165.0, "par": 170.0, "dub": 172.0, "br": 290.0},
    )
    calls = [call(choice, BERLIN, truth, NOW + number) for number in range(5)]
    assert calls[0] == ["fra", "par"]
    assert calls[1][0] == "fra", "a call is not sent where nothing was measured"
    assert 2 < len(calls[1]) <= 2 + IN_DOUBT
    assert [each[0] for each in calls[2:]] == ["jp", "jp", "jp"]
    assert choice.relays(BERLIN, NOW + 9).belief.ground is Ground.MEASURED


def test_a_wrong_relay_that_answers_before_another_is_checked_is_doubted_by_calls_that_try_each_pool_once() -> None:
    # The map says Berlin; it is in Dublin, and Frankfurt answers in 45 ms.
    choice, truth = (
        steering_of_pools(),
        {"fra": 45.0, "par": 31.0, "dub": 15.0, "us": 95.0, "jp": 180.0, "au": 290.0, "br": 170.0},
    )
    leads = [browser_call(choice, BERLIN, truth, NOW + number)[0] for number in range(10)]
    assert leads[0] == "fra" and leads[-3:] == ["dub", "dub", "dub"]
    tried = [pool for pool in leads if pool not in ("fra", "dub")]
    assert len(tried) == len(set(tried)) <= 3, leads


def test_a_slow_line_whose_relay_answers_alone_is_tried_elsewhere_a_few_times_and_stays() -> None:
    choice = steering_of_pools(among=CITIES)
    assert len(CITIES) > POOLS_EACH, "so many that a network's memory does not hold them all"
    assert BERLIN.place is not None
    truth = {pool: 38.0 + MS_PER_KM * distance_km(BERLIN.place, where) for pool, where in CITIES.items()}
    leads = [browser_call(choice, BERLIN, truth, NOW + number)[0] for number in range(60)]
    nearest = min(truth, key=truth.__getitem__)
    assert sum(lead != nearest for lead in leads) <= 4 and set(leads[-40:]) == {nearest}, leads


def test_a_truly_slow_line_is_explored_for_a_while_and_stays_where_it_is() -> None:
    choice = steering_of_pools()
    truth = {"fra": 320.0, "par": 328.0, "dub": 338.0, "us": 422.0, "jp": 457.0, "au": 569.0, "br": 477.0}
    calls = [call(choice, BERLIN, truth, NOW + number) for number in range(20)]
    assert {each[0] for each in calls} == {"fra"}
    assert all(len(each) == 2 for each in calls[-4:])


def test_what_was_held_up_in_a_queue_once_is_measured_again() -> None:
    choice, truth = (
        steering_of_pools(),
        {"fra": 21.0, "par": 29.0, "dub": 38.0, "us": 122.0, "jp": 157.0, "au": 269.0, "br": 177.0},
    )
    choice.measured.record(BERLIN.network, "fra", 60.0, NOW)
    choice.measured.record(BERLIN.network, "par", 28.0, NOW)
    calls = [call(choice, BERLIN, truth, NOW + number) for number in range(4)]
    assert calls[0][0] == "par" and calls[-1][0] == "fra"


def test_allowed_regions_are_not_left_to_measure_either_and_asking_leaves_no_trace() -> None:
    choice = steering_of_pools(Policy(allowed_regions=frozenset({"fra", "par", "us"})))
    for number in range(6):
        assert set(call(choice, BERLIN, dict.fromkeys(POOLS, 150.0), NOW + number)) <= {"fra", "par", "us"}
    slow = steering_of_pools()
    slow.measured.record(BERLIN.network, "fra", 60.0, NOW)
    assert len(slow.relays(BERLIN, NOW, remember=False).relays) == 2
    explored = [each for each in slow.relays(BERLIN, NOW).candidates if each.explored]
    assert 0 < len(explored) <= IN_DOUBT and "only to be measured" in explain_candidate(2, explored[0])
