"""An app in which a person signs in: authorization code with PKCE, by a real client, and what must not work."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import httpx
import pytest
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from harness.gateway_process import wait_for
from wire.access.place import Place
from wire.fhir_rest.hospital import PASSWORD, SECRET

from gateway import wiring

REDIRECT = "https://app.example/return?tenant=1"


@dataclass
class Person:
    """A browser and who sits at it."""

    browser: httpx.Client
    name: str

    def sign_in(self) -> httpx.Response:
        form = {"name": self.name, "password": PASSWORD, "token": token(self.browser.get("/console/login").text)}
        return self.browser.post("/console/login", data=form)

    def agree(self, address: str, answer: str = "allow") -> dict[str, str]:
        """Opens the app's address, signs in where need be, and answers; what the app gets back."""
        assert self.browser.get(address).status_code == 200
        page = self.browser.get("/console/authorize/consent")
        if page.status_code == 303:
            assert page.headers["location"] == "/console/login"
            assert self.sign_in().headers["location"] == "/console/authorize/consent"
            page = self.browser.get("/console/authorize/consent")
        if page.status_code == 303:
            return told(page)
        return told(self.browser.post("/console/authorize/consent", data={"token": token(page.text), "answer": answer}))


def token(page: str) -> str:
    """Of the page's own form; the first of a page is for signing out."""
    found = re.findall(r'name="token" value="([0-9a-f]{64})"', page)
    assert found, page
    return str(found[-1])


def told(answer: httpx.Response) -> dict[str, str]:
    """What stands in the address at the app."""
    assert answer.status_code == 303
    assert answer.headers["location"].startswith(REDIRECT)
    return dict(parse_qsl(urlsplit(answer.headers["location"]).query))


@pytest.fixture(scope="module", autouse=True)
def registered(place: Place) -> None:
    scopes = ("user/*.cruds", "system/Device.rs", "offline_access")
    place.add("viewer", *scopes, redirects=(REDIRECT,))
    place.add("strict-viewer", *scopes, redirects=(REDIRECT,), secret=SECRET)
    for role in ("physician", "auditor", "privacy-officer"):
        place.hospital.add_person(f"a-{role}", role)


@pytest.fixture
def physician(place: Place) -> Iterator[Person]:
    with place.http() as browser:
        yield Person(browser, "a-physician")


def client(place: Place, name: str = "viewer", **options: Any) -> OAuth2Client:
    import ssl

    return OAuth2Client(
        client_id=name,
        redirect_uri=REDIRECT,
        code_challenge_method="S256",
        verify=ssl.create_default_context(cafile=place.authority.ca),
        token_endpoint_auth_method="client_secret_basic" if options.get("client_secret") else "none",
        **options,
    )


def asked(place: Place, app: OAuth2Client, verifier: str, scope: str, **changes: str) -> tuple[str, str]:
    more = {"aud": place.fhir} | changes
    address, state = app.create_authorization_url(
        f"{place.base}/console/authorize", code_verifier=verifier, scope=scope, **more
    )
    return address, state


@pytest.mark.parametrize(("name", "secret"), [("viewer", None), ("strict-viewer", SECRET)])
def test_a_physician_lets_an_app_read(place: Place, physician: Person, name: str, secret: str | None) -> None:
    """Authlib's client sends the person to us, redeems the code, reads, refreshes, and the trail names the person."""
    with client(place, name, client_secret=secret) as app:
        verifier = generate_token(64)
        address, state = asked(place, app, verifier, "user/DiagnosticReport.rs offline_access")
        back = physician.agree(address)
        assert (back["state"], back["iss"], back["tenant"]) == (state, place.base, "1")
        given = app.fetch_token(place.token_url, code=back["code"], code_verifier=verifier)
        assert given["scope"] == "offline_access user/DiagnosticReport.rs"
        assert app.get(f"{place.fhir}/DiagnosticReport/{place.report}").status_code == 200
        read = place.hospital.events("fhir:read")[0]
        assert (read.actor, read.details["client"]) == ("person:a-physician", name)
        assert app.get(f"{place.fhir}/Patient").status_code == 403
        fresh = app.refresh_token(place.token_url, given["refresh_token"])
        assert app.get(f"{place.fhir}/DiagnosticReport/{place.report}").status_code == 200
        with place.http() as http:
            again = http.post(
                "/auth/token",
                data={"grant_type": "refresh_token", "refresh_token": given["refresh_token"], "client_id": name},
                auth=(name, secret) if secret else None,
            )
            assert (again.status_code, again.json()["error"]) == (400, "invalid_grant")
            header = {"Authorization": f"Bearer {fresh['access_token']}"}
            assert http.get("/fhir/DiagnosticReport", headers=header).status_code == 401  # a thief or the app: both end


