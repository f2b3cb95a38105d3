"""Running a recipe by its name, for `dxgate model train`: what `make train` does, in the environment at hand."""

from __future__ import annotations

import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gateway.domain.errors import Invalid, Missing, Unsupported

FOLDER = Path(__file__).parent
_MARK = 'if __name__ == "__main__":\n'
_NO_RECIPES = ("choose_detail", "choose_resolution", "regroup", "reword", "sign_pack", "smoke")  # which make no pack


def names() -> list[str]:
    """Every recipe that makes a pack from data."""
    found = (path for path in sorted(FOLDER.glob("*.py")) if path.stem not in _NO_RECIPES)
    return [path.stem for path in found if _MARK in path.read_text("utf-8")]


def recipe(name: str, data: Path, out: Path, seed: int) -> None:
    """Raises `Missing` for an unknown recipe, `Unsupported` where a package that it needs is not installed."""
    if name not in names():
        raise Missing(f"no such recipe; there are {', '.join(names())}")
    if not data.is_dir():
        raise Invalid(f"{data} is not a folder")
    with _called([name, "--data", str(data), "--out", str(out), "--seed", str(seed)]):
        try:
            runpy.run_module(f"models.training.{name}", run_name="__main__")
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] in ("models", "gateway"):
                raise
            raise Unsupported(f"{error.name} is not installed here; see requirements/train.txt") from error
        except FileNotFoundError as error:
            raise Invalid(f"the data lack {error.filename}") from error


@contextmanager
def _called(arguments: list[str]) -> Iterator[None]:
    """The recipe reads its arguments as from the command line."""
    before, sys.argv = sys.argv, arguments
    try:
        yield
    finally:
        sys.argv = before
