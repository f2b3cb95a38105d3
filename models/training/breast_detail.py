"""Making the pack `breast-ultrasound-detail-cnn`: the BUSI images at 128 pixels through a pretrained backbone.

    python -m models.training.breast_detail --data DIR --out models/packs --seed 1
    python -m models.training.sign_pack --key KEY.pem models/packs/breast-ultrasound-detail-cnn

`--data` as for `breast_ultrasound`, whose pack in this tree is the baseline. About eight minutes on one core. The
recipe was chosen by `choose_detail`, whose finding the evaluation repeats; `--choice` names a newer one.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict, replace
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.manifest import parse
from models.training import (
    breast_evaluation,
    breast_ultrasound,
    breast_words,
    detail_calibration,
    detail_words,
    measure,
    plots,
    shown,
)
from models.training.assemble import Subject, golden, manifest, metadata
from models.training.breast_data import MALIGNANT, BreastSet, load
from models.training.detail_fit import DetailRecipe, assembled, features, fit_heads, pooled, space_of
from models.training.detail_network import Detail
from models.training.evaluation import tensor
from models.training.export import export, outputs, parity
from models.training.lite_backbone import SHA256
from models.training.write_pack import card_xml, write

VERSION = "1.0.3"
DATE = "2026-11-29"
RECIPE = DetailRecipe()
SEEDS = 5
CELLS = RECIPE.work // 16  # of the finest map among the taps
MEMORY = 768  # MiB that a full batch of 64 was seen to take on the CPU
PACKS = Path(__file__).parents[1] / "packs"


def subject(folder: Path) -> Subject:
    """The question and the scope of the 28-pixel pack, under another name and with the weights as a source."""
    like = breast_ultrasound.subject(folder)
    sources = (*like.sources, detail_words.WEIGHTS | {"sha256": SHA256})
    return replace(like, name=detail_words.NAME, version=VERSION, title=detail_words.TITLE, sources=sources)


def build(data: BreastSet, seeds: list[int]) -> tuple[Detail, dict[str, Any]]:
    """Heads from the training part; the rest from it out of fold, and from the clean validation part."""
    train, val = data.rows("train"), data.clean("val", ("train",))
    truth, eyes = data.label == MALIGNANT, pooled(RECIPE)
    seen = features(eyes, data.large[train])
    heads = fit_heads(seen, truth[train], data.group[train], RECIPE.penalty, seeds)
    net = assembled(eyes, heads, space_of(seen, heads, RECIPE.components))
    got = outputs(export(net, {}), tensor(data.large[val]))
    distance = np.linalg.norm(got["embedding"], axis=1)
    apart = detail_calibration.out_of_fold(seen, truth[train], data.group[train], RECIPE, seeds)
    chosen = detail_calibration.choose(apart.beside(got["member"].astype(np.float64), distance, truth[val]))
    net.platt.copy_(torch.tensor([chosen["slope"], chosen["intercept"]]))
    weight, bias, judged = shown.fit(data.large[train], truth[train], data.group[train])
    net.judge = shown.Shown(RECIPE.side, weight, bias)
    return net, chosen | {"shown_min": judged.pop("shown_min"), "shown": judged}


def page(about: Subject, chosen: dict[str, Any], files: dict[str, bytes]) -> bytes:
    """`manifest.toml`; an image smaller than the tensor was never evaluated."""
    return manifest(about, chosen, RECIPE.side, files, cells=CELLS, min_side=RECIPE.side, memory=MEMORY)


def evaluate(
    data: BreastSet, net: Detail, model: bytes, *, chosen: dict[str, Any], choice: dict[str, Any], folder: Path
) -> dict[str, Any]:
    """`evaluation.json`."""
    rule = parse(page(subject(folder), chosen, {"model.onnx": model})).input
    found = {
        "model": detail_words.NAME,
        "version": VERSION,
        "recipe": asdict(RECIPE) | {"members": SEEDS, "cells": CELLS},
        "software": {name: installed(name) for name in ("torch", "onnx", "onnxruntime", "numpy", "scikit-learn")},
        "data": breast_ultrasound.describe(data),
        "choice": choice,
        "chosen_on_validation": chosen,
        "parity": parity(net, model, tensor(data.large[data.rows("val")])),
        **breast_evaluation.measured(data, data.large, model, chosen=chosen, rule=rule, folder=folder),
    }
    found["baselines"] |= _against_small(data, model)
    found["shown"] = breast_evaluation.turned_over(data, model, chosen, folder)
    return found


def _against_small(data: BreastSet, model: bytes) -> dict[str, Any]:
    """The committed 28-pixel pack on the same test images, whole and without near-duplicates."""
    small = (PACKS / breast_words.NAME / "model.onnx").read_bytes()
    own = outputs(model, tensor(data.large))["prob"][:, 0].astype(np.float64)
    other = outputs(small, tensor(data.small))["prob"][:, 0].astype(np.float64)
    truth, told = data.label == MALIGNANT, {}
    parts = {"": data.rows("test"), "_without_near_duplicates": data.clean("test", ("train", "val"))}
    for name, rows in parts.items():
        gap = measure.difference(own[rows], other[rows], truth[rows], data.group[rows], 0)
        told[f"model_minus_28_pixel_pack{name}"] = gap
    return told


def chosen_before() -> dict[str, Any]:
    """The choice that the pack of this tree rests on."""
    found: dict[str, Any] = json.loads((PACKS / detail_words.NAME / "evaluation.json").read_text())["choice"]
    return found


def main() -> None:
    """Fit, evaluate, write the pack folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--choice", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    torch.set_num_threads(1)
    data, about = load(args.data), subject(args.data)
    choice = json.loads(args.choice.read_text()) if args.choice else chosen_before()
    net, chosen = build(data, list(range(args.seed, args.seed + SEEDS)))
    model = export(net, metadata(about, chosen, RECIPE.side))
    found = evaluate(data, net, model, chosen=chosen, choice=choice, folder=args.data)
    files = {
        "model.onnx": model,
        "evaluation.json": (json.dumps(found, indent=1) + "\n").encode(),
        "card.xml": card_xml(
            detail_words.words(found, VERSION, DATE), detail_words.KEYWORDS, detail_words.metrics(found)
        ),
        "facts.md": detail_words.facts(found, VERSION).encode("utf-8"),
        "golden.npz": golden(data.large[data.rows("val")[:4]], model),
        **breast_ultrasound.pictures(data, data.large, model, chosen["threshold"]),
        "plots/subgroups.png": plots.subgroups(found["subgroups"], found["test"]["auc"], "AUC by group of images"),
    }
    write(args.out / about.name, files | {"manifest.toml": page(about, chosen, files)})


if __name__ == "__main__":
    main()
