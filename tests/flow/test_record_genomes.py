"""Genomic data and incomplete records, written over FHIR: an answer, or a reason that its sender can find."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from harness.clinic import Clinic, loaded, observation, person, quantity, rendered, worded
from harness.genome_file import document, of_pair, variant, vcf, zipped
from harness.rows import AT

from gateway.domain.report import report_id
from gateway.flow.record.genome_files import MOST_FILES
from gateway.formats.fhir.element import encode
from gateway.storage.database import SqlDatabase
from models.registry import find

DRUG = {
    "resourceType": "MedicationStatement",
    "id": "m1",
    "status": "active",
    "medicationCodeableConcept": {"text": "Clopidogrel 75 mg oral tablet"},
}


def stored_only(clinic: Clinic) -> str:
    """The text of a cancelled report that went nowhere but into the store."""
    with clinic.database.read() as unit:
        report = unit.reports.get(report_id(clinic.study_id))
        assert report.status == "cancelled"
        assert {one.destination for one in unit.deliveries.of_report(report.id)} == {"record"}
    return str(clinic.content().conclusion)


def test_a_vcf_becomes_advice(database: SqlDatabase, tmp_path: Path) -> None:
    """A compressed VCF in a DocumentReference: phenotype with its source, advice, no name of a sample."""
    clinic = Clinic(database, tmp_path, ("pgx-rules",))
    lines = [*of_pair("CYP2C19", "*2", "*2"), *of_pair("TPMT", "*1", "*3A")]
    clinic.write(person(), document(zipped(vcf(lines)), "application/gzip"), DRUG)
    assert clinic.settle() == 1
    assert clinic.run() == {"pgx-rules": "done"}
    shown = rendered(clinic)
    (phenotype,) = [one for one in shown.of_type("Observation") if "gene-phenotype" in str(one["code"])]
    assert phenotype["valueCodeableConcept"]["text"] == "Poor Metabolizer"
    assert {"reference": "DocumentReference/vcf"} in phenotype["derivedFrom"]
    assert "*2/*2 (from variants)" in phenotype["note"][0]["text"]
    (genotype,) = [one for one in shown.of_type("Observation") if "84413-4" in str(one["code"])]
    assert genotype["valueCodeableConcept"]["text"] == "CYP2C19 *2/*2"
    (implied,) = [one for one in shown.of_type("Observation") if "therapeutic-implication" in str(one["code"])]
    assert implied["derivedFrom"] == [{"reference": f"Observation/{one['id']}"} for one in (genotype, phenotype)]
    (issue,) = shown.of_type("DetectedIssue")
    assert "Avoid" in issue["mitigation"][0]["action"]["text"]
    assert "TPMT: *1/*3A or *3B/*3C cannot be told apart without phase" in clinic.content().conclusion
    given = clinic.document("pgx-rules")
    assert '"site":"rs4244285"' in given
    for trace in ("Quillfeather", "Zebulon", "94781859", "vcf", "2026-11-20"):
        assert trace not in given


def test_what_we_say_of_a_genome_is_not_read_as_a_report(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """Our own genotype and implication come back into the store: nothing is analysed anew, and no gene is gained."""
    clinic = Clinic(sqlite_database, tmp_path, ("pgx-rules",))
    clinic.write(person(), document(vcf(of_pair("CYP2C19", "*2", "*2"))), DRUG)
    clinic.settle()
    clinic.run()
    own = [json.loads(encode(one)) for one in rendered(clinic).of_type("Observation")]
    assert len(own) == 4
    clinic.write(*own)
    assert clinic.settle() == 0
    clinic.write(document(vcf(of_pair("TPMT", "*1", "*1")), own_id="vcf"))
    assert clinic.settle() == 1
    assert clinic.run() == {"pgx-rules": "done"}
    ((phenotype,),) = [one.answer.phenotypes for one in clinic.content().findings]
    assert phenotype.gene == "TPMT"


def test_a_variant_reported_alone_becomes_advice(database: SqlDatabase, tmp_path: Path) -> None:
    """Variant Observations, homozygous for both variants of CYP2C19*2, say enough without any other site."""
    clinic = Clinic(database, tmp_path, ("pgx-rules",))
    told = [
        variant(f"v{at}", {"81290-9": f"NC_000010.11:g.{at}{change}", "53034-5": "LA6705-3"})
        for at, change in ((94781859, "G>A"), (94775367, "A>G"))
    ]
    clinic.write(person(), *told, DRUG)
    clinic.settle()
    assert clinic.run() == {"pgx-rules": "done"}
    ((phenotype,),) = [one.answer.phenotypes for one in clinic.content().findings]
    assert (phenotype.gene, phenotype.phenotype) == ("CYP2C19", "Poor Metabolizer")


def test_a_vcf_that_says_too_little_is_refused_with_the_sites(database: SqlDatabase, tmp_path: Path) -> None:
    """Variants alone, without a word about the reference: no normal phenotype, but the sites that lack."""
    clinic = Clinic(database, tmp_path, ("pgx-rules",))
    lines = [one for one in of_pair("CYP2C19", "*1", "*17") if "0/0" not in one]
    clinic.write(person(), document(vcf(lines)), DRUG)
    assert clinic.settle() == 1
    assert clinic.run() == {"pgx-rules": "refused"}
    said = stored_only(clinic)
    assert "CYP2C19: no confident genotype at rs28399504, rs367543002" in said
    assert "no site was read of ABCG2" in said
    clinic.write(document(vcf(of_pair("CYP2C19", "*1", "*17"))))
    assert clinic.settle() == 1
    assert clinic.run() == {"pgx-rules": "done"}


def test_genomic_data_that_cannot_be_read_leave_a_reason(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """A broken file, and a genotype in other words: one report, which tells both reasons."""
    clinic = Clinic(sqlite_database, tmp_path, ("pgx-rules",))
    code = {"coding": [{"system": "http://loinc.org", "code": "48018-6"}]}
    gene = [{"code": code, "valueCodeableConcept": {"text": "HLA-B"}}]
    odd = observation("odd", "84413-4", AT - timedelta(days=1), valueCodeableConcept={"text": "*57:01"}, component=gene)
    clinic.write(person(), document(b"\x1f\x8bbroken"), odd)
    assert clinic.settle() == 1
    assert clinic.run() == {"pgx-rules": "refused"}
    said = stored_only(clinic)
    assert "the compressed VCF cannot be read" in said
    assert "names no gene of the tables" in said
    assert "HLA" not in clinic.document("pgx-rules")
    clinic.write({"resourceType": "Appointment", "id": "a"})
    assert clinic.settle() == 0  # nothing new, no second report


def test_withdrawn_files_do_not_push_out_the_current_one(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """As many files entered in error as are kept, all newer: the one that counts is read."""
    clinic = Clinic(sqlite_database, tmp_path, ("pgx-rules",))
    content = vcf(of_pair("CYP2C19", "*2", "*2"))
    errors = [document(content, own_id=f"error-{number}", status="entered-in-error") for number in range(MOST_FILES)]
    clinic.write(person(), document(content))
    clinic.write(*errors)
    assert clinic.settle() == 1
    assert clinic.run() == {"pgx-rules": "done"}


def test_a_document_of_another_kind_is_nothing_to_report(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """A PDF beside a drug wakes nobody."""
    clinic = Clinic(sqlite_database, tmp_path, ("pgx-rules",))
    clinic.write(person(), document(b"%PDF-1.7", "application/pdf"), DRUG)
    assert (clinic.settle(), clinic.study.state) == (0, "settled")


def stay(hours: int, codes: int = 6) -> list[dict[str, Any]]:
    """Vital signs every two hours, from 47 hours ago."""
    kinds = (("8867-4", 110, "/min"), ("9269-2", 5, "{score}"), ("8310-5", 38.3, "Cel"),
             ("2160-0", 2.4, "mg/dL"), ("2524-7", 4.1, "mmol/L"), ("9279-1", 28, "/min"))  # fmt: skip
    return [
        quantity(f"{code}-{hour}", code, value, unit, AT - timedelta(hours=47 - hour))
        for hour in range(0, hours, 2)
        for code, value, unit in kinds[:codes]
    ]


def unit_kind() -> dict[str, Any]:
    return worded("icu", "icu-deterioration-gru.ICUType", "medical", AT - timedelta(hours=47), "urn:dxgate:input")


def test_a_stay_that_lacks_something_is_told_once_its_window_is_over(database: SqlDatabase, tmp_path: Path) -> None:
    """Without the kind of unit the model cannot answer: nothing while the stay goes on, then a reason, and no flood."""
    clinic = Clinic(database, tmp_path, ("icu-deterioration-gru",))
    clinic.write(person(), *stay(46))
    assert clinic.settle() == 0
    assert clinic.settle(seconds=1.1 * 3600) == 1
    assert clinic.run() == {"icu-deterioration-gru": "refused"}
    assert "Not scored without: Kind of intensive care unit" in stored_only(clinic)
    clinic.write(quantity("late", "8867-4", 90, "/min", clinic.now))
    assert clinic.settle() == 0  # after the window: nothing new
    clinic.write(unit_kind())
    assert clinic.settle() == 1
    assert clinic.run() == {"icu-deterioration-gru": "done"}


def test_what_a_stay_lacks_is_told_beside_another_answer(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """Another model has all that it needs; the refusal of the one on series stands in the same report."""
    clinic = Clinic(sqlite_database, tmp_path, ("icu-deterioration-gru", "pgx-rules"))
    clinic.write(person(), document(vcf(of_pair("CYP2C19", "*2", "*2"))), *stay(46))
    assert clinic.settle() == 1
    assert clinic.run() == {"pgx-rules": "done"}
    clinic.settle()
    assert clinic.settle(seconds=1.1 * 3600) == 2
    assert clinic.run() == {"pgx-rules": "done", "icu-deterioration-gru": "refused"}
    assert "Not scored without: Kind of intensive care unit" in clinic.content().conclusion


def test_a_stay_with_too_few_quantities_is_told_where_nothing_else_answers(
    sqlite_database: SqlDatabase, tmp_path: Path
) -> None:
    """Four of six quantities: a reason that names them, but no line in the report of another model."""
    clinic = Clinic(sqlite_database, tmp_path, ("icu-deterioration-gru", "pgx-rules"))
    clinic.write(person(), unit_kind(), *stay(46, codes=4))
    assert clinic.settle() == 0
    assert clinic.settle(seconds=1.1 * 3600) == 1
    assert clinic.run() == {"icu-deterioration-gru": "refused"}
    assert "Fewer than 6 of the fields were measured. Measured were: " in stored_only(clinic)
    clinic.write(document(vcf(of_pair("CYP2C19", "*2", "*2"))))
    assert clinic.settle() == 1
    assert clinic.run() == {"pgx-rules": "done"}


def test_vital_signs_of_one_visit_are_no_stay(sqlite_database: SqlDatabase, tmp_path: Path) -> None:
    """A few measurements of one moment wake no report about intensive care, then or later."""
    clinic = Clinic(sqlite_database, tmp_path, ("icu-deterioration-gru",))
    clinic.write(person(), *stay(2))
    assert clinic.settle() == 0
    assert clinic.settle(seconds=3600 * 3) == 0


OWN = "urn:dxgate:input"
ON_RECORDS = sorted(one.manifest.name for one in find()[0] if one.manifest.kind != "image")


def next_to_nothing(name: str) -> list[dict[str, Any]]:
    """One thing that the pack asks for, and far too little of it."""
    needs = next(one.needs for one in loaded().served if one.name == name)
    assert needs is not None
    if needs.kind == "genotype":
        return [observation("odd", "84413-4", AT - timedelta(days=1), valueCodeableConcept={"text": "normal"})]
    if needs.kind == "series":
        return [quantity(f"pulse-{day}", "8867-4", 80, "/min", AT - timedelta(days=3, hours=day)) for day in (0, 1)]
    one = next(field for field in needs.fields if field.name not in ("age", "sex", "male", "female"))
    code = f"{name}.{one.name}"
    if one.answers:
        return [worded("one", code, one.answers[-1 if needs.kind == "record" else 0], AT, OWN)]
    said = {"valueQuantity": {"value": 1.0, "code": one.unit}}
    return [observation("one", code, AT - timedelta(days=1), OWN, **said)]


@pytest.mark.parametrize("name", ON_RECORDS)
def test_every_pack_tells_what_a_record_lacks(sqlite_database: SqlDatabase, tmp_path: Path, name: str) -> None:
    """Of each model alone: a record that is next to empty ends as one cancelled report with its reason."""
    clinic = Clinic(sqlite_database, tmp_path, (name,))
    clinic.write(person("female", "1965-05-02"), *next_to_nothing(name))
    assert clinic.settle() == 1
    assert clinic.run() == {name: "refused"}
    title = next(one.title for one in loaded().served if one.name == name)
    _, _, reason = stored_only(clinic).partition(f"{title}: not analysed (refused): ")
    assert len(reason) > 20
    assert clinic.settle() == 0
