"""From a `ValueSet` to the files of a pack on records: what is the same for every such pack.

A pack differs in its fields, its recipe, its splits and its words (`Subject`); evaluation, graph, manifest,
pictures, card and golden vectors are made in one way.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np

from models.training import linear_graph, measure, plots, value_measure, value_words
from models.training.design import Floats, Linear, Term
from models.training.rank import say
from models.training.value_measure import Held, Recipe, Rows, Split, ValueSet
from models.training.value_words import Words
from models.training.write_pack import LOCAL, card_xml, toml, write

LOINC, SNOMED = "http://loinc.org", "http://snomed.info/sct"
SEEDS = 5
GOLDEN = 24


@dataclass(frozen=True)
class Subject:
    """What one pack says that another does not. Labels are (name, title, code), positive first."""

    words: Words
    licence: str
    question: dict[str, str]
    labels: tuple[dict[str, Any], dict[str, Any]]
    fields: tuple[dict[str, Any], ...]
    missing_max: float
    recipe: Recipe
    use: str
    applies_to: dict[str, Any] = field(default_factory=dict)
    one_of: tuple[str, ...] = ()  # fields of which one at least must be known
    excludes: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Shipped:
    """The model of the pack, its graph, and what was chosen for it."""

    model: Linear
    graph: bytes
    chosen: dict[str, Any]


@dataclass(frozen=True)
class Study:
    """How a pack is evaluated: splits by seed, baselines, external sets, and what else the evaluation tells."""

    splits: Callable[[int], list[Split]]
    baselines: Mapping[str, Callable[[list[Split]], Floats]]
    external: Mapping[str, ValueSet] = field(default_factory=dict)
    told: Mapping[str, Any] = field(default_factory=dict)
    wanted_auc: float = 0.5
    lines: Mapping[str, float] = field(default_factory=dict)  # AUC wanted on an external set
    train: Rows | None = None  # rows of the shipped model; None: all
    built: Callable[[int], tuple[Linear, dict[str, Any]]] | None = None  # where inputs are chosen by training rows
    held: Callable[[int], Held] | None = None  # the same, for every split


def local(value: str, display: str) -> dict[str, str]:
    """A code of our own system."""
    return LOCAL | {"value": value, "display": display}


def input_field(name: str, title: str, unit: str, low: float, high: float, *codes: str, **more: Any) -> dict[str, Any]:
    """A field of the manifest; `codes` are LOINC."""
    told = [{"system": LOINC, "value": code} for code in codes]
    page: dict[str, Any] = {"name": name, "title": title, "unit": unit, "low": float(low), "high": float(high)}
    return page | more | ({"codes": told} if told else {})


def yes_no(name: str, title: str, *codes: str, **more: Any) -> dict[str, Any]:
    """A field that is yes or no."""
    return input_field(name, title, "1", 0, 1, *codes, answers={"no": 0.0, "yes": 1.0}, **more)


def sex_field(**more: Any) -> dict[str, Any]:
    """Sex, 1 for male."""
    return input_field("male", "Sex", "1", 0, 1, "76689-9", answers={"female": 0.0, "male": 1.0}, **more)


def snomed(value: str, display: str) -> dict[str, str]:
    """A SNOMED CT code."""
    return {"system": SNOMED, "scheme": "SCT", "value": value, "display": display}


def repeats(data: ValueSet) -> dict[str, int]:
    """The first leak check: groups that have several rows, and rows with the very same values and label."""
    rows = np.column_stack([np.nan_to_num(data.raw, nan=-9e9), data.truth])
    return {
        "rows beyond one a group": len(data.truth) - len(np.unique(data.group)),
        "rows with the same values and label as another": len(rows) - len(np.unique(rows, axis=0)),
    }


def other_unit(unit: str, factor: float, offset: float = 0.0) -> dict[str, Any]:
    """A conversion: the field's unit is `factor` times this one plus `offset`."""
    return {"unit": unit, "factor": factor, "offset": offset}


def make(subject: Subject, data: ValueSet, study: Study, seed: int) -> dict[str, bytes]:
    """All files of the pack but its signature."""
    rows = np.arange(len(data.truth)) if study.train is None else study.train
    model, chosen = study.built(seed) if study.built else value_measure.build(data, rows, subject.recipe, seed)
    graph = linear_graph.build(model, len(subject.fields), metadata(subject, chosen))
    shipped = Shipped(model, graph, chosen)
    found, pictures = evaluate(subject, data, study, shipped, seed)
    files = {
        "model.onnx": graph,
        "evaluation.json": (json.dumps(found, indent=1) + "\n").encode(),
        "card.xml": card_xml(
            value_words.card(subject.words, found),
            list(subject.words.keywords),
            value_words.metrics(subject.words, found),
        ),
        "facts.md": value_words.facts(subject.words, found).encode("utf-8"),
        "golden.npz": golden(data.raw, graph),
        **pictures,
    }
    return files | {"manifest.toml": manifest(subject, chosen, model.intercept, files)}


