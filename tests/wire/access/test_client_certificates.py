"""Clients that prove who they are by a TLS certificate, and tokens that work with that certificate alone."""

from __future__ import annotations

import json
import shutil
import ssl
import subprocess

import httpx
import pytest
from harness.authority import Authority, Issued
from wire.access.place import Place, served_otherwise
from wire.fhir_rest.hospital import SECRET

from gateway.flow.client_certificate import PeerCertificate, rule_of_dns, rule_of_file, rule_of_subject

FORM = {"grant_type": "client_credentials"}


@pytest.fixture(scope="module")
def own(place: Place) -> Issued:
    return place.authority.issue("lis", "lis.example")


@pytest.fixture(scope="module")
def other(place: Place) -> Issued:
    return place.authority.issue("pacs", "pacs.example")


@pytest.fixture(scope="module", autouse=True)
def registered(place: Place, own: Issued) -> None:
    with open(own.chain, "rb") as file:
        place.add("lis", certificates=(rule_of_file(file.read()),))
    place.add("by-name", certificates=(rule_of_subject("CN=lis"),))
    place.add("by-dns", certificates=(rule_of_dns("LIS.example"),))
    place.add("ehr", secret=SECRET)


@pytest.mark.parametrize("name", ["lis", "by-name", "by-dns"])
def test_the_registered_certificate_opens(place: Place, own: Issued, other: Issued, name: str) -> None:
    """By thumbprint, subject or DNS name: the certificate gets a token; another of the same authority gets none."""
    with place.http(own.pair) as http:
        assert http.post("/auth/token", data=FORM | {"client_id": name}).status_code == 200
    for pair in (other.pair, None):
        with place.http(pair) as http:
            refused = http.post("/auth/token", data=FORM | {"client_id": name})
            assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client")


@pytest.mark.parametrize("how", ["certificate", "secret"])
def test_a_token_is_bound_to_its_certificate(place: Place, own: Issued, other: Issued, how: str) -> None:
    """A token got over mutual TLS is refused without the certificate and with another; introspection names it."""
    form = FORM | ({"client_id": "lis"} if how == "certificate" else {"client_id": "ehr", "client_secret": SECRET})
    with place.http(own.pair) as http:
        token = http.post("/auth/token", data=form).json()["access_token"]
        header = {"Authorization": f"Bearer {token}"}
        assert http.get("/fhir/DiagnosticReport", headers=header).status_code == 200
        state = http.post("/auth/introspect", data=form | {"token": token}).json()
        assert state["cnf"] == {"x5t#S256": PeerCertificate(_der(own)).thumbprint}
    for pair in (other.pair, None):
        with place.http(pair) as http:
            refused = http.get("/fhir/DiagnosticReport", headers=header)
            assert refused.status_code == 401
            assert "certificate" in refused.json()["issue"][0]["diagnostics"]
    assert place.hospital.events("client:reject")[0].details["reason"] == "certificate"
    place.add(f"{how}-officer", "system/AuditEvent.rs", secret=SECRET)
    with place.http(auth=(f"{how}-officer", SECRET)) as http:
        rows = http.get("/fhir/AuditEvent?outcome=4&subtype=urn:dxgate:audit-event|client:reject").json()["entry"]
    assert {row["resource"]["outcome"] for row in rows} == {"4"}


def test_a_token_without_certificate_is_a_plain_bearer(place: Place, own: Issued) -> None:
    """Who shows no certificate at the token endpoint gets a token that is bound to none."""
    with place.http() as http:
        token = http.post("/auth/token", data=FORM, auth=("ehr", SECRET)).json()["access_token"]
    with place.http(own.pair) as http:
        assert http.get("/fhir/Device", headers={"Authorization": f"Bearer {token}"}).status_code == 200


def test_a_strangers_certificate_does_not_pass_tls(place: Place, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A certificate of another authority, under the registered name too, ends the handshake."""
    forged = Authority(tmp_path_factory.mktemp("forger"), "Forger").issue("lis", "lis.example")
    with place.http(forged.pair) as http, pytest.raises(httpx.HTTPError):
        http.post("/auth/token", data=FORM | {"client_id": "by-name"})


def test_revoked_and_missing_certificates(place: Place, own: Issued, other: Issued) -> None:
    """A revoked certificate does not pass, and where certificates are required neither does a connection without."""
    revoked = place.authority.revocations(other)
    with served_otherwise(place, tls_client_crl=revoked, tls_client_required=True) as base:
        with place.http(own.pair) as http:
            assert http.post(f"{base}/auth/token", data=FORM | {"client_id": "lis"}).status_code == 200
        for pair in (other.pair, None):
            with place.http(pair) as http, pytest.raises(httpx.HTTPError):
                http.get(f"{base}/healthz")


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is absent")
def test_curl_with_a_certificate(place: Place, own: Issued) -> None:
    """The lines of deploy/fhir/access.md: curl gets a token with its certificate and reads with both."""
    tls = ["curl", "-s", "--cacert", place.authority.ca, "--cert", own.chain, "--key", own.key]
    asked = [*tls, "-d", "grant_type=client_credentials", "-d", "client_id=lis", f"{place.base}/auth/token"]
    token = json.loads(subprocess.run(asked, capture_output=True, check=True).stdout)["access_token"]
    read = [*tls, "-H", f"Authorization: Bearer {token}", f"{place.fhir}/DiagnosticReport/{place.report}"]
    assert json.loads(subprocess.run(read, capture_output=True, check=True).stdout)["id"] == place.report


def _der(issued: Issued) -> bytes:
    with open(issued.chain) as file:
        return ssl.PEM_cert_to_DER_cert(file.read())
