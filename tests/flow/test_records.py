"""A patient's record written over FHIR, analysed by real packs, reported: from Observation to RiskAssessment."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from harness.clinic import BASE, Clinic, loaded, observation, person, quantity, rendered, worded
from harness.rows import AT

from gateway.domain.report import report_id
from gateway.formats.fhir.bundle import transaction
from gateway.storage.database import SqlDatabase
from gateway.storage.record_tables import vault_record_basis

YESTERDAY = AT - timedelta(days=1)
LABS = (
    quantity("bmi", "39156-5", 34.0, "kg/m2", YESTERDAY),
    quantity("waist", "8280-0", 1.12, "m", YESTERDAY),
    quantity("hdl", "2085-9", 0.35, "g/L", YESTERDAY),
    quantity("chol", "2093-3", 5.6, "mmol/L", YESTERDAY),
    observation(
        "bp",
        "85354-9",
        YESTERDAY,
        component=[
            {
                "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
                "valueQuantity": {"value": value, "code": "mm[Hg]"},
            }
            for code, value in (("8480-6", 150), ("8462-4", 92))
        ],
    ),
)


def test_observations_become_a_risk_assessment(database: SqlDatabase, tmp_path: Path) -> None:
    """Laboratory values in other units of the same kind lead to a preliminary RiskAssessment that names its basis."""
    clinic = Clinic(database, tmp_path, ("diabetes-risk",))
    clinic.write(person(), *LABS)
    assert clinic.settle() == 1
    assert clinic.run() == {"diabetes-risk": "done"}
    assert clinic.study.state == "receiving"  # rules may build on it; nothing new is found
    assert (clinic.settle(), clinic.study.state) == (0, "reported")
    shown = rendered(clinic)
    (risk,) = shown.of_type("RiskAssessment")
    assert risk["status"] == "preliminary"
    assert {one["reference"] for one in risk["basis"]} >= {f"Observation/{own}" for own in ("bmi", "waist", "bp")}
    chances = {one["outcome"]["coding"][0]["code"]: float(one["probabilityDecimal"]) for one in risk["prediction"]}
    assert chances["73211009"] > 0.3
    assert abs(sum(chances.values()) - 1) < 1e-3
    assert risk["method"]["text"].startswith("diabetes-risk 1.0.1 on CPUExecutionProvider")
    assert shown.report["extension"][0]["valueReference"]["reference"] == f"RiskAssessment/{risk['id']}"
    assert "imagingStudy" not in shown.report
    (provenance,) = shown.of_type("Provenance")
    assert {"role": "source", "what": {"reference": "Observation/bmi"}} in provenance["entity"]


def test_the_same_value_in_another_unit_is_the_same(database: SqlDatabase, tmp_path: Path) -> None:
    """112 cm written as 1.12 m, and 35 mg/dL as 0.35 g/L, reach the model as they are."""
    clinic = Clinic(database, tmp_path, ("diabetes-risk",))
    clinic.write(person(), *LABS)
    clinic.settle()
    document = clinic.document("diabetes-risk")
    assert '"name":"waist","unit":"cm","value":112.0' in document
    assert '"name":"cholesterol","unit":"mmol/L","value":5.6' in document


def test_a_worker_sees_no_identity(database: SqlDatabase, tmp_path: Path) -> None:
    """The document holds age and sex; no name, number, birth date, date of a result, or id of a resource."""
    clinic = Clinic(database, tmp_path, ("diabetes-risk",))
    clinic.write(person(born="1930-05-02"), *LABS, quantity("MRN-77-weight", "29463-7", 90, "kg", YESTERDAY))
    clinic.settle()
    assert clinic.run() == {"diabetes-risk": "refused"}
    document = clinic.document("diabetes-risk")
    assert '"age_years":90' in document
    for trace in ("Quillfeather", "Zebulon", "MRN", "1930", YESTERDAY.date().isoformat(), "Observation", "p1"):
        assert trace not in document
    assert "is for ages 20 to 85 years" in clinic.content().conclusion


def test_a_record_that_is_not_complete_is_refused_with_reasons(database: SqlDatabase, tmp_path: Path) -> None:
    """What is lacking stands in a cancelled report, in the store alone; with it the record is analysed."""
    clinic = Clinic(database, tmp_path, ("diabetes-risk",))
    clinic.write(*LABS)  # nobody's age or sex
    assert clinic.settle() == 1
    assert clinic.run() == {"diabetes-risk": "refused"}
    assert "Not scored without: Age, Sex" in clinic.content().conclusion
    with database.read() as unit:
        report = unit.reports.get(report_id(clinic.study_id))
        assert report.status == "cancelled"
        assert {one.destination for one in unit.deliveries.of_report(report.id)} == {"record"}
    clinic.write(person())
    assert clinic.settle() == 1
    assert clinic.run() == {"diabetes-risk": "done"}
    with database.read() as unit:
        last = unit.reports.get(report_id(clinic.study_id)).version
        sent = [one.destination for one in unit.deliveries.of_report(report.id) if one.version == last]
    assert sorted(sent) == ["ehr", "record"]


def test_a_record_that_no_model_reads_is_left_alone(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """A person without a value, and a drug without a genotype, are nothing to report about."""
    clinic = Clinic(sqlite_database, tmp_path, ("diabetes-risk", "pgx-rules"))
    concept = {"text": "Clopidogrel 75 mg oral tablet"}
    drug = {"resourceType": "MedicationStatement", "id": "m", "status": "active", "medicationCodeableConcept": concept}
    clinic.write(person(), drug)
    assert (clinic.settle(), clinic.study.state) == (0, "settled")


def test_nothing_new_is_not_analysed_again(database: SqlDatabase, tmp_path: Path) -> None:
    """A resource that no model reads, an older value and an answer of an AI lead to no second report."""
    clinic = Clinic(database, tmp_path, ("diabetes-risk",))
    clinic.write(person(), *LABS)
    clinic.settle()
    clinic.run()
    clinic.settle()
    said_by_ai = quantity("ai", "39156-5", 20.0, "kg/m2", AT)
    said_by_ai["meta"] = {"security": [{"code": "AIAST"}]}
    clinic.write({"resourceType": "Appointment", "id": "a"}, said_by_ai)
    assert clinic.settle() == 0
    clinic.write(quantity("old", "39156-5", 20.0, "kg/m2", AT - timedelta(days=30)))
    assert (clinic.settle(), clinic.study.state) == (0, "reported")
    clinic.write(quantity("new", "39156-5", 20.0, "kg/m2", AT))
    assert clinic.settle() == 1
    assert clinic.run() == {"diabetes-risk": "done"}
    with database.read() as unit:
        assert unit.reports.get(report_id(clinic.study_id)).version == 3


def test_a_stay_is_read_when_it_is_long_enough(database: SqlDatabase, tmp_path: Path) -> None:
    """Measurements of 48 hours lead to one answer, at the end of the window, without any further write."""
    clinic = Clinic(database, tmp_path, ("icu-deterioration-gru",))
    start = AT - timedelta(hours=40)
    series = [
        quantity(f"{code}-{hour}", code, value, unit, start + timedelta(hours=hour))
        for hour in range(0, 40, 2)
        for code, value, unit in (
            ("8867-4", 110, "/min"),
            ("9269-2", 5, "{score}"),
            ("8310-5", 101.3, "[degF]"),
            ("2160-0", 2.4, "mg/dL"),
            ("2524-7", 4.1, "mmol/L"),
            ("9279-1", 28, "/min"),
        )
    ]
    unit_type = worded("icu", "icu-deterioration-gru.ICUType", "medical", start, "urn:dxgate:input")
    clinic.write(person(), unit_type, *series)
    assert clinic.settle() == 0
    assert clinic.settle(seconds=8.1 * 3600) == 1
    assert clinic.run() == {"icu-deterioration-gru": "done"}
    (finding,) = clinic.content().findings
    assert finding.answer.kind == "series"
    assert "Glasgow coma score" in finding.answer.explanation
    (risk,) = rendered(clinic).of_type("RiskAssessment")
    assert float(risk["prediction"][0]["probabilityDecimal"]) > 0.2


def genotype(gene: str, diplotype: str) -> dict[str, object]:
    made = observation(f"geno-{gene}", "84413-4", YESTERDAY, valueCodeableConcept={"text": diplotype})
    code = {"coding": [{"system": "http://loinc.org", "code": "48018-6"}]}
    made["component"] = [{"code": code, "valueCodeableConcept": {"text": gene}}]
    return made


def test_a_genotype_becomes_advice_about_a_drug_of_the_record(database: SqlDatabase, tmp_path: Path) -> None:
    """A poor metabolizer who takes clopidogrel: phenotype, issue and recommendation, each with its source."""
    clinic = Clinic(database, tmp_path, ("pgx-rules",))
    drug = {
        "resourceType": "MedicationStatement",
        "id": "m1",
        "status": "active",
        "medicationCodeableConcept": {"text": "Clopidogrel 75 mg oral tablet"},
    }
    clinic.write(person(), genotype("CYP2C19", "*2/*2"), genotype("CYP2D6", "CYP2D6 *1/*1"), drug)
    assert clinic.settle() == 1
    assert clinic.run() == {"pgx-rules": "done"}
    shown = rendered(clinic)
    phenotypes = {
        one["component"][0]["valueCodeableConcept"]["text"]: one["valueCodeableConcept"]["text"]
        for one in shown.of_type("Observation")
        if one["code"]["coding"][0]["code"] == "gene-phenotype"
    }
    assert phenotypes == {"CYP2C19": "Poor Metabolizer", "CYP2D6": "Normal Metabolizer"}
    (issue,) = shown.of_type("DetectedIssue")
    assert issue["code"]["text"] == "Pharmacogenomic advice: clopidogrel"
    assert "Avoid" in issue["mitigation"][0]["action"]["text"]
    assert "recommendation table, row" in issue["detail"]
    assert "Medication" in " ".join(one["reference"] for one in issue["implicated"])
    assert "75" not in clinic.document("pgx-rules")


def test_findings_of_a_radiologist_are_read(database: SqlDatabase, tmp_path: Path) -> None:
    """Descriptors written as Observations under our own codes reach the model for mammography."""
    clinic = Clinic(database, tmp_path, ("mammography-findings",))
    words = {"finding": "mass", "breast_density": "b", "birads": "5", "shape_irregular": "yes"}
    no = ("shape_round", "shape_oval", "shape_lobulated", "margin_circumscribed", "margin_obscured", "shape_lymph_node")
    words |= {"margin_spiculated": "yes", **dict.fromkeys(no, "no")}
    written = [
        worded(name.replace("_", "-"), f"mammography-findings.{name}", word, YESTERDAY, "urn:dxgate:input")
        for name, word in words.items()
    ]
    clinic.write(person("female", "1960-01-01"), *written)
    assert clinic.settle() == 1
    assert clinic.run() == {"mammography-findings": "done"}
    (finding,) = clinic.content().findings
    assert finding.decided is not None
    assert finding.decided.name == "malignant"


def test_a_man_gets_no_answer_of_a_model_for_women(database: SqlDatabase, tmp_path: Path) -> None:
    """The model's scope is asked again where it runs, and the reason reaches the report."""
    clinic = Clinic(database, tmp_path, ("mammography-findings",))
    fields = next(one.needs for one in loaded().served if one.name == "mammography-findings").fields  # type: ignore[union-attr]
    written = [
        worded(f"o{place}", f"mammography-findings.{one.name}", one.answers[0], YESTERDAY, "urn:dxgate:input")
        for place, one in enumerate(fields)
    ]
    clinic.write(person("male", "1960-01-01"), *written)
    clinic.settle()
    assert clinic.run() == {"mammography-findings": "refused"}
    assert "patients of another sex" in clinic.content().conclusion


