"""What we emit about genes obeys the profiles of HL7 Genomics Reporting that it claims, and says no more than rules."""

from __future__ import annotations

import copy
import dataclasses
import json
from collections.abc import Callable
from typing import Any

import fixtures_report as sample
import pytest
from harness.profile_check import genomics, genomics_problems
from unit.gateway.formats.fhir.write_record_golden import BASE_URL, ORGANIZATION, document

from gateway.domain.finding import DrugAdvice, Finding, GenePhenotype, RecordAnswer
from gateway.formats.fhir import genomic_codes
from gateway.formats.fhir.capability import Capabilities, capability_statement
from gateway.formats.fhir.coding import AI_ASSERTED
from gateway.formats.fhir.element import encode
from gateway.formats.fhir.render import RenderedReport, render
from gateway.formats.fhir.wire.check import check
from gateway.ports import ReportDocument
from gateway.storage import codec
from models.registry import BUILT_IN

EXCERPT = genomics()
URLS = {one["url"].rpartition("/")[2]: one["url"] for one in EXCERPT["profiles"]}
GUIDELINE = "https://cpicpgx.org/guidelines/"
Resource = dict[str, Any]

GENES = (
    GenePhenotype("CYP2C19", "*2/*2 (from variants)", "Poor Metabolizer", None, "table", "*2/*2"),
    GenePhenotype("CYP2D6", "Likely Poor Metabolizer", "Likely Poor Metabolizer", None, "as reported"),
    GenePhenotype("TPMT", "*1/*3A or *3B/*3C (from variants)", "Intermediate Metabolizer", None, "table"),
    GenePhenotype("HLA-X", "*1/*1", "Normal Function", None, "table", "*1/*1"),
)
ADVICE = (
    DrugAdvice("clopidogrel", "Avoid clopidogrel if possible.", ("CYP2C19",), "A", GUIDELINE, "row 7"),
    DrugAdvice("amitriptyline", "Avoid amitriptyline.", ("CYP2D6", "CYP2C19"), "", "", "row 8"),
    DrugAdvice("lovastatin", "Use a lower dose.", ("HLA-X",), "B", "", "row 9"),
    DrugAdvice("ondansetron", None, ("CYP2C19", "CYP2D6", "TPMT", "HLA-X"), "A", GUIDELINE, "no row"),
    DrugAdvice("tacrolimus", "Start with the standard dose.", ("CYP3A5",), "A", GUIDELINE, "row 10"),
)


def with_answer(answer: RecordAnswer, status: str = "preliminary") -> ReportDocument:
    """The sample's record with one finding."""
    base = document()
    assert base.version.content is not None
    finding: Finding = dataclasses.replace(base.version.content.findings[1], answer=answer)
    content = dataclasses.replace(base.version.content, findings=(finding,))
    version = dataclasses.replace(base.version, content=content, status=status)
    found: ReportDocument = dataclasses.replace(base, version=version)
    return found


def shown(answer: RecordAnswer, status: str = "preliminary") -> RenderedReport:
    return render(with_answer(answer, status), BASE_URL, ORGANIZATION)


@pytest.fixture(scope="module")
def rendered() -> RenderedReport:
    return shown(RecordAnswer("genotype", phenotypes=GENES, advice=ADVICE))


def plain(resource: Resource) -> Resource:
    """As an EHR reads it: decimals and tuples are gone."""
    found: Resource = json.loads(encode(resource))
    return found


def claiming(rendered: RenderedReport, name: str) -> list[Resource]:
    found = [plain(each) for each in rendered.resources]
    return [each for each in found if URLS[name] in each.get("meta", {}).get("profile", ())]


def problems(rendered: RenderedReport, resource: Resource, name: str) -> list[str]:
    """Of `resource` as it stands among the others."""
    others = [plain(each) for each in rendered.resources if each["id"] != resource["id"]]
    return genomics_problems([*others, resource])[f"{resource['resourceType']}/{resource['id']} {name}"]


def components(resource: Resource, code: str) -> list[Resource]:
    return [one for one in resource["component"] if one["code"]["coding"][0]["code"] == code]


