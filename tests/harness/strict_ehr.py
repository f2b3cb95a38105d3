"""EHRs for tests that are shaped like real ones: they serve a CapabilityStatement and refuse all that it does not name.

What each product takes is written from its published statement of early 2026; apart from that there is no code of a
vendor here. They give their own ids, want If-Match on updates, follow no conditional requests, know no transaction, and
refuse references that lead nowhere.
"""

from __future__ import annotations

import itertools
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Json = dict[str, Any]
RADIOLOGY, CARDIOLOGY, PATHOLOGY = "LP29684-5", "LP29708-2", "LP7839-6"

EPIC = {
    "create": "AllergyIntolerance BodyStructure Communication ConceptMap Condition DocumentReference Observation "
    "Patient Procedure QuestionnaireResponse ServiceRequest",
    "update": "BodyStructure DiagnosticReport DocumentReference Observation Procedure ServiceRequest Task",
    "search-type": "DiagnosticReport DocumentReference Observation Patient ServiceRequest Procedure Task",
}
ORACLE_HEALTH = {
    "create": "DiagnosticReport DocumentReference Patient Communication",
    "update": "DocumentReference Patient",
    "search-type": "DiagnosticReport DocumentReference Patient Observation ServiceRequest",
}
MEDITECH = {
    "create": "Communication QuestionnaireResponse",
    "update": "",
    "search-type": "DiagnosticReport DocumentReference Observation Patient",
}
SEARCHES = {
    "DiagnosticReport": ("identifier", "based-on", "category", "code", "patient", "status"),
    "ServiceRequest": ("identifier", "patient"),
    "Patient": ("identifier", "name", "birthdate"),
    "Observation": ("identifier", "patient", "code"),
    "DocumentReference": ("identifier", "patient", "type"),
}