def evaluate(
    subject: Subject, data: ValueSet, study: Study, shipped: Shipped, seed: int
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """`evaluation.json`, and the plots."""
    model, graph, chosen = shipped.model, shipped.graph, shipped.chosen
    held = {
        s: study.held(s) if study.held else value_measure.held_out(data, study.splits(s), subject.recipe, s)
        for s in range(seed, seed + SEEDS)
    }
    first = held[seed]
    rows = np.flatnonzero(first.part >= 0)
    truth, group = data.truth[rows], data.group[rows]
    test = value_measure.summary(first.prob[rows], truth, first.threshold[rows], group)
    auc = value_measure.spread([value_measure.mean_of_parts(h, data.truth) for h in held.values()])
    baselines = {
        name: value_measure.against(first.prob[rows], score(study.splits(seed))[rows], truth, group)
        for name, score in study.baselines.items()
    }
    external = {name: outside(graph, chosen, one) for name, one in study.external.items()}
    subgroups = value_measure.by_subgroup(first, data, rows)
    found = {
        "model": subject.words.name,
        "version": subject.words.version,
        "recipe": recipe_page(subject),
        "software": {name: installed(name) for name in ("onnx", "onnxruntime", "numpy", "scikit-learn")},
        "data": {"rows": len(data.truth), "positive": int(data.truth.sum()), "groups": len(np.unique(data.group))},
        "missing_share": {
            f["name"]: round(float(m), 4) for f, m in zip(subject.fields, np.isnan(data.raw).mean(0), strict=True)
        },
        **study.told,
        "chosen_on_validation": chosen,
        "parity": linear_graph.parity(model, graph, data.raw),
        "test": test,
        "seeds": {"auc, mean of splits": auc},
        "before_calibration": {
            "brier": round(float(np.mean((first.score[rows] - truth) ** 2)), 4),
            "ece": round(measure.ece(first.score[rows], truth), 4),
        },
        "baselines": baselines,
        "external": external,
        "subgroups": subgroups,
        "conformal": {"alpha": subject.recipe.alpha, "test": value_measure.coverage(first, data.truth, rows)},
        "weights": weights(subject, model),
        "targets": {"AUC": {"wanted": study.wanted_auc, "measured": auc["mean"]}}
        | {
            f"AUC on {name}": {"wanted": line, "measured": external[name]["auc"]["value"]}
            for name, line in study.lines.items()
        },
    }
    curves = {f"{subject.words.test}, n = {len(rows)}": (first.prob[rows], truth)}
    curves |= {
        name: (linear_graph.outputs(graph, one.raw)[0][:, 0].astype(np.float64), one.truth)
        for name, one in study.external.items()
    }
    return found, {
        "plots/roc.png": plots.roc(curves, chosen["threshold"], subject.words.name),
        "plots/reliability.png": plots.reliability(first.prob[rows], truth, "Calibration, held-out rows"),
        "plots/subgroups.png": plots.subgroups(subgroups, test["auc"], "AUC by group"),
    }


def outside(graph: bytes, chosen: dict[str, Any], data: ValueSet) -> dict[str, Any]:
    """The shipped graph on a set that had no part in making it, with coverage."""
    prob = linear_graph.outputs(graph, data.raw)[0][:, 0].astype(np.float64)
    full = np.full(len(prob), 1.0)
    held = value_measure.Held(
        prob,
        full * chosen["threshold"],
        full * chosen["quantile_positive"],
        full * chosen["quantile_negative"],
        prob,
        np.zeros(len(prob), np.int64),
    )
    rows = np.arange(len(prob))
    return value_measure.summary(prob, data.truth, chosen["threshold"], data.group) | {
        "conformal": value_measure.coverage(held, data.truth, rows),
        "subgroups": value_measure.by_subgroup(held, data, rows),
        "observed_minus_predicted": round(float(data.truth.mean() - prob.mean()), 4),
    }


def recipe_page(subject: Subject) -> dict[str, Any]:
    """The recipe in names instead of numbers."""
    recipe, names = subject.recipe, [f["name"] for f in subject.fields]
    terms = [_term_in_words(term, names) for term in recipe.terms]
    return {
        "method": "logistic regression, L2",
        "c": recipe.c,
        "sensitivity": recipe.sensitivity,
        "by_rank": recipe.by_rank,
        "terms": terms,
    }


def _term_in_words(term: Term, names: list[str]) -> str:
    """`above age 45`, `product age bmi`, `linear margin_spiculated where birads is known`."""
    said = [term.kind, names[term.field]]
    if term.other >= 0:
        said.append(names[term.other])
    if term.kind in ("equals", "above"):
        said.append(f"{term.value:g}")
    if term.only is not None:
        place, wanted = term.only
        said.append(f"where {names[place]} is {wanted if isinstance(wanted, str) else f'{wanted:g}'}")
    return " ".join(said)


def weights(subject: Subject, model: Linear) -> dict[str, float]:
    """Log-odds per standard deviation of every term, largest first."""
    named = recipe_page(subject)["terms"]
    pairs = sorted(zip(named, model.weight, strict=True), key=lambda pair: -abs(pair[1]))
    return {name: round(float(weight), 4) for name, weight in pairs[:40]}


def metadata(subject: Subject, chosen: dict[str, Any], inputs: str = "") -> dict[str, str]:
    """What the ONNX file says about itself; the server compares it to the signed manifest."""
    words = subject.words
    told = inputs or "values: batch, fields in the order " + ",".join(f["name"] for f in subject.fields)
    return {
        "id": words.name,
        "version": words.version,
        "labels": ",".join(label["name"] for label in subject.labels),
        "positive": subject.labels[0]["name"],
        "threshold": repr(chosen["threshold"]),
        "platt": f"{chosen['slope']!r},{chosen['intercept']!r}",
        "conformal_alpha": repr(subject.recipe.alpha),
        "conformal_quantiles": f"{chosen['quantile_positive']!r},{chosen['quantile_negative']!r}",
        "input": f"{told}; raw units of the manifest, NaN where not known",
        "data_sha256": ",".join(source["sha256"] for source in words.sources),
        "use": subject.use,
    }


def page(subject: Subject, chosen: dict[str, Any], files: dict[str, bytes]) -> dict[str, Any]:
    """The manifest without its input and output."""
    words, names = subject.words, [label["name"] for label in subject.labels]
    quantiles = dict(zip(names, (chosen["quantile_positive"], chosen["quantile_negative"]), strict=True))
    return {
        "name": words.name,
        "version": words.version,
        "title": words.title,
        "task": "classification",
        "licence": subject.licence,
        "intended_use": words.intended,
        "out_of_scope": words.out_of_scope,
        "device_memory_mib": 32,
        "question": subject.question,
        "applies_to": subject.applies_to,
        "calibration": {"method": "Platt", "slope": chosen["slope"], "intercept": chosen["intercept"]},
        "conformal": {"alpha": subject.recipe.alpha, "quantiles": quantiles},
        "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
        "labels": list(subject.labels),
        "sources": list(words.sources),
    }


def manifest(subject: Subject, chosen: dict[str, Any], intercept: float, files: dict[str, bytes]) -> bytes:
    """`manifest.toml`; the digests are those of `files`."""
    told = page(subject, chosen, files)
    told["output"] = {
        "prob": "prob",
        "contribution": "contribution",
        "positive": subject.labels[0]["name"],
        "threshold": chosen["threshold"],
        "intercept": intercept,
    }
    told["input"] = {
        "kind": "record",
        "tensor": linear_graph.TENSOR,
        "missing_max": subject.missing_max,
        "by_rank": subject.recipe.by_rank,
        **({"one_of": list(subject.one_of)} if subject.one_of else {}),
        **({"excludes": list(subject.excludes)} if subject.excludes else {}),
        "fields": list(subject.fields),
    }
    return as_toml(told)


def as_toml(told: dict[str, Any]) -> bytes:
    """The page with its head."""
    head = "# Written by models.training; sealed in pack.sig. Change nothing by hand.\n"
    return (head + toml(told) + "\n").encode("utf-8")


def golden(raw: Floats, graph: bytes) -> bytes:
    """Made-up records (values of different people mixed, holes punched), with the probabilities that must come.

    No row of the data is kept: licences and people.
    """
    noise = np.random.default_rng(0)
    mixed = np.stack([noise.permutation(column)[:GOLDEN] for column in raw.T], 1).astype(np.float32)
    mixed[noise.random(mixed.shape) < 0.1] = np.nan
    mixed[-1] = np.nan
    out = io.BytesIO()
    np.savez_compressed(out, **{linear_graph.TENSOR: mixed, "prob": linear_graph.outputs(graph, mixed)[0]})
    return out.getvalue()


def digest(*paths: Path) -> str:
    """sha256 of the files, one after the other."""
    total = hashlib.sha256()
    for path in paths:
        total.update(path.read_bytes())
    return total.hexdigest()


def arguments(about: str | None) -> argparse.Namespace:
    """`--data DIR --out DIR --seed N [--cache DIR]`, the same for every pack."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cache", type=Path, help="keep fitted members here (networks only)")
    return parser.parse_args()


def run(about: str | None, made: Callable[[Path, int], tuple[Subject, ValueSet, Study]]) -> None:
    """Command line of a recipe: load, fit, evaluate, write the pack folder, print what came out."""
    args = arguments(about)
    subject, data, study = made(args.data, args.seed)
    files = make(subject, data, study, args.seed)
    write(args.out / subject.words.name, files)
    say(files["facts.md"].decode("utf-8"))