@pytest.mark.parametrize(("name", "count"), [("genomic-report", 1), ("genotype", 2), ("therapeutic-implication", 3)])
def test_what_claims_a_profile_obeys_it(rendered: RenderedReport, name: str, count: int) -> None:
    """Cardinality, slices, patterns, types and codes are those of the published snapshot; R4's own rules hold too."""
    found = claiming(rendered, name)
    assert len(found) == count
    for resource in found:
        assert problems(rendered, resource, name) == []
        assert check(resource) == []


def test_the_report_names_its_genotypes_and_implications(rendered: RenderedReport) -> None:
    """Every one is among the results, under 51969-4 and GE; so is every other Observation."""
    (report,) = claiming(rendered, "genomic-report")
    named = {one["reference"] for one in report["result"]}
    assert named == {f"Observation/{one['id']}" for one in rendered.of_type("Observation")}
    assert {one["code"] for one in report["code"]["coding"]} == {"51969-4", "record-analysis"}


def _unnamed(resource: Resource) -> None:
    resource["category"] = resource["category"][:1]


def _twice(resource: Resource) -> None:
    resource["category"].append(resource["category"][1])


def _recoded(resource: Resource) -> None:
    resource["code"]["coding"] = [{"system": "http://loinc.org", "code": "69548-6"}]


def _other_gene(resource: Resource) -> None:
    resource["component"][0]["valueCodeableConcept"]["coding"][0]["system"] = "urn:oid:2.16.840.1.113883.6.281"


def _worded(resource: Resource) -> None:
    resource["component"][0].pop("valueCodeableConcept")
    resource["component"][0]["valueString"] = "CYP2C19"


def _unvalued(resource: Resource) -> None:
    resource.pop("valueCodeableConcept")


def _valued(resource: Resource) -> None:
    resource["valueCodeableConcept"] = {"text": "Poor Metabolizer"}


def _underived(resource: Resource) -> None:
    resource.pop("derivedFrom")


def _outside(resource: Resource) -> None:
    (one,) = components(resource, "therapeutic-implication")[:1]
    one["valueCodeableConcept"]["coding"] = [{"system": "http://loinc.org", "code": "LA6626-1"}]


def _concluded_twice(resource: Resource) -> None:
    resource["component"] += components(resource, "conclusion-string")


def _over_time(resource: Resource) -> None:
    resource["effectivePeriod"] = {"start": resource.pop("effectiveDateTime")}


def _of_a_device(resource: Resource) -> None:
    resource["result"].append({"reference": "RiskAssessment/1"})


BROKEN: list[tuple[str, Callable[[Resource], None], str]] = [
    ("genotype", _unnamed, "Observation.category:geCategory: 0 of at least 1"),
    ("genotype", _twice, "Observation.category:geCategory: 2 of at most 1"),
    ("genotype", _recoded, "Observation.code: not as its pattern"),
    ("genotype", _other_gene, "Observation.component:gene-studied.value[x]: no code of"),
    ("genotype", _worded, "Observation.component:gene-studied.value[x]: a String"),
    ("genotype", _unvalued, "Observation.value[x]: 0 of at least 1"),
    ("therapeutic-implication", _valued, "Observation.value[x]: 1 of at most 0"),
    ("therapeutic-implication", _underived, "Observation.derivedFrom: 0 of at least 1"),
    ("therapeutic-implication", _outside, "Observation.component:therapeutic-implication.value[x]: no code of"),
    ("therapeutic-implication", _concluded_twice, "Observation.component:conclusion-string: 2 of at most 1"),
    ("genomic-report", _over_time, "DiagnosticReport.effective[x]: a Period"),
    ("genomic-report", _recoded, "DiagnosticReport.code: not as its pattern"),
    ("genomic-report", _of_a_device, "DiagnosticReport.result: names a RiskAssessment"),
]


@pytest.mark.parametrize(("name", "broken", "said"), BROKEN, ids=[f"{name}{how.__name__}" for name, how, _ in BROKEN])
def test_what_breaks_a_profile_is_seen(
    rendered: RenderedReport, name: str, broken: Callable[[Resource], None], said: str
) -> None:
    """The judge of these tests is awake: each breach is named by its element."""
    resource = copy.deepcopy(claiming(rendered, name)[0])
    broken(resource)
    assert any(one.startswith(said) for one in problems(rendered, resource, name))


