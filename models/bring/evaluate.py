"""evaluate: measures a pack on somebody's own cases and writes threshold, quantiles, `evaluation.json` and plots.

Groups of patients are divided: one part chooses the threshold and the conformal quantiles, the other is scored once.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnxruntime

from gateway.domain.errors import Invalid
from models.bring import draft, numbers, pictures
from models.bring.cases import Scored, score
from models.bring.page import with_value
from models.manifest import Scored as ScoredManifest


@dataclass(frozen=True)
class Wish:
    """How the threshold is chosen: the share of patients that chooses it, and the sensitivity that it must keep."""

    share: float = 0.5
    sensitivity: float = 0.9


def evaluate(folder: Path, data: Path, wish: Wish) -> dict[str, Any]:
    """What was written as `evaluation.json`. Raises `Invalid` where the cases do not hold both labels twice."""
    if not 0.1 <= wish.share <= 0.9 or not 0.5 <= wish.sensitivity < 1:
        raise Invalid("the share that chooses lies in 0.1 to 0.9, the sensitivity in 0.5 to 1")
    package = draft.opened(folder)
    manifest = draft.manifest_of(folder)
    cases = score(data, draft.predictor(package))
    chooses = _choosing(cases, wish.share)
    chosen = _chosen(cases, chooses, manifest.conformal.alpha, wish.sensitivity)
    test = ~chooses
    prob, truth, group = cases.prob[test], cases.truth[test], cases.group[test]
    found = {
        "model": manifest.name,
        "version": manifest.version,
        "model_sha256": package.sha256,
        "software": {"onnxruntime": onnxruntime.__version__, "numpy": np.__version__},
        "data": {"sha256": cases.sha256, "scored": len(cases.prob), "groups": len(set(cases.group.tolist()))},
        "refused": {"n": cases.refused.total(), "by_reason": dict(sorted(cases.refused.items()))},
        "chosen_on_validation": chosen,
        "few_cases": numbers.few_cases(truth),
        "test": numbers.summary(prob, truth, chosen["threshold"], group),
        "baselines": {"brier of always saying the share": round(float(truth.mean() * (1 - truth.mean())), 4)},
        "subgroups": numbers.by_subgroup(
            prob, truth, chosen["threshold"], group, {name: v[test] for name, v in cases.subgroups.items()}
        ),
        "conformal": {
            "alpha": manifest.conformal.alpha,
            "test": numbers.coverage(prob, truth, chosen["quantile_positive"], chosen["quantile_negative"]),
        },
    }
    _write(folder, manifest, chosen, found)
    (folder / "plots").mkdir(exist_ok=True)
    title = f"{manifest.name}, n = {len(truth)}"
    (folder / "plots/roc.png").write_bytes(pictures.roc(prob, truth, chosen["threshold"], title))
    (folder / "plots/reliability.png").write_bytes(pictures.reliability(prob, truth, title))
    return found


def _choosing(cases: Scored, share: float) -> npt.NDArray[np.bool_]:
    """Which cases choose: whole groups, drawn with a fixed seed."""
    groups = np.unique(cases.group)
    picked = np.random.default_rng(1).permutation(groups)[: max(1, round(share * len(groups)))]
    return np.isin(cases.group, picked)


def _chosen(cases: Scored, chooses: npt.NDArray[np.bool_], alpha: float, sensitivity: float) -> dict[str, Any]:
    prob, truth = cases.prob[chooses], cases.truth[chooses]
    if not 0 < int(truth.sum()) < len(truth):
        raise Invalid("the cases that choose the threshold must hold both labels; give more patients")
    threshold = numbers.threshold_for(prob, truth, sensitivity)
    return {
        "threshold": round(min(max(threshold, 1e-6), 1 - 1e-6), 6),
        "quantile_positive": round(numbers.quantile(prob[truth], alpha), 6),
        "quantile_negative": round(numbers.quantile(1 - prob[~truth], alpha), 6),
        "slope": 1.0,
        "intercept": 0.0,
        "n": len(truth),
        "positive": int(truth.sum()),
        "sensitivity_wanted": sensitivity,
    }


def _write(folder: Path, manifest: ScoredManifest, chosen: dict[str, Any], found: dict[str, Any]) -> None:
    positive = manifest.output.positive
    (negative,) = (label.name for label in manifest.labels if label.name != positive)
    text = with_value(draft.page(folder), "output", "threshold", chosen["threshold"])
    quantiles = {negative: chosen["quantile_negative"], positive: chosen["quantile_positive"]}
    for name, value in quantiles.items():
        text = with_value(text, "conformal.quantiles", name, value)
    (folder / "manifest.toml").write_text(text, "utf-8")
    (folder / "evaluation.json").write_text(json.dumps(found, indent=1) + "\n", "utf-8")
