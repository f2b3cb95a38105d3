"""Strict reading of a TOML table into frozen dataclasses: unknown, absent and mistyped keys are errors.

Why strict: a misspelt limit that is silently without effect is a limit that does not exist.
"""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal

from gateway.domain.errors import Invalid


def read(kind: Any, value: Any, where: str) -> Any:
    """`value` as `kind`, which is a dataclass, a tuple, a mapping, a literal or a plain type."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _table(kind, value, where)
    if origin is tuple:
        if not isinstance(value, list):
            raise Invalid(f"{where} must be a list")
        return tuple(read(inner[0], item, f"{where}[{place}]") for place, item in enumerate(value))
    if origin is Mapping or origin is typing.get_origin(Mapping[str, str]):
        if not isinstance(value, dict):
            raise Invalid(f"{where} must be a table")
        return types.MappingProxyType({k: read(inner[1], v, f"{where}.{k}") for k, v in value.items()})
    if origin is Literal:
        if value not in inner:
            raise Invalid(f"{where} must be one of {', '.join(map(str, inner))}")
        return value
    if kind is float and type(value) is int:
        value = float(value)
    if type(value) is not kind:
        raise Invalid(f"{where} must be {kind.__name__}")
    return value


def _table(kind: Any, value: Any, where: str) -> Any:
    if not isinstance(value, dict):
        raise Invalid(f"{where} must be a table")
    hints, needed = _keys(kind)
    unknown = sorted(set(value) - set(hints))
    if unknown:
        raise Invalid(f"{where} has unknown keys: {', '.join(unknown)}")
    missing = sorted(needed - set(value))
    if missing:
        raise Invalid(f"{where} lacks keys: {', '.join(missing)}")
    return kind(**{name: read(hints[name], item, f"{where}.{name}") for name, item in value.items()})


@cache
def _keys(kind: Any) -> tuple[Mapping[str, Any], frozenset[str]]:
    """The type of each key, and the keys that must be there; resolved once, because a manifest has many tables."""
    hints = typing.get_type_hints(kind)
    fields = dataclasses.fields(kind)
    needed = (
        field.name
        for field in fields
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    )
    return {field.name: hints[field.name] for field in fields}, frozenset(needed)