def test_a_genotype_is_told_only_where_one_pair_is_known(rendered: RenderedReport) -> None:
    """Not of candidates that phase would tell apart, and not of a phenotype that came without a genotype."""
    told = {one["valueCodeableConcept"]["text"]: one for one in claiming(rendered, "genotype")}
    assert set(told) == {"CYP2C19 *2/*2", "HLA-X *1/*1"}
    coded = told["CYP2C19 *2/*2"]["component"][0]["valueCodeableConcept"]
    assert coded["coding"] == [{"system": "http://www.genenames.org", "code": "HGNC:2621", "display": "CYP2C19"}]
    assert told["HLA-X *1/*1"]["component"][0]["valueCodeableConcept"] == {"text": "HLA-X"}  # no number is guessed


def test_a_drug_without_advice_has_no_implication(rendered: RenderedReport) -> None:
    """Neither one that the tables are silent about nor one whose gene is not known; both keep their DetectedIssue."""
    drugs = [
        components(one, "51963-7")[0]["valueCodeableConcept"]["text"]
        for one in claiming(rendered, "therapeutic-implication")
    ]
    assert drugs == ["clopidogrel", "amitriptyline", "lovastatin"]
    issues = {one["code"]["text"].rpartition(" ")[2]: one for one in rendered.of_type("DetectedIssue")}
    assert len(issues) == len(ADVICE)
    assert "does not mean the standard dose" in issues["ondansetron"]["detail"]
    assert len(issues["ondansetron"]["evidence"][0]["detail"]) == 1


def test_an_implication_says_what_its_row_says(rendered: RenderedReport) -> None:
    """Drug, phenotype of each gene, level and words; only a phenotype that LOINC has bears a code."""
    clopidogrel, amitriptyline, lovastatin = claiming(rendered, "therapeutic-implication")
    assert components(clopidogrel, "51963-7")[0]["valueCodeableConcept"]["coding"][0]["code"] == "32968"
    assert "coding" not in components(lovastatin, "51963-7")[0]["valueCodeableConcept"]
    assert components(clopidogrel, "conclusion-string")[0]["valueString"] == "Avoid clopidogrel if possible."
    assert components(clopidogrel, "93044-6")[0]["valueCodeableConcept"]["text"].startswith("CPIC level A ")
    assert not components(amitriptyline, "93044-6")
    assert clopidogrel["extension"][0]["valueRelatedArtifact"] == {"type": "citation", "url": GUIDELINE}
    told = [one["valueCodeableConcept"] for one in components(amitriptyline, "therapeutic-implication")]
    assert [one["text"] for one in told] == ["CYP2C19: Poor Metabolizer", "CYP2D6: Likely Poor Metabolizer"]
    assert [one.get("coding", [{}])[0].get("code") for one in told] == ["LA9657-3", None]


def test_each_step_leads_to_the_one_before(rendered: RenderedReport) -> None:
    """Implication to genotype and phenotype, phenotype to genotype, genotype to what the record holds."""
    by_name = {f"Observation/{one['id']}": one for one in rendered.of_type("Observation")}
    (clopidogrel, *_) = claiming(rendered, "therapeutic-implication")
    genotype, phenotype = (by_name[one["reference"]] for one in clopidogrel["derivedFrom"])
    assert genotype["valueCodeableConcept"]["text"] == "CYP2C19 *2/*2"
    assert phenotype["valueCodeableConcept"]["coding"][0]["code"] == "LA9657-3"
    assert phenotype["derivedFrom"][0] == {"reference": f"Observation/{genotype['id']}"}
    assert genotype["derivedFrom"] == [{"reference": "Observation/bmi"}]


