"""Browser apps of other sites: who is named may call FHIR and the token endpoint, everybody else reads nothing."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from pydantic import ValidationError
from wire.access.place import Place, served_otherwise
from wire.fhir_rest.hospital import SECRET

from gateway.config import WebSettings

APP = "https://app.example"
PREFLIGHT = {"Access-Control-Request-Method": "PUT", "Access-Control-Request-Headers": "authorization,if-match"}
ALLOWED = "access-control-allow-origin"


@pytest.fixture(scope="module")
def named(place: Place) -> Iterator[str]:
    place.add("cross-origin", "system/*.rs", secret=SECRET)
    with served_otherwise(place, cross_origins=(APP,)) as base:
        yield base


def sent(place: Place, url: str, origin: str, method: str = "GET", **options: object) -> httpx.Response:
    headers = {"Origin": origin, **dict(options.pop("headers", {}))}  # type: ignore[call-overload]
    with place.http() as http:
        return http.request(method, url, headers=headers, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("path", ["/fhir/Patient/1", "/.well-known/smart-configuration", "/auth/token", "/fhir"])
def test_a_preflight_of_a_named_origin_is_answered(place: Place, named: str, path: str) -> None:
    """It needs no token, allows the headers that FHIR uses, and never cookies."""
    answer = sent(place, f"{named}{path}", APP, "OPTIONS", headers=PREFLIGHT)
    assert (answer.status_code, answer.headers[ALLOWED]) == (200, APP)
    assert "PUT" in answer.headers["access-control-allow-methods"]
    assert {"authorization", "if-match"} <= set(answer.headers["access-control-allow-headers"].lower().split(", "))
    assert "access-control-allow-credentials" not in answer.headers
    assert "Origin" in answer.headers["vary"]


def test_a_named_origin_reads_answers_and_their_headers(place: Place, named: str) -> None:
    """Token, resource and refusal alike, with the headers by which versions and jobs are followed."""
    given = sent(place, f"{named}/auth/token", APP, "POST", data={"grant_type": "client_credentials"})
    assert (given.status_code, given.headers[ALLOWED]) == (401, APP)
    with place.http(auth=("cross-origin", SECRET)) as http:
        read = http.get(f"{named}/fhir/DiagnosticReport/{place.report}", headers={"Origin": APP})
    assert (read.status_code, read.headers[ALLOWED]) == (200, APP)
    shown = read.headers["access-control-expose-headers"].split(", ")
    assert {"ETag", "Location", "Content-Location", "Last-Modified"} <= set(shown)
    assert read.headers["etag"]


def test_another_origin_reads_nothing(place: Place, named: str) -> None:
    """Its preflight fails, and no answer names it, a star, or cookies."""
    other = "https://app.example.evil"
    preflight = sent(place, f"{named}/fhir/Patient/1", other, "OPTIONS", headers=PREFLIGHT)
    assert (preflight.status_code, ALLOWED in preflight.headers) == (400, False)
    assert ALLOWED not in sent(place, f"{named}/fhir/metadata", other).headers
    assert ALLOWED not in sent(place, f"{named}/console/login", APP).headers


def test_no_origin_is_named_by_default(place: Place) -> None:
    """Without the setting no answer speaks of origins."""
    assert not [name for name in sent(place, "/fhir/metadata", APP).headers if name.startswith("access-control")]


@pytest.mark.parametrize("wrong", ["*", "http://app.example", "https://app.example/", "https://*.example", "null"])
def test_an_origin_is_named_exactly(wrong: str) -> None:
    """No star, no path, no plain http but on this very machine."""
    with pytest.raises(ValidationError):
        WebSettings(cross_origins=(wrong,))
    assert WebSettings(cross_origins=(APP, "http://localhost:3000")).cross_origins[0] == APP
