"""A model on a record: units, ranges and missing values are checked, the answer explained; nothing is guessed."""

from __future__ import annotations

import dataclasses
import io
import json
from collections.abc import Callable

import numpy as np
import pytest
from harness.built_in import built_in

from gateway.domain.errors import Fault, Forbidden, Unsupported
from models.manifest import RecordManifest
from models.package import Package
from models.registry import describe, load
from models.runtime.predict import INCONCLUSIVE
from models.runtime.providers import Policy
from models.runtime.readings import CODES, Patient, Reading
from models.runtime.record import RecordPredictor, ValuePrediction
from models.runtime.value_session import ValueSession

PACKAGES = built_in()
RECORDS = [package for package in PACKAGES.values() if isinstance(package.manifest, RecordManifest)]
NEEDED = [Reading("age", 61.0, "a"), Reading("male", "male")]
REST = [
    Reading("bmi", 34.0, "kg/m2"),
    Reading("waist", 112.0, "cm"),
    Reading("systolic", 150.0, "mm[Hg]"),
    Reading("hdl", 35.0, "mg/dL"),
]


def opened(name: str) -> RecordPredictor:
    session = load(PACKAGES[name], Policy.CPU_ONLY)
    assert isinstance(session, ValueSession)
    return RecordPredictor(session)


@pytest.fixture(scope="module")
def diabetes() -> RecordPredictor:
    return opened("diabetes-risk")


def positive(prediction: ValuePrediction) -> float:
    return prediction.probabilities[0][1]


def test_a_record_gets_an_answer_with_its_reasons(diabetes: RecordPredictor) -> None:
    """An answer names its probability, what raised it, what was not known, and exactly what made it."""
    prediction = diabetes.predict([*NEEDED, *REST])
    assert prediction.refusal is None
    assert prediction.decided == "diabetes"
    assert "Raised by: Age" in prediction.explanation
    assert "Not known: Diastolic blood pressure" in prediction.explanation
    assert prediction.model_sha256 == diabetes.session.package.sha256
    assert prediction.provider == "CPUExecutionProvider"


def test_contributions_add_up_to_the_probability(diabetes: RecordPredictor) -> None:
    """The parts plus the intercept, calibrated as the manifest says, are the very probability that was given."""
    prediction = diabetes.predict([*NEEDED, *REST])
    manifest = diabetes.manifest
    logit = manifest.output.intercept + sum(part.log_odds or 0.0 for part in prediction.contributions)
    calibrated = 1 / (1 + np.exp(-(manifest.calibration.slope * logit + manifest.calibration.intercept)))
    assert positive(prediction) == pytest.approx(calibrated, abs=1e-5)


def test_a_declared_unit_is_converted(diabetes: RecordPredictor) -> None:
    """Inches and mmol/L give the answer of the same person in centimetres and mg/dL."""
    other = [Reading("bmi", 34.0, "kg/m2"), Reading("waist", 112.0 / 2.54, "[in_i]"), REST[2]]
    other.append(Reading("hdl", 35.0 / 38.67, "mmol/L"))
    assert positive(diabetes.predict([*NEEDED, *other])) == pytest.approx(
        positive(diabetes.predict([*NEEDED, *REST])), abs=1e-6
    )


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda rows: [*rows, Reading("diastolic", 80.0, "kPa")], "unit"),
        (lambda rows: [*rows, Reading("diastolic", 8000.0, "mm[Hg]")], "range"),
        (lambda rows: [*rows, Reading("diastolic", float("nan"), "mm[Hg]")], "unreadable"),
        (lambda rows: [*rows, Reading("smoked", "perhaps")], "unreadable"),
        (lambda rows: [*rows, Reading("hba1c", 6.9, "%")], "unknown-input"),
        (lambda rows: [*rows, Reading("age", 62.0, "a")], "twice"),
        (lambda rows: rows[1:], "required"),
        (lambda rows: rows[:2], "too-little"),
        (lambda rows: [], "required"),
        (lambda rows: rows * 2000, "twice"),
    ],
)
def test_what_does_not_fit_is_refused(
    diabetes: RecordPredictor, change: Callable[[list[Reading]], list[Reading]], code: str
) -> None:
    """A foreign unit, an impossible or unknown value, too little or too much: refused by code, without a number."""
    prediction = diabetes.predict(change([*NEEDED, *REST]))
    assert prediction.refusal is not None
    assert prediction.refusal.code == code
    assert code in CODES
    assert prediction.probabilities == ()
    assert prediction.decided is None
    for value in ("8000", "6.9", "62"):
        assert value not in prediction.text


def test_a_patient_out_of_scope_is_refused() -> None:
    """A child, and a man for a model made from women, are refused before any value is read."""
    child = opened("diabetes-risk").predict([*NEEDED, *REST], Patient(age_years=7.0))
    man = opened("mammography-findings").predict([Reading("finding", "mass")], Patient(sex="M"))
    assert child.refusal is not None
    assert man.refusal is not None
    assert (child.refusal.code, man.refusal.code) == ("age", "sex")