@dataclass
class StrictEhr:
    """`rules` may refuse a resource by its content; `statement` False leaves the CapabilityStatement out."""

    takes: dict[str, str]
    rules: tuple[Callable[[Json], bool], ...] = ()
    resources: dict[str, dict[str, Json]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    statement: bool = True
    fails: int = 0
    """How many requests are answered with 503 before serving again."""
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(7001))

    def put(self, kind: str, own_id: str, **members: Any) -> str:
        """Something that the hospital has had before."""
        self.resources.setdefault(kind, {})[own_id] = {
            "resourceType": kind,
            "id": own_id,
            "meta": {"versionId": "1"},
            **members,
        }
        return f"{kind}/{own_id}"

    def all(self, kind: str) -> list[Json]:
        return list(self.resources.get(kind, {}).values())

    def can(self, interaction: str, kind: str) -> bool:
        return kind in self.takes[interaction].split()

    def capability(self) -> Json:
        kinds = sorted({kind for listed in self.takes.values() for kind in listed.split()})
        resource = [
            {
                "type": kind,
                "interaction": [{"code": "read"}, *({"code": name} for name in self.takes if self.can(name, kind))],
                "searchParam": [{"name": name, "type": "token"} for name in SEARCHES.get(kind, ())],
            }
            for kind in kinds
        ]
        rest = [{"mode": "server", "resource": resource}]
        return {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", "rest": rest}

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], Json]:
        parts = urlsplit(path)
        kind, _, own_id = parts.path.strip("/").partition("/")
        self.asked.append((method, parts.path.strip("/")))
        if self.fails:
            self.fails -= 1
            return 503, {}, {}
        if (method, kind) == ("GET", "metadata"):
            return (200, {}, self.capability()) if self.statement else (404, {}, _outcome("not-found"))
        if method == "GET" and not own_id:
            return self._search(kind, parse_qsl(parts.query))
        if method == "POST" and kind and not own_id:
            return self._create(kind, json.loads(body))
        if method == "PUT" and own_id:
            return self._update(kind, own_id, headers, json.loads(body))
        return 404, {}, _outcome("not-supported")

    def _search(self, kind: str, query: list[tuple[str, str]]) -> tuple[int, dict[str, str], Json]:
        if not self.can("search-type", kind) or any(name not in SEARCHES[kind] for name, _ in query):
            return 400, {}, _outcome("not-supported")
        found = [each for each in self.all(kind) if all(_matches(each, name, value) for name, value in query)]
        entries = [{"resource": each, "search": {"mode": "match"}} for each in found]
        return 200, {}, {"resourceType": "Bundle", "type": "searchset", "total": len(found), "entry": entries}

    def _create(self, kind: str, resource: Json) -> tuple[int, dict[str, str], Json]:
        if not self.can("create", kind):
            return 403, {}, _outcome("not-supported")
        if "id" in resource or not self._is_fit(resource):
            return 422, {}, _outcome("business-rule")
        number = str(next(self._ids))
        self.resources.setdefault(kind, {})[number] = {**resource, "id": number, "meta": {"versionId": "1"}}
        return 201, {"Location": f"https://ehr.example/api/FHIR/R4/{kind}/{number}"}, {}

    def _update(self, kind: str, own_id: str, headers: dict[str, str], new: Json) -> tuple[int, dict[str, str], Json]:
        known = self.resources.get(kind, {}).get(own_id)
        if not self.can("update", kind):
            return 403, {}, _outcome("not-supported")
        if known is None:
            return 404, {}, _outcome("not-found")
        version = known["meta"]["versionId"]
        if headers.get("if-match") != f'W/"{version}"':
            return 412, {}, _outcome("conflict")
        if new.get("id") != own_id or not self._is_fit(new) or new.get("subject") != known.get("subject"):
            return 422, {}, _outcome("business-rule")
        version = str(int(version) + 1)
        self.resources[kind][own_id] = {**new, "meta": {"versionId": version}}
        return 200, {"ETag": f'W/"{version}"'}, {}

    def _is_fit(self, resource: Json) -> bool:
        return all(rule(resource) for rule in self.rules) and all(self._leads(each) for each in _references(resource))

    def _leads(self, reference: str) -> bool:
        kind, _, own_id = reference.partition("/")
        return reference.startswith("http") or own_id in self.resources.get(kind, {})


def oracle_takes_cardiology_and_pathology(resource: Json) -> bool:
    """A DiagnosticReport of any other category is refused."""
    if resource["resourceType"] != "DiagnosticReport":
        return True
    codes = {coding.get("code") for category in resource.get("category", ()) for coding in category.get("coding", ())}
    return bool(codes & {CARDIOLOGY, PATHOLOGY})


def oracle_dates_have_a_time(resource: Json) -> bool:
    """A date without time is refused wherever it may have one."""
    names = ("date", "effectiveDateTime", "issued")
    return all("T" in str(resource[name]) for name in names if name in resource)


def _matches(resource: Json, name: str, value: str) -> bool:
    if name == "identifier":
        system, bar, number = value.rpartition("|")
        return any(
            each.get("value") == number and (not bar or each.get("system", "") == system)
            for each in resource.get("identifier", ())
        )
    if name == "based-on":
        return any(each.get("reference") == value for each in resource.get("basedOn", ()))
    return False


def _references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        for inner in value.values():
            yield from _references(inner)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each)


def _outcome(code: str) -> Json:
    return {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": code}]}


@contextmanager
def serving_strictly(ehr: StrictEhr) -> Iterator[str]:
    """The address of `ehr` on a loopback port."""
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            headers = {name.lower(): value for name, value in self.headers.items()}
            with lock:
                status, given, resource = ehr.answer(self.command, self.path.removeprefix("/r4"), headers, body)
            content = json.dumps(resource).encode()
            self.send_response(status)
            for name, value in {**given, "Content-Type": "application/fhir+json"}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = do_PUT = _serve

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/r4"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(5)
