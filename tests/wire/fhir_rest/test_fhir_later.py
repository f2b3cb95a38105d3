"""Requests that are answered later, over a real socket: kick-off, status, result, cancelling (R4 3.1.0.7)."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from wire.fhir_rest.hospital import SECRET
from wire.fhir_rest.jobs import ASYNC, Kind, Ward, jobs_of
from wire.fhir_rest.writing import MRN, entry, observation, patient

from gateway import wiring
from gateway.domain.errors import Invalid, Unavailable
from gateway.flow.bulk.run_jobs import ATTEMPTS, pause_after
from gateway.flow.opening_quota import TooManyOpenings
from gateway.servers.web.fhir import interactions, run_request, run_search
from gateway.servers.web.fhir.run_request import RunRequest
from gateway.servers.web.fhir.run_search import RunSearch

NEW = "urn:uuid:0b9c8b1e-4a3b-4c5d-8e6f-001122334455"


@pytest.fixture(scope="module")
def ward(both_kinds: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with jobs_of(both_kinds, tmp_path_factory.mktemp("later") / "home") as found:
        yield found


def bundle(kind: str, *entries: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def new(number: str, kind: str = "transaction") -> dict[str, Any]:
    """A Patient and an Observation about her."""
    made = entry("POST", "Patient", patient(number), NEW)
    about = NEW if kind == "transaction" else "Patient/known"
    return bundle(kind, made, entry("POST", "Observation", observation(about)))


def answer_of(ward: Ward, status: str) -> dict[str, Any]:
    """The one Bundle of a job that is run now."""
    manifest = ward.manifest(status)
    assert (manifest["error"], [one["type"] for one in manifest["output"]]) == ([], ["Bundle"])
    (found,) = ward.lines(manifest["output"][0])
    return found


def statuses(answer: dict[str, Any]) -> list[str]:
    return [one["response"]["status"] for one in answer["entry"]]


def claimed_twenty_times(ward: Ward, status: str) -> None:
    """By processes that died of it."""
    for _ in range(20):
        with ward.ehr.hospital.database.begin("test") as unit:
            job = unit.bulk_jobs.get(status.rpartition("/")[2])
            assert job is not None
            assert unit.bulk_jobs.claim(job, job.created_at) is not None
            unit.commit()


def how_many(ward: Ward, number: str) -> int:
    found = ward.ehr.send("GET", f"Patient?identifier={MRN}%7C{number}&_summary=count").json()
    return int(found["total"])


def test_a_transaction_is_carried_out_later(ward: Ward) -> None:
    """Nothing is stored at the kick-off; then all of it, and the answer is the one that it would have had at once."""
    status = ward.begin("", "POST", new("later"))
    assert how_many(ward, "later") == 0
    answer = answer_of(ward, status)
    assert (answer["type"], statuses(answer)) == ("transaction-response", ["201 Created", "201 Created"])
    place = answer["entry"][1]["response"]["location"]
    stored = ward.ehr.send("GET", ward.local(place)).json()
    assert (
        stored["subject"]["reference"] == ward.local(answer["entry"][0]["response"]["location"])[: -len("/_history/1")]
    )
    assert how_many(ward, "later") == 1


def test_a_batch_answers_each_entry(ward: Ward) -> None:
    """What is wrong stands beside what was done; a search among the entries sees what they wrote."""
    ward.ehr.send("PUT", "Patient/known", patient("known", id="known"))
    wrong = entry("POST", "Patient", {"resourceType": "Patient", "gender": "none of these"})
    seen = entry("GET", f"Patient?identifier={MRN}%7Cbatched")
    sign = entry("POST", "DiagnosticReport/x/$sign", {"resourceType": "Parameters"})
    sent = new("batched", "batch")
    sent["entry"] += [wrong, seen, sign]
    answer = answer_of(ward, ward.begin("", "POST", sent))
    assert answer["type"] == "batch-response"
    assert [one[:3] for one in statuses(answer)] == ["201", "201", "422", "200", "422"]
    assert answer["entry"][3]["resource"]["total"] == 1
    assert answer["entry"][2]["response"]["outcome"]["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("by_post", [False, True])
def test_a_search_is_carried_out_later(ward: Ward, by_post: bool) -> None:
    """Its answer is the whole result at the moment at which it is carried out, each page a searchset without a link."""
    for number in range(3):
        ward.ehr.create(patient(f"many-{number}", name=[{"family": "Waitsforit"}]))
    if by_post:
        form = {"family:exact": "Waitsforit", "_count": "2", "_total": "accurate"}
        kicked = ward.ehr.http.post("/fhir/Patient/_search", data=form, headers=ASYNC)
        assert kicked.status_code == 202
        status = ward.local(kicked.headers["content-location"])
    else:
        status = ward.begin("Patient?family:exact=Waitsforit&_count=2&_total=accurate")
    late = ward.ehr.create(patient("late", name=[{"family": "Waitsforit"}]))["id"]
    manifest = ward.manifest(status)
    pages = [page for file in manifest["output"] for page in ward.lines(file)]
    assert {page["type"] for page in pages} == {"searchset"}
    assert pages[0]["entry"][0]["resource"]["id"] == late
    assert [link["relation"] for page in pages for link in page["link"]] == ["self"] * len(pages)
    found = [one["resource"]["id"] for page in pages for one in page["entry"]]
    total = ward.ehr.send("GET", "Patient?family:exact=Waitsforit&_summary=count").json()["total"]
    assert (len(found), len(set(found)), pages[0]["total"]) == (total, total, total)


def test_a_large_result_comes_in_several_files(ward: Ward) -> None:
    """Files are bounded, matches are counted as they come, and a run that was cut off goes on behind its last file."""
    for number in range(5):
        ward.ehr.create(patient(f"filed-{number}", name=[{"family": "Inmanyfiles"}]))
    status = ward.begin("Patient?family:exact=Inmanyfiles&_count=2")
    filed, done = RunSearch._filed, []

    class PowerCut(BaseException):
        pass

    def dying(self: RunSearch, *asked: Any) -> Any:
        if len(done) == 1:
            done.append("cut")
            raise PowerCut
        done.append("filed")
        return filed(self, *asked)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_search, "MOST_LINES", 1)
        patched.setattr(RunSearch, "_filed", dying)
        with pytest.raises(PowerCut):
            ward.jobs()
        assert ward.ehr.send("GET", status).headers["x-progress"] == "2 matches"
        ward.lease_runs_out(status)
        manifest = ward.manifest(status)
    assert [file["count"] for file in manifest["output"]] == [1, 1, 1]
    found = [one["resource"]["id"] for file in manifest["output"] for one in ward.lines(file)[0]["entry"]]
    assert (len(found), len(set(found))) == (5, 5)


def test_a_search_holds_its_job_from_page_to_page(ward: Ward) -> None:
    """Where the lease was near its end during one page, it is renewed before the next: nobody else claims the job."""
    for number in range(3):
        ward.ehr.create(patient(f"held-{number}", name=[{"family": "Longheld"}]))
    status = ward.begin("Patient?family:exact=Longheld&_count=1")
    search, free = interactions.search, []

    def slow(*asked: Any) -> Any:
        with ward.ehr.hospital.database.read() as unit:
            free.append([one.id for one in unit.bulk_jobs.due(datetime.now(UTC), 10, ["request"])])
        ward.lease_runs_out(status)
        return search(*asked)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_search, "RENEW_SECONDS", -1.0)
        patched.setattr(interactions, "search", slow)
        manifest = ward.manifest(status)
    assert sum(len(page["entry"]) for file in manifest["output"] for page in ward.lines(file)) == 3
    assert free == [[]] * len(free)
    assert len(free) >= 3


def test_a_result_has_an_end(ward: Ward) -> None:
    """Behind the most matches that are given nothing follows, and the manifest says so."""
    for number in range(3):
        ward.ehr.create(patient(f"endless-{number}", name=[{"family": "Endless"}]))
    status = ward.begin("Patient?family:exact=Endless&_count=1")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_search, "MOST_FOUND", 2)
        manifest = ward.manifest(status)
    assert sum(len(page["entry"]) for file in manifest["output"] for page in ward.lines(file)) == 2
    (outcome,) = ward.lines(manifest["error"][0])
    assert outcome["issue"][0]["code"] == "too-costly"


def test_the_trail_is_searched_later_too(ward: Ward) -> None:
    """All pages of AuditEvents, as of the beginning."""
    ward.ehr.hospital.add_client("officer-later", "system/AuditEvent.rs")
    with httpx.Client(base_url=ward.ehr.http.base_url, auth=("officer-later", SECRET), headers=ASYNC) as officer:
        kicked = officer.get("/fhir/AuditEvent?subtype=create&_count=3")
        status = ward.local(kicked.headers["content-location"])
        while ward.jobs():
            pass
        (file,) = officer.get(f"/fhir/{status}").json()["output"]
        pages = [json.loads(line) for line in officer.get(f"/fhir/{ward.local(file['url'])}").text.splitlines()]
        total = officer.get("/fhir/AuditEvent?subtype=create&_summary=count", headers={"Prefer": ""}).json()["total"]
    assert sum(len(page["entry"]) for page in pages) == total > 3


def test_a_used_up_quota_waits_for_the_next_hour(ward: Ward) -> None:
    """What was found until then is kept, the next attempt comes when the quota is new, and the status says when."""
    search, asked = interactions.search, []

    def spent_at_the_second(*told: Any) -> Any:
        asked.append(told)
        if len(asked) == 2:
            raise TooManyOpenings(datetime.now(UTC).replace(minute=10, second=0))
        return search(*told)

    for number in range(3):
        ward.ehr.create(patient(f"quota-{number}", name=[{"family": "Quotarunsout"}]))
    status = ward.begin("Patient?family:exact=Quotarunsout&_count=1")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(interactions, "search", spent_at_the_second)
        ward.jobs()
        waiting = ward.ehr.send("GET", status)
        assert waiting.headers["x-progress"] == "1 matches; attempt 1 failed, the next follows"
        assert int(waiting.headers["retry-after"]) > 2900
        assert ward.jobs() == 0
        ward.is_due(status)
        manifest = ward.manifest(status)
    assert sum(len(page["entry"]) for file in manifest["output"] for page in ward.lines(file)) == 3
    assert len(asked) == 4


def test_an_outage_that_stays_is_told_entry_by_entry(ward: Ward) -> None:
    """After the last attempt what is stored is told as stored, in a transaction and in a batch; the rest is 503."""
    outages: list[str] = []

    def always_out(*_: Any) -> Any:
        outages.append("out")
        raise Unavailable("the disk is out")

    ward.ehr.send("PUT", "Patient/known", patient("known", id="known"))
    for kind in ("transaction", "batch"):
        sent = new(f"stays-out-{kind}", kind)
        sent["entry"].append(entry("GET", "Patient?_summary=count"))
        status = ward.begin("", "POST", sent)
        with pytest.MonkeyPatch.context() as patched:
            patched.setattr(interactions, "search", always_out)
            for _ in range(ATTEMPTS - 1):
                ward.jobs()
                assert "next follows" in ward.ehr.send("GET", status).headers["x-progress"]
                ward.is_due(status)
            answer = answer_of(ward, status)
        assert [one[:3] for one in statuses(answer)] == ["201", "201", "503"]
        place = ward.local(answer["entry"][0]["response"]["location"])
        assert ward.ehr.send("GET", place).json()["identifier"][0]["value"] == f"stays-out-{kind}"
        assert how_many(ward, f"stays-out-{kind}") == 1
    assert len(outages) == 2 * ATTEMPTS


def test_a_job_given_up_tells_what_is_stored(ward: Ward) -> None:
    """Held too often without an end, a transaction that was committed is told as stored, and why nothing was read."""

    class PowerCut(BaseException):
        pass

    def dying(*_: object) -> None:
        raise PowerCut

    sent = new("given-up")
    sent["entry"].append(entry("GET", "Patient?_summary=count"))
    status = ward.begin("", "POST", sent)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RunRequest, "_filed", dying)
        with pytest.raises(PowerCut):
            ward.jobs()
    claimed_twenty_times(ward, status)
    while ward.jobs():
        pass
    manifest = ward.ehr.send("GET", status).json()
    (answer,) = ward.lines(manifest["output"][0])
    assert (answer["type"], [one[:3] for one in statuses(answer)]) == ("transaction-response", ["201", "201", "500"])
    (outcome,) = ward.lines(manifest["error"][0])
    assert "given up after 20 attempts" in outcome["issue"][0]["diagnostics"]


def test_pauses_grow() -> None:
    """10, 30, 90 and 270 seconds, and never less than the error itself asks for."""
    out = Unavailable("out")
    assert [pause_after(failures, out).total_seconds() for failures in range(1, ATTEMPTS)] == [10, 30, 90, 270]
    spent = TooManyOpenings(datetime(2026, 11, 29, 10, 59, 0, tzinfo=UTC))
    assert [pause_after(failures, spent).total_seconds() for failures in (1, 3)] == [61, 90]


def test_what_is_wrong_with_the_whole_is_told_at_once(ward: Ward) -> None:
    """No job is begun for what cannot be read, is no batch, asks for what is not served, or may not be asked."""
    assert ward.ehr.send("POST", "", bundle("collection"), Prefer="respond-async").status_code == 400
    assert ward.ehr.send("GET", "Patient?nonsense=1", Prefer="respond-async").status_code == 400
    broken = ward.ehr.http.post("/fhir", content=b"{", headers=ASYNC | {"Content-Type": "application/fhir+json"})
    assert broken.status_code == 400
    hospital = ward.ehr.hospital
    hospital.add_client("nobody", "system/Device.rs")
    with httpx.Client(base_url=ward.ehr.http.base_url, auth=("nobody", SECRET), headers=ASYNC) as other:
        assert other.get("/fhir/Patient").status_code == 403
    assert ward.jobs() == 0


def test_a_refused_transaction_says_why(ward: Ward) -> None:
    """The job is done, it has no output, and the OperationOutcome under `error` names the entry; nothing is stored."""
    lost = entry("POST", "Observation", observation("Patient/nowhere"))
    manifest = ward.manifest(
        ward.begin("", "POST", bundle("transaction", entry("POST", "Patient", patient("no")), lost))
    )
    assert manifest["output"] == []
    (outcome,) = ward.lines(manifest["error"][0])
    assert outcome["issue"][0]["expression"] == ["Bundle.entry[1].resource.subject"]
    assert how_many(ward, "no") == 0


def test_a_refused_transaction_is_in_the_trail(ward: Ward) -> None:
    """One row says that the sender's Bundle was refused, as if it had been answered at once."""
    lost = entry("POST", "Observation", observation("Patient/nowhere"))
    status = ward.begin("", "POST", bundle("transaction", lost))
    before = len(ward.ehr.hospital.events("fhir:operation"))
    ward.manifest(status)
    events = ward.ehr.hospital.events("fhir:operation")
    assert len(events) == before + 1
    assert (events[0].actor, events[0].subject_id, events[0].details["outcome"]) == ("client:ehr", "Bundle", "4")


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_an_outage_is_no_answer(ward: Ward, kind: str) -> None:
    """An entry that meets an outage is carried out by the next attempt, and the entries before it are not repeated."""
    search, outages = interactions.search, [Unavailable("the disk is out")]

    def first_out(*asked: Any) -> Any:
        if outages:
            raise outages.pop()
        return search(*asked)

    ward.ehr.send("PUT", "Patient/known", patient("known", id="known"))
    sent = new(f"outage-{kind}", kind)
    sent["entry"].append(entry("GET", f"Patient?identifier={MRN}%7Coutage-{kind}&_summary=count"))
    status = ward.begin("", "POST", sent)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(interactions, "search", first_out)
        ward.jobs()
    assert not outages
    ward.is_due(status)
    assert statuses(answer_of(ward, status)) == ["201 Created", "201 Created", "200 OK"]
    assert how_many(ward, f"outage-{kind}") == 1


