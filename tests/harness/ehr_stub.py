"""A small EHR for tests: transactions with conditional create and update on a loopback port (FHIR R4 3.1.0.11.2).

Written from the specification alone, apart from the code it judges: it gives its own ids, resolves urn:uuid
references, refuses a resource that brings an id, and applies a transaction whole or not at all.
"""

from __future__ import annotations

import copy
import itertools
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl

Json = dict[str, Any]


class Refused(Exception):
    """The transaction is refused with this status."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@dataclass
class Ehr:
    """Resources by type and id, and the headers of every request."""

    resources: dict[str, dict[str, Json]] = field(default_factory=dict)
    requests: list[dict[str, str]] = field(default_factory=list)
    answers: list[tuple[int, dict[str, str]]] = field(default_factory=list)  # given first, instead of serving
    _ids: Iterator[int] = field(default_factory=lambda: itertools.count(100))
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def all(self, kind: str) -> list[Json]:
        return list(self.resources.get(kind, {}).values())

    def counts(self) -> dict[str, int]:
        return {kind: len(found) for kind, found in self.resources.items()}

    def transact(self, bundle: Json) -> Json:
        if (bundle.get("resourceType"), bundle.get("type")) != ("Bundle", "transaction"):
            raise Refused(400)
        with self._lock:
            before, self.resources = self.resources, copy.deepcopy(self.resources)
            try:
                return self._apply(bundle["entry"])
            except Exception:
                self.resources = before
                raise

    def _apply(self, entries: list[Json]) -> Json:
        places = [self._place(entry) for entry in entries]
        links = {e["fullUrl"]: f"{e['resource']['resourceType']}/{p[0]}" for e, p in zip(entries, places, strict=True)}
        if len(links) != len(entries):
            raise Refused(400)
        done = [self._store(entry, *place, links) for entry, place in zip(entries, places, strict=True)]
        return {
            "resourceType": "Bundle",
            "type": "transaction-response",
            "entry": [{"response": each} for each in done],
        }

    def _place(self, entry: Json) -> tuple[str, bool]:
        """Id for the entry's resource, and whether it is to be written."""
        request, kind = entry["request"], entry["resource"]["resourceType"]
        if request["method"] == "POST" and request["url"] == kind:
            found = self._matches(kind, request["ifNoneExist"])
            writes = not found
        elif request["method"] == "PUT" and request["url"].startswith(f"{kind}?"):
            found, writes = self._matches(kind, request["url"].split("?", 1)[1]), True
        else:
            raise Refused(400)
        if len(found) > 1:
            raise Refused(412)
        return (found[0] if found else str(next(self._ids))), writes

    def _matches(self, kind: str, criteria: str) -> list[str]:
        ((name, token),) = parse_qsl(criteria, strict_parsing=True)
        system, value = (part.replace("\0", "|") for part in token.replace("\\|", "\0").split("|"))
        value = value.replace("\\,", ",").replace("\\$", "$").replace("\\\\", "\\")
        found = []
        for number, resource in self.resources.get(kind, {}).items():
            tokens = resource.get("identifier", []) if name == "identifier" else resource["meta"].get("tag", [])
            member = "value" if name == "identifier" else "code"
            if any(each.get("system", "") == system and each.get(member) == value for each in tokens):
                found.append(number)
        return found

    def _store(self, entry: Json, number: str, writes: bool, links: dict[str, str]) -> Json:
        kind = entry["resource"]["resourceType"]
        shelf = self.resources.setdefault(kind, {})
        known = number in shelf
        if "id" in entry["resource"] and entry["resource"]["id"] != number:
            raise Refused(400)
        if writes:
            version = str(int(shelf[number]["meta"]["versionId"]) + 1) if known else "1"
            stored = _resolved(copy.deepcopy(entry["resource"]), links)
            shelf[number] = {**stored, "id": number, "meta": {**stored.get("meta", {}), "versionId": version}}
        version = shelf[number]["meta"]["versionId"]
        status = "200 OK" if known else "201 Created"
        return {"status": status, "location": f"{kind}/{number}/_history/{version}", "etag": f'W/"{version}"'}


def _resolved(value: Any, links: dict[str, str]) -> Any:
    if isinstance(value, dict):
        reference = value.get("reference")
        if isinstance(reference, str) and not reference.startswith(("http://", "https://")):
            if reference not in links:
                raise Refused(422)
            value["reference"] = links[reference]
        return {name: _resolved(inner, links) for name, inner in value.items()}
    return [_resolved(each, links) for each in value] if isinstance(value, list) else value


@contextmanager
def serving(ehr: Ehr, wrap: Any = None, port: int = 0) -> Iterator[str]:
    """The address of `ehr` on a loopback port, a free one unless told; `wrap` is an ssl.SSLContext for HTTPS."""

    connections: set[socket.socket] = set()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        timeout = 10

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            ehr.requests.append({name.lower(): value for name, value in self.headers.items()})
            if ehr.answers:
                status, headers = ehr.answers.pop(0)
                self._answer(status, {"resourceType": "OperationOutcome", "issue": []}, headers)
                return
            try:
                self._answer(200, ehr.transact(json.loads(body)), {})
            except Refused as refused:
                outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "error", "code": "processing"}]}
                self._answer(refused.status, outcome, {})

        def _answer(self, status: int, body: Json, headers: dict[str, str]) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/fhir+json", **headers}.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None: ...

    class Server(ThreadingHTTPServer):
        daemon_threads = True

        def finish_request(self, request: Any, client_address: Any) -> None:
            connections.add(request)
            super().finish_request(request, client_address)

        def handle_error(self, *_: Any) -> None:
            """A client that hangs up, as one must on an unknown certificate, is no news."""

    server = Server(("127.0.0.1", port), Handler)
    if wrap is not None:
        server.socket = wrap.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"{'https' if wrap else 'http'}://127.0.0.1:{server.server_port}/fhir"
    finally:
        server.shutdown()
        thread.join(10)
        server.server_close()
        _hang_up(connections)


def _hang_up(connections: set[socket.socket]) -> None:
    """A server that is down answers on no connection that was kept either."""
    for connection in connections:
        with suppress(OSError):
            connection.shutdown(socket.SHUT_RDWR)
