"""What a search must find, by other code than the gateway's: fhirpathpy and the official expressions, plain Python.

Each value that the official FHIRPath expression of a parameter selects is compared with what was asked as R4
3.1.1.4 words it. Slow, plain, and shares nothing with what it judges but the expression's text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import cache
from typing import Any

from fhirpathpy import compile as compile_path
from fhirpathpy.models import models

from gateway.domain.search_parameter import Parameter

CURRENCIES = "urn:iso:std:iso:4217"  # what Money.currency is bound to
BASE = "https://gateway.example/fhir"
_UNITS = {  # canonical unit and factor of the units that the made-up resources use
    "kg": ("g", Fraction(1000)), "g": ("g", Fraction(1)), "mg": ("g", Fraction(1, 1000)),
    "[lb_av]": ("g", Fraction("453.59237")), "mg/dL": ("g/m3", Fraction(10)), "g/L": ("g/m3", Fraction(1000)),
    "mm[Hg]": ("Pa", Fraction("133.322")), "kPa": ("Pa", Fraction(1000)), "/min": ("/s", Fraction(1, 60)),
    "min": ("s", Fraction(60)), "h": ("s", Fraction(3600)), "a": ("s", Fraction(31557600)),
}  # fmt: skip
_ETERNITY = (datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC))
_INFINITE = Fraction(10) ** 40
Range = tuple[Any, Any]


@cache
def _compiled(expression: str) -> Callable[[Any], list[Any]]:
    found: Callable[[Any], list[Any]] = compile_path(expression, models["r4"])
    return found


_known: dict[tuple[int, str], list[Any]] = {}


def elements(resource: dict[str, Any], parameter: Parameter) -> list[Any]:
    """What the official expression selects, looked up once for each resource object."""
    key = (id(resource), parameter.name)
    if key not in _known:
        _known[key] = _selected(resource, parameter)
    return _known[key]


def _selected(resource: dict[str, Any], parameter: Parameter) -> list[Any]:
    """`resolve()` goes by the text of the reference."""
    text = re.sub(r"\bResource\.", f"{parameter.on}.", parameter.expression)
    narrowed = re.search(r"\.where\(resolve\(\) is (\w+)\)", text)
    text = re.sub(r"\.where\(resolve\(\) is \w+\)", "", text)
    text = re.sub(r"\.as\(DateTime\)", ".as(dateTime)", text)
    text = re.sub(r"\(([\w.]+) as (\w+)\)", r"\1.ofType(\2)", text)
    found = _compiled(re.sub(r"\.as\((\w+)\)", r".ofType(\1)", text))(resource)
    if narrowed is None:
        return list(found)
    return [each for each in found if _names(each, narrowed[1])]


def _names(reference: Any, kind: str) -> bool:
    target = str(reference.get("reference", ""))
    return f"{kind}/" in target or (not target and reference.get("type") == kind)


def fits(resource: dict[str, Any], parameter: Parameter, modifier: str, wanted: str) -> bool:
    """Whether `parameter:modifier=wanted` matches the resource."""
    if modifier == "missing":
        return (wanted == "true") is not any(_says_anything(parameter, each) for each in elements(resource, parameter))
    alternatives = [each for each in re.split(r"(?<!\\),", wanted) if each]
    if parameter.kind == "composite":
        return any(_together(resource, parameter, each) for each in alternatives)
    found = any(
        _fits(parameter.kind, parameter, modifier, node, each)
        for node in elements(resource, parameter)
        for each in alternatives
    )
    return found is not (modifier == "not")


def _says_anything(parameter: Parameter, node: Any) -> bool:
    return not (parameter.kind == "reference" and isinstance(node, dict) and node.get("reference", "").startswith("#"))


def _fits(kind: str, parameter: Parameter, modifier: str, node: Any, wanted: str) -> bool:
    by_kind: dict[str, Callable[[], bool]] = {
        "token": lambda: _token(node, parameter, modifier, wanted),
        "reference": lambda: _reference(node, parameter, modifier, wanted),
        "date": lambda: _by_prefix(_span(node), *_date_wanted(wanted)),
        "number": lambda: _number(Fraction(str(node)), wanted),
        "quantity": lambda: _quantity(node, wanted),
        "uri": lambda: _uri(node, modifier, _plain(wanted)),
        "string": lambda: any(_string(each, modifier, _plain(wanted)) for each in _texts(node)),
    }
    return by_kind[kind]()


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)


def _token(node: Any, parameter: Parameter, modifier: str, wanted: str) -> bool:
    if modifier == "text":
        return any(_folded(each).startswith(_folded(_plain(wanted))) for each in _token_texts(node))
    words = [_plain(each) for each in re.split(r"(?<!\\)\|", wanted)]
    if modifier == "of-type":
        codings = node.get("type", {}).get("coding", [])
        return [words[0], words[1], words[2]] in [[each["system"], each["code"], node["value"]] for each in codings]
    return any(
        (len(words) == 1 or words[0] == system) and (words[-1] in ("", code))
        for system, code in _codes(node, _implied(parameter))
    )


def _implied(parameter: Parameter) -> str:
    return {
        "Patient.gender": "http://hl7.org/fhir/administrative-gender",
        "Observation.status": "http://hl7.org/fhir/observation-status",
    }.get(parameter.name, "?")


def _codes(node: Any, implied: str) -> Iterator[tuple[str, str]]:
    if isinstance(node, bool):
        yield "", "true" if node else "false"
    elif isinstance(node, str):
        yield implied, node
    elif "coding" in node or ("text" in node and "value" not in node):
        for each in node.get("coding", ()):
            yield each.get("system", ""), each["code"]
    elif "value" in node:
        yield node.get("system", ""), node["value"]
    elif "code" in node:
        yield node.get("system", ""), node["code"]


def _token_texts(node: Any) -> list[str]:
    found = [node.get("text"), node.get("display"), node.get("type", {}).get("text")]
    found += [each.get("display") for each in node.get("coding", ())]
    return [each for each in found if each]


def _reference(node: Any, parameter: Parameter, modifier: str, wanted: str) -> bool:
    if modifier == "identifier":
        system, _, value = wanted.rpartition("|")
        own = node.get("identifier", {}) if isinstance(node, dict) else {}
        return own.get("value") == value and (not system or own.get("system") == system)
    target = node if isinstance(node, str) else node.get("reference", "")
    target = target.partition("/_history/")[0].removeprefix(f"{BASE}/")
    sought = wanted.removeprefix(f"{BASE}/")
    if "/" not in sought:
        kinds = [modifier] if modifier else parameter.targets
        return target in [f"{kind}/{sought}" for kind in kinds]
    return target == sought or (isinstance(node, str) and target.partition("|")[0] == sought)


def _span(node: Any) -> Range | None:
    if isinstance(node, str):
        return _day_or_time(node)
    if not node.get("start") and not node.get("end"):
        return None
    low = _day_or_time(node["start"])[0] if node.get("start") else _ETERNITY[0]
    high = _day_or_time(node["end"])[1] if node.get("end") else _ETERNITY[1]
    return low, max(low, high)


def _day_or_time(text: str) -> Range:
    if len(text) == 4:
        return datetime(int(text), 1, 1, tzinfo=UTC), datetime(int(text) + 1, 1, 1, tzinfo=UTC)
    if len(text) == 7:
        low = datetime.fromisoformat(f"{text}-01T00:00:00+00:00")
        return low, (low + timedelta(days=32)).replace(day=1)
    if len(text) == 10:
        low = datetime.fromisoformat(f"{text}T00:00:00+00:00")
        return low, low + timedelta(days=1)
    low = datetime.fromisoformat(text.replace("Z", "+00:00"))
    if low.tzinfo is None:
        low = low.replace(tzinfo=UTC)
    fraction = re.search(r"\.(\d+)", text)
    if fraction:
        return low, low + timedelta(seconds=1) / 10 ** len(fraction[1])
    has_seconds = re.search(r"T\d\d:\d\d:\d\d", text)
    return low, low + (timedelta(seconds=1) if has_seconds else timedelta(minutes=1))


def _prefixed(wanted: str) -> tuple[str, str]:
    return (wanted[:2], wanted[2:]) if wanted[:2].isalpha() else ("eq", wanted)


def _date_wanted(wanted: str) -> tuple[str, Range]:
    prefix, text = _prefixed(wanted)
    return prefix, _day_or_time(text)


def _by_prefix(value: Range | None, prefix: str, sought: Range) -> bool:
    """R4 3.1.1.4.7 and the table of prefixes, word by word; ranges end before their `high`."""
    if value is None:
        return False
    (low, high), (least, most) = value, sought
    contained = least <= low and high <= most
    overlaps_above = high > most
    overlaps_below = low < least
    return {
        "eq": contained,
        "ne": not contained,
        "gt": overlaps_above,
        "lt": overlaps_below,
        "ge": overlaps_above or contained,
        "le": overlaps_below or contained,
        "sa": low >= most,
        "eb": high <= least,
    }[prefix]


def _number(value: Fraction, wanted: str, factor: Fraction = Fraction(1), own: Range | None = None) -> bool:
    """`own` is the value's range where it has one; `factor` leads from the unit that was asked to the value's."""
    prefix, text = _prefixed(wanted)
    sought = Fraction(text) * factor
    digits = len(text.partition(".")[2])
    half = Fraction(1, 2 * 10**digits) * factor
    low, high = own or (value, value)
    within = sought - half <= low and high < sought + half
    return {
        "eq": within,
        "ne": not within,
        "gt": high > sought,
        "lt": low < sought,
        "ge": high >= sought,
        "le": low <= sought,
        "sa": low > sought,
        "eb": high < sought,
        "ap": low <= sought + abs(sought) / 10 and high >= sought - abs(sought) / 10,
    }[prefix]


def _quantity(node: Any, wanted: str) -> bool:
    named = node.get("low", node) if "low" in node or "high" in node else node
    if "currency" in node:
        named = {"system": CURRENCIES, "code": node["currency"]}
    own = _quantity_range(node)
    words = wanted.split("|")
    if len(words) == 1:
        return _number(Fraction(0), words[0], own=own)
    _, system, code = words
    if system and system in str(named.get("system", "")) and code in _UNITS:
        mine = _UNITS.get(str(named.get("code", "")))
        if mine is None or mine[0] != _UNITS[code][0]:
            return False
        return _number(Fraction(0), words[0], _UNITS[code][1] / mine[1], own)
    if system:
        return (system, code) == (named.get("system"), named.get("code")) and _number(Fraction(0), words[0], own=own)
    return code in (named.get("code"), named.get("unit")) and _number(Fraction(0), words[0], own=own)


def _quantity_range(node: Any) -> Range:
    if "low" in node or "high" in node:
        return Fraction(str(node["low"]["value"])), Fraction(str(node["high"]["value"]))
    value = Fraction(str(node["value"]))
    if node.get("comparator", "").startswith("<"):
        return -_INFINITE, value
    return (value, _INFINITE) if node.get("comparator", "").startswith(">") else (value, value)


def _folded(text: str) -> str:
    plain = "".join(each for each in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(each))
    return re.sub(r"\s+", " ", plain).strip()


def _texts(node: Any) -> list[str]:
    if isinstance(node, str):
        return [node]
    found: list[str] = []
    for value in node.values():
        found += value if isinstance(value, list) else [value]
    return [each for each in found if isinstance(each, str)]


def _string(text: str, modifier: str, wanted: str) -> bool:
    if modifier == "exact":
        return text == wanted
    if modifier == "contains":
        return _folded(wanted) in _folded(text)
    return _folded(text).startswith(_folded(wanted))


def _uri(node: str, modifier: str, wanted: str) -> bool:
    if modifier == "below":
        return node.startswith("http") and f"{node.rstrip('/')}/".startswith(f"{wanted.rstrip('/')}/")
    if modifier == "above":
        return node.startswith("http") and f"{wanted.rstrip('/')}/".startswith(f"{node.rstrip('/')}/")
    return node == wanted


def _together(resource: dict[str, Any], parameter: Parameter, wanted: str) -> bool:
    """Some element says all components."""
    parts = wanted.split("$")
    for start in parameter.expression.split(" | "):
        for element in _compiled(start)(resource):
            if all(
                any(
                    _fits(part.kind, parameter, "", node, word)
                    for place in part.places
                    for node in _below(resource, element, place.path)
                )
                for part, word in zip(parameter.parts, parts, strict=True)
            ):
                return True
    return False


def _below(resource: Any, element: Any, path: tuple[str, ...]) -> list[Any]:
    nodes = [resource if path[0].startswith("%") else element]
    for step in path:
        found = [node[step.lstrip("%")] for node in nodes if isinstance(node, dict) and step.lstrip("%") in node]
        nodes = [each for one in found for each in (one if isinstance(one, list) else [one])]
    return nodes
