"""Making the pack `icu-deterioration-gru` from PhysioNet 2012, set a; all of it but the signature.

    python -m models.training.icu_deterioration --data DIR --out models/packs --seed 1
    python -m models.training.sign_pack --key KEY.pem models/packs/icu-deterioration-gru

Set b is kept apart for an independent evaluation and is neither read nor needed.
"""

from __future__ import annotations

import hashlib
import io
import json
import tempfile
from importlib.metadata import version as installed
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch

from models.training import (
    icu_choice,
    icu_data,
    icu_evaluation,
    icu_words,
    plots,
    value_measure,
    value_pack,
    value_words,
)
from models.training.icu_data import STATICS, VARIABLES, IcuSet
from models.training.icu_members import Fitter, features_of
from models.training.icu_network import Ensemble, Recipe
from models.training.icu_trees import Trees
from models.training.rank import say
from models.training.value_measure import Recipe as Choice
from models.training.value_pack import Subject, input_field, local, other_unit, snomed
from models.training.write_pack import card_xml, write

OPSET, IR_VERSION, TOLERANCE = 17, 10, 1e-5
FILES = ("physionet2012/physionet2012_set_a_long.csv.gz", "physionet2012/Outcomes-a.txt")
UNITS = {
    "Albumin": [other_unit("g/L", 0.1)],
    "BUN": [other_unit("mmol/L", 2.801)],
    "Bilirubin": [other_unit("umol/L", 0.05848)],
    "Cholesterol": [other_unit("mmol/L", 38.67)],
    "Creatinine": [other_unit("umol/L", 0.01131)],
    "FiO2": [other_unit("%", 0.01)],
    "Glucose": [other_unit("mmol/L", 18.016)],
    "K": [other_unit("meq/L", 1.0)],
    "HCO3": [other_unit("meq/L", 1.0)],
    "Na": [other_unit("meq/L", 1.0)],
    "Lactate": [other_unit("mg/dL", 0.111)],
    "Mg": [other_unit("mmol/L", 2.431)],
    "PaCO2": [other_unit("kPa", 7.50062)],
    "PaO2": [other_unit("kPa", 7.50062)],
    "Temp": [other_unit("[degF]", 5 / 9, -160 / 9)],
    "Weight": [other_unit("[lb_av]", 0.45359)],
}
UNIT_KINDS = {"coronary": 1.0, "cardiac surgery": 2.0, "medical": 3.0, "surgical": 4.0}
SINGLE = (
    input_field("Age", "Age", "a", 15, 110, "30525-0", required=True),
    input_field("Gender", "Sex", "1", 0, 1, "76689-9", answers={"female": 0.0, "male": 1.0}),
    input_field("Height", "Body height", "cm", 120, 230, "8302-2", conversions=[other_unit("[in_i]", 2.54)]),
    input_field("Weight", "Body weight on admission", "kg", 20, 350, "29463-7"),
    input_field("ICUType", "Kind of intensive care unit", "1", 1, 4, answers=UNIT_KINDS, required=True),
)


def fields() -> tuple[dict[str, Any], ...]:
    """The 37 series of the manifest, in the order of the tensor's columns."""
    return tuple(
        input_field(
            name,
            one.title,
            one.unit,
            one.low,
            one.high,
            *([one.loinc] if one.loinc else []),
            **({"conversions": UNITS[name]} if name in UNITS else {}),
        )
        for name, one in VARIABLES.items()
    )


def subject(folder: Path) -> Subject:
    """Labels, fields and words."""
    return Subject(
        words=icu_words.words(value_pack.digest(*(folder / name for name in FILES))),
        licence="Apache-2.0 (weights); data ODC-BY 1.0",
        question=local("icu-death-in-hospital", "Death in hospital after 48 hours of intensive care"),
        labels=(
            {
                "name": "death-in-hospital",
                "title": "raised risk of dying in hospital",
                "code": snomed("419099009", "Dead"),
            },
            {"name": "survival", "title": "risk not raised", "code": local("survival", "Risk not raised")},
        ),
        fields=fields(),
        missing_max=0.0,
        recipe=Choice((), 0.0, icu_evaluation.SENSITIVITY, icu_evaluation.ALPHA),
        use="research only; adults in intensive care for 48 hours and more, United States, 2001-2008",
        applies_to={"age_min_years": 15.0, "age_max_years": 110.0},
    )


