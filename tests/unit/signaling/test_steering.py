"""Which transceivers are asked and which relays are offered."""

from collections import Counter
from random import Random

from voicefleet.core.directory import Directory, Kind, PublicAddress, RelayEntry, TransceiverEntry
from voicefleet.core.steering import RELAYS, TRIES, relays_for_call, transceivers_for_call

NOW = 100.0


def relay(
    name: str, *, load: float = 0.0, draining: bool = False, node: str = "", zone: str = "", pool: str = "p"
) -> RelayEntry:
    addresses = (PublicAddress("192.0.2.1", 3478),)
    return RelayEntry(name, pool, "", None, addresses, load, draining=draining, node=node, zone=zone)


def transceiver(name: str, free: int, *, capacity: int = 100, draining: bool = False) -> TransceiverEntry:
    return TransceiverEntry(name, "s", "", None, ("10.0.0.1", 8089), capacity, free, (), draining=draining)


def directory(*entries: RelayEntry | TransceiverEntry) -> Directory:
    table = Directory()
    for kind in Kind:
        table.source_is_there(kind, NOW)
    for entry in entries:
        table.heard(entry, NOW)
    return table


def ids(entries: list[RelayEntry] | list[TransceiverEntry]) -> list[str]:
    return [entry.id for entry in entries]


def test_full_and_draining_transceivers_are_not_asked() -> None:
    table = directory(transceiver("full", 0), transceiver("going", 50, draining=True), transceiver("free", 1))
    assert ids(transceivers_for_call(table, NOW, Random(1))) == ["free"]


def test_each_transceiver_is_asked_once_and_not_too_many() -> None:
    table = directory(*(transceiver(str(n), 10) for n in range(9)))
    order = ids(transceivers_for_call(table, NOW, Random(1)))
    assert len(order) == len(set(order)) == TRIES


def test_calls_go_mostly_to_the_free_but_a_new_transceiver_is_not_flooded() -> None:
    table = directory(*(transceiver(str(n), 20) for n in range(9)), transceiver("new", 100))
    random = Random(7)
    first = Counter(transceivers_for_call(table, NOW, random)[0].id for _ in range(5000))
    assert 0.15 < first["new"] / 5000 < 0.25, "drawn in two of ten pairs, and then the better one"


def test_one_that_fell_silent_is_asked_last() -> None:
    table = directory(transceiver("silent", 100))
    table.heard(transceiver("heard", 1), NOW + 8)
    assert ids(transceivers_for_call(table, NOW + 8, Random(1))) == ["heard", "silent"]


def test_the_second_relay_stands_in_another_failure_domain() -> None:
    table = directory(
        relay("a", node="n1", zone="z1"),
        relay("b", load=0.5, node="n1", zone="z1"),
        relay("c", load=0.9, node="n2", zone="z2"),
    )
    assert ids(relays_for_call(table, NOW, Random(1))) == ["a", "c"]


def test_a_draining_relay_gets_no_new_calls() -> None:
    table = directory(relay("a", draining=True), relay("b", load=0.9))
    assert ids(relays_for_call(table, NOW, Random(1))) == ["b"]
    assert relays_for_call(directory(relay("a", draining=True)), NOW, Random(1)) == []


def test_the_least_loaded_relay_comes_first_and_equals_share() -> None:
    table = directory(relay("busy", load=0.8), relay("x", load=0.1), relay("y", load=0.1), relay("z", load=0.1))
    random = Random(3)
    first = Counter(relays_for_call(table, NOW, random)[0].id for _ in range(3000))
    assert set(first) == {"x", "y", "z"} and min(first.values()) > 800
    assert all(len(relays_for_call(table, NOW, random)) == RELAYS for _ in range(10))
