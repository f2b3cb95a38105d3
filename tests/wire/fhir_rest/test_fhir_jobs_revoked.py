"""What a job was begun with is taken back before it is done: it goes no further, says so, and the trail has it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import httpx
import pytest
from wire.fhir_rest.hospital import SECRET
from wire.fhir_rest.jobs import ASYNC, Kind, Ward, jobs_of
from wire.fhir_rest.writing import MRN, entry, observation, patient

from gateway.flow.bulk.export import RunExport
from gateway.flow.bulk.import_lines import RunImport
from gateway.flow.grant_access import digest
from gateway.servers.web.fhir.run_request import RunRequest
from gateway.servers.web.fhir.run_search import RunSearch


@pytest.fixture(scope="module")
def ward(both_kinds: Kind, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ward]:
    with jobs_of(both_kinds, tmp_path_factory.mktemp("revoked") / "home") as found:
        yield found


@dataclass(frozen=True)
class Token:
    """A token of the client `ehr`, beside the one with which the test looks."""

    ward: Ward
    value: str

    def send(self, method: str, path: str, body: Any = None, kind: str = "application/fhir+json") -> httpx.Response:
        headers = ASYNC | {"Authorization": f"Bearer {self.value}", "Content-Type": kind}
        told = {"content": body} if isinstance(body, bytes) else {"json": body} if body is not None else {}
        return self.ward.ehr.http.request(method, f"/fhir/{path}", headers=headers, **told)

    def begin(self, method: str, path: str, body: Any = None, kind: str = "application/fhir+json") -> str:
        answer = self.send(method, path, body, kind)
        assert answer.status_code == 202, answer.text
        return self.ward.local(answer.headers["content-location"])

    def revoke(self) -> None:
        auth = ("ehr", SECRET)
        assert self.ward.ehr.http.post("/auth/revoke", data={"token": self.value}, auth=auth).status_code == 200


def token(ward: Ward, scope: str = "system/*.cruds") -> Token:
    form = {"grant_type": "client_credentials", "scope": scope}
    answer = httpx.post(f"{ward.ehr.http.base_url}/auth/token", data=form, auth=("ehr", SECRET))
    return Token(ward, answer.json()["access_token"])


def before(step: Callable[..., Any], do: Callable[[], None], turn: int = 1) -> Callable[..., Any]:
    """`step`, with something done before it at its `turn`."""
    turns = iter(range(1, 10_000))

    def run(*asked: Any, **named: Any) -> Any:
        if next(turns) == turn:
            do()
        return step(*asked, **named)

    return run


def bundle(kind: str, *entries: Any) -> dict[str, Any]:
    return {"resourceType": "Bundle", "type": kind, "entry": list(entries)}


def how_many(ward: Ward, number: str) -> int:
    return int(ward.ehr.send("GET", f"Patient?identifier={MRN}%7C{number}&_summary=count").json()["total"])


def reason(ward: Ward, manifest: dict[str, Any]) -> str:
    """Under `error`; the trail has the same end."""
    (outcome,) = ward.lines(manifest["error"][-1])
    assert outcome["issue"][0]["code"] == "forbidden"
    assert ward.ehr.hospital.events("bulk:fail")[0].details["reason"] == "grant"
    return str(outcome["issue"][0]["diagnostics"])


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "", bundle("transaction", entry("POST", "Patient", patient("never")))),
        ("POST", "", bundle("batch", entry("POST", "Patient", patient("never")))),
        ("GET", "Patient", None),
        ("GET", "$export?_type=Patient", None),
        ("POST", "$import", b'{"resourceType": "Patient", "identifier": [{"value": "never"}]}'),
    ],
)
def test_a_token_taken_back_before_its_turn_ends_the_job(ward: Ward, method: str, path: str, body: Any) -> None:
    """Nothing is read or written, the manifest has no output and says why, whatever was asked."""
    mine = token(ward)
    kind = "application/fhir+ndjson" if isinstance(body, bytes) else "application/fhir+json"
    status = mine.begin(method, path, body, kind)
    mine.revoke()
    opened = len(ward.ehr.hospital.events("identity:open"))
    manifest = ward.manifest(status)
    assert manifest["output"] == []
    assert "taken back" in reason(ward, manifest)
    assert len(ward.ehr.hospital.events("identity:open")) == opened
    assert ward.ehr.send("GET", "Patient?identifier=never&_summary=count").json()["total"] == 0


def test_of_a_batch_what_is_stored_stays_and_is_told(ward: Ward) -> None:
    """Taken back between two entries: the first is told with its place, the second is not stored and says why."""
    mine = token(ward)
    first, second = (entry("POST", "Patient", patient(f"batched-{number}")) for number in (1, 2))
    status = mine.begin("POST", "", bundle("batch", first, second))
    course = RunRequest._course

    def watched(self: RunRequest, *asked: Any) -> Any:
        made = course(self, *asked)
        return replace(made, go_on=before(made.go_on, mine.revoke, turn=2))

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RunRequest, "_course", watched)
        manifest = ward.manifest(status)
    (answer,) = ward.lines(manifest["output"][0])
    assert [one["response"]["status"][:3] for one in answer["entry"]] == ["201", "403"]
    assert ward.ehr.send("GET", ward.local(answer["entry"][0]["response"]["location"])).status_code == 200
    assert (how_many(ward, "batched-1"), how_many(ward, "batched-2")) == (1, 0)
    assert "taken back" in reason(ward, manifest)


def test_a_transaction_asks_in_its_own_commit(ward: Ward) -> None:
    """Taken back after the last look and before the commit: all of it is taken back with the look in the commit."""
    mine = token(ward)
    status = mine.begin("POST", "", bundle("transaction", entry("POST", "Patient", patient("at-commit"))))
    course = RunRequest._course

    def watched(self: RunRequest, *asked: Any) -> Any:
        made = course(self, *asked)
        mine.revoke()
        return made

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RunRequest, "_course", watched)
        manifest = ward.manifest(status)
    assert manifest["output"] == []
    assert "taken back" in reason(ward, manifest)
    assert how_many(ward, "at-commit") == 0


@pytest.mark.parametrize(("path", "step"), [("$export?_type=Patient", RunExport), ("Patient?_count=1", RunSearch)])
def test_what_was_read_until_then_is_not_given_out(ward: Ward, path: str, step: Any) -> None:
    """Taken back while a file is made of what was read: the file goes, and with it those before it."""
    for number in range(2):
        ward.ehr.create(patient(f"read-{step.__name__}-{number}"))
    mine = token(ward)
    status = mine.begin("GET", path)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(step, "_filed", before(step._filed, mine.revoke))
        manifest = ward.manifest(status)
    assert manifest["output"] == []
    assert "taken back" in reason(ward, manifest)


def test_an_import_stops_behind_what_is_stored(ward: Ward) -> None:
    """Taken back between two hundreds of lines: the first is stored and counted, the second is not."""
    mine = token(ward)
    lines = [patient(f"line-{number}", id=f"line-{number}") for number in range(101)]
    body = b"\n".join(httpx.Request("POST", "http://x", json=one).content for one in lines)
    status = mine.begin("POST", "$import", body, "application/fhir+ndjson")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(RunImport, "_written", before(RunImport._written, mine.revoke, turn=2))
        manifest = ward.manifest(status)
    assert reason(ward, manifest).endswith("lines looked at before: 100")
    assert [ward.ehr.send("GET", f"Patient/line-{number}").status_code for number in (0, 99, 100)] == [200, 200, 404]


def test_an_import_has_the_scopes_of_its_token(ward: Ward) -> None:
    """A token for Patients alone imports no Observation, though its client is registered for all."""
    ward.ehr.send("PUT", "Patient/scoped", patient("scoped", id="scoped"))
    mine = token(ward, "system/Patient.cruds")
    body = httpx.Request("POST", "http://x", json=observation("Patient/scoped", id="scoped")).content
    manifest = ward.manifest(mine.begin("POST", "$import", body, "application/fhir+ndjson"))
    (outcome,) = ward.lines(manifest["error"][0])
    assert outcome["issue"][0]["code"] == "forbidden"
    assert ward.ehr.send("GET", "Observation/scoped").status_code == 404


def test_a_token_that_ran_out_by_itself_ends_nothing(ward: Ward) -> None:
    """What was accepted while the token served is carried out: running out is not taking back."""
    mine = token(ward)
    status = mine.begin("POST", "", bundle("transaction", entry("POST", "Patient", patient("ran-out"))))
    hospital = ward.ehr.hospital
    with hospital.database.begin("test") as unit:
        grant = unit.access.grant(digest(mine.value), hospital.services.clock())
        assert grant is not None
        unit._transaction.execute(  # as the next grant that is made forgets it
            _forget(digest(mine.value))
        )
        unit.commit()
    assert ward.manifest(status)["error"] == []
    assert how_many(ward, "ran-out") == 1


def test_nothing_begins_with_a_token_that_another_process_has_taken_back(ward: Ward) -> None:
    """A process that still remembers the token asks in the commit of the job: 401, and no job."""
    mine = token(ward)
    assert mine.send("GET", "Patient/none").status_code == 404  # remembered from here on
    with ward.ehr.hospital.database.begin("other process") as unit:
        assert unit.access.drop_grant(digest(mine.value))
        unit.commit()
    assert mine.send("GET", "Patient").status_code == 401
    assert ward.jobs() == 0


def _forget(token_hash: bytes) -> Any:
    from sqlalchemy import delete

    from gateway.storage.access_tables import access_grant

    return delete(access_grant).where(access_grant.c.token_hash == token_hash)
