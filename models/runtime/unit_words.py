"""A value of a field as a physician writes it: the number with its unit in the field's words, or the answer itself.

UCUM's codes are for machines: `a` is a year, `mm[Hg]` millimetres of mercury, `{pixels}` a word of the pack.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from models.inputs import Field

_WRITTEN: Final[Mapping[str, str]] = {
    "1": "",
    "a": "years",
    "/d": "per day",
    "Cel": "°C",
    "[degF]": "°F",
    "[lb_av]": "lb",
    "[in_i]": "in",
    "[pH]": "",
    "{score}": "",
    "{fraction}": "",
    "mm[Hg]": "mmHg",
    "kg/m2": "kg/m²",
    "10*3/uL": "10³/µL",
    "umol/L": "µmol/L",
}
_WORD: Final = re.compile(r"\{([^{}]*)\}")


def unit_in_words(unit: str) -> str:
    """A UCUM unit as it is written for people; empty for a plain number."""
    return _WRITTEN.get(unit, _WORD.sub(r"\1", unit))


def bounds_in_words(low: float, high: float, unit: str) -> str:
    """`50 to 220 /min`."""
    return f"{low:g} to {high:g} {unit_in_words(unit)}".strip()


def value_in_words(rule: Field, value: float) -> str:
    """`73 years`, or the answer that stands for the number."""
    for word, code in rule.answers.items():
        if code == value:
            return word
    return f"{value:.4g} {unit_in_words(rule.unit)}".strip()
