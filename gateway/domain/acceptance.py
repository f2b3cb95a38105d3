"""An acceptance run: how a signed version did on the site's own labelled cases, and whether that was enough there.

It is kept with the limits that it was judged by, so that it speaks for a version only as long as the site asks no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from gateway.domain.model import ServedModel

Verdict = Literal["passed", "missed", "measured"]
"""`measured`: no limit was declared, or the cases are those that the threshold was chosen by, so nothing is passed."""
_MEASURES = ("auc", "sensitivity", "specificity")
_RULES = frozenset({"genotype", "plan"})


@dataclass(frozen=True)
class Limits:
    """What a site asks at least; 0 asks nothing.

    `subgroup` stands in the place of each of the first three in subgroups, where it is set. `refused` is the largest
    share of cases that the guards may refuse, `cases` how many patients with cases of either label there must be for
    anything to pass.
    """

    auc: float = 0.0
    sensitivity: float = 0.0
    specificity: float = 0.0
    subgroup: float = 0.0
    refused: float = 1.0
    cases: int = 30

    @property
    def declared(self) -> bool:
        return max(self.auc, self.sensitivity, self.specificity) > 0

    def floors(self, *, subgroup: bool) -> dict[str, float]:
        """By measure, for all cases or for a subgroup."""
        asked = {name: float(getattr(self, name)) for name in _MEASURES}
        if not subgroup or not self.subgroup:
            return asked
        return {name: self.subgroup if value or name == "auc" else 0.0 for name, value in asked.items()}

    def covers(self, other: Limits) -> bool:
        """Whether they ask as much as these."""
        mine = {**self.floors(subgroup=False), **_renamed(self)}
        theirs = {**other.floors(subgroup=False), **_renamed(other)}
        enough = all(mine[name] >= value for name, value in theirs.items())
        return enough and self.refused <= other.refused and self.cases >= other.cases


def _renamed(limits: Limits) -> dict[str, float]:
    return {f"subgroup {name}": value for name, value in limits.floors(subgroup=True).items()}


@dataclass(frozen=True)
class Measured:
    """A figure with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Acceptance:
    """One run. `sha256` is the model's digest, `data_sha256` that of the cases; `missed` says what lay below.

    `worst_subgroup` is the one of lowest AUC among those that are large enough; empty where there is none.
    """

    id: str
    name: str
    version: str
    sha256: str
    data_sha256: str
    scored: int
    positive: int
    refused: int
    auc: Measured
    sensitivity: Measured
    specificity: Measured
    worst_subgroup: str
    worst_auc: float | None
    limits: Limits
    missed: tuple[str, ...]
    verdict: Verdict
    at: datetime
    by: str

    @property
    def refused_share(self) -> float:
        return self.refused / max(1, self.refused + self.scored)


def verdict(limits: Limits, missed: Sequence[str]) -> Verdict:
    if not limits.declared:
        return "measured"
    return "missed" if missed else "passed"


def why_not(model: ServedModel, runs: Sequence[Acceptance], asked: Limits) -> str:
    """Why the model may not be active where acceptance is required; empty where it may.

    Of the runs of its digest (newest first) the newest that was judged counts. Rules have no probabilities to measure.
    """
    if model.needs is not None and model.needs.kind in _RULES:
        return ""
    newest = next((run for run in runs if run.verdict != "measured"), None)
    if newest is None:
        return "no acceptance run of exactly this digest was judged by limits"
    if newest.verdict == "missed":
        return f"its newest acceptance run missed: {'; '.join(newest.missed)}"
    if not newest.limits.covers(asked):
        return "its acceptance run was judged by lower limits than models.least_* and models.most_refused ask now"
    return ""
