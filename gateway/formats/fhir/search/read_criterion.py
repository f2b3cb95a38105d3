"""A search parameter with its name, chain and modifier, as a criterion (R4 3.1.1.4: modifiers, chains, _has).

Unsupported where it is not served, with the reason; Invalid where its value is malformed.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.domain.criterion import (
    Chained,
    Criterion,
    Modifier,
    Reverse,
    TextWanted,
    ValueWanted,
    Wanted,
)
from gateway.domain.errors import Invalid, Unsupported
from gateway.domain.search_parameter import Parameter
from gateway.formats.fhir.search.parameters import parameters, types
from gateway.formats.fhir.search.read_wanted import Reading, is_missing, of_type, token, value_wanted
from gateway.formats.fhir.search.spelling import folded, prefix_lengths
from gateway.formats.fhir.search.wording import MAX_ALTERNATIVES, MAX_LISTED, alternatives, unescaped

MAX_DEPTH = 4  # of chains and _has together
_LONGEST_NAME = 200
_TRAIL = "AuditEvent"
_MODIFIERS: dict[str, tuple[Modifier, ...]] = {
    "token": ("text", "not", "missing", "of-type"),
    "reference": ("missing", "identifier"),
    "string": ("exact", "contains", "missing"),
    "uri": ("below", "above", "missing"),
    "date": ("missing",),
    "number": ("missing",),
    "quantity": ("missing",),
    "composite": (),
}
_REASONS = {
    "in": "this server holds no value sets",
    "not-in": "this server holds no value sets",
    "below": "this server holds no code hierarchies",
    "above": "this server holds no code hierarchies",
}
_ENTIRE = {
    "_text": "narratives are not indexed",
    "_content": "the text of resources is not indexed",
    "_filter": "filters are not served; join parameters instead",
    "_query": "named queries are not served",
    "near": "positions are not indexed",
}


def criterion(kind: str, name: str, value: str, reading: Reading) -> Criterion:
    """What `name=value` asks of a resource of `kind`."""
    if len(name) > _LONGEST_NAME:
        raise Invalid(f"a parameter's name has more than {_LONGEST_NAME} characters")
    if not reading.trail:
        in_store(kind)
    return _criterion(kind, name, value, reading, MAX_DEPTH)


def _criterion(kind: str, name: str, value: str, reading: Reading, depth: int) -> Criterion:
    if depth < 0:
        raise Unsupported(f"more than {MAX_DEPTH} chains in one parameter are not served")
    if name.startswith("_has:"):
        return _reverse(kind, name, value, reading, depth)
    if name == "_list":
        return _listed(kind, value, reading)
    head, dot, rest = name.partition(".")
    code, _, modifier = head.partition(":")
    parameter = parameter_of(kind, code)
    if dot:
        return _chained(parameter, modifier, rest, value, reading, depth=depth)
    return _wanted(parameter, name, modifier, value, reading)


def parameter_of(kind: str, code: str) -> Parameter:
    """Unsupported where the type has no such parameter."""
    found = parameters(kind).get(code)
    if found is None:
        reason = f": {_ENTIRE[code]}" if code in _ENTIRE else ""
        raise Unsupported(f"{kind or 'a search in all types'} has no search parameter {printable(code)}{reason}")
    return found


def in_store(kind: str) -> None:
    """Unsupported for what cannot be searched together with resources."""
    if kind == _TRAIL:
        raise Unsupported("the audit trail lies outside of the store and is searched by itself")


def printable(name: str) -> str:
    """A name for a message: what looks like no name of a parameter is not repeated."""
    plain = name.isascii() and name.replace("-", "").replace("_", "").replace(":", "").replace(".", "").isalnum()
    return name if plain and len(name) <= _LONGEST_NAME else "of that name"


def _reverse(kind: str, name: str, value: str, reading: Reading, depth: int) -> Reverse:
    words = name.split(":", 3)
    if len(words) != 4 or not words[3]:
        raise Invalid("_has must be _has:[type]:[reference parameter]:[parameter]")
    _, other, code, rest = words
    in_store(other)
    parameter = parameter_of(other, code)
    if parameter.kind != "reference":
        raise Unsupported(f"{parameter.name} is no reference, so _has cannot follow it")
    _by_id(parameter)
    if kind not in parameter.targets:
        raise Unsupported(f"{parameter.name} never refers to {kind or 'all types'}")
    return Reverse(other, parameter, _criterion(other, rest, value, reading, depth - 1))


def _listed(kind: str, value: str, reading: Reading) -> Reverse:
    """`_list=[id]` is short for `_has:List:item:_id=[id]` (R4 3.1.1.4.3)."""
    if value.startswith("$"):
        raise Unsupported("functional lists are not served; name a List by its id")
    own_id = parameter_of("List", "_id")
    return Reverse("List", parameter_of("List", "item"), _wanted(own_id, "_list", "", value, reading))


def _chained(parameter: Parameter, kind: str, rest: str, value: str, reading: Reading, *, depth: int) -> Chained:
    if parameter.kind != "reference":
        raise Unsupported(f"{parameter.name} is no reference, so it cannot be chained")
    _by_id(parameter)
    if kind and kind not in parameter.targets:
        raise Unsupported(f"{parameter.name} never refers to such a type")
    code = rest.partition(".")[0].partition(":")[0]
    candidates = [each for each in parameter.targets if each != _TRAIL and (not kind or each == kind)]
    able = [each for each in candidates if code in parameters(each) or (code == "_has" and each in types())]
    if not able:
        raise Unsupported(f"no type that {parameter.name} refers to has a search parameter {printable(code)}")
    inner = tuple((each, _criterion(each, rest, value, reading, depth - 1)) for each in able)
    return Chained(parameter, inner)


def _by_id(parameter: Parameter) -> None:
    if not parameter.is_followed:
        raise Unsupported(f"{parameter.name} refers by canonical URL, which is not followed; search by the URL itself")


def _wanted(parameter: Parameter, name: str, modifier: str, value: str, reading: Reading) -> Criterion:
    if modifier == "missing":
        if parameter.code in ("_id", "_lastUpdated"):
            raise Unsupported(f"{parameter.code} is never missing")
        return Wanted(parameter, (), "missing", is_missing(name, value))
    kind = modifier if parameter.kind == "reference" and modifier in parameter.targets else None
    checked = _modifier(parameter, "" if kind else modifier)
    listed = parameter.kind in ("token", "reference") and checked in ("", "not")
    words = alternatives(printable(name), value, MAX_LISTED if listed else MAX_ALTERNATIVES)
    values = tuple(_value(parameter, printable(name), checked, word, reading, kind=kind) for word in words)
    return Wanted(parameter, values, checked)


def _modifier(parameter: Parameter, modifier: str) -> Modifier:
    if modifier == "":
        return ""
    for served in _MODIFIERS[parameter.kind]:
        if served == modifier:
            return _possible(parameter, served)
    reason = f": {_REASONS[modifier]}" if parameter.kind == "token" and modifier in _REASONS else ""
    raise Unsupported(f"{parameter.name} is not served with the modifier :{printable(modifier)}{reason}")


def _possible(parameter: Parameter, modifier: Modifier) -> Modifier:
    if modifier == "contains" and (parameter.is_hidden or parameter.is_phonetic):
        raise Unsupported(
            f"{parameter.name}:contains is not served: it may name people and is indexed by its beginning"
        )
    if modifier == "of-type" and "Identifier" not in parameter.data:
        raise Unsupported(f"{parameter.name} is no identifier, so :of-type does not apply")
    if modifier == "text" and not parameter.data & {"CodeableConcept", "Coding", "Identifier"}:
        raise Unsupported(f"{parameter.name} has no text, so :text does not apply")
    return modifier


def _value(
    parameter: Parameter, name: str, modifier: Modifier, word: str, reading: Reading, *, kind: str | None
) -> ValueWanted:
    if modifier == "identifier":
        return token(name, word)
    if modifier == "of-type":
        return of_type(name, word)
    if modifier == "text":
        return _long_enough(name, TextWanted(unescaped(word)))
    found = value_wanted(parameter, name, word, reading, kind)
    if parameter.is_hidden and modifier == "" and not parameter.is_phonetic:
        _long_enough(name, *([found] if isinstance(found, TextWanted) else []))
    for part in _texts(found):
        _long_enough(name, part)
    return found


def _texts(found: ValueWanted) -> Sequence[TextWanted]:
    values: Sequence[ValueWanted] = getattr(found, "values", ())
    return [each for each in values if isinstance(each, TextWanted)]


def _long_enough(name: str, *texts: TextWanted) -> TextWanted:
    """Text that is indexed by its beginning must be given as far as that goes."""
    for wanted in texts:
        plain = folded(wanted.text)
        shortest = prefix_lengths(plain)[0]
        if len(plain) < shortest:
            raise Unsupported(f"{name} needs {shortest} letters or more; :exact finds a shorter value")
    return texts[0] if texts else TextWanted("")
