"""Patients' records drive models end to end: a FHIR client in front, web, sweeper and Celery worker, FHIR behind.

One gateway as its users start it; every pack on records is fed by transactions alone.
"""

from __future__ import annotations

import hashlib
import html
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness import records
from harness.built_in import built_in
from harness.gateway_process import GatewayProcess, wait_for
from harness.planted_run import nothing_in
from harness.profile_check import genomics_problems
from harness.records import GENOME, LACKING, RISKS, STAY, TUMOUR, Person
from harness.send import send_folder
from harness.studies import PLANTED, planted_study, suspicious
from harness.traces import broker_memory, needles

from gateway import config, wiring
from gateway.domain.study import Study

PASSWORD = "a long password for tests"
NOW = datetime.now(UTC).replace(microsecond=0)
YESTERDAY = NOW - timedelta(days=1)
Resource = dict[str, Any]


@dataclass
class Ward:
    """A running gateway, a client that may write, and the Patient of each who was posted."""

    gateway: GatewayProcess
    http: httpx.Client
    patients: dict[str, str] = field(default_factory=dict)

    def post(self, person: Person, resources: list[Resource]) -> None:
        answer = self.http.post("", json=records.transaction(person, resources))
        assert answer.status_code == 200, answer.text[:2000]
        place = answer.json()["entry"][0]["response"]["location"]
        self.patients[person.number] = re.search(r"Patient/[^/]+", place)[0]  # type: ignore[index]

    def search(self, kind: str, **parameters: str) -> list[Resource]:
        answer = self.http.get(kind, params={"_count": "100", **parameters})
        assert answer.status_code == 200, answer.text[:2000]
        entries = answer.json().get("entry", [])
        return [each["resource"] for each in entries if each["resource"]["resourceType"] == kind]

    def of(self, person: Person, kind: str) -> list[Resource]:
        """Found by the patient, once a report about the record is stored."""
        self.report(person)
        return self.search(kind, patient=self.patients[person.number])

    def report(self, person: Person) -> Resource:
        return self.reported(self.patients[person.number])

    def reported(self, patient: str, kind: str = "record-analysis", at_least: int = 1) -> Resource:
        def found() -> Resource | None:
            reports = self.search("DiagnosticReport", patient=patient)
            mine = [one for one in reports if kind in json.dumps(one["code"])]
            ready = [one for one in mine if int(one["meta"]["versionId"]) >= at_least and one["status"] != "registered"]
            return ready[0] if ready else None

        return dict(wait_for(found, 60, f"a report about {kind}"))

    def risks(self, person: Person) -> dict[str, Resource]:
        """RiskAssessments by the model that made them."""
        return {one["method"]["text"].split()[0]: one for one in self.of(person, "RiskAssessment")}


