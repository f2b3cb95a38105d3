"""Dates, hidden dates, units, spellings and the table of parameters: the small parts that search is made of."""

from __future__ import annotations

import hashlib
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import gateway.formats.fhir.search as folder
from gateway.domain.criterion import SpanWanted
from gateway.domain.errors import Invalid, Unsupported
from gateway.domain.ucum import canonical
from gateway.formats.fhir.search.compare import span_fits
from gateway.formats.fhir.search.extract import extract
from gateway.formats.fhir.search.hidden_dates import marks_of, marks_wanted
from gateway.formats.fhir.search.instants import span
from gateway.formats.fhir.search.spelling import folded, sounds
from gateway.formats.fhir.search.subset import subset
from gateway.formats.fhir.search.values import Span
from gateway.formats.fhir.search.wording import split, unescaped

DAYS = st.dates(date(1860, 1, 1), date(2100, 12, 31))
PREFIXES = st.sampled_from(["eq", "ne", "gt", "lt", "ge", "le", "sa", "eb", "ap"])


DATES = st.builds(lambda day, characters: day.isoformat()[:characters], DAYS, st.sampled_from([4, 7, 10]))
"""Days, as exact as so many characters make them."""


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2024", 366 * 86400),
        ("2024-02", 29 * 86400),
        ("2024-02-29", 86400),
        ("2024-02-29T10:00Z", 60),
        ("2024-02-29T10:00:00+01:00", 1),
        ("2024-02-29T10:00:00.12Z", 0.01),
    ],
)
def test_a_date_is_as_long_as_its_precision(text: str, seconds: float) -> None:
    """A year, a month, a day, a minute, a second and a part of one are ranges."""
    low, high = span(text)
    assert high - low == seconds * 1_000_000


def test_zones_meet() -> None:
    """The same instant in two zones is the same range."""
    assert span("2024-03-01T00:30:00+01:00") == span("2024-02-29T23:30:00Z")


@given(st.text(max_size=30))
def test_any_text_is_a_date_or_invalid(text: str) -> None:
    """Nothing but Invalid comes of a text that is no date."""
    try:
        low, high = span(text)
    except Invalid:
        return
    assert low <= high


@given(DATES, DATES, PREFIXES, st.integers(0, 4000))
def test_hidden_dates_are_found_like_clear_ones(value: str, asked: str, prefix: str, slack: int) -> None:
    """The marks of a date of birth meet the marks of a question exactly where the ranges fit."""
    low, high = span(asked)
    days = slack * 86_400_000_000 if prefix == "ap" else 0
    wanted = SpanWanted(prefix, low, high, days)  # type: ignore[arg-type]
    met = bool(set(marks_of(Span(*span(value), value))) & set(marks_wanted(wanted)))
    assert met == span_fits(wanted, *span(value))


def test_a_range_of_births_is_few_marks() -> None:
    """No question becomes more marks than an index can look up at once."""
    low, high = span("1974-12-25")
    for prefix in ("ne", "gt", "lt", "ge", "le"):
        assert len(marks_wanted(SpanWanted(prefix, low, high))) < 400  # type: ignore[arg-type]


def test_a_time_of_birth_is_not_searched() -> None:
    """Hidden dates are kept by day."""
    low, high = span("1974-12-25T10:00Z")
    with pytest.raises(Unsupported):
        marks_wanted(SpanWanted("eq", low, high))


