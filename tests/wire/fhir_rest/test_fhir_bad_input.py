"""Hostile requests: each is refused with the right status and an OperationOutcome, and the server goes on."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

import pytest
from harness.gateway_process import wait_for
from wire.fhir_rest.conftest import Ward
from wire.fhir_rest.hospital import PLANTED

from gateway.servers.web import http_connection


def raw(ward: Ward, data: bytes) -> bytes:
    """The answer to bytes as they are, until the server closes or is silent."""
    address = urlsplit(ward.base)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as peer:
        answer = b""
        try:
            peer.sendall(data)
            while part := peer.recv(65536):
                answer += part
        except ConnectionError:
            pass
        return answer


@pytest.mark.parametrize(
    "path",
    [
        "DiagnosticReport/..%2f..%2fetc%2fpasswd",
        "DiagnosticReport/%2e%2e/%2e%2e/etc/passwd",
        "DiagnosticReport/a%00b",
        "DiagnosticReport/" + "a" * 65,
        "DiagnosticReport/%ff%fe",
        "DiagnosticReport/ä",
        "DiagnosticReport/a b",
        "%00",
    ],
)
def test_ids_that_are_none_are_404(ward: Ward, path: str) -> None:
    """Path traversal, NUL, invalid UTF-8 and overlong ids are no ids."""
    answer = ward.get(path)
    assert answer.status_code == 404
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    "path",
    [
        "_history?_since=9999-12-31T23:59:59-14:00",
        "_history?_at=le9999-12-31T23:59:59-14:00",
        "_history?_at=ge0001-01-01T00:00:00%2B14:00",
        "AuditEvent?date=lt9999-12-31T23:59:59-14:00",
        "AuditEvent?date=gt0001-01-01T00:00:00%2B14:00",
        "DiagnosticReport?date=9999-12-31",
        "DiagnosticReport?date=le0001",
        "Patient?birthdate=le9999-12-31",
        "Patient?birthdate=ge0001",
    ],
)
def test_dates_at_the_ends_of_the_calendar_are_answered(ward: Ward, path: str) -> None:
    """The first and the last day that FHIR can write are dates like others, in every zone: no range overflows."""
    assert ward.get(path).status_code == 200


@pytest.mark.parametrize(
    ("query", "status"),
    [
        ("identifier=" + "x" * 10_000, 400),
        ("identifier=" + "x" * 20_000, 414),
        ("&".join(f"identifier=v{number}" for number in range(300)), 400),
        ("identifier=" + ",".join(f"v{number}" for number in range(251)), 400),
        ("issued=" + ",".join(f"20{number}" for number in range(10, 61)), 400),
        ("identifier=%ff%fe", 400),
        ("identifier=a%00b", 400),
        ("identifier=a%0ab", 400),
        ("identifier=", 400),
        ("identifier=a|b|c", 400),
        ("_elements=status,colour", 400),
        ("_count=-1", 400),
        ("_count=many", 400),
        ("_count=1&_count=2", 400),
        ("date=yesterday", 400),
        ("date=xx2026", 400),
        ("_has:Observation:subject", 400),
        ("patient.patient.patient.patient.patient.name=abc", 400),
        ("date=2026-02-31", 400),
        ("patient=Practitioner/1", 400),
        ("patient=a/b/c", 400),
        ("_page=%00", 400),
        ("_page=AAAA", 400),
        ("identifier", 400),
        ("%ff=1", 400),
    ],
)
def test_parameters_that_are_none_are_refused(ward: Ward, query: str, status: int) -> None:
    """Overlong, countless, ill-encoded and malformed parameters are refused by name of the rule."""
    answer = ward.get(f"DiagnosticReport?{query}")
    assert answer.status_code == status, answer.text
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize(
    ("kind", "body", "status"),
    [
        ("application/fhir+xml", b"<Bundle/>", 415),
        ("application/json", b"{not json", 415),
        ("multipart/form-data; boundary=x", b"--x--", 415),
        ("application/x-www-form-urlencoded", b"identifier=%ff", 400),
        ("application/x-www-form-urlencoded", b"\xff\xfe\x00", 400),
        ("application/x-www-form-urlencoded", b"identifier=" + b"x" * 70_000, 413),
    ],
)
def test_bodies_that_are_none_are_refused(ward: Ward, kind: str, body: bytes, status: int) -> None:
    """XML, JSON, multipart, ill-encoded and too large bodies of _search are refused."""
    answer = ward.http.post("/fhir/DiagnosticReport/_search", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert answer.json()["resourceType"] == "OperationOutcome"


@pytest.mark.parametrize("path", ["Patient/x?colour=blue", "Device?_id=x&_pretty=true&colour=blue"])
def test_no_parameter_is_ignored_silently(ward: Ward, path: str) -> None:
    """A parameter that says nothing to an interaction is refused by its name, or with leniency left out."""
    kind, own_id = ("DiagnosticReport", ward.get("DiagnosticReport").json()["entry"][0]["resource"]["id"])
    path = path.replace("Patient/x", f"{kind}/{own_id}")
    refused = ward.get(path)
    assert (refused.status_code, refused.json()["issue"][0]["expression"]) == (400, ["http.colour"])
    assert ward.get(path, headers={"Prefer": "handling=lenient"}).status_code == 200
    first = ward.get(path, headers={"Prefer": "handling=strict, handling=lenient"})
    assert first.status_code == 400


def test_a_part_names_elements_that_there_are(ward: Ward) -> None:
    """_elements of a read is judged as in a search: by its type, and with leniency what there is not is left out."""
    own_id = ward.get("DiagnosticReport").json()["entry"][0]["resource"]["id"]
    path = f"DiagnosticReport/{own_id}?_elements=status,colour"
    refused = ward.get(path)
    assert (refused.status_code, refused.json()["issue"][0]["expression"]) == (400, ["http._elements"])
    assert ward.get(path, headers={"Prefer": "handling=lenient"}).status_code == 200
    assert "conclusion" not in ward.get(path.replace(",colour", "")).json()


def test_a_get_with_a_body_is_refused(ward: Ward) -> None:
    """A body where none belongs is not read."""
    assert ward.http.request("GET", "/fhir/DiagnosticReport", content=b"x" * 100).status_code == 413


@pytest.mark.parametrize(
    "flood",
    [
        b"".join(b"X-%d: y\r\n" % number for number in range(500)),
        b"X-Long: " + b"y" * 200_000 + b"\r\n",
        b"X-Endless: " + b"y" * 200_000,
    ],
)
def test_header_floods_are_refused(ward: Ward, flood: bytes) -> None:
    """Countless, huge and endless headers are answered with 400 and the connection is closed."""
    answer = raw(ward, b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + flood + b"\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")  # a reset may overtake the answer
    assert ward.http.get("/healthz").status_code == 200


def test_a_head_that_never_ends_is_cut_off(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sender that leaves its head unfinished loses the connection, at the start of one and after an answer."""
    monkeypatch.setattr(http_connection, "HEAD_SECONDS", 0.05)
    assert raw(ward, b"GET /healthz HTTP/1.1\r\nHost") == b""
    answer = raw(ward, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\nGET /heal")
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.count(b"HTTP/1.1") == 1


def test_empty_lines_do_not_keep_a_connection(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty line after an answer ends uvicorn's own timer; ours closes the connection."""
    monkeypatch.setattr(http_connection, "HEAD_SECONDS", 0.05)
    address = urlsplit(ward.base)
    with socket.create_connection((str(address.hostname), int(address.port or 0)), timeout=20) as peer:
        peer.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        answer = b""
        while b"alive" not in answer:
            answer += peer.recv(65536)
        peer.sendall(b"\r\n")
        while part := peer.recv(65536):
            answer += part
    assert answer.count(b"HTTP/1.1 200") == 1


def test_a_long_url_is_refused(ward: Ward) -> None:
    """An address of a megabyte is refused while it arrives."""
    answer = raw(ward, b"GET /" + b"a" * 1_000_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n")
    assert answer == b"" or answer.startswith(b"HTTP/1.1 400")
    assert ward.http.get("/healthz").status_code == 200


def test_no_http_at_all_is_refused(ward: Ward) -> None:
    """Bytes that are not HTTP, a DICOM association among them, are answered with 400."""
    assert raw(ward, b"\x01\x00\x00\x00\x00\xcd\x00\x01\x00\x00").startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("path", ["/auth/token", "/console/login", "/healthz", "/fhir/metadata", "/nothing", "/"])
@pytest.mark.parametrize("method", ["DELETE", "PUT", "PATCH"])
def test_wrong_methods_are_refused(ward: Ward, path: str, method: str) -> None:
    """A method that an address does not know is 4xx everywhere."""
    assert ward.http.request(method, path).status_code in (404, 405)


def test_errors_show_no_trace_and_no_identity(ward: Ward, caplog: pytest.LogCaptureFixture) -> None:
    """Neither answers nor log lines repeat the identifier that was asked for."""
    caplog.set_level("DEBUG")
    answer = ward.get(f"DiagnosticReport/{'x' * 70}?identifier={PLANTED[0].accession}")
    ward.get(f"DiagnosticReport?patient.identifier={PLANTED[0].patient_id}")
    assert "Traceback" not in answer.text
    assert PLANTED[0].accession not in answer.text
    told = wait_for(lambda: _told_of_search(caplog), 30, "the log line of the search", pause=0.01)
    assert not any(PLANTED[0].patient_id in line or PLANTED[0].accession in line for line in told)


def _told_of_search(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Our log lines, once that of the search is among them: it is written after the answer was sent."""
    told = [record.getMessage() + str(vars(record)) for record in caplog.records if record.name.startswith("gateway")]
    return told if any("fhir.search-type DiagnosticReport" in line for line in told) else []