def test_an_answer_is_for_who_may_still_read_it(ward: Ward) -> None:
    """A result is not given to a token that allows less than the request was asked with."""
    base = str(ward.ehr.http.base_url).rstrip("/")
    (file,) = ward.manifest(ward.begin("Patient?_count=1"))["output"]
    codes = {}
    for scope in ("system/Device.r", "system/*.cruds"):
        form = {"grant_type": "client_credentials", "scope": scope}
        token = httpx.post(f"{base}/auth/token", data=form, auth=("ehr", SECRET)).json()["access_token"]
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/fhir+ndjson"}
        codes[scope] = httpx.get(f"{base}/fhir/{ward.local(file['url'])}", headers=headers).status_code
    assert codes == {"system/Device.r": 403, "system/*.cruds": 200}


def test_a_form_stays_out_of_addresses(ward: Ward) -> None:
    """The manifest of a search by POST repeats its address alone, not what was looked for."""
    kicked = ward.ehr.http.post("/fhir/Patient/_search", data={"family": "Secretname"}, headers=ASYNC)
    manifest = ward.manifest(ward.local(kicked.headers["content-location"]))
    assert ward.local(manifest["request"]) == "Patient/_search"


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_an_answer_has_an_end(ward: Ward, kind: str) -> None:
    """Beyond it what is written is told without the resource, and what is read is refused by itself."""
    ward.ehr.send("PUT", "Patient/known", patient("known", id="known"))
    sent = new(f"long-{kind}", kind)
    sent["entry"].append(entry("GET", "Patient/known"))
    status = ward.begin("", "POST", sent, prefer="respond-async, return=representation")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(run_request, "_MOST_ANSWER", 10)
        answer = answer_of(ward, status)
    assert [one[:3] for one in statuses(answer)] == ["201", "201", "413"]
    assert not any("resource" in one for one in answer["entry"])
    assert answer["entry"][2]["response"]["outcome"]["issue"][0]["code"] == "too-costly"
    assert how_many(ward, f"long-{kind}") == 1