@pytest.mark.parametrize(
    ("one", "other", "factor"),
    [
        ("mg/dL", "g/L", "0.01"),
        ("mm[Hg]", "kPa", "0.133322"),
        ("10*9/L", "10*3/uL", "1"),
        ("10*9/L", "/nL", "1"),
        ("mmol/L", "umol/mL", "1"),
        ("U/L", "ukat/L", "0.0166666666666666666667"),
        ("kg/m2", "g/cm2", "0.1"),
        ("[lb_av]", "kg", "0.45359237"),
        ("mL/min/{1.73_m2}", "L/s", "0.0000166666666666666666667"),
        ("%", "1", "0.01"),
        ("m[IU]/L", "u[IU]/mL", "1"),
        ("[in_i]", "cm", "2.54"),
        ("d", "h", "24"),
    ],
)
def test_units_of_one_kind_meet(one: str, other: str, factor: str) -> None:
    """Both have one canonical unit, and `one` is `factor` of `other` (UCUM 1.5)."""
    left, right = canonical(one), canonical(other)
    assert left is not None
    assert right is not None
    assert left.form == right.form
    assert abs(left.factor / right.factor - Decimal(factor)) < Decimal("1e-18")


@pytest.mark.parametrize(("one", "other"), [("mg", "mL"), ("mol/L", "g/L"), ("[IU]/L", "U/L"), ("s", "/s")])
def test_units_of_two_kinds_do_not_meet(one: str, other: str) -> None:
    """What measures something else has another canonical unit."""
    left, right = canonical(one), canonical(other)
    assert left is not None
    assert right is not None
    assert left.form != right.form


@pytest.mark.parametrize("code", ["Cel", "bogus", "", "mg/(24.h)", "kmin", "m" * 65, "g99"])
def test_what_is_no_unit_of_ours_is_none(code: str) -> None:
    """Units off the ratio scale or off the table are compared by their code alone."""
    assert canonical(code) is None


@given(st.text(max_size=40))
def test_any_text_is_a_unit_or_none(text: str) -> None:
    """No text breaks the reader of units."""
    canonical(text)


def test_spellings_meet() -> None:
    """Case, accents and blanks make no difference; scripts without case stay."""
    assert folded("  ÜBER\u00a0 Ström ") == "uber strom"
    assert folded("李") == "李"
    assert sounds("Meier") == sounds("Mayer")
    assert sounds("Meier") != sounds("Schulze")


@given(st.lists(st.text(max_size=8), min_size=1, max_size=4))
def test_escapes_come_back(words: list[str]) -> None:
    """Whatever is escaped and joined is taken apart into the same words."""
    escaped = ["".join(f"\\{each}" if each in "\\,|$" else each for each in word) for word in words]
    assert [unescaped(each) for each in split(",".join(escaped), ",")] == words


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(["coding", "reference", "value", "start", "text", "code"]), inner, max_size=3
            )
        ),
        max_leaves=8,
    )
)
def test_any_content_can_be_indexed(content: object) -> None:
    """A malformed element has no value and breaks nothing."""
    names = ("code", "subject", "effectivePeriod", "valueQuantity", "component", "identifier", "meta")
    extract({"resourceType": "Observation", **dict.fromkeys(names, content)})


def test_the_tables_are_those_of_the_tool() -> None:
    """Nobody has edited the generated files by hand."""
    here = Path(folder.__path__[0])
    said = (here / "parameters_SOURCE.md").read_text("utf-8")
    for name in ("parameters.json", "summary.json"):
        assert hashlib.sha256((here / name).read_bytes()).hexdigest() in said


def test_a_choice_is_shown_with_its_extension() -> None:
    """_elements=birthDate keeps _birthDate; another element goes, the id stays."""
    resource = {"resourceType": "Patient", "id": "p", "birthDate": "1974", "_birthDate": {"id": "x"}, "gender": "male"}
    assert set(subset(resource, "false", ["birthDate"])) == {"resourceType", "id", "meta", "birthDate", "_birthDate"}


def test_a_month_of_births_is_told_from_a_day() -> None:
    """Whoever knows only the month is found by the month and not by a day of it."""
    month, day = (SpanWanted("eq", *span(text)) for text in ("1980-03", "1980-03-05"))
    value = marks_of(Span(*span("1980-03"), "1980-03"))
    assert set(value) & set(marks_wanted(month))
    assert not set(value) & set(marks_wanted(day))
