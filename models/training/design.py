"""A logistic model on raw named values: clipping, scaling, missing values and contributions all in one graph.

Fitted in numpy and scikit-learn, written as ONNX by hand, because the graph has to take what a record holds:
raw numbers in clinical units with NaN where nothing was measured. A value that is not known adds nothing,
which is the average training record's answer.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression

Floats = npt.NDArray[np.float64]
Truth = npt.NDArray[np.bool_]
FEW = 10  # a field with no more different values than this is not clipped


@dataclass(frozen=True)
class Term:
    """One column of the design: a field, its logarithm, one of its codes, its excess over a knot, a product.

    With `only` the column counts where that field has that code, is known, or is not; elsewhere it adds nothing.
    """

    kind: Literal["linear", "log", "equals", "above", "product"]
    field: int
    value: float = 0.0
    other: int = -1
    only: tuple[int, float | Literal["known", "unknown"]] | None = None


@dataclass(frozen=True)
class Linear:
    """A fitted model over n fields and k terms; `platt` turns its logit into a calibrated probability."""

    terms: tuple[Term, ...]
    by_rank: bool
    low: Floats
    high: Floats
    fill: Floats
    centre: Floats
    spread: Floats
    weight: Floats
    intercept: float
    platt: tuple[float, float] = (1.0, 0.0)

    def logit(self, raw: Floats) -> Floats:
        """Log-odds before calibration for (N, n) raw values."""
        return self.parts(raw).sum(1) + self.intercept

    def parts(self, raw: Floats) -> Floats:
        """(N, n): what each field adds to the logit."""
        columns, known = columns_of(self, raw)
        z = np.where(known, (columns - self.centre) / self.spread, 0.0)
        return np.asarray((z * self.weight) @ shares(self.terms, raw.shape[1]))

    def prob(self, raw: Floats) -> Floats:
        """Calibrated probability of the positive label."""
        return np.asarray(1 / (1 + np.exp(-(self.platt[0] * self.logit(raw) + self.platt[1]))))


def fit(raw: Floats, truth: Truth, terms: tuple[Term, ...], c: float, *, by_rank: bool = False) -> Linear:
    """Penalised logistic regression on standardised columns; nothing is taken from anywhere but `raw`."""
    values = ranks(raw) if by_rank else raw
    few = np.asarray([len(np.unique(column[~np.isnan(column)])) <= FEW for column in values.T])
    low = np.where(few, np.nanmin(values, 0), np.nanpercentile(values, 0.5, axis=0))
    high = np.where(few, np.nanmax(values, 0), np.nanpercentile(values, 99.5, axis=0))
    size = len(terms)
    blank = Linear(terms, by_rank, low, high, np.nanmean(values, 0), np.zeros(size), np.ones(size), np.zeros(size), 0.0)
    columns, known = columns_of(blank, raw)
    held = np.where(known, columns, np.nan)
    centre, spread = np.nanmean(held, 0), np.nanstd(held, 0)
    spread = np.where(spread < 1e-6, 1.0, spread)
    z = np.where(known, (columns - centre) / spread, 0.0)
    fitted = LogisticRegression(C=c, max_iter=2000).fit(z, truth)
    return replace(blank, centre=centre, spread=spread, weight=fitted.coef_[0], intercept=float(fitted.intercept_[0]))


def ranks(raw: Floats) -> Floats:
    """Each value's place among the known values of its own record, 0 to 1, ties shared; NaN stays NaN."""
    known = ~np.isnan(raw)
    out = np.full(raw.shape, np.nan)
    for row, (values, here) in enumerate(zip(raw, known, strict=True)):
        held = values[here]
        below, same = held[:, None] > held[None], held[:, None] == held[None]
        out[row, here] = (below.sum(1) + 0.5 * (same.sum(1) - 1)) / max(len(held) - 1, 1)
    return out


def columns_of(model: Linear, raw: Floats) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(N, k) columns before standardising and whether each is known."""
    values = ranks(raw) if model.by_rank else raw
    known = ~np.isnan(values)
    safe = np.clip(np.where(known, values, model.fill), model.low, model.high)
    columns = np.stack([_column(term, safe, model.fill) for term in model.terms], 1)
    here = np.stack([_counts(term, raw, known) for term in model.terms], 1)
    return columns, here


def _counts(term: Term, raw: Floats, known: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Where a column is known and its condition holds."""
    here = known[:, term.field] & known[:, term.other if term.other >= 0 else term.field]
    if term.only is None:
        return np.asarray(here)
    place, wanted = term.only
    if wanted == "known":
        return np.asarray(here & known[:, place])
    if wanted == "unknown":
        return np.asarray(here & ~known[:, place])
    return np.asarray(here & (raw[:, place] == wanted))


def _column(term: Term, safe: Floats, fill: Floats) -> Floats:
    value = safe[:, term.field]
    if term.kind == "log":
        return np.log1p(np.maximum(value, 0.0))
    if term.kind == "equals":
        return (value == term.value).astype(np.float64)
    if term.kind == "above":
        return np.maximum(value - term.value, 0.0)
    if term.kind == "product":
        return np.asarray((value - fill[term.field]) * (safe[:, term.other] - fill[term.other]))
    return value


def shares(terms: tuple[Term, ...], fields: int) -> Floats:
    """(k, n): to which field a column's contribution belongs; a product is shared by its two."""
    out = np.zeros((len(terms), fields))
    for row, term in enumerate(terms):
        out[row, term.field] += 0.5 if term.other >= 0 else 1.0
        if term.other >= 0:
            out[row, term.other] += 0.5
    return out