def test_head_begins_nothing(ward: Ward) -> None:
    """HEAD on a search is answered at once, whatever is preferred."""
    assert ward.ehr.send("HEAD", "Patient?_count=1", Prefer="respond-async").status_code == 200
    assert ward.jobs() == 0


def test_other_preferences_hold(ward: Ward) -> None:
    """Prefer: return=representation beside respond-async gives the resources in the answer."""
    answer = answer_of(ward, ward.begin("", "POST", new("whole"), prefer="respond-async, return=representation"))
    assert answer["entry"][0]["resource"]["identifier"][0]["value"] == "whole"


def test_other_interactions_are_answered_at_once(ward: Ward) -> None:
    """A preference that is not served is none: a read and a create are what they are without it."""
    made = ward.ehr.create(patient("at-once"), Prefer="respond-async")
    assert ward.ehr.send("GET", f"Patient/{made['id']}", Prefer="respond-async").status_code == 200


def test_a_cancelled_request_is_not_carried_out(ward: Ward) -> None:
    """DELETE on the status before its turn: 202, then 404, and nothing was written."""
    status = ward.begin("", "POST", new("cancelled"))
    assert ward.ehr.send("DELETE", status).status_code == 202
    while ward.jobs():
        pass
    assert ward.ehr.send("GET", status).status_code == 404
    assert how_many(ward, "cancelled") == 0


