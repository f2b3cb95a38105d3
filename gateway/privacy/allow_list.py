"""The allow-list of an export: of each kind of object, the attributes that may stay; everything else is removed.

PS3.3 by SOP class, as data (data/iod_attributes.json, made by deploy/tools/iod_attributes.py). An attribute that the
object's own IOD does not name has no reason to leave the house, and a class that is not listed does not leave.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any, Final

from gateway.domain.errors import Unsupported
from gateway.privacy.rules import Action, Rules

_ALWAYS: Final = frozenset({0x00120062, 0x00120063, 0x00120064, 0x00280301, 0x00280302, 0x00280303})
_TECHNICAL: Final = frozenset(
    {
        0x00080070,  # Manufacturer
        0x00081090,  # Manufacturer's Model Name
        0x00080100,  # Code Value
        0x00080102,  # Coding Scheme Designator
        0x00080103,  # Coding Scheme Version
        0x00080104,  # Code Meaning
        0x00181210,  # Convolution Kernel
        0x00281054,  # Rescale Type
    }
)
"""Texts of defined terms, codes and products: searched for identifiers like everywhere, not for unknown words."""


@cache
def _lists() -> Mapping[str, Any]:
    text = files("gateway.privacy").joinpath("data", "iod_attributes.json").read_text("utf-8")
    return MappingProxyType(json.loads(text))


def _tags(text: str) -> frozenset[int]:
    return frozenset(int(tag, 16) for tag in text.split())


@cache
def allowed_tags(sop_class: str) -> frozenset[int] | None:
    """The attributes that an object of this class may keep, at any depth; None where it may not leave."""
    lists = _lists()
    iod = lists["classes"].get(sop_class)
    if iod is None:
        return None
    return _ALWAYS.union(*(_tags(lists["modules"][module]) for module in lists["iods"][iod]))


_made: dict[tuple[int, str], tuple[Rules, Rules]] = {}
_MOST_MADE: Final = 256


def restricted(rules: Rules, sop_class: str) -> Rules:
    """The rules for one class: what is not allowed is removed, free text stays only where it is technical.

    The same object for the same rules and class. Raises Unsupported where objects of this class may not leave.
    """
    known = _made.get((id(rules), sop_class))
    if known is not None and known[0] is rules:
        return known[1]
    allowed = allowed_tags(sop_class)
    if allowed is None:
        raise Unsupported("objects of this SOP class are not exported")
    texts = _tags(_lists()["texts"]) - _TECHNICAL
    actions = {tag: action if tag in allowed else Action.REMOVE for tag, action in rules.actions.items()}
    actions |= {tag: Action.CLEAN for tag in texts if actions.get(tag) is Action.SCAN}
    fallback = {**rules.fallback, **dict.fromkeys(texts - rules.fallback.keys(), Action.DUMMY)}
    made = replace(rules, actions=MappingProxyType(actions), fallback=MappingProxyType(fallback))
    if len(_made) >= _MOST_MADE:
        _made.clear()
    _made[id(rules), sop_class] = (rules, made)
    return made
