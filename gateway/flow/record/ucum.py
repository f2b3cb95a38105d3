"""UCUM units of laboratory values turned into each other where no knowledge of the substance is needed.

mg/dL and g/L differ by a factor; mg/dL and mmol/L differ by the substance, and that conversion stands in the model's
manifest or nowhere. Only the part of UCUM that laboratories use: metric prefixes on grams, litres, metres, moles,
units and equivalents, powers of ten, time, pressure, temperature. What is not read is not converted.
"""

from __future__ import annotations

import re
from collections import Counter
from functools import lru_cache

_PREFIXES = {"k": 1e3, "h": 1e2, "d": 1e-1, "c": 1e-2, "m": 1e-3, "u": 1e-6, "n": 1e-9, "p": 1e-12, "f": 1e-15}
# atom: (dimension, power of it, factor to the first of its dimension, takes a prefix)
_ATOMS: dict[str, tuple[str, int, float, bool]] = {
    "g": ("mass", 1, 1.0, True),
    "[lb_av]": ("mass", 1, 453.59237, False),
    "[oz_av]": ("mass", 1, 28.349523125, False),
    "m": ("length", 1, 1.0, True),
    "[in_i]": ("length", 1, 0.0254, False),
    "[ft_i]": ("length", 1, 0.3048, False),
    "L": ("length", 3, 1e-3, True),
    "l": ("length", 3, 1e-3, True),
    "mol": ("amount", 1, 1.0, True),
    "eq": ("equivalents", 1, 1.0, True),
    "U": ("units", 1, 1.0, True),
    "[IU]": ("international units", 1, 1.0, True),
    "[iU]": ("international units", 1, 1.0, True),
    "s": ("time", 1, 1.0, True),
    "min": ("time", 1, 60.0, False),
    "h": ("time", 1, 3600.0, False),
    "d": ("time", 1, 86400.0, False),
    "wk": ("time", 1, 604800.0, False),
    "mo": ("time", 1, 2629800.0, False),
    "a": ("time", 1, 31557600.0, False),
    "Pa": ("pressure", 1, 1.0, True),
    "m[Hg]": ("pressure", 1, 133322.387415, True),
    "%": ("1", 0, 0.01, False),
    "1": ("1", 0, 1.0, False),
    "{fraction}": ("1", 0, 1.0, False),
}
_PART = re.compile(r"(?P<unit>(?:\[[^\]]+\]|\{[^}]*\}|[A-Za-z%]|10\*|10\^)+?(?:\[[A-Za-z_]+\])?)(?P<power>[+-]?\d+)?")
_TEN = re.compile(r"10[*^](?P<power>[+-]?\d+)")
_LIMIT = 64  # characters of a unit


def convert(value: float, unit: str, to: str) -> float | None:
    """`value` in `to`; None where the two are not of one kind, or one is not read."""
    if unit == to:
        return value
    warm = _temperature(value, unit, to)
    if warm is not None:
        return warm
    ours, theirs = _read(unit), _read(to)
    if ours is None or theirs is None or ours[1] != theirs[1]:
        return None
    return value * ours[0] / theirs[0]


def _temperature(value: float, unit: str, to: str) -> float | None:
    celsius = {"Cel": value, "[degF]": (value - 32) / 1.8, "K": value - 273.15}.get(unit)
    if celsius is None:
        return None
    return {"Cel": celsius, "[degF]": celsius * 1.8 + 32, "K": celsius + 273.15}.get(to)


@lru_cache(maxsize=512)
def _read(unit: str) -> tuple[float, tuple[tuple[str, int], ...]] | None:
    """The factor and the dimensions of a unit, such as `mg/dL` or `10*3/uL`."""
    if not unit or len(unit) > _LIMIT:
        return None
    factor, kinds = 1.0, Counter[str]()
    over, *under = unit.split("/")
    for sign, text in ((1, over), *((-1, part) for part in under)):
        for part in text.split(".") if text else ():
            read = _part(part)
            if read is None:
                return None
            size, dimension, power = read
            factor *= size**sign
            kinds[dimension] += sign * power
    return factor, tuple(sorted((name, power) for name, power in kinds.items() if power and name != "1"))


def _part(text: str) -> tuple[float, str, int] | None:
    if text == "1":
        return 1.0, "1", 0
    ten = _TEN.fullmatch(text)
    if ten is not None:
        return 10.0 ** int(ten["power"]), "1", 0
    found = _PART.fullmatch(text)
    if found is None:
        return None
    power = int(found["power"] or 1)
    atom = _atom(found["unit"])
    if atom is None or abs(power) > 4:
        return None
    size, dimension, own = atom
    return size**power, dimension, own * power


def _atom(name: str) -> tuple[float, str, int] | None:
    known = _ATOMS.get(name)
    if known is not None:
        return known[2], known[0], known[1]
    inner = _ATOMS.get(name[1:])
    if inner is not None and inner[3] and name[0] in _PREFIXES:
        return _PREFIXES[name[0]] * inner[2], inner[0], inner[1]
    return None
