"""`dxgate doctor`: the checks, one line each, and the settings in force with their origin."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

from pydantic import BaseModel

from gateway import config
from gateway.commands.output import print_json, print_rows, row_of, tell
from gateway.config import LoadedSettings
from gateway.doctor import examine

MASK = "********"


def doctor(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """1 where a check failed."""
    if arguments.settings:
        rows = list(settings_in_force(loaded))
        print_rows(rows, ("setting", "value", "origin", "meaning"), as_json=arguments.json)
        return 0
    checks = []
    for check in examine(loaded.settings):
        checks.append(check)
        if not arguments.json:
            tell(f"{check.level:<5} {check.part:<9} {check.said}")
    if arguments.json:
        print_json([row_of(check) for check in checks])
    return 1 if any(check.level == "fail" for check in checks) else 0


def settings_in_force(loaded: LoadedSettings) -> Iterator[dict[str, str]]:
    """Every setting: its name, value with secrets masked, where the value came from, and its sentence."""
    said = _sentences()
    for section in type(loaded.settings).model_fields:
        value, meaning = getattr(loaded.settings, section), said.get(f"Settings.{section}")
        if isinstance(value, BaseModel):
            for name, inner in type(value).model_fields.items():
                key, meaning = f"{section}.{name}", said.get(f"{type(value).__name__}.{name}")
                yield _row(key, _shown(getattr(value, name), secret=not inner.repr), loaded, meaning)
        elif section == "destinations":
            shown = ", ".join(f"{single.name} ({single.kind} {_shown(single.url)})" for single in value)
            yield _row(section, shown, loaded, meaning)
        else:
            yield _row(section, _shown(value), loaded, meaning)


def _sentences() -> dict[str, str]:
    """The sentence below each setting, by class and name; read here, so that no other command has to."""
    found = {}
    for kind in ast.parse(inspect.getsource(config)).body:
        if isinstance(kind, ast.ClassDef):
            for line, after in pairwise(kind.body):
                match line, after:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        found[f"{kind.name}.{name}"] = inspect.cleandoc(text)
    return found


def _row(name: str, shown: str, loaded: LoadedSettings, meaning: str | None) -> dict[str, str]:
    return {
        "setting": name,
        "value": shown,
        "origin": loaded.origins.get(name, "default"),
        "meaning": meaning or "",
    }


def _shown(value: Any, *, secret: bool = False) -> str:
    """A value as text: secrets masked whole, passwords masked inside URLs."""
    if secret and value:
        return MASK
    if isinstance(value, tuple):
        return ", ".join(map(str, value)) or '""'
    return re.sub(r"(?<=://)([^/@:]*):[^/@]*@", rf"\1:{MASK}@", str(value)) or '""'
