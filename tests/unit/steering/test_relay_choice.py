"""Which relays a client is offered."""

from collections import Counter
from itertools import pairwise
from random import Random

from tests.support.directories import (
    DUBLIN,
    FRANKFURT,
    NOW,
    PARIS,
    SYDNEY,
    TOKYO,
    VIRGINIA,
    directory,
    relay,
    transceiver,
)
from voicefleet.core.directory import Directory, Kind
from voicefleet.core.place import Place
from voicefleet.core.steering.explanation import explain_asked, explain_candidate, explain_client, explain_passed_over
from voicefleet.core.steering.policy import Client, PlaceSource, Policy
from voicefleet.core.steering.redirect import OtherRegion, better_region
from voicefleet.core.steering.steering import STICKY_FOR, Steering

BERLIN = Place(52.52, 13.4)
IN_BERLIN = Client(BERLIN, "198.51.100.0/24", source=PlaceSource.DATABASE)


def steering(table: Directory, policy: Policy | None = None, seed: int = 1) -> Steering:
    return Steering(table, policy or Policy(), Random(seed))


def offered(choice: Steering, client: Client = IN_BERLIN, now: float = NOW) -> list[str]:
    return [each.id for each in choice.relays(client, now).relays]


def test_the_nearest_comes_first_and_the_next_nearest_second() -> None:
    table = directory(relay("us", VIRGINIA), relay("jp", TOKYO), relay("par", PARIS), relay("fra", FRANKFURT))
    assert offered(steering(table)) == ["fra", "par"]


def test_a_draining_relay_gets_no_new_calls() -> None:
    table = directory(relay("fra", FRANKFURT, draining=True), relay("us", VIRGINIA, load=0.9))
    assert offered(steering(table)) == ["us"]
    assert offered(steering(directory(relay("fra", draining=True)))) == []


def test_a_full_pool_is_passed_over_for_a_far_one_but_better_than_none() -> None:
    table = directory(relay("fra", FRANKFURT, load=0.97), relay("us", VIRGINIA))
    assert offered(steering(table)) == ["us", "fra"]
    assert offered(steering(directory(relay("fra", FRANKFURT, load=1.0)))) == ["fra"]


def test_a_filling_pool_sheds_networks_one_after_the_other_and_always_the_same_ones() -> None:
    def leaving(load: float) -> set[int]:
        table = directory(relay("fra", FRANKFURT, load=load), relay("par", PARIS))
        return {
            number
            for number in range(250)
            if offered(steering(table, seed=number), Client(BERLIN, f"10.0.{number}.0/24"))[0] == "par"
        }

    shed = [leaving(load) for load in (0.78, 0.84, 0.9, 0.94, 0.95)]
    assert not shed[0] and len(shed[-1]) == 250
    assert all(less < more for less, more in pairwise(shed))
    assert 40 < len(shed[1]) < 95, "a load of 0.84 is 27% of the way from shedding to full"


def test_within_a_pool_the_load_is_spread() -> None:
    table = directory(*(relay(str(number), FRANKFURT, pool="fra", load=number / 10) for number in range(4)))
    choice = steering(table)
    first = Counter(offered(choice)[0] for _ in range(2000))
    assert first["0"] > first["1"] > first["2"] > first["3"] == 0


def test_the_second_relay_stands_on_another_node_then_in_another_zone_then_in_another_pool() -> None:
    first = relay("first", FRANKFURT, pool="fra", node="n1", zone="z1")
    same_node = relay("same-node", FRANKFURT, pool="fra", load=0.5, node="n1", zone="z1")
    same_zone = relay("same-zone", FRANKFURT, pool="fra", load=0.5, node="n2", zone="z1")
    apart = relay("apart", FRANKFURT, pool="fra", load=0.5, node="n3", zone="z2")
    near = relay("near", PARIS, node="n4", zone="z3")
    far = relay("far", SYDNEY, node="n5", zone="z4")
    for others, second in (
        ([same_node, same_zone, apart, near, far], "near"),
        ([same_node, same_zone, apart, far], "apart"),
        ([same_node, same_zone, far], "same-zone"),
        ([same_node, far], "far"),
        ([same_node], "same-node"),
    ):
        for seed in range(8):
            order = offered(steering(directory(first, *others), seed=seed))
            assert len(order) == 2
            if order[0] == "first":
                assert order[1] == second, others


def test_without_a_place_the_default_region_is_taken_then_the_load() -> None:
    table = directory(relay("jp", TOKYO, region="jp"), relay("eu", FRANKFURT, region="eu", load=0.4))
    nowhere = Client(None, "198.51.100.0/24")
    assert offered(steering(table, Policy(default_region="eu")), nowhere)[0] == "eu"
    assert offered(steering(table), nowhere)[0] == "jp"


def test_allowed_regions_are_never_left_even_if_all_in_them_is_down() -> None:
    table = directory(relay("eu", FRANKFURT, region="eu", draining=True), relay("us", VIRGINIA, region="us"))
    policy = Policy(allowed_regions=frozenset({"eu"}))
    assert offered(steering(table, policy)) == []
    table.heard(relay("eu", FRANKFURT, region="eu", load=1.0), NOW)
    assert offered(steering(table, policy)) == ["eu"]