def test_a_code_serves_once_with_its_verifier(place: Place, physician: Person) -> None:
    """A wrong verifier, another redirect address and a second use give nothing; a second use ends the first token."""
    with client(place) as app, place.http() as http:
        verifier = generate_token(64)

        def redeem(code: str, **changes: str) -> httpx.Response:
            form = {"grant_type": "authorization_code", "client_id": "viewer", "redirect_uri": REDIRECT}
            return http.post("/auth/token", data=form | {"code": code, "code_verifier": verifier} | changes)

        assert redeem("no such code").json()["error"] == "invalid_grant"

        for wrong in ({"code_verifier": generate_token(64)}, {"redirect_uri": "https://app.example/"}):
            code = physician.agree(asked(place, app, verifier, "user/*.rs")[0])["code"]
            assert redeem(code, **wrong).json()["error"] == "invalid_grant"
        code = physician.agree(asked(place, app, verifier, "user/*.rs")[0])["code"]
        given = redeem(code).json()
        assert "refresh_token" not in given
        header = {"Authorization": f"Bearer {given['access_token']}"}
        assert http.get("/fhir/Device", headers=header).status_code == 200
        assert redeem(code).json()["error"] == "invalid_grant"
        assert http.get("/fhir/Device", headers=header).status_code == 401


def test_nothing_goes_to_an_address_that_is_not_registered(place: Place, physician: Person) -> None:
    """An unknown app, or another redirect address, is told to the person and sent nowhere."""
    with client(place) as app:
        address, _ = asked(place, app, generate_token(64), "user/*.rs")
    for bad in (address.replace("app.example", "evil.example"), address.replace("client_id=viewer", "client_id=x")):
        refused = physician.browser.get(bad)
        assert refused.status_code == 400
        assert "location" not in refused.headers


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "short"}, "invalid_request"),
        ({"code_challenge": ""}, "invalid_request"),
        ({"aud": "https://other.example/fhir"}, "invalid_request"),
        ({"scope": "system/Device.rs"}, "invalid_scope"),
        ({"scope": "user/Device.rs?x=y"}, "invalid_scope"),
        ({"scope": "patient/*.rs"}, "invalid_scope"),
        ({"scope": "user/*.rs patient/*.rs"}, "invalid_scope"),
        ({"nonce": "n" * 300}, "invalid_request"),
    ],
)
def test_requests_that_cannot_be(place: Place, physician: Person, changes: dict[str, str], error: str) -> None:
    """The app is told at its address what was wrong; no plain PKCE, no implicit flow, no system scope for a person."""
    asked_for = {
        "response_type": "code",
        "client_id": "viewer",
        "redirect_uri": REDIRECT,
        "scope": "user/*.rs",
        "state": "s",
        "aud": place.fhir,
        "code_challenge": create_s256_code_challenge(generate_token(64)),
        "code_challenge_method": "S256",
    }
    back = told(physician.browser.get("/console/authorize", params=asked_for | changes))
    assert (back["error"], back["state"]) == (error, "s")


def test_a_person_may_say_no(place: Place, physician: Person) -> None:
    """Denied is told, and no code is made."""
    with client(place) as app:
        back = physician.agree(asked(place, app, generate_token(64), "user/*.rs")[0], "deny")
    assert back["error"] == "access_denied"
    assert "code" not in back


def test_an_answer_needs_the_form(place: Place, physician: Person) -> None:
    """Without the token of the page another site's form gives the app nothing."""
    with client(place) as app:
        address = asked(place, app, generate_token(64), "user/*.rs")[0]
    physician.sign_in()
    physician.browser.get(address)
    forged = physician.browser.post("/console/authorize/consent", data={"token": "0" * 64, "answer": "allow"})
    assert forged.status_code == 200
    assert "Let viewer act for you" in forged.text


def test_the_role_bounds_the_app(place: Place) -> None:
    """An app gets of an auditor nothing that an auditor has not, and of a privacy officer nothing at all."""
    with place.http() as browser, client(place) as app:
        auditor = Person(browser, "a-auditor")
        back = auditor.agree(asked(place, app, generate_token(64), "user/DiagnosticReport.rs")[0])
        assert back["error"] == "access_denied"
    with place.http() as browser, client(place) as app:
        officer = Person(browser, "a-privacy-officer")
        assert officer.agree(asked(place, app, generate_token(64), "user/*.rs")[0])["error"] == "access_denied"