def test_two_possible_labels_are_inconclusive(diabetes: RecordPredictor) -> None:
    """Where the conformal set does not hold exactly the threshold's label, no label is decided."""
    seen = set()
    for age in range(20, 86):
        prediction = diabetes.predict([Reading("age", float(age), "a"), NEEDED[1], *REST[:3]])
        seen.add(prediction.decided)
        if prediction.decided is None:
            assert prediction.possible != (prediction.by_threshold,)
            assert prediction.text.startswith(INCONCLUSIVE[0].upper() + INCONCLUSIVE[1:])
    assert seen == {"diabetes", "no-diabetes", None}


@pytest.mark.parametrize("package", RECORDS, ids=lambda p: p.manifest.name)
def test_every_record_pack_takes_holes_and_batches(package: Package) -> None:
    """Batch 1 and 64, nothing known, and extremes: finite, the same alone as together, probabilities that sum to 1."""
    session = load(package, Policy.CPU_ONLY)
    assert isinstance(session, ValueSession)
    manifest = session.manifest
    assert isinstance(manifest, RecordManifest)
    fields = manifest.input.fields
    noise = np.random.default_rng(3)
    low, high = np.asarray([f.low for f in fields]), np.asarray([f.high for f in fields])
    batch = (low + (high - low) * noise.random((64, len(fields)))).astype(np.float32)
    batch[:32][noise.random((32, len(fields))) < 0.4] = np.nan
    batch[0], batch[1], batch[2] = np.nan, low, high
    together, parts = session.run({manifest.input.tensor: batch})
    assert parts.shape == batch.shape
    assert np.all(parts[np.isnan(batch)] == 0.0)
    np.testing.assert_allclose(together.sum(1), 1.0, atol=1e-6)
    for row in range(8):
        alone, _ = session.run({manifest.input.tensor: batch[row : row + 1]})
        np.testing.assert_allclose(alone[0], together[row], atol=1e-5)


@pytest.mark.parametrize("package", RECORDS, ids=lambda p: p.manifest.name)
def test_an_empty_record_is_refused_by_every_pack(package: Package) -> None:
    """No model answers for a record that says nothing."""
    session = load(package, Policy.CPU_ONLY)
    assert isinstance(session, ValueSession)
    prediction = RecordPredictor(session).predict([])
    assert prediction.refusal is not None
    assert prediction.refusal.code in ("required", "too-little")


def test_ranks_make_the_unit_free() -> None:
    """Expression doubled and shifted, as another scanner gives it, gets the very same answer."""
    predictor = opened("tumour-er-status")
    noise = np.random.default_rng(5)
    values = noise.normal(0, 1, len(predictor.manifest.input.fields))
    names = [field.name for field in predictor.manifest.input.fields]
    first = predictor.predict([Reading(n, float(v), "1") for n, v in zip(names, values, strict=True)])
    second = predictor.predict([Reading(n, float(2 * v + 5), "1") for n, v in zip(names, values, strict=True)])
    assert positive(first) == pytest.approx(positive(second), abs=1e-6)


def test_a_changed_threshold_is_noticed(diabetes: RecordPredictor) -> None:
    """A manifest that disagrees with the graph's own metadata stops the load."""
    package = diabetes.session.package
    output = dataclasses.replace(diabetes.manifest.output, threshold=0.9)
    manifest = dataclasses.replace(diabetes.manifest, output=output)
    with pytest.raises(Forbidden, match="threshold"):
        ValueSession(dataclasses.replace(package, manifest=manifest), Policy.CPU_ONLY)


def test_wrong_golden_vectors_stop_the_load(diabetes: RecordPredictor) -> None:
    """A graph that does not reproduce its golden vectors is a fault."""
    package = diabetes.session.package
    with np.load(io.BytesIO(package.content["golden.npz"])) as golden:
        out = io.BytesIO()
        np.savez(out, values=golden["values"], prob=golden["prob"] + 0.01)
    content = dict(package.content) | {"golden.npz": out.getvalue()}
    with pytest.raises(Fault, match="golden"):
        ValueSession(dataclasses.replace(package, content=content), Policy.CPU_ONLY)


def test_an_image_pack_is_no_record() -> None:
    """A session for values refuses a pack on images."""
    with pytest.raises(Unsupported):
        ValueSession(PACKAGES["breast-ultrasound-cnn"])


@pytest.mark.parametrize("package", PACKAGES.values(), ids=lambda p: p.manifest.name)
def test_every_pack_describes_itself(package: Package) -> None:
    """The description is plain JSON, names the kind of input, and only image packs name modalities."""
    told = describe(load(package, Policy.CPU_ONLY))
    assert json.loads(json.dumps(told)) == told
    assert told["input_kind"] == package.manifest.kind
    assert bool(told["modalities"]) == (told["input_kind"] == "image")


@pytest.mark.parametrize("package", RECORDS, ids=lambda p: p.manifest.name)
def test_the_baselines_are_on_the_card(package: Package) -> None:
    """Every record pack states a trivial baseline with an interval of the difference, and whether it met its line."""
    found = json.loads(package.content["evaluation.json"])
    facts = package.content["facts.md"].decode("utf-8")
    assert found["baselines"]
    for line in found["baselines"].values():
        low, high = line["model_minus_baseline"]["ci95"]
        assert low <= line["model_minus_baseline"]["value"] <= high
    for line in found["targets"].values():
        assert ("NOT reached" in facts) or line["measured"] >= line["wanted"]
    assert max(found["parity"].values()) < 1e-5
