"""Where a client network is believed to be, from a database that may be wrong and from round trips that are not."""

from random import Random

import pytest

from tests.support.directories import (
    FRANKFURT,
    NOW,
    PARIS,
    POOLS,
    SAO_PAULO,
    SYDNEY,
    TOKYO,
    VIRGINIA,
    steering_of_pools,
)
from voicefleet.core.place import Place, at_distance, distance_km
from voicefleet.core.steering.belief import MS_PER_KM, Ground, believe
from voicefleet.core.steering.policy import Client, network_of
from voicefleet.core.steering.round_trips import FORGOTTEN, HALF_LIFE, HEAVIEST, POOLS_EACH, Measured, RoundTrips

OSAKA = Place(34.69, 135.5)
NETWORK = "198.51.100.0/24"


def test_great_circles_have_the_lengths_that_maps_give_them() -> None:
    assert distance_km(FRANKFURT, PARIS) == pytest.approx(478, abs=3)
    assert distance_km(SYDNEY, SAO_PAULO) == pytest.approx(13_360, abs=40)
    assert distance_km(Place(0, 179.5), Place(0, -179.5)) == pytest.approx(111.2, abs=0.1)
    assert distance_km(Place(90, 0), Place(-90, 77)) == pytest.approx(20_015, abs=1)
    assert distance_km(at_distance(TOKYO, 1.0, 700.0), TOKYO) == pytest.approx(700, abs=0.1)


def test_addresses_of_one_network_count_as_one_place() -> None:
    assert network_of("198.51.100.7") == network_of("::ffff:198.51.100.200") == "198.51.100.0/24"
    assert network_of("2001:db8:1:2::3") == network_of("2001:db8:1:ffff::1") == "2001:db8:1::/48"
    assert network_of("fe80::1%eth0") == "fe80::/48"
    assert network_of("not an address") == network_of("") == ""


def test_averages_follow_what_is_measured_and_age() -> None:
    known = RoundTrips()
    for _ in range(30):
        known.record(NETWORK, "fra", 20.0, NOW)
    assert known.of(NETWORK, NOW)["fra"].weight == HEAVIEST
    known.record(NETWORK, "fra", 100.0, NOW)
    assert known.of(NETWORK, NOW)["fra"].milliseconds == pytest.approx(30.0)
    assert known.of(NETWORK, NOW + HALF_LIFE)["fra"].weight == pytest.approx(HEAVIEST / 2)
    assert known.of(NETWORK, NOW + HALF_LIFE * 10) == {}
    assert FORGOTTEN < 1.0
    for nonsense in (0.0, -5.0, float("nan"), float("inf"), 1e9):
        assert known.record(NETWORK, "fra", nonsense, NOW) is None
    assert known.record("", "fra", 5.0, NOW) is None


def test_memory_of_networks_and_pools_is_bounded_and_keeps_the_near_pools() -> None:
    known = RoundTrips(networks=10)
    for number in range(100):
        known.record(f"net {number}", "fra", 10.0, NOW)
    assert len(known) == 10 and known.of("net 99", NOW) and not known.of("net 0", NOW)
    for number in range(50):
        known.record("net 99", f"pool {number}", 100.0 - number, NOW)
    pools = known.of("net 99", NOW)
    assert len(pools) == POOLS_EACH and {"fra", "pool 49"} <= pools.keys()


def test_an_average_of_another_process_is_taken_over_unless_ours_is_newer() -> None:
    known = RoundTrips()
    known.learn(NETWORK, "fra", Measured(50.0, 2.0, NOW))
    known.learn(NETWORK, "fra", Measured(90.0, 2.0, NOW - 1))
    assert [(pool, each.milliseconds) for _, pool, each in known] == [("fra", 50.0)]


def test_a_measurement_that_fits_the_database_changes_nothing() -> None:
    berlin = Place(52.52, 13.4)
    for milliseconds in (14.0, 25.0, 45.0):
        belief = believe(berlin, POOLS, {"fra": Measured(milliseconds, 1.0, NOW)})
        assert (belief.place, belief.ground) == (berlin, Ground.DATABASE)
        expected = belief.access_ms + MS_PER_KM * distance_km(berlin, FRANKFURT)
        assert expected == pytest.approx(milliseconds, abs=6)


def test_a_slow_line_is_no_reason_to_move_a_client_to_another_continent() -> None:
    satellite = {
        pool: Measured(600.0 + MS_PER_KM * distance_km(PARIS, where), 1.0, NOW) for pool, where in POOLS.items()
    }
    belief = believe(PARIS, POOLS, {pool: satellite[pool] for pool in ("par", "fra", "jp")})
    assert belief.ground is Ground.DATABASE and belief.access_ms == pytest.approx(600)


def test_what_is_faster_than_light_refutes_the_database() -> None:
    belief = believe(FRANKFURT, POOLS, {"jp": Measured(20.0, 1.0, NOW)})
    assert belief.ground is Ground.MEASURED and belief.place is not None
    assert distance_km(belief.place, TOKYO) < 500


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("told", [FRANKFURT, VIRGINIA, None], ids=["germany", "america", "nowhere"])
def test_a_network_that_the_map_puts_into_the_wrong_place_finds_its_relay_within_a_few_calls(
    told: Place | None, seed: int
) -> None:
    truth, random = OSAKA, Random(seed)
    choice = steering_of_pools(seed=seed)
    used = []
    for call in range(6):
        now = NOW + call * 0.1
        offered = [each.pool for each in choice.relays(Client(told, NETWORK), now).relays]
        used.append(offered[0])
        for pool in offered:
            measured = 11.0 + distance_km(truth, POOLS[pool]) * MS_PER_KM * random.uniform(0.85, 1.3)
            choice.measured.record(NETWORK, pool, measured, now)
    assert used[-2:] == ["jp", "jp"], used
