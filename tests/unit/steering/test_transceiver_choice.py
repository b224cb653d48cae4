"""Which transceivers are asked for a call."""

from collections import Counter
from random import Random

from tests.support.directories import FRANKFURT, NOW, PARIS, TOKYO, directory, relay, transceiver
from voicefleet.core.directory import Directory, TransceiverEntry
from voicefleet.core.steering.policy import Client, Policy
from voicefleet.core.steering.steering import Steering
from voicefleet.core.steering.transceiver_choice import CALLS_EACH, KEYS, SLOW_START, TRIES, TransceiverChoice

CLIENT = Client(None, key="shop")


def asked(steering: Steering, client: Client = CLIENT, now: float = NOW) -> list[str]:
    choice = steering.relays(client, now).relays
    return [each.transceiver.id for each in steering.transceivers(client, choice[0] if choice else None, now)]


def steering(table: Directory, policy: Policy | None = None, seed: int = 1) -> Steering:
    return Steering(table, policy or Policy(), Random(seed))


def test_full_and_draining_transceivers_are_not_asked() -> None:
    table = directory(transceiver("full", 0), transceiver("going", 50, draining=True), transceiver("free", 1))
    assert asked(steering(table)) == ["free"]


def test_each_transceiver_is_asked_once_and_not_too_many() -> None:
    order = asked(steering(directory(*(transceiver(str(n), 10) for n in range(9)))))
    assert len(order) == len(set(order)) == TRIES


def test_calls_go_mostly_to_the_free_but_never_all_to_one() -> None:
    choice = steering(directory(*(transceiver(str(n), 20) for n in range(9)), transceiver("empty", 100)), seed=7)
    first = Counter(asked(choice)[0] for _ in range(5000))
    assert 0.15 < first["empty"] / 5000 < 0.25, "drawn in two of ten pairs, and then the better one"


def test_a_transceiver_that_has_just_started_is_left_alone_at_first_and_then_counts_in_full() -> None:
    table = directory(transceiver("old", 30))
    choice = steering(table)
    assert asked(choice) == ["old"]
    table.heard(transceiver("new", 100), NOW + 1)
    assert asked(choice, now=NOW + 1)[0] == "old"
    for entry in (transceiver("old", 30), transceiver("new", 100)):
        table.heard(entry, NOW + 1 + SLOW_START)
    assert asked(choice, now=NOW + 1 + SLOW_START)[0] == "new"
    table.heard(transceiver("new", 100, generation=2), NOW + 2 + SLOW_START)
    assert asked(choice, now=NOW + 2 + SLOW_START)[0] == "old", "a restarted one is new again"


def test_what_was_placed_since_the_last_heartbeat_counts() -> None:
    table = directory(transceiver("a", 3, capacity=3), transceiver("b", 2, capacity=3))
    choice = steering(table)
    for number, expected in enumerate(("a", "a", "b", "a", "b")):
        client = Client(None, key=f"key {number}")
        first = asked(choice, client)[0]
        if number:
            assert first in ("a", "b")
        else:
            assert first == expected
        choice.placed(client, first)
    # Five slots, five calls: whoever is asked now knows that nothing is left, and still answers for itself.
    assert {each.free for each in choice.transceivers(CLIENT, None, NOW)} == {0}
    table.heard(transceiver("a", 1, capacity=3), NOW + 1)
    assert asked(choice, now=NOW + 1)[0] == "a"


def test_the_calls_of_one_key_are_spread() -> None:
    choice = steering(directory(transceiver("a", 100, capacity=1000), transceiver("b", 90, capacity=1000)))
    placed: Counter[str] = Counter()
    for _ in range(40):
        first = asked(choice)[0]
        choice.placed(CLIENT, first)
        placed[first] += 1
    assert abs(placed["a"] - placed["b"]) <= 6


def test_transceivers_near_the_first_relay_are_asked_before_far_ones() -> None:
    table = directory(
        relay("fra", FRANKFURT),
        transceiver("tokyo", 100, place=TOKYO),
        transceiver("paris", 1, place=PARIS),
        transceiver("frankfurt", 1, place=FRANKFURT),
    )
    for seed in range(20):
        order = asked(steering(table, seed=seed))
        assert set(order[:2]) == {"frankfurt", "paris"} and order[2] == "tokyo"


def test_no_transceiver_outside_of_the_allowed_regions_is_asked() -> None:
    table = directory(transceiver("us", 100, region="us"), transceiver("eu", 0, region="eu"))
    assert asked(steering(table, Policy(frozenset({"eu"})))) == []
    table.heard(transceiver("eu", 1, region="eu"), NOW)
    assert asked(steering(table, Policy(frozenset({"eu"})))) == ["eu"]


def test_one_that_fell_silent_is_asked_last_and_without_redis_nobody_counts_as_silent() -> None:
    table = directory(transceiver("silent", 100))
    table.heard(transceiver("heard", 1), NOW + 8)
    assert asked(steering(table), now=NOW + 8) == ["heard", "silent"]
    table.source_is_gone(transceiver("x", 1).kind)
    assert asked(steering(table), now=NOW + 8) == ["silent", "heard"]


def test_memory_of_keys_and_calls_is_bounded() -> None:
    choice = TransceiverChoice(Random(1))
    for number in range(KEYS + 50):
        choice.placed("a", f"key {number}")
    for _ in range(10 * CALLS_EACH):
        choice.placed("a", "busy")
    assert len(choice._of_key) == KEYS and choice._of_key["busy"].total() <= CALLS_EACH


def test_a_transceiver_without_workers_is_asked_all_the_same() -> None:
    entry = TransceiverEntry("bare", "s", "", None, ("10.0.0.1", 8089), 1, 1, ())
    assert asked(steering(directory(entry))) == ["bare"]