def test_what_a_client_has_lost_meanwhile_is_refused(ward: Ward) -> None:
    """Scopes are those that the sender still has when its turn comes; a disabled client's request fails."""
    hospital = ward.ehr.hospital
    hospital.add_client("soon-gone", "system/*.cruds")
    with httpx.Client(base_url=ward.ehr.http.base_url, auth=("soon-gone", SECRET), headers=ASYNC) as other:
        assert other.post("/fhir", json=new("gone")).status_code == 202
    with hospital.database.begin("admin") as unit:
        assert unit.access.disable_client("fhir", "soon-gone")
        unit.commit()
    while ward.jobs():
        pass
    assert how_many(ward, "gone") == 0
    assert hospital.events("bulk:fail")[0].details == {"kind": "request", "reason": "grant"}


def test_a_token_keeps_its_narrow_scope(ward: Ward) -> None:
    """A request runs with what its token allowed, not with all that its client is registered for."""
    base = str(ward.ehr.http.base_url).rstrip("/")
    form = {"grant_type": "client_credentials", "scope": "system/Patient.r"}
    token = httpx.post(f"{base}/auth/token", data=form, auth=("ehr", SECRET)).json()["access_token"]
    headers = ASYNC | {"Authorization": f"Bearer {token}"}
    kicked = httpx.post(f"{base}/fhir", json=new("narrow"), headers=headers)
    manifest = ward.manifest(ward.local(kicked.headers["content-location"]))
    (outcome,) = ward.lines(manifest["error"][0])
    assert outcome["issue"][0]["code"] == "forbidden"
    assert how_many(ward, "narrow") == 0


