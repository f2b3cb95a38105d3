"""gateway.wiring is one place to ask, and brings only what is asked for."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from gateway import wiring

FOLDER = Path(wiring.__file__).parent
PARTS = sorted(path.stem for path in FOLDER.glob("*.py") if path.stem != "__init__")


@pytest.mark.parametrize("part", PARTS)
def test_every_public_function_of_a_part_is_asked_for_at_the_front(part: str) -> None:
    """What a part offers to others is had from gateway.wiring, and is the same object."""
    body = ast.parse((FOLDER / f"{part}.py").read_text("utf-8")).body
    names = {one.name for one in body if isinstance(one, ast.FunctionDef) and not one.name.startswith("_")}
    offered = {name for name in names if name in wiring._HOMES}
    assert names - offered <= {"exports_folder", "web_services"}  # for other parts alone
    for name in offered:
        assert getattr(wiring, name).__module__ == f"gateway.wiring.{part}"


def test_what_the_type_checker_reads_is_what_is_found() -> None:
    """The names that a type checker is told are those that are found when the program runs, from the same parts."""
    tree = ast.parse((FOLDER / "__init__.py").read_text("utf-8"))
    told = {
        alias.name: str(one.module).rpartition(".")[2]
        for one in ast.walk(tree)
        if isinstance(one, ast.ImportFrom) and str(one.module).startswith("gateway.wiring.")
        for alias in one.names
    }
    assert told == wiring._HOMES


def test_a_name_that_nobody_wires_is_told() -> None:
    """A misspelt name is an AttributeError, as of any module."""
    with pytest.raises(AttributeError, match="databse"):
        _ = wiring.databse  # type: ignore[attr-defined]


def test_the_database_alone_brings_no_flow_and_no_server() -> None:
    """A command that asks for the database imports no server, no outlet, no Celery and no image library."""
    code = "import sys; from gateway import wiring; wiring.database; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    found = set(done.stdout.split())
    assert "sqlalchemy" in found
    assert not found & {"celery", "httpx", "numpy", "pydicom", "starlette"}
    assert not {name for name in found if name.startswith(("gateway.servers", "gateway.outlets"))}
