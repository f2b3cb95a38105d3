"""Pictures for the card: the ROC curve, the reliability diagram, and the AUC by group of patients."""

from __future__ import annotations

import io
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from models.training.measure import Floats, Truth, curve

_SIZE = (4.6, 4.2)


def roc(series: dict[str, tuple[Floats, Truth]], threshold: float, title: str) -> bytes:
    """One curve per named (prob, truth); the working point of the first is marked."""
    figure, axes = plt.subplots(figsize=_SIZE)
    for name, (prob, truth) in series.items():
        axes.plot(*curve(prob, truth), label=name)
    prob, truth = next(iter(series.values()))
    said = prob >= threshold
    axes.plot(said[~truth].mean(), said[truth].mean(), "ko", label=f"threshold {threshold:.2f}")
    axes.plot([0, 1], [0, 1], ":", color="grey")
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", title=title, xlim=(-0.01, 1.01), ylim=(-0.01, 1.01))
    axes.legend(loc="lower right", fontsize=8)
    return _png(figure)


def reliability(prob: Floats, truth: Truth, title: str, bins: int = 8) -> bytes:
    """Observed share of positives against the predicted, over bins of equal count, with the counts."""
    figure, axes = plt.subplots(figsize=_SIZE)
    parts = np.array_split(np.argsort(prob), bins)
    said = [float(prob[part].mean()) for part in parts]
    seen = [float(truth[part].mean()) for part in parts]
    error = [1.96 * float(np.sqrt(s * (1 - s) / len(p))) for s, p in zip(seen, parts, strict=True)]
    axes.errorbar(said, seen, yerr=error, fmt="o-", capsize=3)
    axes.plot([0, 1], [0, 1], ":", color="grey")
    axes.set(
        xlabel=f"predicted probability (mean of {len(parts[0])} cases)",
        ylabel="observed share",
        title=title,
        xlim=(0, 1),
        ylim=(-0.02, 1.02),
    )
    return _png(figure)


def subgroups(found: dict[str, Any], overall: dict[str, Any], title: str) -> bytes:
    """AUC with its interval for every group that could be measured; the line is the whole test set."""
    told = {name: value["auc"] for name, value in found.items() if "auc" in value}
    figure, axes = plt.subplots(figsize=(_SIZE[0], max(2.0, 0.28 * len(told) + 1.2)))
    for place, (name, auc) in enumerate(told.items()):
        axes.plot(auc["ci95"], [place, place], "-", color="tab:blue")
        axes.plot(auc["value"], place, "o", color="tab:blue", label=name)
    axes.axvline(overall["value"], linestyle=":", color="grey")
    axes.set(xlabel="AUC, 95 % interval", title=title, xlim=(0.4, 1.0))
    axes.set_yticks(range(len(told)), list(told), fontsize=7)
    axes.invert_yaxis()
    return _png(figure)


def _png(figure: Figure) -> bytes:
    out = io.BytesIO()
    figure.tight_layout()
    figure.savefig(out, format="png", dpi=110, metadata={"Software": None})
    plt.close(figure)
    return out.getvalue()
