"""Every way in which a final report, or what it rests on, changes through the FHIR door, and what it costs."""

from __future__ import annotations

from typing import Any

import pytest
from wire.fhir_rest.test_final_reports import BENIGN, MALIGNANT, Case, case, concept, ehr
from wire.fhir_rest.writing import entry

from gateway.domain.resource import StoredVersion
from gateway.flow.record.hear_reports import MOST_LINKS, MOST_NAMED
from gateway.flow.record.open import OpenResources
from gateway.ports import UnitOfWork

__all__ = ["case", "ehr"]  # fixtures


def _result(case: Case) -> dict[str, Any]:
    made = {"resourceType": "Observation", "status": "final", "code": {"text": "Assessment"}}
    return made | {"subject": {"reference": case.patient}, "valueCodeableConcept": concept(BENIGN)}


def test_each_way_of_writing_is_heard(case: Case) -> None:
    """PATCH, conditional update, an entry of a batch, conditional delete, and the deleted report written again."""
    report = case.send(BENIGN)
    name, own_id = f"DiagnosticReport/{report['id']}", {"id": report["id"]}
    change = [{"op": "replace", "path": "/conclusionCode/0/coding/0/code", "value": MALIGNANT}]
    case.ehr.send("PATCH", name, change, Content_Type="application/json-patch+json")
    assert case.outcome == "agreed"
    case.ehr.send("PUT", f"DiagnosticReport?_id={report['id']}", case.report(BENIGN) | own_id)
    assert case.outcome == "disagreed"
    case.ehr.transact(entry("PUT", name, case.report(MALIGNANT) | own_id), kind="batch")
    assert case.outcome == "agreed"
    case.ehr.send("DELETE", f"DiagnosticReport?_id={report['id']}")
    assert case.found == []
    case.ehr.send("PUT", name, case.report(BENIGN) | own_id)
    assert case.outcome == "disagreed"


def test_a_result_that_is_deleted_and_written_again_answers_again(case: Case) -> None:
    """The report rests on it before, not while it is gone, and after."""
    result = case.ehr.create(_result(case))
    case.send(result=[{"reference": f"Observation/{result['id']}"}])
    assert case.outcome == "disagreed"
    assert case.ehr.send("DELETE", f"Observation/{result['id']}").status_code == 204
    assert case.outcome == "uncoded"
    assert case.ehr.send("PUT", f"Observation/{result['id']}", result).status_code == 201
    assert case.outcome == "disagreed"


def test_results_that_change_together_are_read_once(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that changes all results of a report opens each as it was and as it is, not once for each other."""
    posted = case.ehr.transact(*[entry("POST", "Observation", _result(case)) for _ in range(20)])
    names = [one["response"]["location"].split("/_history")[0].split("/fhir/")[-1] for one in posted.json()["entry"]]
    case.send(result=[{"reference": name} for name in names])
    assert case.outcome == "disagreed"
    opened: list[str] = []
    unseen = OpenResources.unseen

    def noted(own: OpenResources, unit: UnitOfWork, one: StoredVersion) -> bytes:
        opened.append(one.id)
        return unseen(own, unit, one)

    monkeypatch.setattr(OpenResources, "unseen", noted)
    said = {"valueCodeableConcept": concept(MALIGNANT)}
    changed = [entry("PUT", name, _result(case) | said | {"id": name.split("/")[1]}) for name in names]
    answer = case.ehr.transact(*changed)
    assert answer.status_code == 200, answer.text
    assert case.outcome == "agreed"
    assert len(opened) <= 3 * len(names)


def test_a_source_that_begins_like_our_address_is_not_ours(case: Case) -> None:
    """The report of another server beside this one counts; of this address, or below it, none does."""
    base = case.ehr.hospital.settings.fhir_base_url
    for source in (base, f"{base}/DiagnosticReport/1", f"{base}#x"):
        case.send(BENIGN, meta={"source": source})
        assert case.found == []
    case.send(BENIGN, meta={"source": f"{base}-of-another/x"})
    assert case.outcome == "disagreed"


@pytest.mark.parametrize("left", ["device", "extension"])
def test_a_copy_of_our_result_under_another_name_says_nothing(case: Case, left: str) -> None:
    """Without id, label, identifier and source, and final: it is known by the device that made it, or by the extension
    that says how sure an AI is."""
    (found,) = case.ehr.send("GET", f"DiagnosticReport?imagingStudy=ImagingStudy/{case.study}").json()["entry"]
    own = case.ehr.send("GET", found["resource"]["result"][0]["reference"]).json()
    gone = {"id", "meta", "identifier", "performer", "device", "extension"} - {left}
    copy = case.ehr.create({name: value for name, value in own.items() if name not in gone} | {"status": "final"})
    theirs = case.ehr.create(_result(case))
    alone, beside = [{"reference": f"Observation/{one['id']}"} for one in (copy, theirs)]
    report = case.send(result=[alone])
    assert case.outcome == {"device": "", "extension": "uncoded"}[left]
    case.change(report, result=[alone, beside])
    assert (case.outcome, case.found[0].reference) == ("disagreed", "benign")


def test_a_report_that_names_more_than_can_be_looked_at_says_nothing(case: Case) -> None:
    """It is withdrawn from the study that it was about, and counts again when it names that alone."""
    orders: list[dict[str, Any]] = [{"identifier": {"value": f"N-{number}"}} for number in range(MOST_LINKS)]
    numbers = [{"value": f"M-{number}"} for number in range(MOST_LINKS)]
    order: dict[str, Any] = {
        "resourceType": "ServiceRequest",
        "status": "active",
        "intent": "order",
        "identifier": numbers,
    }
    made = case.ehr.create(order | {"subject": {"reference": case.patient}})
    assert len(orders) + len(numbers) == MOST_NAMED
    report = case.send(BENIGN, basedOn=orders)
    assert case.outcome == "disagreed"
    many = [{"reference": f"ServiceRequest/{made['id']}"}, *orders[1:]]
    report = case.change(report, basedOn=many)
    assert case.outcome == "disagreed"  # 1 study and 39 numbers
    report = case.change(report, basedOn=[many[0] | {"identifier": {"value": "N-0"}}, *many[1:]])
    assert case.found == []
    case.change(report, basedOn=orders)
    assert case.outcome == "disagreed"