def test_a_silent_relay_comes_last_and_when_redis_is_gone_the_order_stays() -> None:
    table = directory(relay("fra", FRANKFURT))
    table.heard(relay("us", VIRGINIA), NOW + 8)
    assert offered(steering(table), now=NOW + 8) == ["us", "fra"]
    table.source_is_gone(Kind.RELAY)
    assert offered(steering(table), now=NOW + 8) == ["fra", "us"]


def test_a_pool_that_comes_back_gets_its_clients_back_and_equals_do_not_flap() -> None:
    between = Client(Place(50.0, 5.4), "198.51.100.0/24")  # 20 km nearer to Frankfurt than to Paris
    table = directory(relay("fra", FRANKFURT), relay("par", PARIS), relay("us", VIRGINIA))
    choice = steering(table)
    before = offered(choice, between)[0]
    table.gone(Kind.RELAY, before)
    now = NOW + 1
    fallback = offered(choice, between, now)[0]
    assert {before, fallback} == {"fra", "par"}
    table.heard(relay(before, FRANKFURT if before == "fra" else PARIS), now)
    seen = {offered(choice, between, now + 0.3 * step)[0] for step in range(1, 15)}
    assert seen == {fallback}, "nearly as good, so nobody moves"
    for each in ("fra", "par", "us"):
        table.heard(relay(each, {"fra": FRANKFURT, "par": PARIS, "us": VIRGINIA}[each]), now + STICKY_FOR)
    assert offered(choice, between, now + STICKY_FOR)[0] == before
    # One for whom it matters moves back at once.
    table.gone(Kind.RELAY, "fra")
    now += STICKY_FOR + 1
    assert offered(choice, Client(FRANKFURT, "203.0.113.0/24"), now)[0] == "par"
    table.heard(relay("fra", FRANKFURT), now)
    assert offered(choice, Client(FRANKFURT, "203.0.113.0/24"), now + 1)[0] == "fra"


def test_an_explanation_says_in_words_what_was_weighed() -> None:
    table = directory(
        relay("fra-0", FRANKFURT, pool="fra", region="eu", node="n1"),
        relay("dub-0", DUBLIN, pool="dub", region="eu", node="n2"),
        relay("par-0", PARIS, pool="par", region="eu", draining=True),
        relay("us-0", VIRGINIA, pool="us", region="us"),
        transceiver("t-0", 40, region="eu", place=FRANKFURT),
    )
    policy = Policy(allowed_regions=frozenset({"eu"}))
    choice = steering(table, policy)
    answer = choice.relays(IN_BERLIN, NOW, remember=False)
    words = [explain_client(IN_BERLIN, answer, policy)]
    words += [explain_candidate(number, each) for number, each in enumerate(answer.candidates, 1)]
    words += explain_passed_over(answer)
    words += explain_asked(choice.transceivers(IN_BERLIN, answer.relays[0], NOW))
    assert words == [
        "The client is at 52.52,13.4, says the geo database.",
        "1. relay fra-0 on node n1, pool fra in eu: 19 ms expected, 423 km away, load 0%.",
        "2. relay dub-0 on node n2, pool dub in eu: 33 ms expected, 1317 km away, load 0%; "
        "fails apart from those before it.",
        "pool us: outside of the allowed regions.",
        "pool par: all its relays are draining.",
        "1. transceiver t-0: 40 of 100 free, 0 ms from the relay.",
    ]
    assert steering(directory()).relays(IN_BERLIN, NOW).candidates == ()


def test_two_thousand_relays_are_looked_at_once_and_not_for_every_call() -> None:
    table = directory(
        *(relay(str(number), FRANKFURT, pool=str(number % 30)) for number in range(2000)), transceiver("t", 1)
    )
    choice = steering(table)
    view = choice.view(NOW)
    table.heard(relay("0", FRANKFURT, pool="0", load=0.5), NOW + 0.1)
    assert choice.view(NOW + 0.1) is view
    assert choice.view(NOW + 0.25) is not view


def test_a_client_is_sent_to_another_region_only_where_that_is_much_nearer_and_allowed() -> None:
    others = [OtherRegion("jp", "https://jp", TOKYO), OtherRegion("au", "https://au", SYDNEY)]
    choice = steering(directory(relay("fra", FRANKFURT, region="eu")))

    def sent(place: Place | None, policy: Policy | None = None) -> str | None:
        answer = choice.relays(Client(place, "198.51.100.0/24"), NOW, remember=False)
        other = better_region(answer, others, "eu", policy or Policy())
        return other.region if other is not None else None

    assert sent(Place(34.7, 135.5)) == "jp"
    assert sent(BERLIN) is sent(None) is None
    assert sent(Place(34.7, 135.5), Policy(allowed_regions=frozenset({"eu"}))) is None
    assert sent(Place(-36.8, 174.8), Policy(allowed_regions=frozenset({"eu", "au"}))) == "au"
