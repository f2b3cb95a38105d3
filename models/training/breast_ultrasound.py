"""Making the pack `breast-ultrasound-cnn` from public data, all of it but the signature.

    python -m models.training.breast_ultrasound --data DIR --out models/packs --seed 1
    python -m models.training.sign_pack --key KEY.pem models/packs/breast-ultrasound-cnn

`--data` holds the folders breastmnist, busi, pneumoniamnist, nih_cxr_examples and mias; the last three only
show what the guard refuses. Fitting takes about four minutes on one core; `--cache` keeps fitted members. The
resolution was chosen by `choose_resolution`, whose finding the evaluation repeats; `--choice` names a newer one.
"""

from __future__ import annotations

import argparse
import json
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.manifest import parse
from models.training import breast_evaluation, breast_words, plots
from models.training.assemble import COLOURS, Subject, build, digested, golden, manifest, metadata
from models.training.breast_data import MALIGNANT, BreastSet, Pixels, load
from models.training.evaluation import tensor
from models.training.export import export, outputs, parity
from models.training.fit import Recipe
from models.training.measure import Floats
from models.training.network import Ensemble
from models.training.write_pack import LOCAL, card_xml, write

VERSION = "1.0.1"
DATE = "2026-11-29"
RECIPE = Recipe()
SEEDS = 5
FILES = ("breastmnist/breastmnist.npz", "busi/busi_128_gray.npz")
SUSPICIOUS = LOCAL | {"value": "breast-us-suspicious", "display": "Breast image suspicious for malignancy"}


def subject(folder: Path) -> Subject:
    """What this pack says; sources carry the digests of the files in `folder`."""
    return Subject(
        name=breast_words.NAME,
        version=VERSION,
        title=breast_words.TITLE,
        intended_use=breast_words.INTENDED,
        out_of_scope=breast_words.OUT_OF_SCOPE,
        question=LOCAL | {"value": "breast-us-malignancy", "display": "Malignancy of breast on ultrasound image"},
        labels=(
            {"name": "malignant", "title": "suspicious for a malignant lesion", "code": SUSPICIOUS},
            {
                "name": "not-malignant",
                "title": "not suspicious for a malignant lesion",
                "code": LOCAL | {"value": "not-malignant", "display": "Normal or benign image"},
            },
        ),
        applies_to={
            "modality": ["US"],
            "body_part": ["BREAST"],
            "body_part_required": True,
            "sop_class": ["1.2.840.10008.5.1.4.1.1.6.1"],
            "photometric": COLOURS,
            "sex": ["F"],
            "age_min_years": 18,
            "age_max_years": 120,
        },
        sources=tuple(digested(s, folder / f) for s, f in zip(breast_words.SOURCES, FILES, strict=True)),
        use="research only; ultrasound, not mammography",
    )


def evaluate(
    data: BreastSet, net: Ensemble, model: bytes, *, chosen: dict[str, Any], choice: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """`evaluation.json`."""
    rule = parse(manifest(subject(folder), chosen, RECIPE.side, {"model.onnx": model})).input
    return {
        "model": breast_words.NAME,
        "version": VERSION,
        "recipe": RECIPE.__dict__ | {"members": SEEDS},
        "software": {name: installed(name) for name in ("torch", "onnx", "onnxruntime", "numpy", "scikit-learn")},
        "data": describe(data),
        "choice": choice,
        "chosen_on_validation": chosen,
        "parity": parity(net, model, tensor(data.small[data.rows("val")])),
        **breast_evaluation.measured(data, data.small, model, chosen=chosen, rule=rule, folder=folder),
    }


def describe(data: BreastSet) -> dict[str, Any]:
    """How many images, of which answer, and how many near-duplicates."""
    clean = data.clean("test", ("train", "val"))
    parts = {name: data.rows(name) for name in ("train", "val", "test")}
    return {
        "images": {name: len(rows) for name, rows in parts.items()},
        "malignant": {name: int((data.label[rows] == MALIGNANT).sum()) for name, rows in parts.items()},
        "near_duplicate_groups": len(set(data.group.tolist())),
        "test_with_near_duplicate": len(parts["test"]) - len(clean),
        "busi_match_rms_grey_levels": {
            "mean": round(float(data.match_rms.mean()), 2),
            "max": round(float(data.match_rms.max()), 2),
        },
    }


def chosen_before() -> dict[str, Any]:
    """The choice that the pack of this tree rests on."""
    committed = Path(__file__).parents[1] / "packs" / breast_words.NAME / "evaluation.json"
    found: dict[str, Any] = json.loads(committed.read_text())["choice"]
    return found


def pictures(data: BreastSet, images: Pixels, model: bytes, threshold: float) -> dict[str, bytes]:
    """ROC and reliability of the test part."""
    prob: Floats = outputs(model, tensor(images))["prob"][:, 0].astype(np.float64)
    truth = data.label == MALIGNANT
    test, clean = data.rows("test"), data.clean("test", ("train", "val"))
    series = {
        f"official test, n = {len(test)}": (prob[test], truth[test]),
        f"no near-duplicates, n = {len(clean)}": (prob[clean], truth[clean]),
    }
    return {
        "plots/roc.png": plots.roc(series, threshold, "Malignant lesion, test part"),
        "plots/reliability.png": plots.reliability(prob[test], truth[test], "Calibration, test part"),
    }


def main() -> None:
    """Fit, evaluate, write the pack folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--choice", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--cache", type=Path, default=Path("members"))
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data, about = load(args.data), subject(args.data)
    seeds = list(range(args.seed, args.seed + SEEDS))
    train, val = data.rows("train"), data.clean("val", ("train",))
    net, chosen = build(data.small, data.label, train, val, recipe=RECIPE, seeds=seeds, cache=args.cache)
    model = export(net, metadata(about, chosen, RECIPE.side))
    choice = json.loads(args.choice.read_text()) if args.choice else chosen_before()
    found = evaluate(data, net, model, chosen=chosen, choice=choice, folder=args.data)
    words = breast_words.words(found, VERSION, DATE)
    files = {
        "model.onnx": model,
        "evaluation.json": (json.dumps(found, indent=1) + "\n").encode(),
        "card.xml": card_xml(words, breast_words.KEYWORDS, breast_words.metrics(found)),
        "facts.md": breast_words.facts(found, VERSION).encode("utf-8"),
        "golden.npz": golden(data.small[data.rows("val")[:12]], model),
        **pictures(data, data.small, model, chosen["threshold"]),
        "plots/subgroups.png": plots.subgroups(found["subgroups"], found["test"]["auc"], "AUC by group of images"),
    }
    write(args.out / about.name, files | {"manifest.toml": manifest(about, chosen, RECIPE.side, files)})


if __name__ == "__main__":
    main()
