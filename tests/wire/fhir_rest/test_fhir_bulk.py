"""Bulk export and import over a real socket: kick-off, status, manifest, files (FHIR Bulk Data Access 2.0)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx
import pytest
from wire.fhir_rest.hospital import SECRET
from wire.fhir_rest.jobs import ASYNC, Kind, Ward, jobs_of
from wire.fhir_rest.writing import MRN, observation, patient

from gateway import wiring
from gateway.flow.bulk import export
from gateway.outlets.bulk_source import HttpBulkSource, check_source


@pytest.fixture(scope="module")
def ward(both_kinds: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with jobs_of(both_kinds, tmp_path_factory.mktemp("bulk") / "home") as found:
        for number in ("A", "B"):
            own_id = found.ehr.create(patient(number))["id"]
            found.ehr.create(observation(f"Patient/{own_id}", note=[{"text": number}]))
        found.ehr.create({"resourceType": "Organization", "name": "Of nobody"})
        yield found


def test_a_system_export_holds_everything_as_it_is_stored(ward: Ward) -> None:
    """Files by type with the counts that the manifest says; each line is what a read gives."""
    status = ward.begin("$export?_type=Patient,Observation,Organization&_outputFormat=application/fhir%2Bndjson")
    manifest = ward.manifest(status)
    assert manifest["requiresAccessToken"] is True
    assert manifest["error"] == []
    assert "$export?_type=Patient" in manifest["request"]
    found = {file["type"]: ward.lines(file) for file in manifest["output"]}
    assert {kind: len(lines) for kind, lines in found.items()} == {"Patient": 2, "Observation": 2, "Organization": 1}
    for line in found["Patient"]:
        assert ward.ehr.send("GET", f"Patient/{line['id']}").json() == line


def test_a_patient_export_leaves_out_what_is_nobodys(ward: Ward) -> None:
    """Patient/$export holds the records of patients alone; without _type all types that there are."""
    found = ward.exported("Patient/$export")
    assert set(found) == {"Patient", "Observation"}


def test_a_group_export_is_about_its_members(ward: Ward) -> None:
    """Group/[id]/$export holds the records of its active members and of nobody else."""
    mine = ward.exported("Patient/$export?_type=Patient")["Patient"][0]["id"]
    member = [{"entity": {"reference": f"Patient/{mine}"}}]
    group = ward.ehr.create({"resourceType": "Group", "type": "person", "actual": True, "member": member})["id"]
    found = ward.exported(f"Group/{group}/$export?_type=Patient,Observation")
    assert [one["id"] for one in found["Patient"]] == [mine]
    assert [one["subject"]["reference"] for one in found["Observation"]] == [f"Patient/{mine}"]
    assert ward.ehr.send("GET", "Group/none/$export", Prefer="respond-async").status_code == 404


def test_since_and_type_filter_narrow(ward: Ward) -> None:
    """_typeFilter judges each resource of its type; _since leaves out what has not changed."""
    only = ward.exported(f"$export?_type=Patient&_typeFilter=Patient%3Fidentifier%3D{MRN}%7CA")
    assert [one["identifier"][0]["value"] for one in only["Patient"]] == ["A"]
    assert ward.exported("$export?_type=Patient&_since=2999-01-01T00:00:00Z") == {}


@pytest.mark.parametrize("bound", ["MOST_SEALED", "MOST_OPENED"])
def test_heavy_resources_are_exported_few_at_a_time(ward: Ward, monkeypatch: pytest.MonkeyPatch, bound: str) -> None:
    """However many lie in memory together, each is in the files once."""
    monkeypatch.setattr(export, "FIRST", 4)
    monkeypatch.setattr(export, bound, 1)
    made = {ward.ehr.create({"resourceType": "Location", "name": f"{bound} {number}"})["id"] for number in range(7)}
    lines = ward.exported(f"$export?_type=Location&_typeFilter=Location%3Fname%3D{bound}")["Location"]
    assert sorted(one["id"] for one in lines) == sorted(made)


def told(*parameters: tuple[str, str, Any]) -> dict[str, Any]:
    """A Parameters resource of name, kind and value."""
    parts = [{"name": name, f"value{kind}": value} for name, kind, value in parameters]
    return {"resourceType": "Parameters", "parameter": parts}


def test_a_post_asks_for_the_same_in_its_body(ward: Ward) -> None:
    """By POST the parameters stand in a Parameters resource, lists as repetitions; the manifest shows none of them."""
    types = [("_type", "String", "Patient"), ("_type", "String", "Organization"), ("_elements", "String", "id")]
    manifest = ward.manifest(ward.begin("$export", "POST", told(*types, ("_since", "Instant", "2020-01-01T00:00:00Z"))))
    assert {file["type"] for file in manifest["output"]} == {"Patient", "Organization"}
    assert manifest["request"].endswith("/fhir/$export")
    assert {name for line in ward.lines(manifest["output"][0]) for name in line} <= {"resourceType", "id", "meta"}
    assert ward.manifest(ward.begin("$export?_type=Organization", "POST"))["output"]


def test_a_post_names_whose_records_are_wanted(ward: Ward) -> None:
    """patient narrows an export to records by name; who is no member of the Group is left out, and that is told."""
    mine, other = (ward.ehr.create(patient(number))["id"] for number in ("POST-A", "POST-B"))
    for own_id in (mine, other):
        ward.ehr.create(observation(f"Patient/{own_id}"))
    member = [{"entity": {"reference": f"Patient/{mine}"}}]
    group = ward.ehr.create({"resourceType": "Group", "type": "person", "actual": True, "member": member})["id"]
    named = [("patient", "Reference", {"reference": f"Patient/{own_id}"}) for own_id in (mine, other)]
    alone = ward.manifest(ward.begin("Patient/$export", "POST", told(*named[:1])))
    assert [one["id"] for file in alone["output"] if file["type"] == "Patient" for one in ward.lines(file)] == [mine]
    of_group = ward.manifest(ward.begin(f"Group/{group}/$export", "POST", told(*named)))
    assert [one["id"] for file in of_group["output"] if file["type"] == "Patient" for one in ward.lines(file)] == [mine]
    (said,) = [line for file in of_group["error"] for line in ward.lines(file)]
    assert said["issue"][0]["diagnostics"] == "left out: patients who are no members of the Group"


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("Patient/$export", told(("patient", "Reference", {"reference": "Patient/nobody"})), 404),
        ("Patient/$export", told(("patient", "Reference", {"reference": "Group/x"})), 404),
        ("Patient/$export", told(("patient", "String", "Patient/x")), 400),
        ("$export", told(("patient", "Reference", {"reference": "Patient/nobody"})), 400),
        ("$export", told(("nonsense", "String", "x")), 400),
        ("$export", told(("_type", "Integer", 1)), 400),
        ("$export", {"resourceType": "Patient"}, 400),
        ("$export", {"resourceType": "Parameters", "parameter": [{"name": "_type"}]}, 400),
    ],
)
def test_a_post_that_cannot_be_exported_is_refused(ward: Ward, path: str, body: dict[str, Any], status: int) -> None:
    """What the body says wrongly is told of at the kick-off."""
    assert ward.ehr.send("POST", path, body, Prefer="respond-async").status_code == status


def deleted(ward: Ward, path: str) -> list[str]:
    """What the manifest of an export says was deleted."""
    manifest = ward.manifest(ward.begin(path))
    lines = [line for file in manifest["deleted"] for line in ward.lines(file)]
    assert {(line["resourceType"], line["type"]) for line in lines} <= {("Bundle", "transaction")}
    requests = [one["request"] for line in lines for one in line["entry"]]
    assert {one["method"] for one in requests} <= {"DELETE"}
    return [one["url"] for one in requests]


def test_since_tells_what_was_deleted(ward: Ward) -> None:
    """With _since what was deleted is listed as DELETE entries, of the types and records that are exported."""
    ehr = ward.ehr
    since = f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    kept, gone = (ehr.create(patient(number))["id"] for number in ("kept", "gone"))
    measured = ehr.create(observation(f"Patient/{gone}"))["id"]
    nobodys = ehr.create({"resourceType": "Organization", "name": "Closed"})["id"]
    back = ehr.create(observation(f"Patient/{kept}"))
    for path in (f"Observation/{measured}", f"Patient/{gone}", f"Organization/{nobodys}", f"Observation/{back['id']}"):
        assert ehr.send("DELETE", path).status_code < 300
    assert ehr.send("PUT", f"Observation/{back['id']}", back).status_code in (200, 201)
    group = {"resourceType": "Group", "type": "person", "actual": True}
    members = ehr.create(group | {"member": [{"entity": {"reference": f"Patient/{kept}"}}]})["id"]
    all_of_it = {f"Patient/{gone}", f"Observation/{measured}"}
    assert {*deleted(ward, f"Patient/$export?_since={since}")} == all_of_it
    assert f"Organization/{nobodys}" in deleted(ward, f"$export?_since={since}")
    assert deleted(ward, f"$export?_since={since}&_type=Observation") == [f"Observation/{measured}"]
    assert deleted(ward, f"Group/{members}/$export?_since={since}") == []
    assert deleted(ward, "$export?_since=2999") == []
    assert deleted(ward, "$export?_type=Patient") == []


def test_deletions_come_in_pages(ward: Ward) -> None:
    """The store gives the deletions of a type in the order of keys, behind one, within a time."""
    gone = [ward.ehr.create({"resourceType": "Location", "name": f"Room {number}"})["id"] for number in range(3)]
    for own_id in gone:
        assert ward.ehr.send("DELETE", f"Location/{own_id}").status_code < 300
    now, ever = datetime.now(UTC), datetime(2000, 1, 1, tzinfo=UTC)
    with ward.ehr.hospital.database.read() as unit:
        first = unit.resources.deleted("Location", ever, now, 2)
        rest = unit.resources.deleted("Location", ever, now, 2, first[-1].key)
        assert unit.resources.deleted("Location", ever, ever, 2) == []
        assert unit.resources.deleted("Location", now, now, 2) == []
    assert [one.id for one in (*first, *rest)] == gone


def test_elements_and_a_lenient_client(ward: Ward) -> None:
    """_elements leaves the rest out and marks it; an unknown parameter of a lenient client is named in the answer."""
    found = ward.exported("$export?_type=Patient,Organization&_elements=Patient.identifier")
    assert {name for one in found["Patient"] for name in one} == {"resourceType", "id", "meta", "identifier"}
    assert {one["meta"]["tag"][-1]["code"] for one in found["Patient"]} == {"SUBSETTED"}
    assert all("name" in one and "tag" not in one["meta"] for one in found["Organization"])
    asked = "$export?_type=Patient&includeAssociatedData=LatestProvenanceResources"
    manifest = ward.manifest(ward.begin(asked, prefer="respond-async, handling=lenient"))
    (said,) = [line for file in manifest["error"] for line in ward.lines(file)]
    assert said["issue"][0]["diagnostics"] == "left out: includeAssociatedData is not served"
    assert manifest["output"]


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("$export?_type=Nothing", 400),
        ("$export?_outputFormat=csv", 400),
        ("$export?nonsense=1", 400),
        ("$export?includeAssociatedData=LatestProvenanceResources", 400),
        ("$export?_elements=Nothing.name", 400),
        ("$export?_since=lt2020", 400),
        ("$export?_type=Patient&_typeFilter=Patient%3Fnonsense%3D1", 422),
        ("$export?_type=Patient&_typeFilter=Observation%3Fstatus%3Dfinal", 422),
        ("$job/unknown", 404),
    ],
)
def test_what_cannot_be_exported_is_refused_at_once(ward: Ward, path: str, status: int) -> None:
    """A wrong parameter is told of at the kick-off, not found out by an empty export."""
    assert ward.ehr.send("GET", path, Prefer="respond-async").status_code == status


def test_without_prefer_nothing_is_begun(ward: Ward) -> None:
    """An export is asynchronous or not at all."""
    assert ward.ehr.send("GET", "$export").status_code == 400


def test_scopes_bound_an_export_and_jobs_are_private(ward: Ward) -> None:
    """A client exports what it may read; another client sees neither its job nor its files."""
    hospital, base = ward.ehr.hospital, str(ward.ehr.http.base_url).rstrip("/")
    hospital.add_client("patients-only", "system/Patient.r")
    with httpx.Client(base_url=base, auth=("patients-only", SECRET), headers=ASYNC, timeout=20) as other:
        assert other.get("/fhir/$export?_type=Observation").status_code == 403
        kicked = other.get("/fhir/$export")
        status = ward.local(kicked.headers["content-location"])
        while ward.jobs():
            pass
        manifest = other.get(f"/fhir/{status}").json()
        assert {file["type"] for file in manifest["output"]} == {"Patient"}
        assert ward.ehr.send("GET", status).status_code == 404
        file = ward.local(manifest["output"][0]["url"])
        assert ward.ehr.send("GET", file).status_code == 404
        assert other.get(f"/fhir/{file}").status_code == 200


def test_a_cancelled_job_leaves_no_file(ward: Ward) -> None:
    """DELETE answers 202; the status is gone, and what had been written is deleted."""
    status = ward.begin("$export?_type=Patient")
    manifest = ward.manifest(status)
    file = ward.local(manifest["output"][0]["url"])
    assert ward.ehr.send("DELETE", status).status_code == 202
    assert ward.ehr.send("GET", status).status_code == 404
    blobs = ward.ehr.hospital.services.reports.blobs
    assert file.rpartition("/")[2] in set(blobs.keys())
    wiring.clear_jobs(ward.ehr.hospital.settings, ward.ehr.hospital.database)()
    assert file.rpartition("/")[2] not in set(blobs.keys())


def test_files_lie_sealed_and_the_trail_tells_who_took_them(ward: Ward) -> None:
    """No name of a patient is in the blob store in clear; kick-off, files and fetching are in the audit trail."""
    ward.ehr.create(patient("sealed", name=[{"family": "Plainlyvisible"}]))
    found = ward.exported("$export?_type=Patient")
    assert any(one["name"][0]["family"] == "Plainlyvisible" for one in found["Patient"])
    blobs = ward.ehr.hospital.services.reports.blobs
    assert not any(b"Plainlyvisible" in blobs.get(key) for key in blobs.keys())  # noqa: SIM118 - a port, no dict
    for event in ("bulk:begin", "bulk:file", "bulk:end", "bulk:fetch"):
        (newest, *_) = ward.ehr.hospital.events(event)
        assert newest.actor == "client:ehr"
    (fetched, *_) = ward.ehr.hospital.events("bulk:fetch")
    assert fetched.details == {"type": "Patient", "count": len(found["Patient"])}


def test_an_erased_patient_leaves_no_export(ward: Ward) -> None:
    """Erasing a patient ends every export, because files hold many."""
    hospital = ward.ehr.hospital
    ward.ehr.create(patient("erase-me"))
    status = ward.begin("$export?_type=Patient")
    ward.manifest(status)
    (pseudonym,) = _pseudonyms(ward, "erase-me")
    wiring.erase_patient(hospital.settings)(pseudonym, "asked for", "officer")
    assert ward.ehr.send("GET", status).status_code == 404


def _pseudonyms(ward: Ward, number: str) -> list[str]:
    with ward.ehr.hospital.database.read() as unit:
        return list(ward.ehr.hospital.services.vault.patients(unit, None, number))


def test_an_upload_is_imported_line_by_line(ward: Ward) -> None:
    """Good lines are stored under their ids; each bad one is told of with its number, and stops no other."""
    good = [patient(f"imported-{number}", id=f"imported-{number}") for number in range(5)]
    lost = observation("Patient/nowhere", id="lost")
    wrong = {"resourceType": "Patient", "gender": "no such gender", "id": "wrong"}
    manifest = ward.manifest(ward.upload(*good[:3], b"{not json", wrong, lost, *good[3:], b""))
    for one in good:
        assert ward.ehr.send("GET", f"Patient/{one['id']}").headers["etag"] == 'W/"1"'
    issues = [one["issue"][0] for file in manifest["error"] for one in ward.lines(file)]
    assert sorted(one["diagnostics"].partition(":")[0] for one in issues) == ["line 4", "line 5", "line 6"]
    (counts,) = [line for file in manifest["output"] for line in ward.lines(file)]
    assert {one["name"]: one["valueInteger"] for one in counts["parameter"]} == {"stored": 5, "refused": 3}
    assert ward.ehr.send("GET", "Patient/wrong").status_code == 404


def test_an_import_that_was_cut_off_goes_on_where_it_stopped(ward: Ward) -> None:
    """Killed between two batches, the next attempt stores the rest and no line twice."""
    lines = [patient(f"cut-{number}", id=f"cut-{number}") for number in range(150)]
    status = ward.upload(*lines)

    class PowerCut(BaseException):
        pass

    cut = replace(ward.jobs.lines)
    batches = iter([False, True])
    commit = type(cut)._commit

    def dying(self: Any, *arguments: Any) -> None:
        if next(batches):
            raise PowerCut
        commit(self, *arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(type(cut), "_commit", dying)
        with pytest.raises(PowerCut):
            ward.jobs()
    assert ward.ehr.send("GET", status).headers["x-progress"] == "100 lines"
    ward.lease_runs_out(status)
    assert ward.manifest(status)["error"] == []
    etags = {ward.ehr.send("GET", f"Patient/cut-{number}").headers["etag"] for number in (0, 99, 100, 149)}
    assert etags == {'W/"1"'}


def test_inputs_are_fetched_from_allowed_hosts_alone(ward: Ward) -> None:
    """A Parameters resource names inputs; a host that the operator has not named is refused at once."""
    services = vars(ward.ehr.hospital.services)
    content = json.dumps(patient("fetched", id="fetched")).encode()
    with _serving(content) as url, pytest.MonkeyPatch.context() as patched:
        sent = {"resourceType": "Parameters", "parameter": [_input("Patient", url)]}
        patched.setitem(services, "check_source", _check(()))
        assert ward.ehr.send("POST", "$import", sent, Prefer="respond-async").status_code == 422
        host = url.split("/")[2]
        patched.setitem(services, "check_source", _check((host,)))
        answer = ward.ehr.send("POST", "$import", sent, Prefer="respond-async")
        assert answer.status_code == 202, answer.text
        lines = replace(ward.jobs.lines, source=HttpBulkSource((host,), 1 << 20))
        jobs = replace(ward.jobs, lines=lines)
        manifest = Ward(ward.ehr, jobs).manifest(ward.local(answer.headers["content-location"]))
    assert manifest["error"] == []
    assert ward.ehr.send("GET", "Patient/fetched").status_code == 200


def _check(hosts: tuple[str, ...]) -> Any:
    return lambda url: check_source(url, hosts)


def _input(kind: str, url: str) -> dict[str, Any]:
    parts = [{"name": "type", "valueCode": kind}, {"name": "url", "valueUrl": url}]
    return {"name": "input", "part": parts}


@contextmanager
def _serving(content: bytes) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/patients.ndjson"
    finally:
        server.shutdown()
        server.server_close()
