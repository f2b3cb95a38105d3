"""Dates in running text, in the orders and languages of reports: moved by the patient's shift, or removed.

What is not certain (two-digit years, 3/4/2024 in a text that does not show its order, a day without a year) is
removed, never guessed. A bare year is a date only where a word beside it says so.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from gateway.privacy.free_text.findings import Category, Find
from gateway.privacy.free_text.folding import Folded, bare
from gateway.privacy.free_text.months import MONTHS

Shift = Callable[[str], str | None]
"""A DICOM date, of any precision, to what may stand for it; None where nothing may."""

_YEAR: Final = r"(?P<y>(?:18|19|20)\d\d)"
_MONTH: Final = "(?P<name>" + "|".join(sorted(map(re.escape, MONTHS), key=len, reverse=True)) + r")\b\.?"
_DAY: Final = r"(?P<d>[0-3]?\d)(?:ST|ND|RD|TH|ER|º|ª|\.)?"
_OF: Final = r"[\s,\-]{0,2}(?:(?:DE|DEL|OF)\s)?"
_CLOCK: Final = r"(?:[T\s]\s?[0-2]?\d:[0-5]\d(?::[0-5]\d(?:\.\d{1,9})?)?(?:Z|\s?[+-]\d\d:?\d\d)?)?"

_FORMS: Final = tuple(
    re.compile(source)
    for source in (
        rf"(?<![\d.]){_YEAR}(?P<sign>[-/.])\s?(?P<m>\d{{1,2}})(?P=sign)\s?(?P<d>\d{{1,2}})(?!\d)",
        r"(?<![\d.])(?P<a>\d{1,2})(?P<sign>[-/.])\s?(?P<b>\d{1,2})(?P=sign)\s?" + _YEAR + r"(?!\d)",
        r"(?<![\d.])\d{1,2}(?P<sign>[-/.])\d{1,2}(?P=sign)\d\d(?![\d.])",
        rf"(?<![\w.]){_YEAR}(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])(?:T?[0-2]\d[0-5]\d(?:[0-5]\d)?)?(?!\w)",
        rf"(?<!\w){_DAY}{_OF}{_MONTH}{_OF}{_YEAR}(?!\d)",
        rf"(?<!\w){_MONTH}\s?{_DAY},?\s{_YEAR}(?!\d)",
        rf"(?<!\w){_YEAR}[\s,\-]{{1,2}}{_MONTH}[\s,\-]{{1,2}}{_DAY}(?!\w)",
        rf"(?<!\w){_DAY}[\s\-]{_MONTH}[\s\-]'?\d\d(?!\w)",
        rf"(?<!\w){_MONTH}{_OF}{_YEAR}(?!\d)",
        rf"(?<!\w){_DAY}\s(?:(?:DE|OF)\s)?{_MONTH}(?!\w)",
        rf"(?<!\w){_MONTH}\s{_DAY}(?![\w.,]?\d)(?!\w)",
        rf"{_YEAR}\s?[年년]\s?(?P<m>\d{{1,2}})\s?[月월]\s?(?P<d>\d{{1,2}})\s?[日号號일]?",
        rf"{_YEAR}\s?[年년]\s?(?P<m>\d{{1,2}})\s?[月월]",
        rf"(?<!\d){_YEAR}\s?[年년]",
        r"(?<!\d)\d{1,2}\s?[月월]\s?\d{1,2}\s?[日号號일]",
        r"(?:令和|平成|昭和|大正|明治)\s?(?:元|\d{1,2})\s?年(?:\s?\d{1,2}\s?月(?:\s?\d{1,2}\s?日)?)?",
        r"[〇零一二三四五六七八九]{4}年(?:[一二三四五六七八九十]{1,3}月(?:[一二三四五六七八九十]{1,3}[日号])?)?",
        r"(?<![\d./])(?P<m>0?[1-9]|1[0-2])[/.]" + _YEAR + r"(?![\d/]|\.\d)",
        rf"(?<![\d./-]){_YEAR}-(?P<m>0[1-9]|1[0-2])(?![\d-])",
        r"(?<![\d/.])(?:0[1-9]|1[0-2])/(?:0[1-9]|[12]\d|3[01])(?![\d/]|\.\d)",
        r"(?<![\d.])[0-3]\d\.[01]\d\.(?!\d)",
        r"\b(?:ON|DATED|AM|VOM|LE|EL|IL)\s[0-3]?\d[/.][01]?\d(?![\d/]|\.\d)\.?",
        r"\b(?:IN|SINCE|YEAR|SEIT|JAHR|JAHRE|DEPUIS|EN|DESDE|NEL|ANNO|UNTIL|CIRCA|AÑO|ANO|ГОДУ|С)\s"
        + _YEAR
        + r"(?![\d.,/%-]?\d|\s?(?:ML|MG|MM|CM|HU|G|KG|IU|UNITS?)\b)",
    )
)
_CLOCK_AFTER: Final = re.compile(_CLOCK)
_OFFSET: Final = re.compile(r"Z$|[+-]\d\d:?\d\d$")
_WEEKDAY: Final = re.compile(
    r"\b(?:MON|TUES?|WED(?:NES)?|THU(?:RS)?|FRI|SAT(?:UR)?|SUN)(?:DAY)?\.?,?\s$"
    r"|\b(?:MONTAG|DIENSTAG|MITTWOCH|DONNERSTAG|FREITAG|SAMSTAG|SONNTAG|LUNDI|MARDI|MERCREDI|JEUDI|VENDREDI|SAMEDI"
    r"|DIMANCHE|LUNES|MARTES|MIERCOLES|JUEVES|VIERNES|SABADO|DOMINGO),?\s$"
)
_BORN: Final = re.compile(
    r"(?:\bBORN\b|\bDOB\b|\bD\.O\.B|BIRTH|\bGEB\b|GEBOREN|GEBURT|\bNEE?\(?E?\)? LE|NAISSANCE|NACID|NACIMIENTO|NASCIT"
    r"|出生|生年月日|生日|생년월일|РОД|ΓΕΝΝΗ|الميلاد)[^\d]{0,24}$"
)


@dataclass(frozen=True)
class Dates:
    """Finds dates; `shift` None removes them all. Birth dates are always removed."""

    shift: Shift | None
    birth_days: frozenset[str] = frozenset()

    def find(self, folded: Folded) -> Iterator[Find]:
        """Every date in a `bare` text."""
        text = folded.text
        day_first = _day_first(text)
        for form in _FORMS:
            for found in form.finditer(text):
                parts = found.groupdict()
                start = found.start("y") if parts.keys() == {"y"} else found.start()  # "in 2019": the word stays
                end = found.end()
                clock = _CLOCK_AFTER.match(text, end)
                if clock is not None and _OFFSET.search(clock[0]):
                    end = clock.end()  # an offset from UTC tells the region: the time goes with it
                weekday = _WEEKDAY.search(text, max(0, start - 14), start)
                yield Find(*folded.span(start, end), Category.DATE, self._kept(found, day_first))
                if weekday is not None:
                    yield Find(*folded.span(weekday.start(), start), Category.DATE)

    def _kept(self, found: re.Match[str], day_first: bool | None) -> str:
        value = _dicom_date(found.groupdict(), day_first)
        if value is None or self.shift is None or value in self.birth_days:
            return ""
        if _BORN.search(found.string, max(0, found.start() - 40), found.start()):
            return ""
        moved = self.shift(value)
        if moved is None:
            return ""
        return "-".join(part for part in (moved[:4], moved[4:6], moved[6:8]) if part)


def date_finds(text: str, dates: Dates) -> list[Find]:
    """The dates of one text in NFC."""
    return list(dates.find(bare(text)))


def _day_first(text: str) -> bool | None:
    """Which order a text's numeric dates show; None where none of them does, or they disagree."""
    shown = set()
    for found in _FORMS[1].finditer(text):
        first, second = int(found["a"]), int(found["b"])
        if found["sign"] == "." or first > 12:
            shown.add(True)
        elif second > 12:
            shown.add(False)
    return shown.pop() if len(shown) == 1 else None


def _dicom_date(parts: dict[str, str | None], day_first: bool | None) -> str | None:
    """YYYY, YYYYMM or YYYYMMDD of a find; None where it is not certain."""
    year, day = parts.get("y"), parts.get("d")
    if year is None:
        return None
    if parts.get("a"):
        one, two = int(parts["a"] or 0), int(parts["b"] or 0)
        if day_first is None and one != two:
            return None
        return f"{year}{two:02d}{one:02d}" if day_first else f"{year}{one:02d}{two:02d}"
    month = MONTHS.get(parts.get("name") or "") or int(parts.get("m") or 0)
    if not month:
        return year
    return f"{year}{month:02d}" + (f"{int(day):02d}" if day else "")
