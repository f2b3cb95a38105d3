"""UCUM units to one canonical form: 5 mg/dL is found by 0.05 g/L, and a model gets the unit that it was trained in.

UCUM 2.1; R4 3.1.1.4.11. The units that laboratories and wards write; a unit that is not in the table, or on no ratio
scale (Cel, pH), is compared by its code alone. What depends on the substance is not turned: mg/dL is no mmol/L, and
an equivalent or an osmole no mole. Nor is a ratio of amounts a share: HbA1c of 48 mmol/mol (IFCC) is 6.5 % (NGSP), and
not 4.8 %.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from decimal import Context, Decimal, DecimalException
from functools import lru_cache
from typing import NamedTuple

SYSTEM = "http://unitsofmeasure.org"
OF_AMOUNTS = "mol/mol"
"""Canonical form of a ratio of amounts of substance, which no plain number or percentage is."""
_EXACT = Context(prec=28)
_PREFIXES: Mapping[str, int] = {
    "Y": 24, "Z": 21, "E": 18, "P": 15, "T": 12, "G": 9, "M": 6, "k": 3, "h": 2, "da": 1,
    "d": -1, "c": -2, "m": -3, "u": -6, "n": -9, "p": -12, "f": -15, "a": -18,
}  # fmt: skip
# unit: factor, dimensions, whether it takes metric prefixes
_UNITS: Mapping[str, tuple[str, str, bool]] = {
    "m": ("1", "m", True), "s": ("1", "s", True), "g": ("1", "g", True), "K": ("1", "K", True),
    "mol": ("1", "mol", True), "cd": ("1", "cd", True), "C": ("1", "C", True), "rad": ("1", "rad", True),
    "1": ("1", "", False), "10*": ("10", "", False), "10^": ("10", "", False),
    "%": ("0.01", "", False), "[ppth]": ("0.001", "", False), "[ppm]": ("0.000001", "", False),
    "[ppb]": ("0.000000001", "", False),
    "min": ("60", "s", False), "h": ("3600", "s", False), "d": ("86400", "s", False), "wk": ("604800", "s", False),
    "mo": ("2629800", "s", False), "a": ("31557600", "s", False), "Hz": ("1", "s-1", True),
    "L": ("0.001", "m3", True), "l": ("0.001", "m3", True), "t": ("1000000", "g", True), "u": ("1", "u", True),
    "N": ("1000", "g m s-2", True), "Pa": ("1000", "g m-1 s-2", True), "J": ("1000", "g m2 s-2", True),
    "W": ("1000", "g m2 s-3", True), "bar": ("100000000", "g m-1 s-2", True), "A": ("1", "C s-1", True),
    "V": ("1000", "g m2 s-2 C-1", True), "m[Hg]": ("133322000", "g m-1 s-2", True),
    "m[H2O]": ("9806650", "g m-1 s-2", True), "cal": ("4184", "g m2 s-2", True), "Bq": ("1", "s-1", True),
    "Gy": ("1", "m2 s-2", True), "Sv": ("1", "m2 s-2", True), "kat": ("60000000", "U", True),
    "U": ("1", "U", True), "[IU]": ("1", "[iU]", True), "[iU]": ("1", "[iU]", True),
    "[arb'U]": ("1", "[arb'U]", False), "eq": ("1", "eq", True), "osm": ("1", "osm", True),
    "[in_i]": ("0.0254", "m", False), "[ft_i]": ("0.3048", "m", False), "[mi_i]": ("1609.344", "m", False),
    "[lb_av]": ("453.59237", "g", False), "[oz_av]": ("28.349523125", "g", False), "deg": ("1", "deg", False),
    "dB": ("1", "dB", False), "[pH]": ("1", "[pH]", False), "[drp]": ("0.00000005", "m3", False),
    "[CFU]": ("1", "[CFU]", False), "[HPF]": ("1", "[HPF]", False), "[LPF]": ("1", "[LPF]", False),
}  # fmt: skip
_COMPONENT = re.compile(r"(?P<unit>10[*^]|\d+(?![*^\d])|%|(?:[A-Za-z]*\[[^\]]*\]|[A-Za-z]+))(?P<power>[+-]?\d+)?")
_LONGEST = 64
_MOST_TENS = 30  # 10*12/L counts cells
_MOST_POWER = 4  # no unit of a laboratory has a higher one
_TO_CELSIUS: Mapping[str, Callable[[float], float]] = {
    "Cel": lambda value: value,
    "[degF]": lambda value: (value - 32) / 1.8,
    "K": lambda value: value - 273.15,
}
_FROM_CELSIUS: Mapping[str, Callable[[float], float]] = {
    "Cel": lambda value: value,
    "[degF]": lambda value: value * 1.8 + 32,
    "K": lambda value: value + 273.15,
}


class Unit(NamedTuple):
    """`factor` leads to the canonical unit, which `form` names."""

    factor: Decimal
    form: str


@lru_cache(4096)
def canonical(code: str) -> Unit | None:
    """None where the code is no unit of ours."""
    if not code or len(code) > _LONGEST or code.count("(") > 0:
        return None
    factor = Decimal(1)
    powers: dict[str, int] = {}
    for sign, word in _terms(re.sub(r"\{[^{}]*\}", "", code)):
        match = _COMPONENT.fullmatch(word) if word else None
        if word and match is None:
            return None
        found = _unit(match["unit"]) if match else (Decimal(1), "")
        if found is None:
            return None
        power = sign * int(match["power"] or 1) if match else sign
        if abs(power) > (_MOST_TENS if word.startswith("10") else _MOST_POWER):
            return None
        factor = _EXACT.multiply(factor, _EXACT.power(found[0], power))
        for name, own in _dimensions(found[1]):
            powers[name] = powers.get(name, 0) + own * power
    form = " ".join(f"{name}{power}" for name, power in sorted(powers.items()) if power)
    return Unit(factor, form or (OF_AMOUNTS if "mol" in powers else "1"))


def converted(value: Decimal, unit: Unit) -> Decimal | None:
    """The value in the canonical unit; None where it leaves the range of numbers."""
    try:
        return _EXACT.multiply(value, unit.factor)
    except DecimalException:
        return None


def convert(value: float, unit: str, to: str) -> float | None:
    """`value` in `to`; None where the two are not of one kind, or one is not in the table."""
    if unit == to:
        return value
    if unit in _FROM_CELSIUS and to in _FROM_CELSIUS:
        return _FROM_CELSIUS[to](_TO_CELSIUS[unit](value))
    ours, theirs = canonical(unit), canonical(to)
    if ours is None or theirs is None or ours.form != theirs.form:
        return None
    return value * float(_EXACT.divide(ours.factor, theirs.factor))


def _terms(code: str) -> list[tuple[int, str]]:
    """Factors in order: a slash divides by the one that follows it."""
    found, sign = [], 1
    for piece in re.split(r"([./])", code):
        if piece in (".", "/"):
            sign = -1 if piece == "/" else 1
        else:
            found.append((sign, piece))
    return found


def _unit(name: str) -> tuple[Decimal, str] | None:
    if name.isdigit():
        return (Decimal(name), "") if int(name) else None
    if name in _UNITS:
        factor, dimensions, _ = _UNITS[name]
        return Decimal(factor), dimensions
    for prefix, exponent in _PREFIXES.items():
        rest = name.removeprefix(prefix)
        if rest != name and rest in _UNITS and _UNITS[rest][2]:
            factor, dimensions, _ = _UNITS[rest]
            return _EXACT.multiply(Decimal(factor), Decimal(1).scaleb(exponent)), dimensions
    return None


def _dimensions(text: str) -> list[tuple[str, int]]:
    found = []
    for word in text.split():
        name = word.rstrip("-0123456789")
        found.append((name, int(word[len(name) :] or 1)))
    return found
