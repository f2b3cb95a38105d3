"""Date parameters: a prefix and a date of any precision, as a range of instants (R4 3.1.1.4.7)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.domain.errors import Invalid
from gateway.formats.fhir.search.instants import moment, span

PREFIXES = ("eq", "ge", "gt", "le", "lt")


@dataclass(frozen=True)
class DateRange:
    """Instants from `start` (inclusive) to `end` (exclusive); None is open."""

    start: datetime | None
    end: datetime | None


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


def since(value: str) -> datetime:
    """What `_since` names: an instant, or the start of the day, month or year; it has no prefix. Invalid for others."""
    return _span(value)[0]


def _span(text: str) -> tuple[datetime, datetime]:
    """The first instant that the date means and the first that it does not; without a zone, UTC."""
    low, high = span(text.replace(" ", "+"))  # an unescaped + in a URL arrives as a space
    return moment(low), moment(high)
