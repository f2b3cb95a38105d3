"""accept: measures a signed pack, as it will be served, on a site's own labelled cases, before anybody promotes it.

Nothing of the pack is changed and nothing is chosen: threshold, quantiles and guards are those that its maker signed.
So every case may be scored, and the figures say how the model would have done here.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from gateway.config import RemoteModelSettings
from gateway.domain.acceptance import Acceptance, Limits, Measured, verdict
from gateway.domain.errors import Invalid, Unsupported
from gateway.domain.ids import new_id
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

LONGEST_NAME: Final = 120
LONGEST_LINE: Final = 200
MOST_MISSED: Final = 50


def accept(package: Package, data: Path, limits: Limits, servers: Sequence[RemoteModelSettings] = ()) -> dict[str, Any]:
    """The figures with the verdict and what was `missed`. Raises `Invalid` for cases that cannot be used."""
    manifest = package.manifest
    if not isinstance(manifest, ScoredManifest):
        raise Unsupported("a pack of rules has no probabilities to measure")
    cases = score(data, predictor(package, servers))
    found = _measured(manifest, cases)
    missed = _missed(found, limits)
    seen = cases.sha256 == _measured_on(package)
    return {
        "model": manifest.name,
        "version": manifest.version,
        "model_sha256": package.sha256,
        "data_sha256": cases.sha256,
        **found,
        "wanted": vars(limits),
        "missed": missed,
        "seen": seen,
        "verdict": "measured" if seen and not missed else verdict(limits, missed),
    }


def _measured_on(package: Package) -> str:
    """The digest of the cases by which its maker has chosen the threshold; empty where `evaluate` has not told it."""
    try:
        told = json.loads(package.content["evaluation.json"])
        return str(told["data"]["sha256"])
    except (ValueError, KeyError, TypeError):
        return ""


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
        "patients": {name: len(set(cases.group[which].tolist())) for name, which in _sides(cases).items()},
        "cases": numbers.summary(cases.prob, cases.truth, threshold, cases.group),
        "subgroups": numbers.by_subgroup(cases.prob, cases.truth, threshold, cases.group, cases.subgroups),
    }
    if not more:
        told["conformal"] = numbers.coverage(cases.prob, cases.truth, quantiles[positive], quantiles[negative])
    return told


def _sides(cases: Scored) -> dict[str, npt.NDArray[np.bool_]]:
    return {"positive": cases.truth, "negative": ~cases.truth}


def acceptance(found: Mapping[str, Any], limits: Limits, at: datetime, by: str) -> Acceptance:
    """What is kept of a run: figures alone, nothing of a case."""
    cases = found["cases"]
    measured = {
        name: Measured(float(cases[name]["value"]), *map(float, cases[name]["ci95"]))
        for name in ("auc", "sensitivity", "specificity")
    }
    areas = {part: float(told["auc"]["value"]) for part, told in found["subgroups"].items() if "auc" in told}
    worst = min(areas, key=lambda part: areas[part], default="")
    return Acceptance(
        id=new_id(),
        name=found["model"],
        version=found["version"],
        sha256=found["model_sha256"],
        data_sha256=found["data_sha256"],
        scored=cases["n"],
        positive=cases["positive"],
        refused=found["refused"]["n"],
        **measured,
        worst_subgroup=worst[:LONGEST_NAME],
        worst_auc=areas.get(worst),
        limits=limits,
        missed=tuple(one[:LONGEST_LINE] for one in found["missed"][:MOST_MISSED]),
        verdict=found["verdict"],
        at=at,
        by=by,
    )


def _missed(found: dict[str, Any], limits: Limits) -> list[str]:
    """Everything that keeps the run from passing; nothing where nothing was asked."""
    if not limits.declared:
        return []
    cases, refused = found["cases"], found["refused"]["n"]
    fewest, share = min(found["patients"].values()), refused / (refused + cases["n"])
    missed = [f"all cases: {one}" for one in _below(cases, limits.floors(subgroup=False))]
    for part, told in found["subgroups"].items():
        missed += [f"{part}: {one}" for one in _below(told, limits.floors(subgroup=True))]
    if share > limits.refused:
        missed.append(f"refused: {share:.3f} of the cases, wanted at most {limits.refused:.3f}")
    if fewest < limits.cases:
        missed.append(f"too few cases: those of one label are of {fewest} patients, wanted {limits.cases}")
    return missed


def _below(told: Mapping[str, Any], floors: Mapping[str, float]) -> list[str]:
    return [
        f"{name} {told[name]['value']:.3f}, wanted {wanted:.3f}"
        for name, wanted in floors.items()
        if name in told and told[name]["value"] < wanted
    ]