@pytest.mark.parametrize("kind", ["transaction", "batch"])
def test_a_run_that_was_cut_off_writes_nothing_twice(ward: Ward, kind: str) -> None:
    """Killed after the commit and before the answer was filed, the next attempt gives the answer to the same write."""

    class PowerCut(BaseException):
        pass

    def dying(*_: object) -> None:
        raise PowerCut

    ward.ehr.send("PUT", "Patient/known", patient("known", id="known"))
    sent = new(f"cut-{kind}", kind)
    sent["entry"].append(entry("GET", f"Patient?identifier={MRN}%7Ccut-{kind}&_summary=count"))
    status = ward.begin("", "POST", sent)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RunRequest, "_filed", dying)
        with pytest.raises(PowerCut):
            ward.jobs()
    assert how_many(ward, f"cut-{kind}") == 1
    assert ward.ehr.send("GET", status).headers["x-progress"] == "2 entries"
    ward.lease_runs_out(status)
    answer = answer_of(ward, status)
    assert statuses(answer) == ["201 Created", "201 Created", "200 OK"]
    assert answer["entry"][2]["resource"]["total"] == 1
    place = ward.local(answer["entry"][0]["response"]["location"])
    assert ward.ehr.send("GET", place).json()["identifier"][0]["value"] == f"cut-{kind}"
    assert how_many(ward, f"cut-{kind}") == 1


