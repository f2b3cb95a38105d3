"""Whether one value of a resource fits one value of a search (R4 3.1.1.4.4 to 3.1.1.4.14): the meaning of prefixes."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from typing import Any

from gateway.domain.criterion import AmountWanted, Prefix, SpanWanted
from gateway.domain.ucum import SYSTEM, canonical, converted
from gateway.formats.fhir.search.values import Amount

_ABOUT = Decimal("0.1")


def span_fits(wanted: SpanWanted, low: Any, high: Any) -> Any:
    """Whether a range of time fits, `high` exclusive: for numbers a bool, for columns of a table their SQL."""
    within = (low >= wanted.low) & (high <= wanted.high)
    meanings: dict[Prefix, Callable[[], Any]] = {
        "eq": lambda: within,
        "ne": lambda: (low < wanted.low) | (high > wanted.high),
        "gt": lambda: high > wanted.high,
        "lt": lambda: low < wanted.low,
        "ge": lambda: (high > wanted.high) | within,
        "le": lambda: (low < wanted.low) | within,
        "sa": lambda: low >= wanted.high,
        "eb": lambda: high <= wanted.low,
        "ap": lambda: (low < wanted.high + wanted.slack) & (high > wanted.low - wanted.slack),
    }
    return meanings[wanted.prefix]()


def amount_fits(wanted: AmountWanted, low: Any, high: Any) -> Any:
    """The same for numbers in one unit, both ends inclusive."""
    least, most = bounds(wanted)
    meanings: dict[Prefix, Callable[[], Any]] = {
        "eq": lambda: (low >= least) & (high < most),
        "ne": lambda: (low < least) | (high >= most),
        "gt": lambda: high > least,
        "lt": lambda: low < least,
        "ge": lambda: high >= least,
        "le": lambda: low <= least,
        "sa": lambda: low > least,
        "eb": lambda: high < least,
        "ap": lambda: (low <= most) & (high >= least),
    }
    return meanings[wanted.prefix]()


def bounds(wanted: AmountWanted) -> tuple[float, float]:
    """The range that a number means by its last digit (eq, ne) or by "about"; else the number itself, twice."""
    value, half = wanted.value, wanted.half
    if wanted.prefix in ("eq", "ne"):
        return float(value - half), float(value + half)
    if wanted.prefix == "ap":
        off = abs(value) * _ABOUT
        return float(value - off), float(value + off)
    return float(value), float(value)


def quantity_fits(wanted: AmountWanted, value: Amount) -> bool:
    """In the canonical unit where both have one."""
    in_ucum = canonical_wanted(wanted)
    if in_ucum is not None:
        form, canonically = in_ucum
        own = canonical_amount(value)
        return own is not None and own[0] == form and bool(amount_fits(canonically, own[1], own[2]))
    if wanted.system is not None and (wanted.system, wanted.code) != (value.system, value.code):
        return False
    if wanted.code is not None and wanted.code not in (value.code, value.unit):
        return False
    return bool(amount_fits(wanted, value.low, value.high))


def canonical_wanted(wanted: AmountWanted) -> tuple[str, AmountWanted] | None:
    """Canonical unit and the same question in it; None where the unit is not of UCUM or not known."""
    unit = canonical(wanted.code) if wanted.system == SYSTEM and wanted.code else None
    if unit is None:
        return None
    value, half = converted(wanted.value, unit), converted(wanted.half, unit)
    if value is None or half is None:
        return None
    return unit.form, AmountWanted(wanted.prefix, value, half)


def canonical_amount(value: Amount) -> tuple[str, float, float] | None:
    """Canonical unit, low and high of a quantity in a known unit of UCUM."""
    unit = canonical(value.code) if value.system == SYSTEM else None
    if unit is None:
        return None
    low, high = (_converted(end, unit.factor) for end in (value.low, value.high))
    return unit.form, low, high


def _converted(end: float, factor: Decimal) -> float:
    if end in (float("inf"), float("-inf")):
        return end
    return float(Decimal(repr(end)) * factor)
