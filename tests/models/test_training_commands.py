"""`make train PACK=...` works for every recipe: it gives --data, --out and --seed, so no recipe may want more."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

TRAINING = Path(__file__).parents[2] / "models" / "training"
GIVEN = {"--data", "--out", "--seed"}


def options(file: Path) -> dict[str, bool]:
    """Every option that a file declares, and whether it must be given."""
    calls = [node for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)]
    declared = [one for one in calls if isinstance(one.func, ast.Attribute) and one.func.attr == "add_argument"]
    return {
        one.args[0].value: any(word.arg == "required" for word in one.keywords)
        for one in declared
        if isinstance(one.args[0], ast.Constant) and isinstance(one.args[0].value, str)
    }


RECIPES = sorted(file.stem for file in TRAINING.glob("*.py") if {"--data", "--out", "--seed"} <= options(file).keys())


def test_there_are_recipes() -> None:
    """The search for recipes finds those that declare the options themselves."""
    assert {"breast_ultrasound", "chest_film", "value_pack"} <= set(RECIPES)


@pytest.mark.parametrize("recipe", RECIPES)
def test_a_recipe_wants_no_more_than_make_gives(recipe: str) -> None:
    """An option beyond those has a default."""
    wanted = {name for name, required in options(TRAINING / f"{recipe}.py").items() if required}
    assert wanted <= GIVEN
