"""Schedules begin when their clock says so, also on the days when clocks change."""

from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from voicefleet_operator.model.cron import Cron, CronError

BERLIN = "Europe/Berlin"


def at(text: str, zone: str = BERLIN) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone)).timestamp()


@pytest.mark.parametrize(
    ("cron", "now", "started"),
    [
        ("0 17 * * *", "2026-11-20 17:00", "2026-11-20 17:00"),
        ("0 17 * * *", "2026-11-20 21:59", "2026-11-20 17:00"),
        ("0 17 * * *", "2026-11-20 22:00", None),
        ("0 17 * * *", "2026-11-20 16:59", None),
        ("0 22 * * *", "2026-11-21 01:00", "2026-11-20 22:00"),
        ("*/15 8-10 * * *", "2026-11-20 10:50", "2026-11-20 10:45"),
        ("0 17 * * mon-fri", "2026-11-21 18:00", None),  # a Saturday
        ("0 17 * * 6,7", "2026-11-21 18:00", "2026-11-21 17:00"),
        ("0 17 1 * sat", "2026-11-21 18:00", "2026-11-21 17:00"),  # the first of the month, or a Saturday
        ("0 0 29 feb *", "2028-02-29 01:00", "2028-02-29 00:00"),
        ("30 2 * * *", "2026-03-29 05:00", "2026-03-29 03:30"),  # the clock goes from 2:00 to 3:00
    ],
)
def test_a_schedule_begins_by_its_own_clock(cron: str, now: str, started: str | None) -> None:
    found = Cron.parse(cron, BERLIN).last_start(at(now), 5 * 3600.0)
    assert found == (None if started is None else at(started))


def test_the_same_hour_is_another_moment_in_summer() -> None:
    cron = Cron.parse("0 17 * * *", BERLIN)
    winter, summer = cron.last_start(at("2026-01-10 18:00"), 7200), cron.last_start(at("2026-07-10 18:00"), 7200)
    assert winter is not None and summer is not None
    assert (winter % 86400, summer % 86400) == (16 * 3600.0, 15 * 3600.0)


@pytest.mark.parametrize(
    ("cron", "zone", "field"),
    [
        ("0 17 * *", "Etc/UTC", "4 fields"),
        ("60 17 * * *", "Etc/UTC", "minute 60"),
        ("0 17 * * funday", "Etc/UTC", "weekday funday"),
        ("0 9-8 * * *", "Etc/UTC", "hour 9-8"),
        ("*/0 * * * *", "Etc/UTC", r"minute \*/0"),
        ("0 17 * * *", "Europe/Atlantis", "timeZone: Europe/Atlantis"),
    ],
)
def test_a_schedule_that_cannot_be_read_names_its_field(cron: str, zone: str, field: str) -> None:
    with pytest.raises(CronError, match=field):
        Cron.parse(cron, zone)
