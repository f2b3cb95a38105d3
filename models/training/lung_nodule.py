"""Making the pack `lung-nodule` from LIDC-IDRI's cut-out nodules, grouped by examination; all but the signature.

    python -m models.training.lung_nodule --data DIR --out models/packs --seed 1
    python -m models.training.sign_pack --key KEY.pem models/packs/lung-nodule

A network on the slices is trained beside the measures in the same folds. It is shipped only if it adds to
them; the evaluation shows that it does not, so the pack takes measures.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.training.design import Floats, Term
from models.training.fit import Recipe as NetRecipe
from models.training.fit import fit, positive, scaled
from models.training.lung_data import NoduleSet, load
from models.training.lung_words import words
from models.training.rank import say
from models.training.value_measure import Recipe, Split, ValueSet, boosted, folds, held_out, plain
from models.training.value_pack import Study, Subject, input_field, local, other_unit, repeats, run

FIELDS = (
    input_field("diameter", "Largest diameter", "mm", 2, 60, "33728-7", conversions=[other_unit("cm", 10.0)]),
    input_field("area", "Area in the largest slice", "{pixels}", 3, 4096, required=True),
    input_field("slices", "Slices that show the nodule", "{slices}", 1, 100, required=True),
    input_field("total_area", "Area over all slices", "{pixels}", 3, 100000),
    input_field("roundness", "Roundness of the outline", "1", 0, 10),
    input_field("elongation", "Length by width", "1", 1, 20),
    input_field("grey", "Mean grey level", "1", 0, 255),
    input_field("unevenness", "Spread of grey levels", "1", 0, 128),
    input_field("rim", "Rim against core, grey levels", "1", -255, 255),
)
SIZE = (Term("log", 0), Term("log", 1), Term("log", 2), Term("log", 3))
TERMS = (*SIZE, Term("log", 4), *(Term("linear", place) for place in (5, 6, 7, 8)))
RECIPE = Recipe(TERMS, c=0.3, sensitivity=0.85, alpha=0.2)
NETWORK = NetRecipe(side=64, width=8, stem_stride=2, epochs=8)
MEMBERS = 2


def as_values(data: NoduleSet) -> ValueSet:
    """Measures with the examination as the group."""
    diameter = data.measures[:, 0]
    size = np.select([diameter < 6, diameter < 10], ["under 6 mm", "6-10 mm"], "10 mm and more")
    return ValueSet(data.measures, data.malignant, data.exam, {"diameter": size})


def network(data: NoduleSet, splits: list[Split], seed: int) -> list[Floats]:
    """Held-out logits of the network on three slices, one array per member, mean over a nodule's slices."""
    label = torch.from_numpy(np.where(data.malignant, 0, 1))
    out = [np.zeros(len(data.malignant)) for _ in range(MEMBERS)]
    for number, (train, test) in enumerate(splits):
        known = data.slices[train].reshape(-1, 64, 64)
        mean, deviation = float(known.mean() / 255), float(known.std() / 255)
        x = scaled(known, mean, deviation)
        asked = scaled(data.slices[test].reshape(-1, 64, 64), mean, deviation)
        for k in range(MEMBERS):
            net = fit(x, label[train].repeat_interleave(data.slices.shape[1]), NETWORK, seed + k)
            prob = np.clip(positive(net, asked), 1e-4, 1 - 1e-4)
            out[k][test] = (np.log(prob) - np.log1p(-prob)).reshape(len(test), -1).mean(1)
        say(f"network, fold {number}")
    return out


def made(folder: Path, seed: int) -> tuple[Subject, ValueSet, Study]:
    """Everything that this pack says and does."""
    torch.set_num_threads(1)
    nodules = load(folder)
    data = as_values(nodules)
    splits = folds(data.truth, data.group, seed)
    looked = np.mean(network(nodules, splits, seed), 0)
    said = held_out(data, splits, RECIPE, seed).prob
    own = np.log(said) - np.log1p(-said)
    both = own + looked / looked.std() * own.std()

    study = Study(
        splits=lambda number: folds(data.truth, data.group, number),
        baselines={
            "diameter alone": lambda parts: plain(data, parts, (Term("log", 0),)),
            "area and slice count": lambda parts: plain(data, parts, (Term("log", 1), Term("log", 2))),
            "size alone (diameter, areas, slices)": lambda parts: plain(data, parts, SIZE, RECIPE.c),
            "network on three slices (not shipped)": lambda _: looked,
            "measures and network together (not shipped)": lambda _: both,
            "gradient boosting, same inputs (not shipped)": lambda parts: boosted(data, parts, seed),
        },
        told={"leaks": repeats(data), "network": NETWORK.__dict__ | {"members": MEMBERS}},
        wanted_auc=0.881,
    )
    return subject(folder), data, study


def subject(folder: Path) -> Subject:
    """Labels, fields and words."""
    labels: tuple[dict[str, Any], dict[str, Any]] = (
        {
            "name": "suspicious",
            "title": "rated suspicious for malignancy",
            "code": local("nodule-suspicious", "Nodule rated suspicious for malignancy"),
        },
        {
            "name": "not-suspicious",
            "title": "rated not suspicious",
            "code": local("nodule-not-suspicious", "Nodule rated not suspicious"),
        },
    )
    return Subject(
        words=words(folder),
        licence="Apache-2.0 (weights); data CC BY 3.0",
        question=local("lung-nodule-rating", "Suspicion of malignancy of a segmented lung nodule"),
        labels=labels,
        fields=FIELDS,
        missing_max=0.6,
        recipe=RECIPE,
        use="research only; measures of a segmented solid nodule, radiologists' rating, not pathology",
        applies_to={"age_min_years": 18.0, "age_max_years": 120.0},
    )


if __name__ == "__main__":
    run(__doc__, made)
