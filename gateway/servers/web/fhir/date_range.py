"""Date parameters: a prefix and a date of any precision, as a range of instants (R4 3.1.1.4.7)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from gateway.domain.errors import Invalid

PREFIXES = ("eq", "ge", "gt", "le", "lt")
_DATE = re.compile(r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(\.\d{1,9})?)?(Z|[+-]\d\d:\d\d)?)?)?)?")


@dataclass(frozen=True)
class DateRange:
    """Instants from `start` (inclusive) to `end` (exclusive); None is open."""

    start: datetime | None
    end: datetime | None

    def meets(self, day: str | None) -> bool:
        """Whether a FHIR date (YYYY-MM-DD) lies inside; an unknown date lies in no range."""
        if day is None:
            return False
        found = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
        return (self.start is None or found >= self.start) and (self.end is None or found < self.end)


ANY_TIME = DateRange(None, None)


def parse(value: str) -> DateRange:
    """Invalid where the prefix or the date is not one of ours."""
    prefix, text = (value[:2], value[2:]) if value[:2].isalpha() else ("eq", value)
    if prefix not in PREFIXES:
        raise Invalid(f"a date's prefix is one of {', '.join(PREFIXES)}")
    start, end = _span(text)
    return {
        "eq": DateRange(start, end),
        "ge": DateRange(start, None),
        "gt": DateRange(end, None),
        "le": DateRange(None, end),
        "lt": DateRange(None, start),
    }[prefix]


def one_date_only(name: str) -> Invalid:
    """Alternatives of dates would be a union of ranges; nobody asks for that, so nobody is told that it works."""
    return Invalid(f"the parameter {name} takes one date; repeat the parameter for a range")


def _span(text: str) -> tuple[datetime, datetime]:
    """The first instant that the date means and the first that it does not; without a zone, UTC."""
    match = _DATE.fullmatch(text.replace(" ", "+"))  # an unescaped + in a URL arrives as a space
    if match is None:
        raise Invalid("a date is YYYY, YYYY-MM, YYYY-MM-DD or a time with seconds and zone")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        if month is None:
            return _midnight(int(year), 1, 1), _midnight(int(year) + 1, 1, 1)
        if day is None:
            months = int(year) * 12 + int(month)
            return _midnight(int(year), int(month), 1), _midnight(months // 12, months % 12 + 1, 1)
        if hour is None:
            start = _midnight(int(year), int(month), int(day))
            return start, start + timedelta(days=1)
        stamp = f"{year}-{month}-{day}T{hour}:{minute}:{second or '00'}{(fraction or '')[:7]}{zone or 'Z'}"
        start = datetime.fromisoformat(stamp).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid("a date parameter is not a day of the calendar") from None
    return start, start + _precision(second, fraction)


def _precision(second: str | None, fraction: str | None) -> timedelta:
    if second is None:
        return timedelta(minutes=1)
    if fraction is None:
        return timedelta(seconds=1)
    return timedelta(microseconds=10 ** max(0, 7 - min(len(fraction), 7)))


def _midnight(year: int, month: int, day: int) -> datetime:
    return datetime(year, month, day, tzinfo=UTC)
