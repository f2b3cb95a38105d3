"""`make train PACK=...` works for every recipe: it gives --data, --out and --seed, so no recipe may want more."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from gateway.cli import main
from models.registry import BUILT_IN
from models.training import run

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


def test_a_recipe_is_run_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`dxgate model train` gives a recipe what `make train` gives it, and the caller's arguments are as before."""
    seen: list[tuple[str, list[str]]] = []
    monkeypatch.setattr(run.runpy, "run_module", lambda name, run_name: seen.append((name, [*sys.argv])))
    before = [*sys.argv]
    assert main(["model", "train", "pgx_rules", "--data", str(tmp_path), "--out", "somewhere", "--seed", "7"]) == 0
    given = ["pgx_rules", "--data", str(tmp_path), "--out", "somewhere", "--seed", "7"]
    assert seen == [("models.training.pgx_rules", given)]
    assert sys.argv == before


def test_a_recipe_that_cannot_run_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unknown recipe, absent data and a missing library are told apart."""
    assert main(["model", "train", "no_such", "--data", str(tmp_path)]) != 0
    assert "there are breast_detail, breast_ultrasound, chd_risk" in capsys.readouterr().err
    assert main(["model", "train", "diabetes_risk", "--data", str(tmp_path / "none")]) != 0
    assert "is not a folder" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "pandas", None)
    assert main(["model", "train", "diabetes_risk", "--data", str(tmp_path)]) != 0
    assert "pandas is not installed here; see requirements/train.txt" in capsys.readouterr().err


def test_every_pack_has_its_recipe() -> None:
    """Each built-in pack is named in one file of models/training that `dxgate model train` knows."""
    texts = {name: (TRAINING / f"{name}.py").read_text("utf-8") for name in run.names()}
    assert len(texts) == len(list(BUILT_IN.iterdir()))
