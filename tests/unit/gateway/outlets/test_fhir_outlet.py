"""Claims about what the FHIR outlet makes of an EHR's answers; the EHR is a function here, mostly, and a server in
tests/wire."""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from typing import Any

import fixtures_report as sample
import httpx
import pytest
from harness.rude_server import drip, speaking

from gateway.config import DestinationSettings
from gateway.domain.errors import Category, GatewayError, Invalid, Unavailable
from gateway.domain.ids import DeliveryId
from gateway.domain.report import Delivery, report_id
from gateway.outlets.fhir import ANSWER_LIMIT, FhirOutlet

SECRET = "Quillfeather MRN-7718201"
DELIVERY = Delivery(DeliveryId("d"), report_id(sample.STUDY), 1, "ehr", "sending", 1, sample.AT)


def outlet(answer: Callable[[httpx.Request], httpx.Response], **members: Any) -> FhirOutlet:
    members = {"strategy": "transaction", **members}
    settings = DestinationSettings(name="ehr", kind="fhir", url="https://ehr.example/fhir/", **members)
    return FhirOutlet(settings, "https://gateway.example/fhir", "General Hospital AI", httpx.MockTransport(answer))


def send(status: int, body: bytes | dict[str, Any], **headers: str) -> str:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    sender = outlet(lambda _: httpx.Response(status, stream=httpx.ByteStream(content), headers=headers))
    return sender.send(DELIVERY, sample.malignant())


def response(*entries: dict[str, Any]) -> dict[str, Any]:
    return {
        "resourceType": "Bundle",
        "type": "transaction-response",
        "entry": [{"response": entry} for entry in entries],
    }


def refusal(status: int, body: bytes | dict[str, Any] = b"") -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        send(status, body)
    return caught.value


OUTCOME = {
    "resourceType": "OperationOutcome",
    "issue": [{"severity": "error", "code": "duplicate", "diagnostics": SECRET, "details": {"text": SECRET}}],
}


@pytest.mark.parametrize(
    ("status", "category"),
    [
        (400, Category.INVALID),
        (401, Category.UNAVAILABLE),
        (403, Category.FORBIDDEN),
        (404, Category.INVALID),
        (408, Category.BUSY),
        (409, Category.CONFLICT),
        (410, Category.INVALID),
        (412, Category.INVALID),
        (422, Category.INVALID),
        (425, Category.BUSY),
        (429, Category.BUSY),
        (500, Category.UNAVAILABLE),
        (503, Category.UNAVAILABLE),
        (504, Category.UNAVAILABLE),
        (301, Category.INVALID),
        (308, Category.INVALID),
    ],
)
def test_each_status_decides_whether_to_try_again(status: int, category: Category) -> None:
    """The network, load and credentials are tried again; a refused content is not."""
    assert refusal(status, OUTCOME).category is category


def test_a_refusal_names_issue_codes_and_no_word_of_the_server() -> None:
    """An OperationOutcome may quote the patient, so only codes of the standard are repeated."""
    error = refusal(422, {**OUTCOME, "issue": [*OUTCOME["issue"], {"code": SECRET}]})
    assert str(error) == "the EHR answered 422 (duplicate)"


@pytest.mark.parametrize("body", [b"", b"<html>sign in</html>", b"[1]", b"[" * 100_000, b"\xff", b"null"])
def test_a_success_that_is_not_fhir_is_not_believed(body: bytes) -> None:
    """A captive portal's 200 does not count as delivered."""
    with pytest.raises(Unavailable):
        send(200, body)


@pytest.mark.parametrize(
    "answer",
    [
        {"resourceType": "Bundle", "type": "transaction-response"},
        {"resourceType": "Bundle", "type": "transaction-response", "entry": [{}]},
        {"resourceType": "Bundle", "type": "transaction-response", "entry": ["x"]},
        {"resourceType": "Bundle", "type": "searchset", "entry": [{"response": {"status": "200"}}]},
        response({"location": "Patient/1"}),
    ],
)
def test_an_incomplete_transaction_response_is_not_believed(answer: dict[str, Any]) -> None:
    """Every entry must say what became of it."""
    with pytest.raises(Unavailable):
        send(200, answer)


