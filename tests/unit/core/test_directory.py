"""Who is there, as far as one can know."""

from dataclasses import replace

from voicefleet.core.directory import (
    DROP_AFTER,
    STALE_AFTER,
    Directory,
    Kind,
    PublicAddress,
    RelayEntry,
    TransceiverEntry,
)
from voicefleet.core.place import Place

FRA = RelayEntry("fra-0", "fra", "eu", Place(50.1, 8.7), (PublicAddress("192.0.2.1", 3478, 3478),), 0.1)
NYC = RelayEntry("nyc-0", "nyc", "us", None, (PublicAddress("192.0.2.2", 3478),), 0.0)
EU = TransceiverEntry("eu-0", "eu", "eu", None, ("10.0.0.1", 8089), 200, 200, ())


def connected(now: float = 0.0) -> Directory:
    directory = Directory()
    for kind in Kind:
        directory.source_is_there(kind, now)
    return directory


def test_an_entry_lives_by_its_heartbeats() -> None:
    directory = connected()
    directory.heard(FRA, 0.0)
    for now in range(0, 60, 2):
        directory.alive(Kind.RELAY, {"fra-0": 0.5}, float(now))
        assert directory.expire(float(now)) == ()
        assert not directory.stale(FRA, float(now))
    assert directory.relays() == (FRA,)
    assert directory.stale(FRA, 58 - 0.5 + STALE_AFTER + 0.1)
    assert directory.expire(58 - 0.5 + DROP_AFTER) == ()
    assert directory.expire(58 - 0.5 + DROP_AFTER + 0.1) == (FRA,)
    assert directory.relays() == ()


def test_while_its_source_is_gone_everything_stays_and_is_marked_stale() -> None:
    directory = connected()
    directory.heard(FRA, 0.0)
    directory.heard(EU, 0.0)
    directory.source_is_gone(Kind.RELAY)
    directory.source_is_gone(Kind.TRANSCEIVER)
    assert directory.expire(86_400.0) == ()
    assert directory.relays() == (FRA,) and directory.transceivers() == (EU,)
    assert directory.stale(FRA, 0.1) and directory.stale(EU, 0.1)


def test_after_its_source_came_back_entries_have_time_to_be_heard_of() -> None:
    directory = connected()
    directory.heard(FRA, 0.0)
    directory.heard(NYC, 0.0)
    directory.source_is_gone(Kind.RELAY)
    directory.source_is_there(Kind.RELAY, 1000.0)
    assert directory.expire(1000.0 + DROP_AFTER) == ()
    directory.alive(Kind.RELAY, {"fra-0": 0.0}, 1005.0)
    assert directory.expire(1000.1 + DROP_AFTER) == (NYC,)
    assert not directory.stale(FRA, 1006.0)


def test_one_kind_s_silence_does_not_touch_the_other() -> None:
    directory = connected()
    directory.heard(FRA, 0.0)
    directory.heard(EU, 0.0)
    directory.source_is_gone(Kind.RELAY)
    assert directory.expire(60.0) == (EU,)
    assert not directory.connected(Kind.RELAY) and directory.connected(Kind.TRANSCEIVER)


def test_a_goodbye_counts_at_once() -> None:
    directory = connected()
    directory.heard(FRA, 0.0)
    directory.gone(Kind.RELAY, "fra-0")
    directory.gone(Kind.RELAY, "never-heard-of")
    assert directory.relays() == ()
    assert directory.stale(FRA, 0.0)


def test_what_was_read_from_disk_is_stale_until_heard_of_and_replaces_nothing() -> None:
    directory = Directory()
    directory.heard(FRA, 0.0)
    directory.restore([RelayEntry("fra-0", "old", "eu", None, (), 0.9), NYC])
    assert directory.relays() == (FRA, NYC)
    assert directory.stale(NYC, 0.0)
    directory.source_is_there(Kind.RELAY, 10.0)
    directory.alive(Kind.RELAY, {"nyc-0": 1.0}, 12.0)
    assert not directory.stale(NYC, 12.0)
    assert directory.expire(20.5) == (FRA,)


def test_the_version_moves_with_content_and_not_with_heartbeats() -> None:
    directory = connected()
    directory.heard(FRA, 0.0)
    version = directory.version
    directory.heard(FRA, 1.0)
    directory.alive(Kind.RELAY, {"fra-0": 0.0, "unknown": 0.0}, 2.0)
    assert directory.version == version
    directory.heard(replace(FRA, draining=True), 3.0)
    assert directory.version == version + 1
    directory.gone(Kind.RELAY, "fra-0")
    assert directory.version == version + 2


def test_an_old_snapshot_does_not_make_an_entry_older() -> None:
    directory = connected()
    directory.heard(FRA, 20.0)
    directory.heard(FRA, 21.0, age=9.0)
    directory.alive(Kind.RELAY, {"fra-0": 9.0}, 21.0)
    assert directory.expire(20.0 + DROP_AFTER) == ()


def test_a_clock_of_redis_that_went_back_makes_nobody_younger_than_now() -> None:
    directory = connected()
    directory.heard(FRA, 0.0, age=-3600.0)
    directory.alive(Kind.RELAY, {"fra-0": -3600.0}, 1.0)
    assert directory.expire(1.0 + DROP_AFTER + 0.1) == (FRA,)