def test_a_run_whose_job_was_ended_writes_nothing_more(ward: Ward) -> None:
    """Cancelled while it runs: the entry under way is taken back with its transaction, and no other follows."""
    ward.ehr.send("PUT", "Patient/known", patient("known", id="known"))
    status = ward.begin("", "POST", new("ended", "batch"))
    course = RunRequest._course

    def cancelled(self: RunRequest, *asked: Any) -> Any:
        assert ward.ehr.send("DELETE", status).status_code == 202
        return course(self, *asked)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RunRequest, "_course", cancelled)
        ward.jobs()
    assert how_many(ward, "ended") == 0


def test_a_job_that_nobody_survives_is_given_up(ward: Ward) -> None:
    """Held twenty times without an end, it fails with 500, says so, and is carried out by nobody any more."""
    status = ward.begin("", "POST", new("deadly"))
    claimed_twenty_times(ward, status)
    while ward.jobs():
        pass
    failed = ward.ehr.send("GET", status)
    assert failed.status_code == 500
    assert "given up after 20 attempts" in failed.json()["issue"][0]["diagnostics"]
    assert how_many(ward, "deadly") == 0


def altered(ward: Ward, status: str) -> None:
    """What was asked does not open any more."""
    with ward.ehr.hospital.database.begin("test") as unit:
        job = unit.bulk_jobs.get(status.rpartition("/")[2])
        assert job is not None
        assert unit.bulk_jobs.progress(job, {"sealed": job.sealed[:-1] + bytes([job.sealed[-1] ^ 1])})
        unit.commit()


def test_a_job_that_does_not_open_fails_at_once(ward: Ward) -> None:
    """One attempt, then the status is 500 with the reason, and no place among the client's ten is kept."""
    status = ward.begin("", "POST", new("altered"))
    altered(ward, status)
    assert (ward.jobs(), ward.jobs()) == (1, 0)
    failed = ward.ehr.send("GET", status)
    assert (failed.status_code, failed.json()["issue"][0]["code"]) == (500, "exception")
    assert "altered" in failed.json()["issue"][0]["diagnostics"]
    with ward.ehr.hospital.database.read() as unit:
        assert unit.bulk_jobs.count_open("ehr") == 0


