"""What the report on a record says to its reader: refusals, values beside weights, no risk stated as a disease."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from harness.clinic import LOINC, Clinic, observation, person, quantity, rendered, worded
from harness.records import own
from harness.rows import AT

from gateway.domain.finding import in_words
from gateway.storage.database import SqlDatabase

YESTERDAY = AT - timedelta(days=1)
PRESSURE = [
    {
        "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
        "valueQuantity": {"value": v, "code": "mm[Hg]"},
    }
    for code, v in (("8480-6", 150), ("8462-4", 92))
]
LABS = (
    quantity("bmi", "39156-5", 34.0, "kg/m2", YESTERDAY),
    quantity("hdl", "2085-9", 35.0, "mg/dL", YESTERDAY),
    quantity("chol", "2093-3", 216.0, "mg/dL", YESTERDAY),
    observation("bp", "85354-9", YESTERDAY, component=PRESSURE),
)
MASS = {"finding": "mass", "breast_density": "b", "birads": "5", "shape_irregular": "yes", "margin_spiculated": "yes"}
MASS |= dict.fromkeys(("shape_round", "shape_oval", "shape_lobulated", "margin_circumscribed", "margin_obscured"), "no")


def described(**words: str) -> list[dict[str, Any]]:
    """A radiologist's words about one finding, each an Observation with an id of its own."""
    made = own("mammography-findings", YESTERDAY, **(MASS | words))
    return [one | {"id": f"m{place}"} for place, one in enumerate(made)]


@pytest.mark.parametrize("told", [{"deceasedBoolean": True}, {"deceasedDateTime": "2026-01-05"}], ids=str)
def test_nobody_who_has_died_gets_a_forecast(told: Any, database: SqlDatabase, tmp_path: Path) -> None:
    """The record of a dead person is refused by models and rules alike, and the report says why."""
    clinic = Clinic(database, tmp_path, ("diabetes-risk", "treatment-plan"))
    clinic.write(person() | told, *LABS)
    clinic.settle()
    assert clinic.run() == {"diabetes-risk": "refused", "treatment-plan": "refused"}
    assert clinic.content().conclusion.count("that the patient has died") == 2
    assert rendered(clinic).report["status"] == "cancelled"