def test_an_erased_patient_keeps_no_input(database: SqlDatabase, tmp_path: Path) -> None:
    """Erasure purges the record, and its sealed inputs are among the files to delete."""
    clinic = Clinic(database, tmp_path, ("diabetes-risk",))
    clinic.write(person(), *LABS)
    clinic.settle()
    with database.begin("eraser") as unit:
        (study,) = unit.erasures.begin(clinic.patient)
        unit.studies.move(study.id, study.state, "purge")
        unit.tasks.withdraw_open(study.id, study.revision + 1)
        unit.erasures.destroy(clinic.patient, AT)
        assert len(unit.erasures.blob_keys(clinic.patient)) == 1
        assert unit.records.basis(study.id, 1) == {}
        assert not unit.records.touch(clinic.patient, AT, AT)
        unit.commit()


def test_what_was_read_is_named_by_our_address_elsewhere(database: SqlDatabase, tmp_path: Path) -> None:
    """In a bundle for another server no basis is a relative reference: by that id it may be another patient's."""
    clinic = Clinic(database, tmp_path, ("diabetes-risk",))
    clinic.write(person(), *LABS)
    clinic.settle()
    clinic.run()
    entries = transaction(rendered(clinic))["entry"]
    (risk,) = (one["resource"] for one in entries if one["resource"]["resourceType"] == "RiskAssessment")
    assert f"{BASE}/Observation/bmi" in {one["reference"] for one in risk["basis"]}
    assert all(one["reference"].startswith(("urn:uuid:", BASE)) for one in risk["basis"])