def test_an_entry_that_failed_fails_the_delivery() -> None:
    """A server that answers 200 and refuses one entry has not taken the report."""
    with pytest.raises(Invalid, match=r"422 \(duplicate\)"):
        send(200, response({"status": "201 Created"}, {"status": "422", "outcome": OUTCOME}))


def test_the_acknowledgement_holds_locations_and_versions() -> None:
    """Absolute or relative, a location is kept as type, id and version."""
    answer = response(
        {"status": "201 Created", "location": "https://ehr.example/fhir/Patient/7/_history/1", "etag": 'W/"1"'},
        {"status": "200", "location": "DiagnosticReport/9"},
    )
    assert send(200, answer) == 'transaction: Patient/7/_history/1 W/"1"; DiagnosticReport/9'


def test_the_acknowledgement_holds_nothing_else() -> None:
    """What is not a location or an ETag by form is not stored."""
    answer = response({"status": f"201 {SECRET}", "location": f"Patient?name={SECRET}", "etag": SECRET})
    assert send(200, answer) == "transaction: 1 entries accepted"


def test_a_compressed_answer_is_not_unpacked() -> None:
    """A server that compresses although asked not to is not believed, whatever its answer grows to."""
    with pytest.raises(Unavailable, match="not a transaction-response"):
        send(200, gzip.compress(json.dumps(response({"status": "201"})).encode()), **{"Content-Encoding": "gzip"})


def test_an_endless_answer_is_cut() -> None:
    """No more than the limit is read."""
    with pytest.raises(Unavailable, match="longer"):
        send(200, b" " * (ANSWER_LIMIT + 1))


@pytest.mark.parametrize("error", [httpx.ConnectError, httpx.ReadTimeout, httpx.RemoteProtocolError])
def test_a_broken_connection_is_tried_again_and_says_nothing_of_the_content(error: type[httpx.TransportError]) -> None:
    """Every transport error is Unavailable, without the library's own words."""

    def fail(request: httpx.Request) -> httpx.Response:
        raise error(SECRET, request=request)

    with pytest.raises(Unavailable) as caught:
        outlet(fail).send(DELIVERY, sample.malignant())
    assert SECRET not in str(caught.value)


def test_a_delivery_is_one_transaction_posted_to_the_base() -> None:
    """One POST of application/fhir+json to the configured address, with the credentials set for it."""
    seen: list[httpx.Request] = []

    def take(request: httpx.Request) -> httpx.Response:
        seen.append(request)
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(response({"status": "201"})).encode()))

    outlet(take, bearer_token="token-1").send(DELIVERY, sample.malignant())
    outlet(take, username="user", password="word").send(DELIVERY, sample.malignant())
    assert [(each.method, str(each.url)) for each in seen] == [("POST", "https://ehr.example/fhir")] * 2
    assert seen[0].headers["content-type"] == "application/fhir+json"
    assert seen[0].headers["authorization"] == "Bearer token-1"
    assert seen[1].headers["authorization"] == "Basic " + base64.b64encode(b"user:word").decode()
    assert json.loads(seen[0].content)["type"] == "transaction"
    assert seen[0].content == seen[1].content


@pytest.mark.parametrize(
    "text", [b"HTTP/1.1 201 Created\r\nX-Head: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"]
)
def test_an_ehr_that_drips_is_given_up_when_its_time_is_over(text: bytes) -> None:
    """Head or body, letter by letter: one request may take its time and no more, whatever arrives meanwhile."""
    with speaking(drip(text + b"a" * 4000)) as base:
        told = DestinationSettings(name="ehr", kind="fhir", url=base, timeout_seconds=0.3, strategy="transaction")
        sender = FhirOutlet(told, "https://gateway.example/fhir", "General Hospital AI")
        with pytest.raises(Unavailable, match="ReadTimeout"):
            sender.send(DELIVERY, sample.malignant())
