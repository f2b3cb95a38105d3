"""accept: measures a signed pack, as it will be served, on a site's own labelled cases, before anybody promotes it.

Nothing of the pack is changed and nothing is chosen: threshold, quantiles and guards are those that its maker signed.
So every case may be scored, and the figures say how the model would have done here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gateway.config import RemoteModelSettings
from gateway.domain.errors import Invalid, Unsupported
from models import registry
from models.bring import numbers
from models.bring.cases import Predictors, Scored, score
from models.manifest import Scored as ScoredManifest
from models.package import Package
from models.runtime.predict import Predictor
from models.runtime.record import RecordPredictor
from models.runtime.series import SeriesPredictor
from models.runtime.session import Session
from models.runtime.value_session import ValueSession


@dataclass(frozen=True)
class Least:
    """What the site wants at least, for all cases and for every subgroup that is large enough; 0 asks nothing."""

    auc: float = 0.0
    sensitivity: float = 0.0
    specificity: float = 0.0


def accept(package: Package, data: Path, least: Least, servers: Sequence[RemoteModelSettings] = ()) -> dict[str, Any]:
    """The figures, with `missed`: what lies below what was wanted. Raises `Invalid` for cases that cannot be used."""
    manifest = package.manifest
    if not isinstance(manifest, ScoredManifest):
        raise Unsupported("a pack of rules has no probabilities to measure")
    cases = score(data, predictor(package, servers))
    found = _measured(manifest, cases)
    return {
        "model": manifest.name,
        "version": manifest.version,
        "model_sha256": package.sha256,
        "data_sha256": cases.sha256,
        **found,
        "wanted": vars(least),
        "missed": _missed(found, least),
    }


def predictor(package: Package, servers: Sequence[RemoteModelSettings] = ()) -> Predictors:
    """What a worker would answer with, on the CPU or on the pack's server."""
    session = registry.load_at_hand(package, servers)
    if isinstance(session, Session):
        return Predictor(session)
    if not isinstance(session, ValueSession):
        raise Unsupported("a pack of rules has no probabilities to measure")
    return SeriesPredictor(session) if package.manifest.kind == "series" else RecordPredictor(session)


def _measured(manifest: ScoredManifest, cases: Scored) -> dict[str, Any]:
    if not 0 < int(cases.truth.sum()) < len(cases.truth):
        raise Invalid("the cases that were scored must hold both labels")
    threshold, positive = manifest.output.threshold, manifest.output.positive
    quantiles = manifest.conformal.quantiles
    (negative, *more) = (label.name for label in manifest.labels if label.name != positive)
    told: dict[str, Any] = {
        "threshold": threshold,
        "refused": {"n": cases.refused.total(), "by_reason": dict(sorted(cases.refused.items()))},
        "few_cases": numbers.few_cases(cases.truth),
        "cases": numbers.summary(cases.prob, cases.truth, threshold, cases.group),
        "subgroups": numbers.by_subgroup(cases.prob, cases.truth, threshold, cases.group, cases.subgroups),
    }
    if not more:
        told["conformal"] = numbers.coverage(cases.prob, cases.truth, quantiles[positive], quantiles[negative])
    return told


def _missed(found: dict[str, Any], least: Least) -> list[str]:
    parts = {"all cases": found["cases"], **found["subgroups"]}
    return [
        f"{part}: {name} {told[name]['value']:.3f}, wanted {wanted:.3f}"
        for part, told in parts.items()
        for name, wanted in vars(least).items()
        if name in told and told[name]["value"] < wanted
    ]