@pytest.mark.parametrize("status", ["preliminary", "final", "amended", "entered-in-error"])
def test_every_part_stands_as_the_report_does(status: str) -> None:
    """Genotype, phenotype, implication and issue have the report's status, and all are marked as an AI's."""
    found = shown(RecordAnswer("genotype", phenotypes=GENES, advice=ADVICE), status)
    for resource in (*found.of_type("Observation"), *found.of_type("DetectedIssue")):
        assert resource["status"] == status
        assert resource["meta"]["security"] == [AI_ASSERTED]


def test_a_finding_of_an_earlier_release_names_no_genotype() -> None:
    """What was stored before pairs were kept is read and shown: phenotype and implication, and no genotype."""
    answer = RecordAnswer("genotype", phenotypes=GENES[:1], advice=ADVICE[:1])
    stored = json.loads(codec.encode(RecordAnswer, answer))
    del stored["phenotypes"][0]["diplotype"]
    found = shown(codec.decode(RecordAnswer, json.dumps(stored)))
    assert not claiming(found, "genotype")
    (implication,) = claiming(found, "therapeutic-implication")
    assert problems(found, implication, "therapeutic-implication") == []
    assert len(implication["derivedFrom"]) == 1


def test_a_report_without_genes_claims_nothing() -> None:
    """A risk alone: neither profile nor the code of a genetic report."""
    base = document()
    assert base.version.content is not None
    risk = dataclasses.replace(base.version.content, findings=base.version.content.findings[:1])
    found = render(
        dataclasses.replace(base, version=dataclasses.replace(base.version, content=risk)), BASE_URL, ORGANIZATION
    )
    said = json.dumps([plain(each) for each in found.resources])
    assert "genomics-reporting" not in said
    assert "51969-4" not in said
    assert '"GE"' not in said


def test_the_capability_statement_names_what_is_emitted(rendered: RenderedReport) -> None:
    """Exactly the profiles of the guide that resources claim, and the guide with its version."""
    able = Capabilities(BASE_URL, "1", sample.AT, {"DiagnosticReport": ("read",), "Observation": ("read",)})
    said = capability_statement(able)
    named = {url for one in said["rest"][0]["resource"] for url in one["supportedProfile"]}
    claimed = {url for one in rendered.resources for url in one.get("meta", {}).get("profile", ())}
    ours = {url for url in named if url.startswith(genomic_codes.GUIDE)}
    assert ours == {url for url in claimed if url.startswith(genomic_codes.GUIDE)} == set(URLS.values())
    guide = f"{genomic_codes.GUIDE}/ImplementationGuide/hl7.fhir.uv.genomics-reporting|3.0.0"
    assert guide in said["implementationGuide"]
    assert {one["version"] for one in EXCERPT["profiles"]} == {genomic_codes.GUIDE_VERSION}


def test_our_codes_are_those_of_the_guide() -> None:
    """Phenotypes of its value set, codes of its code system; of the built-in tables every gene has its number, and all
    drugs but those for which CPIC's table of drugs has none."""
    loinc = EXCERPT["valueSets"][f"{genomic_codes.GUIDE}/ValueSet/genetic-therapeutic-implications-vs"]
    tables = json.loads((BUILT_IN / "pgx-rules" / "rules.json").read_text("utf-8"))
    names = {row["phenotype"] for table in tables["equations"].values() for row in table}
    names |= {name for table in tables["diplotypes"].values() for name in table["phenotypes"]}
    coded = [one["coding"][0]["code"] for one in map(genomic_codes.phenotype_concept, sorted(names)) if "coding" in one]
    assert len(coded) == 9
    assert set(coded) <= set(loinc["http://loinc.org"])
    assert {"therapeutic-implication", "conclusion-string"} <= set(EXCERPT["codeSystems"][genomic_codes.OWN_CODES])
    uncoded = {"fluvastatin", "hormonal contraceptives for systemic use", "hydrocodone", "lovastatin", "pitavastatin"}
    drugs = {row["drug"] for row in tables["recommendations"]}
    assert {drug for drug in drugs if "coding" not in genomic_codes.drug_concept(drug)} == uncoded
    for gene in {*tables["diplotypes"], *tables["equations"]}:
        assert genomic_codes.gene_concept(gene)["coding"][0]["code"].startswith("HGNC:")