@pytest.fixture(scope="module")
def ward(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    folder = tmp_path_factory.mktemp("records")
    (folder / "delivered").mkdir()
    destination = [{"name": "archive", "kind": "folder", "url": str(folder / "delivered")}]
    told = {"DXGATE_DESTINATIONS": json.dumps(destination), "DXGATE_GATEWAY_LOG_LEVEL": "debug"}
    gateway = GatewayProcess(folder / "home", told).start()
    try:
        version = built_in()["treatment-plan"].manifest.version
        gateway.command("model", "promote", "treatment-plan", version, "--to", "active")
        told_of = ("--role", "physician", "--display-name", "Dr. Rita Reader", "--password-stdin")
        gateway.command("person", "add", "rita", *told_of, stdin=f"{PASSWORD}\n")
        with httpx.Client(base_url=f"{gateway.fhir_url}/", headers=_signed_in(gateway), timeout=30) as http:
            opened = Ward(gateway, http)
            opened.post(RISKS, records.risks(YESTERDAY))
            opened.post(STAY, records.stay(NOW - timedelta(hours=60)))
            opened.post(TUMOUR, records.tumour(YESTERDAY))
            opened.post(LACKING, records.lacking(YESTERDAY))
            opened.post(GENOME, records.genome())
            yield opened
    finally:
        gateway.stop()


def _signed_in(gateway: GatewayProcess) -> dict[str, str]:
    told = json.loads(gateway.command("client", "add", "fhir", "writer", "--scope", "system/*.cruds", "--json"))
    form = {"grant_type": "client_credentials"}
    answer = httpx.post(f"{gateway.base_url}/auth/token", data=form, auth=("writer", told["secret"]))
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def test_values_of_a_record_become_risk_assessments(ward: Ward) -> None:
    """A transaction of results, conditions and findings is answered by every model on such records, as preliminary."""
    risks = ward.risks(RISKS)
    assert set(risks) == {"diabetes-risk", "chd-risk", "incident-diabetes", "heart-disease", "lung-nodule"}
    for risk in risks.values():
        assert risk["status"] == "preliminary"
        assert abs(sum(float(one["probabilityDecimal"]) for one in risk["prediction"]) - 1) < 1e-3
        assert risk["basis"]
    report = ward.report(RISKS)
    assert report["status"] == "preliminary"
    linked = {one.get("valueReference", {}).get("reference") for one in report["extension"]}
    assert {f"RiskAssessment/{one['id']}" for one in risks.values()} <= linked


def test_a_stay_becomes_a_risk(ward: Ward) -> None:
    """Vital signs and laboratory values of two days of intensive care reach the model on series."""
    risks = ward.risks(STAY)
    assert float(risks["icu-deterioration-gru"]["prediction"][0]["probabilityDecimal"]) > 0.2


def test_findings_and_genes_of_a_tumour_are_answered(ward: Ward) -> None:
    """A radiologist's words and the expression of a panel lead to two answers; what is in the shadow gives none."""
    risks = ward.risks(TUMOUR)
    assert set(risks) == {"mammography-findings", "tumour-er-status"}
    likely = max(risks["mammography-findings"]["prediction"], key=lambda one: float(one["probabilityDecimal"]))
    assert likely["outcome"]["coding"][0]["display"] == "Malignant neoplasm of breast"


def test_a_genotype_becomes_phenotype_and_advice(ward: Ward) -> None:
    """A poor metabolizer who takes clopidogrel: a phenotype Observation, and a DetectedIssue with the advice."""
    (issue,) = ward.of(RISKS, "DetectedIssue")
    assert issue["code"]["text"] == "Pharmacogenomic advice: clopidogrel"
    assert "Avoid" in issue["mitigation"][0]["action"]["text"]
    said = [json.dumps(one) for one in ward.of(RISKS, "Observation")]
    assert any("gene-phenotype" in one and "Poor Metabolizer" in one for one in said)


def test_a_vcf_becomes_phenotype_and_advice_and_names_what_lacks(ward: Ward) -> None:
    """A VCF as DocumentReference, a MolecularSequence with its Observation: what is covered is answered, else named."""
    (issue,) = ward.of(GENOME, "DetectedIssue")
    assert "Avoid" in issue["mitigation"][0]["action"]["text"]
    (file,) = ward.of(GENOME, "DocumentReference")
    found = [one for one in ward.of(GENOME, "Observation") if "gene-phenotype" in json.dumps(one["code"])]
    phenotypes = {
        one["component"][0]["valueCodeableConcept"]["text"]: one["valueCodeableConcept"]["text"] for one in found
    }
    assert phenotypes == {"CYP2C19": "Poor Metabolizer", "ABCG2": "Decreased Function"}
    (sequence,) = ward.of(GENOME, "MolecularSequence")
    sources = {one["reference"] for one in found[0]["derivedFrom"]}
    assert {f"DocumentReference/{file['id']}", f"MolecularSequence/{sequence['id']}"} <= sources
    assert "SLCO1B1: no confident genotype at rs2306283, rs4149056" in ward.report(GENOME)["conclusion"]


GUIDE = "http://hl7.org/fhir/uv/genomics-reporting/StructureDefinition"


def test_results_about_genes_are_found_by_the_genomics_guide(ward: Ward) -> None:
    """Report, genotypes and implications obey the profiles as they come back, and are found by profile, code and gene.

    Only what rules say: of a gene that is not determined there is neither genotype nor implication.
    """
    patient = ward.patients[GENOME.number]
    report = ward.report(GENOME)
    found = ward.of(GENOME, "Observation")
    judged = genomics_problems([report, *found])
    assert {name.partition(" ")[2] for name in judged} == {"genomic-report", "genotype", "therapeutic-implication"}
    assert [said for said in judged.values() if said] == []

    def ids(kind: str, **asked: str) -> set[str]:
        return {one["id"] for one in ward.search(kind, patient=patient, **asked)}

    told = [one for one in found if f"{GUIDE}/genotype" in one["meta"].get("profile", ())]
    genotypes = {one["valueCodeableConcept"]["text"]: one for one in told}
    assert set(genotypes) == {"CYP2C19 *2/*2", "ABCG2 Reference/rs2231142"}
    genotype, own = genotypes["CYP2C19 *2/*2"], {one["id"] for one in told}
    assert ids("Observation", _profile=f"{GUIDE}/genotype") == own
    assert ids("Observation", code="http://loinc.org|84413-4") == own
    for gene in ("http://loinc.org|48018-6$http://www.genenames.org|HGNC:2621", "48018-6$HGNC:2621"):
        of_gene = ids("Observation", **{"component-code-value-concept": gene})
        assert (of_gene & own, len(of_gene)) == ({genotype["id"]}, 2)
    not_ours = ids("Observation", **{"_security:not": "AIAST"})
    assert not_ours == {one["id"] for one in found if "security" not in one["meta"]} != set()
    (implied,) = ward.search("Observation", patient=patient, _profile=f"{GUIDE}/therapeutic-implication")
    assert f"Observation/{genotype['id']}" in {one["reference"] for one in implied["derivedFrom"]}
    assert implied["id"] in ids("Observation", **{"derived-from": f"Observation/{genotype['id']}"})
    for asked in ({"_profile": f"{GUIDE}/genomic-report"}, {"category": "GE"}, {"code": "http://loinc.org|51969-4"}):
        assert ids("DiagnosticReport", **asked) == {report["id"]}
    assert "genomics-reporting" not in json.dumps(ward.report(STAY))
    served = ward.http.get("metadata").json()["rest"][0]["resource"]
    named = {each for one in served for each in one.get("supportedProfile", ())}
    assert {f"{GUIDE}/{name.partition(' ')[2]}" for name in judged} <= named


def test_a_plan_names_what_made_each_rule_speak(ward: Ward) -> None:
    """Findings and values lead to a draft CarePlan, whose items name finding or value; it says that nobody reviewed."""

    def whole() -> list[Resource]:
        return [one for one in ward.of(RISKS, "CarePlan") if "finding" in json.dumps(one)]

    (plan,) = wait_for(whole, 60, "a plan that builds on findings")
    assert (plan["status"], plan["intent"]) == ("draft", "proposal")
    because = {
        one["detail"]["code"]["coding"][0]["code"]: [each["text"] for each in one["detail"]["reasonCode"]]
        for one in plan["activity"]
    }
    assert {"obesity", "tobacco", "pressure-systolic", "diabetes-test"} <= set(because)
    assert "finding diabetes-risk=diabetes" in because["diabetes-test"]
    assert "No medical review of these rules is known" in plan["note"][0]["text"]
    sources = {one["reference"] for one in plan["supportingInfo"]}
    (body_mass,) = ward.search("Observation", patient=ward.patients[RISKS.number], code="http://loinc.org|39156-5")
    assert f"Observation/{body_mass['id']}" in sources


def test_a_plan_sees_what_was_found_in_an_image(ward: Ward, tmp_path: Path) -> None:
    """Of a patient with images and values, the finding of the ultrasound model makes a rule of the plan speak."""
    planted_study(tmp_path / "in", PLANTED[0], 2, pixels=suspicious())
    send_folder(ward.gateway.dicom_port, tmp_path / "in")

    def of_images() -> list[Resource]:
        found = ward.search("DiagnosticReport", identifier=PLANTED[0].accession)
        return [one for one in found if one["status"] != "registered"]

    (image,) = wait_for(of_images, 60, "the report about images")
    patient = str(image["subject"]["reference"])
    values = [
        records.quantity("bmi", "39156-5", 33.0, "kg/m2", YESTERDAY),
        records.quantity("a1c", "4548-4", 6.9, "%", YESTERDAY),
    ]
    assert ward.http.post("", json=records.transaction(patient, values)).status_code == 200

    def whole() -> list[Resource]:
        """The plan is made from the image first, and anew with the values."""
        return [one for one in ward.search("CarePlan", patient=patient) if len(one["activity"]) == 3]

    (plan,) = wait_for(whole, 60, "a plan that builds on image and values")
    rules = {one["detail"]["code"]["coding"][0]["code"]: one["detail"] for one in plan["activity"]}
    assert set(rules) == {"breast-ultrasound-tissue", "obesity", "diabetes-confirm"}
    assert rules["breast-ultrasound-tissue"]["reasonCode"][0]["text"] == "finding breast-us-malignancy=malignant"
    assert "HbA1c" in rules["diabetes-confirm"]["reasonCode"][0]["text"]


def test_a_record_that_lacks_values_is_refused_with_reasons(ward: Ward) -> None:
    """The sender finds a cancelled report that names, for each model that its values are for, what is lacking."""
    report = ward.report(LACKING)
    assert report["status"] == "cancelled"
    assert "Not scored" in report["conclusion"]
    assert ward.of(LACKING, "RiskAssessment") == []


def test_no_identity_of_a_record_leaves_the_vault(ward: Ward) -> None:
    """Files, database, log at level debug, broker and what a worker can open hold no word of the posted persons."""
    people = (RISKS, STAY, TUMOUR, LACKING, GENOME)
    for person in people:
        ward.report(person)
    sought = needles([word for person in people for word in person.words if word != person.born])
    home = ward.gateway.home
    for path in ward.gateway.files():
        nothing_in(path.name, path.read_bytes(), sought)
    (socket,) = home.rglob("*.sock")
    memory = broker_memory(socket)
    assert memory
    nothing_in("the broker", memory, sought)
    inputs = _inputs(home)
    assert len(inputs) >= 10
    ids = [place.partition("/")[2] for place in ward.patients.values()]
    born = needles([person.born for person in people] + [YESTERDAY.date().isoformat(), *ids])
    for content in inputs:
        nothing_in("what a worker is given", content, sought | born)


def _inputs(home: Path) -> list[bytes]:
    """Every gathered document, opened with the worker's keys."""
    settings = config.load({"DXGATE_GATEWAY_HOME": str(home)}).settings
    database = wiring.database(settings)
    seal, blobs = wiring.object_seal(settings, database), wiring.blobs(settings)
    with database.read() as unit:
        studies: list[Study] = [one for one in unit.studies.newest(50) if one.kind == "record"]
        rows = [
            (study.patient, unit.records.input(study.id, revision, model))
            for study in studies
            for revision in range(1, study.revision + 1)
            for model in unit.records.basis(study.id, revision)
        ]
    opened = [(row, seal.open(patient, row.blob_key, blobs.get(row.blob_key))) for patient, row in rows]
    database.close()
    assert all(hashlib.sha256(content).digest() == row.digest for row, content in opened)
    return [content for _, content in opened]


def test_a_signed_report_of_a_record_is_delivered(ward: Ward) -> None:
    """A physician signs in the console; the final version stands in the store and lies at the destination."""
    before = ward.report(TUMOUR)
    _sign(ward, before["id"])

    def final() -> Resource | None:
        now = ward.report(TUMOUR)
        return now if now["status"] == "final" else None

    report = wait_for(final, 30, "the final report in the store")
    assert report["resultsInterpreter"]
    assert {one["status"] for one in ward.of(TUMOUR, "RiskAssessment")} == {"final"}
    folder = ward.gateway.home.parent / "delivered"

    def delivered() -> list[str]:
        texts = [path.read_text("utf-8") for path in folder.glob("*.json")]
        return [text for text in texts if report["id"] in text and TUMOUR.family in text and '"final"' in text]

    assert wait_for(delivered, 30, "the signed report at the destination")


def _sign(ward: Ward, number: str) -> None:
    with _reader(ward) as browser:
        page = browser.get(f"/console/reports/{number}").text
        assert TUMOUR.family in page
        form = dict(re.findall(r'name="(token|version)" value="([^"]+)"', page.partition('id="decide"')[2]))
        text = re.search(r'name="conclusion"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
        assert text is not None
        words = {"conclusion": text[1], "reason": "", "outcome": "accept"}
        assert browser.post(f"/console/reports/{number}", data=form | words).status_code == 200


@contextmanager
def _reader(ward: Ward) -> Iterator[httpx.Client]:
    """A physician who has signed in at the console."""
    with httpx.Client(base_url=ward.gateway.base_url, follow_redirects=True, timeout=30) as browser:
        login = re.search(r'name="token" value="([0-9a-f]{64})"', browser.get("/console/login").text)
        assert login is not None
        browser.post("/console/login", data={"name": "rita", "password": PASSWORD, "token": login[1]})
        yield browser


def test_who_signs_sees_what_an_answer_rests_on(ward: Ward) -> None:
    """The page of a report on a record shows probabilities, weights beside values, advice and rules with their sources.

    It does not call the record analysed anew where a second look had nothing new in it.
    """
    report = ward.report(RISKS)
    with _reader(ward) as browser:
        text = html.unescape(browser.get(f"/console/reports/{report['id']}").text)
    assert "Age = 61 years (+" in text
    assert "“no-diabetes”" in text
    assert re.search(r"clopidogrel</strong>: Avoid.*recommendation table, row", text)
    assert "analysed again since" not in text


def test_a_record_of_which_nothing_counts_says_so(ward: Ward) -> None:
    """Preliminary results lead to no report; what is shown of the record tells that they do not count."""
    person = Person("Wolverhampton-Ueda", "Ignatius", "MRN-PREL-5546", "male", "1966-06-06")
    ward.post(person, [one | {"status": "preliminary"} for one in records.lacking(YESTERDAY)])

    def settled() -> list[str]:
        listed = json.loads(ward.gateway.command("study", "list", "--json"))
        return [str(one["id"]) for one in listed if one["kind"] == "record" and one["state"] == "settled"]

    (study,) = wait_for(settled, 30, "the record to be settled")
    assert "no model was asked: nothing in the record is what one takes" in ward.gateway.command("study", "show", study)
    with _reader(ward) as browser:
        assert "Nothing in the record is what a model takes" in browser.get(f"/console/studies/{study}").text


def test_the_console_shows_records_among_studies(ward: Ward) -> None:
    """The list calls them by their kind; a record's page tells what rules have found, and has no images."""
    ward.report(RISKS)
    with _reader(ward) as browser:
        text = browser.get("/console/studies").text
        rows = re.findall(r'href="(/console/studies/[0-9a-f]{32})".*?</tr>', text, re.DOTALL)
        assert text.count("Patient’s record</td>") >= len(ward.patients)
        pages = [browser.get(row) for row in rows]
    assert {page.status_code for page in pages} == {200}
    (page,) = [one.text for one in pages if "pgx-rules" in one.text and "diabetes-risk" in one.text]
    assert "CYP2C19: Poor Metabolizer" in page
    assert "<dt>Images</dt>" not in page
    listed = json.loads(ward.gateway.command("study", "list", "--json"))
    assert sum(one["kind"] == "record" for one in listed) >= len(ward.patients)