def test_what_is_stored_of_it_and_does_not_open_fails_too(ward: Ward) -> None:
    """A request that ends with its grant is over, also where its answer cannot be made from what was kept."""

    def unreadable(*_: object) -> bool:
        raise Invalid("a sealed column value was altered")

    ward.ehr.hospital.add_client("gone-unread", "system/*.cruds")
    with httpx.Client(base_url=ward.ehr.http.base_url, auth=("gone-unread", SECRET), headers=ASYNC) as other:
        assert other.post("/fhir", json=new("unread")).status_code == 202
    with ward.ehr.hospital.database.begin("admin") as unit:
        assert unit.access.disable_client("fhir", "gone-unread")
        unit.commit()
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RunRequest, "_known", unreadable)
        assert (ward.jobs(), ward.jobs()) == (1, 0)
    with ward.ehr.hospital.database.read() as unit:
        assert unit.bulk_jobs.count_open("gone-unread") == 0


def test_a_job_that_does_not_open_is_cancelled_by_its_client(ward: Ward) -> None:
    """DELETE needs the client's name alone there: another client finds none, its own ends it."""
    status = ward.begin("", "POST", new("altered-too"))
    altered(ward, status)
    ward.ehr.hospital.add_client("not-its-own", "system/*.cruds")
    with httpx.Client(base_url=ward.ehr.http.base_url, auth=("not-its-own", SECRET)) as other:
        assert other.delete(f"/fhir/{status}").status_code == 404
    assert ward.ehr.send("DELETE", status).status_code == 202
    assert (ward.jobs(), ward.ehr.send("GET", status).status_code) == (0, 404)


def test_a_client_has_a_bounded_number_of_jobs(ward: Ward) -> None:
    """The eleventh job that waits is refused with 429."""
    begun = [ward.begin("Device") for _ in range(10)]
    assert ward.ehr.send("GET", "Device", Prefer="respond-async").status_code == 429
    for status in begun:
        assert ward.ehr.send("DELETE", status).status_code == 202


def test_requests_and_answers_lie_sealed(ward: Ward) -> None:
    """A name in a Bundle stands in clear neither in a file nor in a row; the trail tells of begin and end."""
    sent = bundle("transaction", entry("POST", "Patient", patient("sealed", name=[{"family": "Plainlyvisible"}])))
    status = ward.begin("", "POST", sent, prefer="respond-async, return=representation")
    blobs = ward.ehr.hospital.services.reports.blobs
    answer_of(ward, status)
    assert not any(b"Plainlyvisible" in blobs.get(key) for key in blobs.keys())  # noqa: SIM118 - a port, no dict
    with ward.ehr.hospital.database.read() as unit:
        job = unit.bulk_jobs.get(status.rpartition("/")[2])
        assert job is not None
        assert b"Plainlyvisible" not in b"".join((job.sealed, *unit.bulk_jobs.answers(job.id).values()))
    for event in ("bulk:begin", "bulk:file", "bulk:end", "bulk:fetch", "fhir:create"):
        (newest, *_) = ward.ehr.hospital.events(event)
        assert newest.actor == "client:ehr"


def test_an_erased_patient_is_in_no_answer(ward: Ward) -> None:
    """Erasing a patient ends every request that was carried out, and what waits for its turn stays."""
    done = ward.begin("", "POST", new("erase-later"))
    answer_of(ward, done)
    waiting = ward.begin("Device")
    with ward.ehr.hospital.database.read() as unit:
        (pseudonym,) = ward.ehr.hospital.services.vault.patients(unit, None, "erase-later")
    wiring.erase_patient(ward.ehr.hospital.settings)(pseudonym, "asked for", "officer")
    assert ward.ehr.send("GET", done).status_code == 404
    assert answer_of(ward, waiting)["type"] == "searchset"
