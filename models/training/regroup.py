"""Measuring a committed pack on images by groups, without fitting it again: evaluation, card, facts, picture, manifest.

    python -m models.training.regroup --data DIR --out models/packs RECIPE [RECIPE ...]
    dxgate model sign models/packs/NAME --key KEY.pem

RECIPE is breast_ultrasound, breast_detail or chest_film, of which a new fit measures the same. Weights, thresholds,
golden vectors and every other number stay as they are; in the graph and the evaluation the version is written anew.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from models.training import (
    breast_data,
    breast_detail,
    breast_evaluation,
    breast_ultrasound,
    breast_words,
    chest_film,
    chest_words,
    detail_words,
    plots,
)
from models.training.assemble import Subject, manifest
from models.training.evaluation import Floats, Rows, tensor
from models.training.export import outputs
from models.training.reword import versioned
from models.training.write_pack import card_xml, write

Found = dict[str, Any]
Files = dict[str, bytes]


@dataclass(frozen=True)
class Regrouped:
    """What a recipe says, and how its groups are measured from the probabilities of its test images."""

    subject: Subject
    images: npt.NDArray[np.uint8]
    test: Rows
    groups: Callable[[Floats, float], Found]
    card: Callable[[Found], bytes]
    facts: Callable[[Found], str]
    page: Callable[[Found, Files], bytes]


def breast(folder: Path) -> Regrouped:
    data, about = breast_data.load(folder), breast_ultrasound.subject(folder)
    return _told(
        breast_ultrasound,
        breast_words,
        about,
        (data.small, data.rows("test")),
        groups=lambda prob, threshold: breast_evaluation.subgroups(data, data.small, prob, threshold),
        page=lambda chosen, files: manifest(about, chosen, breast_ultrasound.RECIPE.side, files),
    )


def detail(folder: Path) -> Regrouped:
    data, about = breast_data.load(folder), breast_detail.subject(folder)
    return _told(
        breast_detail,
        detail_words,
        about,
        (data.large, data.rows("test")),
        groups=lambda prob, threshold: breast_evaluation.subgroups(data, data.large, prob, threshold),
        page=lambda chosen, files: breast_detail.page(about, chosen, files),
    )


def chest(folder: Path) -> Regrouped:
    data, about = chest_film.load(folder), chest_film.subject(folder)
    return _told(
        chest_film,
        chest_words,
        about,
        (data.images, data.rows("test")),
        groups=lambda prob, threshold: chest_film.subgroups(data, prob, threshold),
        page=lambda chosen, files: manifest(about, chosen, chest_film.RECIPE.side, files),
    )


def _told(
    recipe: Any,
    said: Any,
    about: Subject,
    tested: tuple[npt.NDArray[np.uint8], Rows],
    *,
    groups: Callable[[Floats, float], Found],
    page: Callable[[Found, Files], bytes],
) -> Regrouped:
    """`recipe` is a module with VERSION and DATE, `said` one with the words and metrics of its card."""
    version, date = recipe.VERSION, recipe.DATE
    return Regrouped(
        about,
        *tested,
        groups,
        lambda found: card_xml(said.words(found, version, date), said.KEYWORDS, said.metrics(found)),
        lambda found: said.facts(found, version),
        page,
    )


RECIPES = {"breast_ultrasound": breast, "breast_detail": detail, "chest_film": chest}


def regrouped(folder: Path, told: Regrouped) -> Files:
    """All files of the pack but its signature."""
    model = versioned((folder / "model.onnx").read_bytes(), told.subject.version)
    found = json.loads((folder / "evaluation.json").read_text("utf-8")) | {"version": told.subject.version}
    chosen = found["chosen_on_validation"]
    prob = np.full(len(told.images), np.nan)
    for rows in np.array_split(told.test, len(told.test) // 64 + 1):
        prob[rows] = outputs(model, tensor(told.images[rows]))["prob"][:, 0]
    found["subgroups"] = told.groups(prob, chosen["threshold"])
    kept = ("golden.npz", *(path.relative_to(folder).as_posix() for path in sorted(folder.glob("plots/*.png"))))
    files = {
        "model.onnx": model,
        "evaluation.json": (json.dumps(found, indent=1) + "\n").encode(),
        "card.xml": told.card(found),
        "facts.md": told.facts(found).encode("utf-8"),
        **{name: (folder / name).read_bytes() for name in kept},
        "plots/subgroups.png": plots.subgroups(found["subgroups"], found["test"]["auc"], "AUC by group of images"),
    }
    return files | {"manifest.toml": told.page(chosen, files)}


def main() -> None:
    """Measure every named recipe's pack by groups."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("recipes", nargs="+", choices=sorted(RECIPES))
    args = parser.parse_args()
    for recipe in args.recipes:
        told = RECIPES[recipe](args.data)
        folder = args.out / told.subject.name
        write(folder, regrouped(folder, told))


if __name__ == "__main__":
    main()
