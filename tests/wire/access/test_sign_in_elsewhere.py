"""Signing in to the console through an OpenID Connect provider that really runs, and one that lies."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from harness.identity_provider import CLIENT_ID, CLIENT_SECRET, IdentityProvider
from joserfc.jwk import OctKey, RSAKey
from wire.access.place import Place, served_otherwise
from wire.fhir_rest.hospital import PASSWORD

from gateway.config import OidcSettings

GOOD = {"sub": "u-1", "preferred_username": "dr.grey", "groups": ["staff", "radiologists"]}


@pytest.fixture(scope="module")
def provider(place: Place) -> Iterator[IdentityProvider]:
    with IdentityProvider(place.authority.issue("identity")).running() as running:
        yield running


@pytest.fixture(scope="module")
def console(place: Place, provider: IdentityProvider) -> Iterator[str]:
    """The gateway with this provider, and local accounts switched off."""
    oidc = OidcSettings(
        issuer=provider.issuer,
        client_id=CLIENT_ID,
        client_secret=CLIENT_SECRET,
        role_map=("it-admins=admin", "radiologists=physician"),
        ca=place.authority.ca,
    )
    with served_otherwise(place, oidc, local_sign_in=False) as base:
        yield base


@pytest.fixture(autouse=True)
def honest(provider: IdentityProvider) -> None:
    provider.claims, provider.lies, provider.algorithm, provider.signs = dict(GOOD), {}, "RS256", None


def sign_in(place: Place, console: str, browser: httpx.Client) -> httpx.Response:
    """As a browser goes: to the provider and back."""
    away = browser.get(f"{console}/console/elsewhere")
    assert away.status_code == 303, away.text
    back = httpx.get(away.headers["location"], verify=browser._transport._pool._ssl_context)  # type: ignore[attr-defined]
    return browser.get(back.headers["location"])


def test_a_person_signs_in_with_the_hospital_account(place: Place, console: str) -> None:
    """The provider's person comes in under the mapped role, is known again, and the session cookie stays strict."""
    for _ in range(2):
        with place.http() as browser:
            answer = sign_in(place, console, browser)
            assert answer.status_code == 200
            cookies = answer.headers.get_list("set-cookie")
            assert any("dxgate_session=" in one and "SameSite=strict" in one and "Secure" in one for one in cookies)
            page = browser.get(f"{console}/console/studies")
            assert page.status_code == 200
            assert "dr.grey" in page.text
            assert "physician" in page.text
    with place.hospital.database.read() as unit:
        person = unit.access.person("dr.grey")
    assert person is not None
    assert person.subject == "u-1"
    login = place.hospital.events("person:login")[0]
    assert (login.actor, login.details["by"]) == ("person:dr.grey", "oidc")
    assert len([entry for entry in place.hospital.events("person:add") if entry.subject_id == person.id]) == 1


def test_the_role_follows_the_provider(place: Place, console: str, provider: IdentityProvider) -> None:
    """A change of group changes the role at the next sign-in, on record."""
    with place.http() as browser:
        sign_in(place, console, browser)
    provider.claims["groups"] = "it-admins"
    with place.http() as browser:
        sign_in(place, console, browser)
        assert "admin" in browser.get(f"{console}/console/studies").text
    entry = place.hospital.events("person:role")[0]
    assert (entry.details["role"], entry.details["former"]) == ("admin", "physician")


NOW = int(time.time())


@pytest.mark.parametrize(
    ("lies", "claims"),
    [
        ({"iss": "https://other.example"}, {}),
        ({"aud": "another-client"}, {}),
        ({"aud": [CLIENT_ID, "another-client"]}, {}),
        ({"azp": "another-client"}, {}),
        ({"nonce": "of another sign-in"}, {}),
        ({"exp": NOW - 3600}, {}),
        ({"exp": None}, {}),
        ({"iat": NOW + 3600}, {}),
        ({}, {"groups": ["visitors"]}),
        ({}, {"groups": None}),
        ({}, {"preferred_username": "a b<script>"}),
        ({}, {"preferred_username": None}),
        ({}, {"sub": ""}),
    ],
)
def test_an_id_token_that_does_not_let_in(
    place: Place, console: str, provider: IdentityProvider, lies: dict[str, Any], claims: dict[str, Any]
) -> None:
    """A token for others, of another sign-in, out of its time, or without role or name opens nothing, on record."""
    provider.lies, provider.claims = lies, GOOD | claims
    before = len(place.hospital.events("person:reject"))
    with place.http() as browser:
        assert sign_in(place, console, browser).status_code == 403
        assert browser.get(f"{console}/console/studies").status_code == 303
    assert len(place.hospital.events("person:reject")) == before + 1


def test_signatures_that_do_not_count(place: Place, console: str, provider: IdentityProvider) -> None:
    """Another key under the known kid, an unknown kid, and an HMAC are refused."""
    forgers = [
        ("RS256", RSAKey.generate_key(2048, {"kid": "one"})),
        ("RS256", RSAKey.generate_key(2048, {"kid": "two"})),
        ("HS256", OctKey.import_key(CLIENT_SECRET, {"kid": "one"})),
    ]
    for provider.algorithm, provider.signs in forgers:
        with place.http() as browser:
            assert sign_in(place, console, browser).status_code == 403


def test_nobody_takes_a_local_account_by_its_name(place: Place, console: str, provider: IdentityProvider) -> None:
    """An account of the provider that bears a local person's name is refused."""
    place.hospital.add_person("head-admin", "admin")
    provider.claims |= {"sub": "u-2", "preferred_username": "head-admin", "groups": ["it-admins"]}
    with place.http() as browser:
        assert sign_in(place, console, browser).status_code == 403
    assert place.hospital.events("person:reject")[0].details["reason"] == "name"


def test_an_answer_belongs_to_the_browser_that_asked(place: Place, console: str) -> None:
    """Without the cookie of the beginning, or with another state, an answer lets nobody in; the cookie serves once."""
    with place.http() as victim, place.http() as thief:
        away = thief.get(f"{console}/console/elsewhere").headers["location"]
        back = httpx.get(away, verify=thief._transport._pool._ssl_context).headers["location"]  # type: ignore[attr-defined]
        assert victim.get(back).status_code == 404
        victim.get(f"{console}/console/elsewhere")
        assert victim.get(back).status_code == 403
        assert thief.get(back).status_code == 200
        assert thief.get(back).status_code == 404


def test_local_accounts_are_off(place: Place, console: str) -> None:
    """With local sign-in off there is no password form, and a right password is refused; with it on, it works again."""
    place.hospital.add_person("night-admin", "admin")
    form = {"name": "night-admin", "password": PASSWORD, "token": "x"}
    with place.http() as browser:
        page = browser.get(f"{console}/console/login").text
        assert 'type="password"' not in page
        assert "/console/elsewhere" in page
        assert browser.post(f"{console}/console/login", data=form).status_code == 403
        assert 'type="password"' in browser.get("/console/login").text  # the same database, the setting left on


def test_a_provider_that_does_not_answer(place: Place) -> None:
    """Where the provider is out, people are told so and nothing hangs."""
    gone = OidcSettings(issuer="https://127.0.0.1:9", client_id="x", role_map=("a=admin",), ca=place.authority.ca)
    with served_otherwise(place, gone) as base, place.http() as browser:
        assert browser.get(f"{base}/console/elsewhere").status_code == 503