def test_findings_and_values_become_a_plan(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """What one model has found makes a rule speak in the next revision; after that nothing is new."""
    clinic = Clinic(sqlite_database, tmp_path, ("diabetes-risk", "treatment-plan"))
    clinic.write(person(), quantity("bmi", "39156-5", 36.0, "kg/m2", YESTERDAY), *LABS[1:])
    clinic.settle()
    assert clinic.run() == {"diabetes-risk": "done", "treatment-plan": "done"}
    assert clinic.settle() == 2
    assert clinic.run() == {"diabetes-risk": "done", "treatment-plan": "done"}
    assert clinic.settle() == 0
    (plan,) = rendered(clinic).of_type("CarePlan")
    rules = {one["detail"]["code"]["coding"][0]["code"]: one["detail"] for one in plan["activity"]}
    assert {"diabetes-test", "pressure-systolic", "obesity"} <= set(rules)
    assert "finding diabetes-risk=diabetes" in [one["text"] for one in rules["diabetes-test"]["reasonCode"]]
    assert "US Preventive Services Task Force" in rules["diabetes-test"]["description"]


def test_a_shadow_on_records_gets_its_turn(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """A report does not wait for it, and the look that follows a report does not take its task away."""
    clinic = Clinic(sqlite_database, tmp_path, ("diabetes-risk", "treatment-plan"), shadows=("treatment-plan",))
    clinic.write(person(), quantity("bmi", "39156-5", 36.0, "kg/m2", YESTERDAY), *LABS[1:])
    clinic.settle()
    assert clinic.run() == {"diabetes-risk": "done", "treatment-plan": "done"}
    assert [one.made_by.model_name for one in clinic.content().findings] == ["diabetes-risk"]
    assert clinic.settle() == 2  # what was reported is a new fact for the rules
    assert clinic.run() == {"diabetes-risk": "done", "treatment-plan": "done"}
    assert (clinic.settle(), clinic.study.state) == (0, "reported")
    assert rendered(clinic).of_type("CarePlan") == []


def test_a_write_while_models_run_loses_no_analysis(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """Tasks that a later write withdrew are planned again, though no input of theirs has changed."""
    clinic = Clinic(sqlite_database, tmp_path, ("diabetes-risk",))
    clinic.write(person(), *LABS)
    assert clinic.settle() == 1
    clinic.write(quantity("old", "39156-5", 20.0, "kg/m2", AT - timedelta(days=30)))
    assert clinic.settle() == 1
    assert clinic.run() == {"diabetes-risk": "done"}
    assert (clinic.settle(), clinic.study.state) == (0, "reported")


def test_a_report_without_sources_names_no_study(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """A plan from findings alone is registered: no Provenance leads to an ImagingStudy that is nowhere."""
    clinic = Clinic(sqlite_database, tmp_path, ("diabetes-risk",))
    clinic.write(person(), *LABS)
    clinic.settle()
    clinic.run()
    with sqlite_database.begin("test") as unit:
        unit._transaction.execute(vault_record_basis.update(), {"resources": ()})
        unit.commit()
    assert "ImagingStudy" not in str(rendered(clinic, 1).of_type("Provenance"))


def test_a_record_that_answers_the_question_is_not_asked(database: SqlDatabase, tmp_path: Path) -> None:
    """With HbA1c of this year on record, who should have it measured is no question, and the report says why not."""
    clinic = Clinic(database, tmp_path, ("diabetes-risk",))
    clinic.write(person(), *LABS, quantity("a1c", "4548-4", 7.5, "%", YESTERDAY))
    clinic.settle()
    assert clinic.run() == {"diabetes-risk": "refused"}
    assert "HbA1c, fasting glucose" in clinic.content().conclusion


def test_a_model_of_the_referred_wants_a_sign_of_it(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """Pressure, lipids, a resting heart rate and no pain make nobody a patient for angiography; the other answers."""
    clinic = Clinic(sqlite_database, tmp_path, ("heart-disease", "diabetes-risk"))
    pain = worded("pain", "heart-disease.pain", "asymptomatic", YESTERDAY, "urn:dxgate:input")
    clinic.write(person(), *LABS, quantity("pulse", "8867-4", 80, "/min", YESTERDAY), pain)
    clinic.settle()
    assert clinic.run() == {"diabetes-risk": "done"}


def test_chest_pain_of_any_kind_is_such_a_sign(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """With pain that is not angina on record, the model for the referred answers too."""
    clinic = Clinic(sqlite_database, tmp_path, ("heart-disease", "diabetes-risk"))
    clinic.write(person(), *LABS, worded("pain", "heart-disease.pain", "non-anginal", YESTERDAY, "urn:dxgate:input"))
    clinic.settle()
    assert clinic.run() == {"heart-disease": "done", "diabetes-risk": "done"}


def test_a_unit_that_is_not_read_is_told(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """Cholesterol in kilograms is on record, and the report does not call it unknown."""
    clinic = Clinic(sqlite_database, tmp_path, ("diabetes-risk",))
    clinic.write(person(), *(one for one in LABS if one["id"] != "chol"), quantity("c", "2093-3", 250, "kg", YESTERDAY))
    clinic.settle()
    assert clinic.run() == {"diabetes-risk": "done"}
    (finding,) = clinic.content().findings
    assert "On record, but in a unit or word that is not read: Total cholesterol." in finding.answer.explanation
    assert "Total cholesterol" not in finding.answer.explanation.split("Not known:")[1]
    assert "Total cholesterol: on record, but in a unit or word that is not read" in str(rendered(clinic).resources)
