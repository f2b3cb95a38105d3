"""A model on trajectories: readings are binned, artefacts set aside, gaps understood inside the graph."""

from __future__ import annotations

import numpy as np
import pytest
from harness.built_in import built_in

from models.registry import load
from models.runtime.providers import Policy
from models.runtime.readings import Reading
from models.runtime.series import SeriesPredictor, binned
from models.runtime.value_session import ValueSession

STATICS = [Reading("Age", 81.0, "a"), Reading("ICUType", "medical")]


@pytest.fixture(scope="module")
def icu() -> SeriesPredictor:
    session = load(built_in()["icu-deterioration-gru"], Policy.CPU_ONLY)
    assert isinstance(session, ValueSession)
    return SeriesPredictor(session)


def stay(heart_rate: float, coma: float) -> list[Reading]:
    hourly = range(0, 48 * 60, 60)
    return [
        *(Reading("HR", heart_rate, "/min", minute) for minute in hourly),
        *(Reading("SysABP", 95.0, "mm[Hg]", minute) for minute in hourly),
        *(Reading("GCS", coma, "{score}", minute) for minute in range(0, 48 * 60, 240)),
        *(Reading("Temp", 37.0, "Cel", minute) for minute in range(0, 48 * 60, 300)),
        *(Reading("Creatinine", 1.2, "mg/dL", minute) for minute in (90, 1500, 2700)),
        *(Reading("Lactate", 2.0, "mmol/L", minute) for minute in (90, 1500)),
    ]


def test_a_comatose_patient_is_at_higher_risk_and_told_why(icu: SeriesPredictor) -> None:
    """The same stay in coma has a higher probability, and the coma score is named first or second."""
    well, ill = icu.predict(stay(80.0, 15.0), STATICS), icu.predict(stay(80.0, 3.0), STATICS)
    assert ill.probabilities[0][1] > well.probabilities[0][1]
    assert "Glasgow coma score" in ill.explanation.split("Lowered by")[0]
    assert "without that measurement" in ill.explanation
    assert "Sodium" in ill.missing


def test_what_is_known_once_is_explained_too(icu: SeriesPredictor) -> None:
    """An age of ninety counts for more than one of forty, by as much as leaving it out changes the log-odds; a height
    that nobody gave is told as not known."""

    def effect(age: float) -> float:
        told = icu.predict(stay(80.0, 15.0), [Reading("Age", age, "a"), Reading("ICUType", "medical")])
        assert "Body height" in told.missing
        return next(one.log_odds for one in told.contributions if one.name == "Age" and one.log_odds is not None)

    assert effect(90.0) > effect(40.0)


def test_bins_hold_means_and_holes(icu: SeriesPredictor) -> None:
    """Two readings of one hour become their mean; an hour without one stays NaN; the last minute is the last bin."""
    rule = icu.manifest.input
    readings = [*stay(80.0, 15.0), Reading("HR", 100.0, "/min", 30), Reading("Na", 140.0, "mmol/L", 2880)]
    made = binned(rule, readings, STATICS)
    assert not hasattr(made, "code")
    column = [field.name for field in rule.fields].index("HR")
    sodium = [field.name for field in rule.fields].index("Na")
    assert made.values[0, column] == 90.0  # type: ignore[union-attr]
    assert made.values[47, sodium] == 140.0  # type: ignore[union-attr]
    assert np.isnan(made.values[:47, sodium]).all()  # type: ignore[union-attr]


def test_an_artefact_is_set_aside_and_told(icu: SeriesPredictor) -> None:
    """An impossible temperature changes nothing but the list of what was not used."""
    plain = icu.predict(stay(80.0, 9.0), STATICS)
    odd = icu.predict([*stay(80.0, 9.0), Reading("Temp", 3.0, "Cel", 5)], STATICS)
    assert odd.probabilities == plain.probabilities
    assert len(odd.set_aside) == 1
    assert "3.0" not in odd.set_aside[0]


def test_fahrenheit_is_converted(icu: SeriesPredictor) -> None:
    """A conversion with an offset gives the answer of the same stay in Celsius."""
    other = [
        Reading(r.name, float(r.value) * 9 / 5 + 32, "[degF]", r.minute) if r.name == "Temp" else r
        for r in stay(80.0, 9.0)
    ]
    first, second = icu.predict(stay(80.0, 9.0), STATICS), icu.predict(other, STATICS)
    assert first.probabilities[0][1] == pytest.approx(second.probabilities[0][1], abs=1e-5)


@pytest.mark.parametrize(
    ("readings", "statics", "code"),
    [
        ([], STATICS, "too-little"),
        (stay(80.0, 9.0)[:48], STATICS, "too-little"),
        ([r for r in stay(80.0, 9.0) if r.minute < 1200], STATICS, "too-little"),
        (stay(80.0, 9.0), STATICS[1:], "required"),
        ([*stay(80.0, 9.0), Reading("Lactate", 2.0, "mmol", 7)], STATICS, "unit"),
        ([*stay(80.0, 9.0), Reading("HR", 80.0, "/min", 2881)], STATICS, "unknown-input"),
        (stay(80.0, 9.0), [Reading("Age", 4.0, "a"), STATICS[1]], "range"),
    ],
)
def test_what_does_not_fit_is_refused(
    icu: SeriesPredictor, readings: list[Reading], statics: list[Reading], code: str
) -> None:
    """Too few series, too short a time, no age, a foreign unit, a late time, a child: refused by code."""
    refusal = icu.predict(readings, statics).refusal
    assert refusal is not None
    assert refusal.code == code


def test_one_by_one_is_the_same_as_together(icu: SeriesPredictor) -> None:
    """A batch gives each stay the answer that it gets alone, holes, nonsense and all."""
    rule = icu.manifest.input
    noise = np.random.default_rng(1)
    values = noise.normal(60, 60, (8, rule.bins, len(rule.fields))).astype(np.float32)
    values[noise.random(values.shape) < 0.8] = np.nan
    values[0], values[1] = np.nan, 1e9
    statics = np.full((8, len(rule.statics)), np.nan, np.float32)
    together, _ = icu.session.run({rule.tensor: values, rule.static_tensor: statics})
    for row in range(8):
        part = {rule.tensor: values[row : row + 1], rule.static_tensor: statics[row : row + 1]}
        np.testing.assert_allclose(icu.session.run(part)[0][0], together[row], atol=1e-5)