def test_who_died_later_loses_the_forecast(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """A preliminary report is cancelled once the record tells of the death; a time to come changes nothing."""
    clinic = Clinic(sqlite_database, tmp_path, ("diabetes-risk",))
    clinic.write(person() | {"deceasedDateTime": "2100-01-01"}, *LABS)
    clinic.settle()
    assert clinic.run() == {"diabetes-risk": "done"}
    clinic.write(person() | {"deceasedBoolean": True})
    clinic.settle()
    assert clinic.run() == {"diabetes-risk": "refused"}
    assert rendered(clinic).report["status"] == "cancelled"


@pytest.mark.parametrize("shadows", [(), ("treatment-plan",)], ids=["active", "shadow"])
def test_proposals_hide_no_refusal(shadows: tuple[str, ...], sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """Rules speak of the pressure; that age is not known, and so no risk, is told beside them, also by their shadow."""
    clinic = Clinic(sqlite_database, tmp_path, ("diabetes-risk", "treatment-plan"), shadows)
    clinic.write({name: value for name, value in person().items() if name != "birthDate"}, *LABS)
    clinic.settle()
    assert clinic.run()["diabetes-risk"] == "refused"
    assert "Not scored without: Age." in clinic.content().conclusion


def test_a_model_that_lacks_one_value_says_so_beside_another_answer(
    sqlite_database: SqlDatabase, tmp_path: Path
) -> None:
    """Everything but the pressure is there for the coronary risk: refused by name, while diabetes is answered."""
    clinic = Clinic(sqlite_database, tmp_path, ("diabetes-risk", "chd-risk"))
    more = own("chd-risk", YESTERDAY, pressure_drugs="no", stroke="no", hypertension="yes", diabetes="no")
    pulse = quantity("pulse", "8867-4", 80, "/min", YESTERDAY)
    clinic.write(person(), *LABS[:3], pulse, *(one | {"id": f"c{place}"} for place, one in enumerate(more)))
    clinic.settle()
    assert clinic.run() == {"diabetes-risk": "done", "chd-risk": "refused"}
    assert "Not scored without: Systolic blood pressure." in clinic.content().conclusion


def test_two_findings_are_not_made_into_one(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """A mass and a calcification of one moment gainsay each other, and the model says that it got both."""
    clinic = Clinic(sqlite_database, tmp_path, ("mammography-findings",))
    other = worded("other", "mammography-findings.finding", "calcification", YESTERDAY, "urn:dxgate:input")
    clinic.write(person("female", "1960-01-01"), *described(), other)
    clinic.settle()
    assert clinic.run() == {"mammography-findings": "refused"}
    assert "Kind of finding: more than one value." in clinic.content().conclusion


def test_the_same_word_twice_is_one(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """Who sends a finding twice gets an answer."""
    clinic = Clinic(sqlite_database, tmp_path, ("mammography-findings",))
    again = worded("again", "mammography-findings.finding", "mass", YESTERDAY, "urn:dxgate:input")
    clinic.write(person("female", "1960-01-01"), *described(), again)
    clinic.settle()
    assert clinic.run() == {"mammography-findings": "done"}


def test_a_word_that_is_not_read_is_told(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """BI-RADS 6 is no answer of the model, and the report does not call the assessment unknown."""
    clinic = Clinic(sqlite_database, tmp_path, ("mammography-findings",))
    clinic.write(person("female", "1960-01-01"), *described(birads="6"))
    clinic.settle()
    clinic.run()
    (finding,) = clinic.content().findings
    assert "On record, but in a unit or word that is not read: BI-RADS assessment." in finding.answer.explanation


def test_rules_tell_what_they_could_not_read(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """HbA1c in a unit that the rules do not take makes none of them speak, and the plan says that it was there."""
    clinic = Clinic(sqlite_database, tmp_path, ("treatment-plan",))
    clinic.write(person(), quantity("a1c", "4548-4", 48, "furlong", YESTERDAY), LABS[3])
    clinic.settle()
    assert clinic.run() == {"treatment-plan": "done"}
    assert clinic.content().conclusion.endswith("On record, but in a unit or word that is not read: HbA1c.")


def test_an_ifcc_value_is_no_percentage(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """HbA1c of 60 mmol/mol, which is 7.6 %, makes no rule for prediabetes speak, as 6.0 % would."""
    clinic = Clinic(sqlite_database, tmp_path, ("treatment-plan",))
    clinic.write(person(), quantity("a1c", "4548-4", 60, "mmol/mol", YESTERDAY), *LABS)
    clinic.settle()
    assert clinic.run() == {"treatment-plan": "done"}
    assert "range of prediabetes" not in clinic.content().conclusion


@pytest.mark.parametrize(("value", "is_told"), [(47, False), (48, True)])
def test_hba1c_of_either_kind_is_read(
    value: float, is_told: bool, sqlite_database: SqlDatabase, tmp_path: Path
) -> None:
    """HbA1c in mmol/mol (IFCC) is turned to percent (NGSP): 48 is 6.5 %, at which diabetes is to be confirmed."""
    clinic = Clinic(sqlite_database, tmp_path, ("treatment-plan",))
    clinic.write(person(), quantity("a1c", "59261-8", value, "mmol/mol", YESTERDAY), LABS[3])
    clinic.settle()
    assert clinic.run() == {"treatment-plan": "done"}
    assert ("Consider confirming diabetes by a second test" in clinic.content().conclusion) is is_told


def test_a_risk_is_never_stated_as_the_disease(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """Raised risk of diabetes stands as that, in words and code; SNOMED CT's diabetes is the foretold outcome alone."""
    clinic = Clinic(sqlite_database, tmp_path, ("diabetes-risk",))
    clinic.write(person(), *LABS)
    clinic.settle()
    clinic.run()
    shown = rendered(clinic)
    (said,) = shown.report["conclusionCode"]
    (observed,) = [one for one in shown.of_type("Observation") if "valueCodeableConcept" in one]
    for one in (said, observed["valueCodeableConcept"]):
        assert one["text"] == "Diabetes is likely enough to test for"
        assert one["coding"][0]["code"] == "diabetes-risk.diabetes"
        assert "73211009" not in str(one)
    (risk,) = shown.of_type("RiskAssessment")
    assert risk["prediction"][0]["outcome"]["coding"][0]["code"] == "73211009"


def test_a_weight_stands_beside_its_value(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """What raised or lowered an answer is told with its value and unit, and a sign that is absent as absent."""
    clinic = Clinic(sqlite_database, tmp_path, ("diabetes-risk", "mammography-findings"))
    clinic.write(person("female", "1960-01-01"), *LABS, *described(margin_microlobulated="no"))
    clinic.settle()
    clinic.run()
    told = {one.made_by.model_name: one.answer.explanation for one in clinic.content().findings}
    assert "HDL cholesterol = 35 mg/dL (+" in told["diabetes-risk"]
    assert "Age = 66 years (+" in told["diabetes-risk"]
    assert "Mass margin: spiculated = yes (+" in told["mammography-findings"]
    assert "Mass margin: microlobulated = no (-" in told["mammography-findings"]


def genotype(own_id: str, diplotype: str) -> dict[str, Any]:
    gene = {"code": {"coding": [{"system": LOINC, "code": "48018-6"}]}, "valueCodeableConcept": {"text": "CYP2C19"}}
    return observation(own_id, "84413-4", YESTERDAY, valueCodeableConcept={"text": diplotype}, component=[gene])


@pytest.mark.parametrize(("other", "outcome"), [("*1/*1", "refused"), ("*2/*1", "done")])
def test_two_genotypes_of_one_time_must_agree(
    other: str, outcome: str, sqlite_database: SqlDatabase, tmp_path: Path
) -> None:
    """Poor and normal metabolizer at once is neither, and no dose follows; the order of alleles says nothing."""
    clinic = Clinic(sqlite_database, tmp_path, ("pgx-rules",))
    clinic.write(person(), genotype("first", "*1/*2" if outcome == "done" else "*2/*2"), genotype("second", other))
    clinic.settle()
    assert clinic.run() == {"pgx-rules": outcome}
    differ = "CYP2C19: reports of one time differ, none was used" in clinic.content().conclusion
    assert differ is (outcome == "refused")


@pytest.mark.parametrize(
    ("probability", "words"), [(0.0, "below 0.01"), (0.0047, "below 0.01"), (0.3744, "0.37"), (0.9997, "above 0.99")]
)
def test_no_probability_is_rounded_to_certainty(probability: float, words: str) -> None:
    """A risk of dying of 0.5 % is not told as 0.00, nor a suspicion as 1.00."""
    assert in_words(probability) == words
