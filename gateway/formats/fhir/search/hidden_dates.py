"""Dates of birth and death as marks that can be hashed: their year, month and day, and how exact they are.

A search for a range becomes the few marks that cover it, so that no date has to stand in an index in clear.
"""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Callable, Iterator

from gateway.domain.criterion import SpanWanted
from gateway.domain.errors import Unsupported
from gateway.formats.fhir.search.compare import span_fits
from gateway.formats.fhir.search.instants import moment, span
from gateway.formats.fhir.search.values import EARLIEST, LATEST, Span

FIRST_YEAR, LAST_YEAR = 1850, 2150
_DAY = 86_400_000_000
Fits = Callable[[str], bool]


def marks_of(value: Span) -> list[str]:
    """What is stored of a date: y, m, d of what it lies in; Y or M where it is no more exact than that."""
    text = value.text
    if len(text) > 10:  # with a time: the day in UTC
        text = moment(value.low).date().isoformat()
    year, month = text[:4], text[:7]
    if len(text) == 4:
        return [f"y{year}", f"Y{year}"]
    return [f"y{year}", f"m{month}", f"M{month}" if len(text) == 7 else f"d{text}"]


def marks_wanted(wanted: SpanWanted) -> list[str]:
    """Any of these marks means a fit. Unsupported for a time of day."""
    if any(each % _DAY for each in (wanted.low, wanted.high) if EARLIEST + 1 < each < LATEST - 1):
        raise Unsupported("dates of birth and death are searched by day, month or year")

    def fits(text: str) -> bool:
        return bool(span_fits(wanted, *span(text)))

    found: list[str] = []
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        low, high = span(f"{year:04}")
        if low < wanted.high + wanted.slack and high > wanted.low - wanted.slack:
            found += _of_year(year, fits, is_convex=wanted.prefix != "ne")
        elif fits(f"{year:04}"):  # all of the year lies on one side of what is wanted
            found.append(f"y{year:04}")
    return found


def _of_year(year: int, fits: Fits, *, is_convex: bool) -> Iterator[str]:
    """`is_convex`: where the first and the last day of a month fit, all between them do."""
    months = [f"{year:04}-{month:02}" for month in range(1, 13)]
    days = {month: [f"{month}-{day:02}" for day in range(1, _length(month) + 1)] for month in months}
    looked_at = {month: (all_days[0], all_days[-1]) if is_convex else all_days for month, all_days in days.items()}
    judged = {month: (fits(month), *(fits(day) for day in looked_at[month])) for month in months}
    whole = fits(f"{year:04}")
    if whole and all(all(each) for each in judged.values()):
        yield f"y{year:04}"
        return
    if whole:
        yield f"Y{year:04}"
    for month in months:
        yield from _of_month(month, judged[month], days[month], fits)


def _of_month(month: str, judged: tuple[bool, ...], days: list[str], fits: Fits) -> Iterator[str]:
    if all(judged):
        yield f"m{month}"
        return
    if judged[0]:
        yield f"M{month}"
    for day in days:
        if fits(day):
            yield f"d{day}"


def _length(month: str) -> int:
    return monthrange(int(month[:4]), int(month[5:]))[1]