def build(fitter: Fitter, recipe: Recipe, seed: int, boost: str, weight: float) -> Ensemble:
    """The shipped ensemble, not yet calibrated: members on all stays."""
    rows, settings = np.arange(len(fitter.data.death)), icu_choice.BOOSTS[boost]
    seeds = [seed + k for k in range(icu_evaluation.MEMBERS)]
    trees = Trees(fitter.boosters(rows, settings, seeds), settings.max_leaf_nodes)
    return Ensemble(fitter.scale(rows), fitter.networks(rows, recipe, seeds), trees, weight).eval()


def export(net: Ensemble, metadata: dict[str, str]) -> bytes:
    """`values` (batch, 48, 37) and `statics` (batch, 5) to `prob` and `member`."""
    sample = (torch.full((2, icu_data.HOURS, len(VARIABLES)), torch.nan), torch.ones(2, len(STATICS)))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(
            net,
            sample,
            path,
            dynamo=False,
            input_names=["values", "statics"],
            output_names=["prob", "member"],
            dynamic_axes={name: {0: "batch"} for name in ("values", "statics", "prob", "member")},
            opset_version=OPSET,
        )
        model = onnx.load(path)
    model.ir_version = IR_VERSION
    del model.metadata_props[:]
    for key, value in sorted(metadata.items()):
        model.metadata_props.add(key=key, value=value)
    onnx.checker.check_model(model, full_check=True)
    made: bytes = model.SerializeToString()
    return made


def outputs(graph: bytes, values: Any, statics: Any) -> Any:
    """`prob` through ONNX Runtime, 64 stays at a time."""
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    parts = [
        session.run(["prob"], {"values": values[k : k + 64], "statics": statics[k : k + 64]})[0]
        for k in range(0, len(values), 64)
    ]
    return np.concatenate(parts)


def parity(net: Ensemble, graph: bytes, data: IcuSet) -> dict[str, float]:
    """Largest difference to torch at batch 1, 3 and 64, with nothing measured, with nonsense, and row by row."""
    values, statics = data.values[:64].copy(), data.statics[:64].copy()
    values[60:62], statics[60:62] = np.nan, np.nan
    values[62], values[63] = 1e9, -1e9
    worst = 0.0
    for size in (1, 3, 64):
        with torch.no_grad():
            want = net(torch.from_numpy(values[:size]), torch.from_numpy(statics[:size]))[0].numpy()
        worst = max(worst, float(np.abs(outputs(graph, values[:size], statics[:size]) - want).max()))
    alone = np.concatenate([outputs(graph, values[k : k + 1], statics[k : k + 1]) for k in range(0, 64, 7)])
    single = float(np.abs(alone - outputs(graph, values, statics)[::7]).max())
    if max(worst, single) > TOLERANCE:
        raise AssertionError(f"ONNX Runtime differs from torch: {worst}, {single}")
    return {"prob": worst, "batched_to_single": single}


def golden(data: IcuSet, graph: bytes) -> bytes:
    """Eight made-up stays, every series taken from another person, with the probabilities that must come."""
    noise = np.random.default_rng(0)
    stays = 8
    values = np.stack(
        [data.values[noise.permutation(len(data.values))[:stays], :, k] for k in range(len(VARIABLES))], 2
    )
    statics = np.stack([noise.permutation(column)[:stays] for column in data.statics.T], 1)
    values[-1], statics[-1] = np.nan, np.nan
    out = io.BytesIO()
    np.savez_compressed(out, values=values, statics=statics, prob=outputs(graph, values, statics))
    return out.getvalue()


