"""Claims about signing in at an EHR; the EHR and its token endpoint are one function here."""

from __future__ import annotations

import json
from base64 import b64encode
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import fixtures_report as sample
import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from gateway.config import DestinationSettings
from gateway.domain.errors import Invalid, Unavailable
from gateway.domain.ids import DeliveryId
from gateway.domain.report import Delivery, report_id
from gateway.outlets.fhir import FhirOutlet

TOKEN_URL = "https://login.ehr.example/token"
DELIVERY = Delivery(DeliveryId("d"), report_id(sample.STUDY), 1, "ehr", "sending", 1, sample.AT)
TAKEN = {"resourceType": "Bundle", "type": "transaction-response", "entry": [{"response": {"status": "201"}}]}


@dataclass
class Ehr:
    """Gives tokens by number and takes only the newest; `token_answer` replaces what it gives."""

    tokens: int = 0
    asked: list[httpx.Request] = field(default_factory=list)
    sent: list[str] = field(default_factory=list)
    token_answer: tuple[int, bytes] | None = None
    takes_back: bool = False

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if str(request.url) == TOKEN_URL:
            self.asked.append(request)
            self.tokens += 1
            given = json.dumps({"access_token": f"t{self.tokens}", "expires_in": 300}).encode()
            status, body = self.token_answer or (200, given)
            return httpx.Response(status, stream=httpx.ByteStream(body))
        self.sent.append(request.headers["authorization"])
        if self.takes_back:
            self.takes_back = False
            return httpx.Response(401, stream=httpx.ByteStream(b""))
        return httpx.Response(200, stream=httpx.ByteStream(json.dumps(TAKEN).encode()))


def outlet(ehr: Ehr, **members: Any) -> FhirOutlet:
    told: dict[str, Any] = {"token_url": TOKEN_URL, "client_id": "dxgate", "strategy": "transaction", **members}
    settings = DestinationSettings(name="ehr", kind="fhir", url="https://ehr.example/fhir", **told)
    return FhirOutlet(settings, "https://gateway.example/fhir", "Hospital", httpx.MockTransport(ehr))


def private_key(folder: Path, key: Any) -> tuple[str, bytes]:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path = folder / "key.pem"
    path.write_bytes(pem)
    return str(path), pem


@pytest.mark.parametrize("kind", ["ES384", "RS384"])
def test_an_assertion_by_private_key_gets_a_token(tmp_path: Path, kind: str) -> None:
    """The assertion is signed by our key, for this endpoint, short-lived and never the same twice."""
    made = ec.generate_private_key(ec.SECP384R1()) if kind == "ES384" else rsa.generate_private_key(65537, 2048)
    path, pem = private_key(tmp_path, made)
    ehr = Ehr()
    outlet(ehr, private_key=path, key_id="k1", scope="system/DiagnosticReport.cruds").send(DELIVERY, sample.benign())
    outlet(ehr, private_key=path).send(DELIVERY, sample.benign())
    key = ECKey.import_key(pem) if kind == "ES384" else RSAKey.import_key(pem)
    tokens = []
    for request in ehr.asked:
        form = {name: values[0] for name, values in parse_qs(request.content.decode()).items()}
        assert form["grant_type"] == "client_credentials"
        assert form["client_assertion_type"].endswith("jwt-bearer")
        tokens.append(jwt.decode(form["client_assertion"], key, algorithms=[kind]))
    claims = tokens[0].claims
    assert (tokens[0].header["alg"], tokens[0].header["kid"]) == (kind, "k1")
    assert (claims["iss"], claims["sub"], claims["aud"]) == ("dxgate", "dxgate", TOKEN_URL)
    assert 0 < claims["exp"] - claims["iat"] <= 300
    assert claims["jti"] != tokens[1].claims["jti"]
    assert ehr.sent == ["Bearer t1", "Bearer t2"]


def test_a_client_secret_goes_as_basic_authentication() -> None:
    """Name and secret are form-encoded before they are joined (RFC 6749 2.3.1), and stand in no body."""
    ehr = Ehr()
    outlet(ehr, client_id="a:b", client_secret="p w").send(DELIVERY, sample.benign())
    (asked,) = ehr.asked
    assert asked.headers["authorization"] == "Basic " + b64encode(b"a%3Ab:p%20w").decode()
    assert b"p+w" not in asked.content


def test_one_token_serves_many_deliveries_and_a_revoked_one_is_replaced() -> None:
    """It is asked for once, and again when the EHR does not take it any more."""
    ehr = Ehr()
    sender = outlet(ehr, client_secret="word")
    for _ in range(3):
        sender.send(DELIVERY, sample.benign())
    assert (len(ehr.asked), ehr.sent) == (1, ["Bearer t1"] * 3)
    ehr.takes_back = True
    sender.send(DELIVERY, sample.benign())
    assert ehr.sent[-2:] == ["Bearer t1", "Bearer t2"]


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, b'{"error": "invalid_client", "error_description": "secret word"}', r"answered 400 \(invalid_client\)"),
        (400, b'{"error": "secret word"}', "answered 400$"),
        (500, b"<html>", "answered 500"),
        (200, b"{}", "gave no token"),
        (200, b'{"access_token": "a\\nb"}', "gave no token"),
        (200, b" " * 70_000, "said too much"),
    ],
)
def test_no_token_is_a_matter_of_time(status: int, body: bytes, said: str) -> None:
    """Whatever the token endpoint says wrong, the report waits, and none of its words are repeated."""
    ehr = Ehr(token_answer=(status, body))
    with pytest.raises(Unavailable, match=said) as caught:
        outlet(ehr, client_secret="word").send(DELIVERY, sample.benign())
    assert "secret" not in str(caught.value)
    assert ehr.sent == []


def test_keys_that_smart_does_not_know_are_refused_at_the_start(tmp_path: Path) -> None:
    """A curve of another size, or no key at all, is found before anything is sent."""
    path, _ = private_key(tmp_path, ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(Invalid, match="neither EC P-384 nor RSA"):
        outlet(Ehr(), private_key=path)
    with pytest.raises(Invalid, match="cannot be read"):
        outlet(Ehr(), private_key=str(tmp_path / "none.pem"))
