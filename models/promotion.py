"""How a signed pack starts: active, or held back in the shadow or as a draft until a person promotes it.

A signature says who made a pack, not that it is good. What misses the line of its own evaluation, or what nobody has
reviewed, is named in promotion.toml; the rule stands outside the packs, so that none has to be signed again for it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Literal

from gateway.domain.errors import Fault

RULES = Path(__file__).with_name("promotion.toml")
Start = Literal["active", "shadow", "draft"]


@dataclass(frozen=True)
class HeldBack:
    """One version of a pack that does not start active, and why."""

    start: Start
    why: str


def start_of(name: str, version: str, *, activate: bool) -> Start:
    """The state of the first announcement. Without `activate` every pack is a draft."""
    if not activate:
        return "draft"
    found = held_back().get((name, version))
    return found.start if found else "active"


@cache
def held_back() -> Mapping[tuple[str, str], HeldBack]:
    """By name and version; Fault where the file that comes with the product is not as it should be."""
    return parsed(RULES.read_text("utf-8"))


@cache
def in_place_of() -> Mapping[str, str]:
    """By the name of a pack that of the one whose question it answers as well, and whose place it takes."""
    told: list[dict[str, str]] = tomllib.loads(RULES.read_text("utf-8")).get("in_place_of", [])
    if any(set(one) != {"name", "former"} for one in told):
        raise Fault("promotion.toml: each rule of this kind has name and former")
    return {one["name"]: one["former"] for one in told}


def parsed(text: str) -> dict[tuple[str, str], HeldBack]:
    """The rules of a file; each is about one version, so that a better one is not held back with it."""
    told: list[dict[str, Any]] = tomllib.loads(text).get("held_back", [])
    found: dict[tuple[str, str], HeldBack] = {}
    for one in told:
        if set(one) != {"name", "version", "start", "why"} or one["start"] not in ("shadow", "draft") or not one["why"]:
            raise Fault("promotion.toml: each rule has name, version, start (shadow or draft) and why")
        found[one["name"], one["version"]] = HeldBack(one["start"], one["why"])
    if len(found) != len(told):
        raise Fault("promotion.toml: two rules about one version")
    return found