def manifest(about: Subject, chosen: dict[str, Any], files: dict[str, bytes]) -> bytes:
    """`manifest.toml` with the two tensors."""
    told = value_pack.page(about, chosen, files)
    told["output"] = {
        "prob": "prob",
        "contribution": "",
        "positive": about.labels[0]["name"],
        "threshold": chosen["threshold"],
    }
    told["input"] = {
        "kind": "series",
        "tensor": "values",
        "static_tensor": "statics",
        "bins": icu_data.HOURS,
        "bin_minutes": 60,
        "measured_min": 6,
        "span_min_bins": 36,
        "fields": list(about.fields),
        "statics": list(SINGLE),
    }
    return value_pack.as_toml(told)


def describe(data: IcuSet) -> dict[str, Any]:
    """Size, repeats, and the share of stays that the guard would refuse."""
    seen = ~np.isnan(data.values)
    filled = seen.any(2)
    span = icu_data.HOURS - 1 - filled[:, ::-1].argmax(1) - filled.argmax(1)
    same = {hashlib.sha256(stay.tobytes()).digest() for stay in data.values}
    return {
        "data": {
            "rows": len(data.death),
            "positive": int(data.death.sum()),
            "missing_hourly": round(1 - float(seen.mean()), 4),
        },
        "leaks": {
            "stays with the very same series as another": len(data.values) - len(same),
            "outcome columns among the inputs": 0,
        },
        "guard": {"stays refused": int(((seen.any(1).sum(1) < 6) | (span < 36)).sum())},
    }


def main() -> None:
    """Folds, final fit, evaluation, the pack folder."""
    args = value_pack.arguments(__doc__)
    torch.set_num_threads(1)
    data, about, recipe = icu_data.load(args.data), subject(args.data), Recipe()
    fitter = Fitter(data, features_of(data), args.cache)
    truth = data.death == 1
    splits = value_measure.folds(truth, data.record, args.seed)
    scores = icu_evaluation.score(fitter, splits, recipe, args.seed)
    found, said = icu_evaluation.evaluate(data, scores, splits, args.seed)
    chosen = value_measure.choose(said.score, truth, icu_evaluation.SENSITIVITY, icu_evaluation.ALPHA)
    table, boost, weight = icu_choice.on_average(scores.chosen)
    net = build(fitter, recipe, args.seed, boost, weight)
    net.platt.copy_(torch.tensor([chosen["slope"], chosen["intercept"]]))
    told = "values: batch, 48 hours, 37 series; statics: batch, " + ",".join(STATICS)
    graph = export(net, value_pack.metadata(about, chosen, told))
    found = {
        "model": about.words.name,
        "version": about.words.version,
        "recipe": {
            "network": recipe.__dict__,
            "trees": icu_choice.BOOSTS[boost].__dict__ | {"summaries": fitter.features.shape[1]},
            "weight_of_trees": weight,
            "networks": icu_evaluation.MEMBERS,
            "boosters": icu_evaluation.MEMBERS,
            "sensitivity": icu_evaluation.SENSITIVITY,
        },
        "choice": icu_words.CHOICE
        | {"mean_auc_of_inner_folds": table, "outer_folds": [one.told() for one in scores.chosen]},
        "software": {name: installed(name) for name in ("torch", "onnx", "onnxruntime", "numpy", "scikit-learn")},
        **describe(data),
        "chosen_on_validation": chosen,
        "parity": parity(net, graph, data),
        **found,
    }
    words = about.words
    files = {
        "model.onnx": graph,
        "evaluation.json": (json.dumps(found, indent=1) + "\n").encode(),
        "card.xml": card_xml(value_words.card(words, found), list(words.keywords), value_words.metrics(words, found)),
        "facts.md": value_words.facts(words, found).encode("utf-8"),
        "golden.npz": golden(data, graph),
        "plots/roc.png": plots.roc({"5-fold, held out": (said.prob, truth)}, chosen["threshold"], words.name),
        "plots/reliability.png": plots.reliability(said.prob, truth, "Calibration, held-out stays"),
        "plots/subgroups.png": plots.subgroups(found["subgroups"], found["test"]["auc"], "AUC by group"),
    }
    write(args.out / words.name, files | {"manifest.toml": manifest(about, chosen, files)})
    say(files["facts.md"].decode("utf-8"))


if __name__ == "__main__":
    main()
