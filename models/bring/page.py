"""Changing single values of a TOML page without losing what a person has written around them.

`manifest.toml` is read by people: comments, order and layout stay, only the value changes.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from gateway.domain.errors import Invalid


def with_value(text: str, table: str, key: str, value: float | str) -> str:
    """`key` of `[table]` set to `value`; raises `Invalid` where the page has no such line."""
    lines = text.split("\n")
    here = False
    for place, line in enumerate(lines):
        bare = line.strip()
        if bare.startswith("["):
            here = bare.split("#")[0].strip() == f"[{table}]"
        elif here and bare.split("=")[0].strip().strip('"') == key:
            comment = f"  #{bare.split('#', 1)[1]}" if "#" in bare and not isinstance(value, str) else ""
            lines[place] = f"{bare.split('=')[0].strip()} = {json.dumps(value)}{comment}"
            return "\n".join(lines)
    raise Invalid(f"manifest.toml has no line for {table}.{key}")


def with_table(text: str, table: str, values: Mapping[str, str | float]) -> str:
    """`[table]` replaced by these values, or put at the end where the page has none."""
    lines, kept, skipping = text.rstrip("\n").split("\n"), [], False
    for line in lines:
        if line.strip().startswith("["):
            skipping = line.split("#")[0].strip() == f"[{table}]"
        if not skipping:
            kept.append(line)
    rows = [f"{json.dumps(key)} = {json.dumps(value)}" for key, value in values.items()]
    while kept and not kept[-1].strip():
        kept.pop()
    return "\n".join([*kept, "", f"[{table}]", *rows]) + "\n"
