"""From fitted members to the files of a pack: what is the same for every pack made here.

A pack differs in its data and its words (`Subject`); the graph, its metadata, the manifest and the golden
vectors are made in one way.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from models.training import evaluation
from models.training.ensemble import fit_members
from models.training.export import export, outputs
from models.training.fit import Recipe
from models.training.network import Ensemble, fuse, halve
from models.training.write_pack import toml

COLOURS = ["MONOCHROME1", "MONOCHROME2", "RGB", "PALETTE COLOR", "YBR_FULL", "YBR_FULL_422", "YBR_RCT", "YBR_ICT"]
STEPS = ["rescale", "window", "polarity", "grey", "centre-square", "resize-bicubic"]
Bytes = npt.NDArray[np.uint8]
Whole = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Subject:
    """What one pack says that another does not. Labels are (name, title, code), positive first."""

    name: str
    version: str
    title: str
    intended_use: str
    out_of_scope: str
    question: dict[str, str]
    labels: tuple[dict[str, Any], dict[str, Any]]
    applies_to: dict[str, Any]
    sources: tuple[dict[str, str], ...]  # with sha256
    use: str  # a few words for the ONNX file itself


def build(
    images: Bytes, label: Whole, train: Whole, val: Whole, *, recipe: Recipe, seeds: list[int], cache: Path
) -> tuple[Ensemble, dict[str, Any]]:
    """Fit, fuse, round, whiten, calibrate. Returns the ensemble and what validation chose."""
    fitted, mean, deviation = fit_members(images[train], label[train], recipe, seeds, cache)
    net = Ensemble([fuse(member) for member in fitted], recipe.side, mean, deviation).eval()
    halve(net)
    centre, whiten = evaluation.whitening(_run(net, images[train])["embedding"])
    net.centre.copy_(torch.from_numpy(centre))
    net.whiten.copy_(torch.from_numpy(whiten))
    halve(net)
    got = _run(net, images[val])
    chosen = evaluation.choose(
        got["member"].astype(np.float64),
        label[val] == evaluation.POSITIVE,
        np.linalg.norm(got["embedding"], axis=1),
    )
    net.platt.copy_(torch.tensor([chosen["slope"], chosen["intercept"]]))
    return net, chosen


def _run(net: Ensemble, images: Bytes) -> dict[str, npt.NDArray[np.float32]]:
    return outputs(export(net, {}), evaluation.tensor(images))


def metadata(subject: Subject, chosen: dict[str, Any], side: int) -> dict[str, str]:
    """What the ONNX file says about itself; the server compares it to the signed manifest."""
    return {
        "id": subject.name,
        "version": subject.version,
        "labels": ",".join(label["name"] for label in subject.labels),
        "positive": subject.labels[0]["name"],
        "threshold": repr(chosen["threshold"]),
        "platt": f"{chosen['slope']!r},{chosen['intercept']!r}",
        "conformal_alpha": repr(evaluation.ALPHA),
        "conformal_quantiles": f"{chosen['quantile_positive']!r},{chosen['quantile_negative']!r}",
        "input": f"pixels: batch, {side} rows, {side} columns, 1 channel, grey level 0 to 255",
        "data_sha256": ",".join(source["sha256"] for source in subject.sources),
        "use": subject.use,
    }


def manifest(
    subject: Subject,
    chosen: dict[str, Any],
    side: int,
    files: dict[str, bytes],
    *,
    cells: int | None = None,
    min_side: int = 28,
    memory: int = 64,
) -> bytes:
    """`manifest.toml`; the digests are those of `files`. The map has a quarter of `side` unless `cells` says so."""
    names = [label["name"] for label in subject.labels]
    quantiles = dict(zip(names, (chosen["quantile_positive"], chosen["quantile_negative"]), strict=True))
    page = {
        "name": subject.name,
        "version": subject.version,
        "title": subject.title,
        "task": "classification",
        "licence": "Apache-2.0 (weights); data CC BY 4.0",
        "intended_use": subject.intended_use,
        "out_of_scope": subject.out_of_scope,
        "device_memory_mib": memory,
        "question": subject.question,
        "applies_to": subject.applies_to,
        "input": _input(side, min_side),
        "output": {
            "prob": "prob",
            "member": "member",
            "cam": "cam",
            "embedding": "embedding",
            "positive": names[0],
            "threshold": chosen["threshold"],
            "cam_cells": cells or side // 4,
            "distance_max": chosen["distance_max"],
            **({"shown": "shown", "shown_min": chosen["shown_min"]} if "shown_min" in chosen else {}),
        },
        "calibration": {"method": "Platt", "slope": chosen["slope"], "intercept": chosen["intercept"]},
        "conformal": {"alpha": evaluation.ALPHA, "quantiles": quantiles},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
        "labels": list(subject.labels),
        "sources": list(subject.sources),
    }
    head = "# Written by models.training; sealed in pack.sig. Change nothing by hand.\n"
    return (head + toml(page) + "\n").encode("utf-8")


def _input(side: int, min_side: int) -> dict[str, Any]:
    return {
        "kind": "image",
        "tensor": "pixels",
        "channels": 1,
        "height": side,
        "width": side,
        "steps": STEPS,
        "frames": "single",
        "min_side": min_side,
        "max_side": 4096,
        "max_frames": 1,
        "min_contrast": 4.0,
    }


def golden(images: Bytes, model: bytes) -> bytes:
    """`images` and four of noise, with what this file must give: probabilities, and whether they are shown rightly."""
    noise = np.random.default_rng(0).integers(0, 256, (4, *images.shape[1:]), dtype=np.uint8)
    pixels = np.concatenate([images, noise])[..., None]
    out = io.BytesIO()
    got = outputs(model, pixels.astype(np.float32))
    np.savez_compressed(out, pixels=pixels, **{name: got[name] for name in ("prob", "shown") if name in got})
    return out.getvalue()


def digested(source: dict[str, str], path: Path) -> dict[str, str]:
    """A data source with the digest of the file that was read."""
    return source | {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
