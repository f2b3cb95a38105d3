"""Making the pack `chest-film-pneumonia-cnn` from PneumoniaMNIST, all of it but the signature.

    python -m models.training.chest_film --data DIR --out models/packs --seed 1
    python -m models.training.sign_pack --key KEY.pem models/packs/chest-film-pneumonia-cnn

`--data` holds the folders pneumoniamnist, breastmnist, nih_cxr_examples and mias; the last three only show
what the guard refuses. PneumoniaMNIST says 1 for pneumonia; here, as in every pack, the positive label is 0.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import dataclass
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.training import chest_words, evaluation, image_groups, measure, plots
from models.training.assemble import Subject, build, digested, golden, manifest, metadata
from models.training.breast_evaluation import from_files
from models.training.evaluation import POSITIVE, tensor
from models.training.export import export, outputs, parity
from models.training.fit import Recipe
from models.training.network import Ensemble
from models.training.write_pack import LOCAL, card_xml, write

VERSION = "1.0.1"
DATE = "2026-11-29"
RECIPE = Recipe(epochs=8)  # nine times the images of the breast set: as many steps as 70 epochs there
SEEDS = 5
FILE = "pneumoniamnist/pneumoniamnist.npz"
SPLITS = ("train", "val", "test")
PUBLISHED = {
    "source": "Yang et al., MedMNIST v2, PneumoniaMNIST, 28 x 28; quoted second-hand",
    "ResNet-18": {"auc": 0.944, "accuracy": 0.854},
}
SUSPICIOUS = LOCAL | {"value": "pneumonia-suspicious", "display": "Chest film suspicious for pneumonia"}


@dataclass(frozen=True)
class ChestSet:
    """All 5856 films, train, val, test one after the other; label 0 is pneumonia."""

    images: npt.NDArray[np.uint8]
    label: npt.NDArray[np.int64]
    split: npt.NDArray[np.str_]
    copy_of: npt.NDArray[np.int64]  # first film with the very same pixels

    def rows(self, split: str) -> npt.NDArray[np.int64]:
        """Row numbers of a split."""
        return np.flatnonzero(self.split == split)

    def fresh(self, split: str, against: tuple[str, ...]) -> npt.NDArray[np.int64]:
        """Rows of `split` whose pixels do not occur in `against`."""
        seen = np.concatenate([self.copy_of[self.rows(name)] for name in against])
        rows = self.rows(split)
        return rows[~np.isin(self.copy_of[rows], seen)]


def load(folder: Path) -> ChestSet:
    """Read PneumoniaMNIST and turn its labels over."""
    stored = np.load(folder / FILE)
    images = np.concatenate([stored[f"{name}_images"] for name in SPLITS])
    label = 1 - np.concatenate([stored[f"{name}_labels"].reshape(-1) for name in SPLITS]).astype(np.int64)
    split = np.concatenate([np.full(len(stored[f"{name}_labels"]), name) for name in SPLITS])
    first: dict[bytes, int] = {}
    copy_of = np.asarray([first.setdefault(image.tobytes(), row) for row, image in enumerate(images)])
    return ChestSet(images, label, split, copy_of)


def subject(folder: Path) -> Subject:
    """What this pack says."""
    return Subject(
        name=chest_words.NAME,
        version=VERSION,
        title=chest_words.TITLE,
        intended_use=chest_words.INTENDED,
        out_of_scope=chest_words.OUT_OF_SCOPE,
        question=LOCAL | {"value": "chest-film-pneumonia", "display": "Pneumonia on chest film of a child"},
        labels=(
            {"name": "pneumonia", "title": "suspicious for pneumonia", "code": SUSPICIOUS},
            {
                "name": "no-pneumonia",
                "title": "not suspicious for pneumonia",
                "code": LOCAL | {"value": "no-pneumonia", "display": "No pneumonia seen"},
            },
        ),
        applies_to={
            "modality": ["CR", "DX"],
            "body_part": ["CHEST"],
            "body_part_required": True,
            "sop_class": ["1.2.840.10008.5.1.4.1.1.1", "1.2.840.10008.5.1.4.1.1.1.1"],
            "photometric": ["MONOCHROME1", "MONOCHROME2"],
            "age_min_years": 1,
            "age_max_years": 5,
            "age_required": True,
        },
        sources=tuple(digested(source, folder / FILE) for source in chest_words.SOURCES),
        use="research only; chest films of children of one to five years",
    )


def evaluate(data: ChestSet, net: Ensemble, model: bytes, chosen: dict[str, Any], folder: Path) -> dict[str, Any]:
    """`evaluation.json`."""
    train, test, val = data.rows("train"), data.rows("test"), data.fresh("val", ("train",))
    got = outputs(model, tensor(data.images))
    prob, truth = got["prob"][:, 0].astype(np.float64), data.label == POSITIVE
    threshold, pair = chosen["threshold"], (chosen["quantile_positive"], chosen["quantile_negative"])
    return {
        "model": chest_words.NAME,
        "version": VERSION,
        "recipe": RECIPE.__dict__ | {"members": SEEDS},
        "software": {name: installed(name) for name in ("torch", "onnx", "onnxruntime", "numpy", "scikit-learn")},
        "data": _describe(data),
        "chosen_on_validation": chosen,
        "parity": parity(net, model, tensor(data.images[val])),
        "test": measure.with_intervals(prob[test], truth[test], threshold, data.copy_of[test], 0),
        "validation": measure.scores(prob[val], truth[val], threshold),
        "test_at_half": measure.scores(prob[test], truth[test], 0.5),
        "before_calibration": evaluation.uncalibrated(got["member"][test], truth[test]),
        "members": evaluation.members(got["member"][test], truth[test]),
        "baselines": evaluation.baselines(
            data.images[train],
            truth[train],
            test=data.images[test],
            test_truth=truth[test],
            prob=prob[test],
            group=data.copy_of[test],
        ),
        "subgroups": subgroups(data, prob, threshold),
        "conformal": {"alpha": evaluation.ALPHA, "test": measure.coverage(prob[test], truth[test], pair)},
        "out_of_distribution": evaluation.refused_by_distance(model, _strangers(data, folder), chosen["distance_max"]),
        "published": PUBLISHED,
    }


def subgroups(data: ChestSet, prob: evaluation.Floats, threshold: float) -> dict[str, Any]:
    """By grey levels alone: sex, age, device and kind of pneumonia were not delivered."""
    truth, greys = data.label == POSITIVE, image_groups.grey_groups(data.images, data.rows("train"))
    return image_groups.measured(prob, truth, data.copy_of, threshold=threshold, rows=data.rows("test"), named=greys)


def _describe(data: ChestSet) -> dict[str, Any]:
    return {
        "images": {name: len(data.rows(name)) for name in SPLITS},
        "pneumonia": {name: int((data.label[data.rows(name)] == POSITIVE).sum()) for name in SPLITS},
        "validation_copies_of_training": len(data.rows("val")) - len(data.fresh("val", ("train",))),
        "test_copies_elsewhere": len(data.rows("test")) - len(data.fresh("test", ("train", "val"))),
    }


def _strangers(data: ChestSet, folder: Path) -> dict[str, npt.NDArray[np.uint8]]:
    test, side = data.images[data.rows("test")], RECIPE.side
    noise = np.random.default_rng(0)
    return {
        "test images": test,
        "uniform noise": noise.integers(0, 256, (200, side, side), dtype=np.uint8),
        "test images with grey levels turned over": 255 - test,
        "test images upside down": test[:, ::-1],
        "breast ultrasound (BreastMNIST test)": np.load(folder / "breastmnist" / "breastmnist.npz")["test_images"],
        "adult chest films (NIH, 11)": from_files(sorted((folder / "nih_cxr_examples").glob("*.png")), side),
        "mammograms (MIAS, 12)": from_files(sorted((folder / "mias" / "samples_1024").glob("*")), side),
    }


def pictures(data: ChestSet, model: bytes, threshold: float) -> dict[str, bytes]:
    """ROC and reliability of the test part."""
    test = data.rows("test")
    prob = outputs(model, tensor(data.images[test]))["prob"][:, 0].astype(np.float64)
    truth = data.label[test] == POSITIVE
    return {
        "plots/roc.png": plots.roc({f"official test, n = {len(test)}": (prob, truth)}, threshold, "Pneumonia, test"),
        "plots/reliability.png": plots.reliability(prob, truth, "Calibration, test part"),
    }


def main() -> None:
    """Fit, evaluate, write the pack folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("members"))
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data, about = load(args.data), subject(args.data)
    train, val = data.rows("train"), data.fresh("val", ("train",))
    seeds = list(range(args.seed, args.seed + SEEDS))
    net, chosen = build(data.images, data.label, train, val, recipe=RECIPE, seeds=seeds, cache=args.cache)
    model = export(net, metadata(about, chosen, RECIPE.side))
    found = evaluate(data, net, model, chosen, args.data)
    words = chest_words.words(found, VERSION, DATE)
    files = {
        "model.onnx": model,
        "evaluation.json": (json.dumps(found, indent=1) + "\n").encode(),
        "card.xml": card_xml(words, chest_words.KEYWORDS, chest_words.metrics(found)),
        "facts.md": chest_words.facts(found, VERSION).encode("utf-8"),
        "golden.npz": golden(data.images[val[:12]], model),
        **pictures(data, model, chosen["threshold"]),
        "plots/subgroups.png": plots.subgroups(found["subgroups"], found["test"]["auc"], "AUC by group of images"),
    }
    write(args.out / about.name, files | {"manifest.toml": manifest(about, chosen, RECIPE.side, files)})


if __name__ == "__main__":
    main()