def test_a_person_who_has_gone_takes_the_token_along(place: Place) -> None:
    """When a person is made inactive, what apps hold in his name ends: in this process once it asks again."""
    from sqlalchemy import update

    from gateway.storage.access_tables import person

    place.hospital.add_person("leaver", "physician")
    with place.http() as browser, client(place) as app:
        verifier = generate_token(64)
        back = Person(browser, "leaver").agree(asked(place, app, verifier, "user/*.rs offline_access")[0])
        given = app.fetch_token(place.token_url, code=back["code"], code_verifier=verifier)
        assert app.get(f"{place.fhir}/Device").status_code == 200
        with place.hospital.database.begin("test") as unit:
            unit._transaction.execute(update(person).where(person.c.name == "leaver").values(active=False))
            unit.commit()
        wait_for(lambda: app.get(f"{place.fhir}/Device").status_code == 401, 20, "the token to end")
        with place.http() as http:
            form = {"grant_type": "refresh_token", "refresh_token": given["refresh_token"], "client_id": "viewer"}
            assert http.post("/auth/token", data=form).json()["error"] == "invalid_grant"


def test_what_a_person_asks_later_is_that_persons(place: Place, physician: Person) -> None:
    """A search answered later runs as the person who asked; another person with the same app does not see its job."""
    place.hospital.add_person("b-physician", "physician")
    with place.http() as browser, client(place) as mine, client(place) as hers:
        for app, who in ((mine, physician), (hers, Person(browser, "b-physician"))):
            verifier = generate_token(64)
            back = who.agree(asked(place, app, verifier, "user/DiagnosticReport.rs")[0])
            app.fetch_token(place.token_url, code=back["code"], code_verifier=verifier)
        kicked = mine.get(f"{place.fhir}/DiagnosticReport?_count=1", headers={"Prefer": "respond-async"})
        assert kicked.status_code == 202
        status = kicked.headers["content-location"]
        assert [app.get(status).status_code for app in (mine, hers)] == [202, 404]
        assert hers.delete(status).status_code == 404
        while wiring.run_jobs(place.hospital.settings, place.hospital.database)():
            pass
        (output,) = mine.get(status).json()["output"]
        assert place.report in mine.get(output["url"]).text
        assert hers.get(output["url"]).status_code == 404
        searched = place.hospital.events("fhir:search")[0]
        assert (searched.actor, searched.details["client"]) == ("person:a-physician", "viewer")


@pytest.mark.parametrize("how", ["revoked", "role", "gone"])
def test_what_a_person_asked_ends_with_what_he_granted(place: Place, how: str) -> None:
    """A search that waits is not carried out once the sign-in was revoked, the role taken, or the person has gone."""
    from sqlalchemy import update

    from gateway.storage.access_tables import person

    place.hospital.add_person(f"asker-{how}", "physician")
    with place.http() as browser, client(place) as app:
        verifier = generate_token(64)
        back = Person(browser, f"asker-{how}").agree(asked(place, app, verifier, "user/Device.rs offline_access")[0])
        given = app.fetch_token(place.token_url, code=back["code"], code_verifier=verifier)
        kicked = app.get(f"{place.fhir}/Device", headers={"Prefer": "respond-async"})
        assert kicked.status_code == 202
        job_id = kicked.headers["content-location"].rpartition("/")[2]
        if how == "revoked":
            app.revoke_token(f"{place.base}/auth/revoke", token=given["refresh_token"])
        else:
            changes = {"role": "auditor"} if how == "role" else {"active": False}
            with place.hospital.database.begin("test") as unit:
                unit._transaction.execute(update(person).where(person.c.name == f"asker-{how}").values(changes))
                unit.commit()
        before = len(place.hospital.events("fhir:search"))
        while wiring.run_jobs(place.hospital.settings, place.hospital.database)():
            pass
        with place.hospital.database.read() as unit:
            files = unit.bulk_jobs.files(job_id)
        assert [(one.role, one.type) for one in files] == [("error", "OperationOutcome")]
        assert len(place.hospital.events("fhir:search")) == before
        assert place.hospital.events("bulk:fail")[0].details["reason"] == "grant"
