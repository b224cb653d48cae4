"""Times of a schedule: five cron fields, read by the clock of a time zone."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_MONTHS: Final = {
    name: at
    for at, name in enumerate(["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"], 1)
}
_DAYS: Final = {name: at for at, name in enumerate(["sun", "mon", "tue", "wed", "thu", "fri", "sat"])}


class CronError(ValueError):
    """A schedule that cannot be read; says which field and why."""


@dataclass(frozen=True, slots=True)
class Cron:
    """When something begins."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    either_day: bool
    """Both kinds of days are restricted: then one of them is enough, as cron has always had it."""
    zone: ZoneInfo

    @classmethod
    def parse(cls, text: str, zone: str = "Etc/UTC") -> "Cron":
        """The times that `0 17 * * mon-fri` names."""
        fields = text.lower().split()
        if len(fields) != 5:
            raise CronError(f"cron: {len(fields)} fields, 5 are needed: minute hour day month weekday")
        try:
            clock = ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise CronError(f"timeZone: {zone} is not known") from None
        minute, hour, day, month, weekday = fields
        return cls(
            _field("minute", minute, 0, 59),
            _field("hour", hour, 0, 23),
            _field("day", day, 1, 31),
            _field("month", month, 1, 12, _MONTHS),
            frozenset(each % 7 for each in _field("weekday", weekday, 0, 7, _DAYS)),
            not day.startswith("*") and not weekday.startswith("*"),
            clock,
        )

    def last_start(self, now: float, within: float) -> float | None:
        """The newest start at or before `now` and not `within` seconds before it, if there is one."""
        local = datetime.fromtimestamp(now, self.zone)
        for back in range(int(within // 86400) + 2):
            day = (local - timedelta(days=back)).date()
            if not self._on(day.month, day.day, (day.weekday() + 1) % 7):
                continue
            for hour in sorted(self.hours, reverse=True):
                for minute in sorted(self.minutes, reverse=True):
                    # What the clock skips in spring begins when it has skipped it; of an hour that comes twice in
                    # autumn the first one counts.
                    start = datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone)
                    at = start.astimezone(UTC).timestamp()
                    if at <= now:
                        return at if now - at < within else None
        return None

    def _on(self, month: int, day: int, weekday: int) -> bool:
        if month not in self.months:
            return False
        if self.either_day:
            return day in self.days or weekday in self.weekdays
        return day in self.days and weekday in self.weekdays


def _field(name: str, text: str, low: int, high: int, words: Mapping[str, int] | None = None) -> frozenset[int]:
    values: set[int] = set()
    for part in text.split(","):
        span, _, step = part.partition("/")
        first, _, last = span.partition("-")
        try:
            stride = int(step) if step else 1
            begin = low if first == "*" else _number(first, words)
            end = high if first == "*" or (step and not last) else _number(last or first, words)
        except ValueError:
            raise CronError(f"cron: {name} {part} is not a number, a range or a step") from None
        if not low <= begin <= end <= high or stride < 1:
            raise CronError(f"cron: {name} {part} is not within {low}-{high}")
        values.update(range(begin, end + 1, stride))
    return frozenset(values)


def _number(text: str, words: Mapping[str, int] | None) -> int:
    return words[text] if words is not None and text in words else int(text)
