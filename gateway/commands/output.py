"""What a command prints: rows as an aligned table for people, or as JSON for scripts."""

from __future__ import annotations

import dataclasses
import json
import os
import pwd
import sys
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

Row = Mapping[str, Any]
_LOGIN = Path("/proc/self/loginuid")
_NOBODY = (4294967295, 65534)  # nobody logged in; not one of this namespace


def actor() -> str:
    """The name under which this command's changes stand in the audit trail."""
    uid = _person()
    try:
        return f"cli:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"cli:{uid}"


def _person() -> int:
    """Who logged in, whomever `sudo` or `su` has made of them since: otherwise one person would be two."""
    uid, login = os.getuid(), _login()
    if login is not None:
        return login
    before = os.environ.get("SUDO_UID", "") if uid == 0 else ""
    return int(before) if before.isdecimal() and before.isascii() else uid


def _login() -> int | None:
    """As the kernel keeps it since the login (audit, loginuid); None in a service or container, where nobody did."""
    try:
        login = int(_LOGIN.read_text("ascii"))
    except (OSError, ValueError):
        return None
    return None if login in _NOBODY else login


def tell(line: str) -> None:
    """One line on standard output."""
    sys.stdout.write(line + "\n")


def print_json(document: Any) -> None:
    tell(json.dumps(document, ensure_ascii=False, indent=2, default=_plain))


def print_rows(rows: Sequence[Row], columns: Sequence[str], *, as_json: bool) -> None:
    """The named columns of all rows, under their names."""
    if as_json:
        print_json([{name: row[name] for name in columns} for row in rows])
        return
    table = [[name.replace("_", " ") for name in columns], *([_text(row[name]) for name in columns] for row in rows)]
    widths = [max(len(line[place]) for line in table) for place in range(len(columns))]
    for line in table:
        tell("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def row_of(thing: Any) -> dict[str, Any]:
    """A frozen dataclass as a row, one level deep."""
    return {field.name: getattr(thing, field.name) for field in dataclasses.fields(thing)}


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.strftime("%Y-%m-%d %H:%M:%S")
    if isinstance(value, tuple | list):
        return ",".join(map(str, value)) or "-"
    return str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"no JSON form for {type(value).__name__}")
