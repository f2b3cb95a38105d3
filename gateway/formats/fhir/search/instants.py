"""FHIR dates as ranges of microseconds, by their precision (R4 3.1.1.4.7): 2026-03 is all of March."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

from gateway.domain.errors import Invalid
from gateway.formats.fhir.search.values import EARLIEST, LATEST

_DATE = re.compile(
    r"(\d{4})(?:-(\d\d)(?:-(\d\d)(?:T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|[+-]\d\d:\d\d)?)?)?)?", re.ASCII
)
_DAY = 86_400_000_000
_EPOCH = date(1970, 1, 1).toordinal()
_START = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)


@lru_cache(4096)
def span(text: str) -> tuple[int, int]:
    """The first instant that the date means and the first that it does not; without a zone, UTC.

    Invalid where it is no date of the calendar.
    """
    match = _DATE.fullmatch(text)
    if match is None:
        raise Invalid("a date is YYYY, YYYY-MM, YYYY-MM-DD or a time with zone")
    year, month, day, hour, minute, second, fraction, zone = match.groups()
    try:
        if month is None:
            return _clipped(_midnight(int(year), 1, 1), _midnight(int(year) + 1, 1, 1))
        if day is None:
            months = int(year) * 12 + int(month)
            return _clipped(_midnight(int(year), int(month), 1), _midnight(months // 12, months % 12 + 1, 1))
        start = _midnight(int(year), int(month), int(day))
        if hour is None:
            return _clipped(start, start + _DAY)
        start += _time_of_day(int(hour), int(minute), int(second or 0), fraction) - _offset(zone)
    except ValueError:
        raise Invalid("a date is not a day of the calendar") from None
    return _clipped(start, start + _precision(second, fraction))


def microseconds(at: datetime) -> int:
    return (at.astimezone(UTC) - _START) // timedelta(microseconds=1)


def moment(microseconds: int) -> datetime:
    """The other way round; what lies before or behind all that Python knows is its first or last instant."""
    try:
        return _START + timedelta(microseconds=microseconds)
    except OverflowError:
        return _LAST if microseconds > 0 else _FIRST


def _midnight(year: int, month: int, day: int) -> int:
    if year == 10000:  # the end of the last year that Python knows
        return (date.max.toordinal() + 1 - _EPOCH) * _DAY
    return (date(year, month, day).toordinal() - _EPOCH) * _DAY


def _time_of_day(hour: int, minute: int, second: int, fraction: str | None) -> int:
    if hour > 23 or minute > 59 or second > 60:
        raise ValueError
    return ((hour * 60 + minute) * 60 + second) * 1_000_000 + (int(fraction[:6].ljust(6, "0")) if fraction else 0)


def _offset(zone: str | None) -> int:
    if zone in (None, "Z"):
        return 0
    hours, minutes = int(str(zone)[1:3]), int(str(zone)[4:6])
    if hours > 14 or minutes > 59:
        raise ValueError
    east = (hours * 60 + minutes) * 60_000_000
    return east if str(zone)[0] == "+" else -east


def _precision(second: str | None, fraction: str | None) -> int:
    if second is None:
        return 60_000_000
    return 1_000_000 if fraction is None else int(10 ** max(0, 6 - len(fraction)))


def _clipped(low: int, high: int) -> tuple[int, int]:
    """Years far off the present are as good as open, but the end is never before the beginning."""
    return min(max(low, EARLIEST), LATEST - 1), max(min(high, LATEST), EARLIEST + 1)
