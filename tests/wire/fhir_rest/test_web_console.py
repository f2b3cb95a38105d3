"""The console over HTTP: signing in and out, who sees what, what is audited, which headers stand on every page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from wire.fhir_rest.conftest import Ward
from wire.fhir_rest.hospital import PASSWORD, PLANTED, add_study, open_hospital, serving

from gateway import wiring
from gateway.domain.governance import Stop
from gateway.domain.report import report_id
from gateway.domain.study import record_id
from gateway.servers.web.services import ChainCheck

AT = datetime(2026, 11, 29, tzinfo=UTC)
PAGES = ("studies", "models", "audit")


@pytest.fixture(scope="module")
def people(ward: Ward) -> Iterator[dict[str, httpx.Client]]:
    """A signed-in browser for each role."""
    signed_in = {}
    for role in ("admin", "auditor", "physician"):
        ward.hospital.add_person(f"some-{role}", role)
        browser = httpx.Client(base_url=ward.base, follow_redirects=True, timeout=20)
        assert sign_in(browser, f"some-{role}").url.path == "/console/studies"
        signed_in[role] = browser
    yield signed_in
    for browser in signed_in.values():
        browser.close()


def sign_in(browser: httpx.Client, name: str, password: str = PASSWORD) -> httpx.Response:
    """Through the form, as a browser does it."""
    form = {"name": name, "password": password, "token": form_token(browser.get("/console/login").text)}
    return browser.post("/console/login", data=form)


def form_token(page: str) -> str:
    found = re.search(r'name="token" value="([0-9a-f]{64})"', page)
    assert found is not None
    return found[1]


def test_nothing_is_shown_without_signing_in(ward: Ward) -> None:
    """Every page leads to the sign-in form, pictures too."""
    study = ward.hospital.studies[0]
    paths = [*PAGES, f"studies/{study}", f"studies/{study}/pictures/x/0"]
    for path in paths:
        answer = httpx.get(f"{ward.base}/console/{path}")
        assert (answer.status_code, answer.headers["location"]) == (303, "/console/login")


def test_session_cookie_is_closed_to_scripts_and_other_sites(ward: Ward, people: dict[str, httpx.Client]) -> None:
    """The session cookie is HttpOnly and SameSite=Strict."""
    with httpx.Client(base_url=ward.base) as browser:
        cookies = sign_in(browser, "some-admin").headers.get_list("set-cookie")
    session = next(each for each in cookies if each.startswith("dxgate_session="))
    assert "HttpOnly" in session
    assert "SameSite=strict" in session


@pytest.mark.parametrize("page", [*PAGES, "login"])
def test_headers_of_every_page(ward: Ward, people: dict[str, httpx.Client], page: str) -> None:
    """No script, no frame, no cache, no sniffing, no referrer; and nothing from elsewhere in the page."""
    answer = people["admin"].get(f"/console/{page}")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "<script" not in answer.text
    assert " style=" not in answer.text
    assert "http://" not in answer.text.replace(ward.base, "")
    assert "https://" not in answer.text


def test_wrong_password_and_unknown_name_look_alike(ward: Ward, people: dict[str, httpx.Client]) -> None:
    """Neither answer tells which names exist, and both failures are audited without the unknown name."""
    texts = set()
    for name in ("some-admin", "nobody-here"):
        with httpx.Client(base_url=ward.base) as browser:
            answer = sign_in(browser, name, "wrong password")
            assert answer.status_code == 401
            texts.add(re.sub(r'value="[^"]*"', "", answer.text))
    assert len(texts) == 1
    unknown, known = ward.hospital.events("person:reject")[:2]
    assert (unknown.actor, known.actor) == ("unknown", "person:some-admin")


def test_a_form_from_elsewhere_is_refused(ward: Ward, people: dict[str, httpx.Client]) -> None:
    """Signing in or out without the form's own token does not work."""
    with httpx.Client(base_url=ward.base) as browser:
        browser.get("/console/login")
        form = {"name": "some-admin", "password": PASSWORD, "token": "0" * 64}
        assert browser.post("/console/login", data=form).status_code == 403
    assert people["auditor"].post("/console/logout", data={"token": "0" * 64}).status_code == 403
    assert people["auditor"].get("/console/studies").url.path == "/console/studies"


def test_signing_out_ends_the_session(ward: Ward, people: dict[str, httpx.Client]) -> None:
    """The session's cookie is worth nothing after signing out."""
    with httpx.Client(base_url=ward.base, follow_redirects=True) as browser:
        page = sign_in(browser, "some-physician").text
        cookie = browser.cookies["dxgate_session"]
        assert browser.post("/console/logout", data={"token": form_token(page)}).url.path == "/console/login"
    answer = httpx.get(f"{ward.base}/console/studies", cookies={"dxgate_session": cookie})
    assert answer.status_code == 303


@pytest.mark.parametrize("role", ["admin", "auditor", "physician"])
def test_lists_show_no_identity(ward: Ward, people: dict[str, httpx.Client], role: str) -> None:
    """No list shows a name, a number or an accession number, whoever looks."""
    for page in PAGES:
        text = people[role].get(f"/console/{page}").text
        for planted in PLANTED[:2]:
            assert planted.patient_id not in text
            assert planted.accession not in text
            assert planted.name.partition("^")[0] not in text


@pytest.mark.parametrize(("role", "sees"), [("admin", True), ("physician", True), ("auditor", False)])
def test_identity_on_the_study_page_by_role(ward: Ward, people: dict[str, httpx.Client], role: str, sees: bool) -> None:
    """Admins and physicians see identity, audited with purpose console; an auditor sees the pseudonym."""
    before = len(ward.hospital.events("identity:open"))
    text = people[role].get(f"/console/studies/{ward.hospital.studies[0]}").text
    opened = ward.hospital.events("identity:open")
    assert (PLANTED[0].patient_id in text) is sees
    assert (len(opened) > before) is sees
    if sees:
        assert (opened[0].actor, opened[0].details["purpose"]) == (f"person:some-{role}", "console")


def test_every_view_is_audited(ward: Ward, people: dict[str, httpx.Client]) -> None:
    """A page view names its viewer and its subject."""
    study = ward.hospital.studies[1]
    people["physician"].get(f"/console/studies/{study}")
    entry = ward.hospital.events("console:view")[0]
    assert (entry.subject_id, entry.actor, entry.details["page"]) == (study, "person:some-physician", "study")


def test_studies_page_tells_the_state(ward: Ward, people: dict[str, httpx.Client]) -> None:
    """The list shows state, model, report status and version of each study, newest first."""
    text = people["admin"].get("/console/studies").text
    places = [text.index(study) for study in ward.hospital.studies]
    assert places == sorted(places, reverse=True)
    for words in ("reported", "breast-ultrasound 1.0.0", "preliminary", "v2", "done"):
        assert words in text


def test_heat_map_is_a_picture_for_its_study_alone(ward: Ward, people: dict[str, httpx.Client]) -> None:
    """A heat map is a PNG under its own study, and 404 under another or beyond the last."""
    first, second = ward.hospital.studies[:2]
    page = people["auditor"].get(f"/console/studies/{first}").text
    path = re.search(r'src="(/console/studies/[^"]+/pictures/[^"]+)"', page)
    assert path is not None
    picture = people["auditor"].get(path[1])
    assert picture.headers["content-type"] == "image/png"
    assert picture.content == ward.hospital.inference.heat_map
    assert people["auditor"].get(path[1].replace(first, second)).status_code == 404
    assert people["auditor"].get(path[1].rpartition("/")[0] + "/99").status_code == 404


def test_audit_page_filters_and_pages(ward: Ward, people: dict[str, httpx.Client]) -> None:
    """The trail is shown by event and by subject, and goes on to older rows."""
    browser = people["auditor"]
    by_event = browser.get("/console/audit?event=report:compose").text
    rows = by_event[by_event.index("<tbody>") :]
    assert rows.count("report:compose") == len(ward.hospital.studies)
    assert "instance:receive" not in rows
    number = report_id(ward.hospital.studies[0])
    by_subject = browser.get(f"/console/audit?subject={number}").text
    assert number in by_subject
    assert 'class="chip good">linked' in browser.get("/console/audit").text
    older = re.search(r'href="(/console/audit\?before=[^"]+)"', browser.get("/console/audit").text)
    assert older is not None
    assert browser.get(older[1].replace("&amp;", "&")).status_code == 200


@pytest.mark.parametrize(("broken_at", "words"), [(None, "sound"), (17, "row 17")])
def test_audit_page_checks_the_whole_chain_when_asked(
    ward: Ward, people: dict[str, httpx.Client], broken_at: int | None, words: str
) -> None:
    """The check runs when somebody asks for it, and its finding is shown."""
    checked: list[ChainCheck] = []

    def check() -> ChainCheck:
        checked.append(ChainCheck(100, broken_at, datetime.now(UTC)))
        return checked[-1]

    with serving(replace(ward.hospital.services, check_audit=check)) as base:
        cookies = {"dxgate_session": people["auditor"].cookies["dxgate_session"]}
        assert "Check now" in httpx.get(f"{base}/console/audit", cookies=cookies).text
        assert checked == []
        assert words in httpx.get(f"{base}/console/audit?check=1", cookies=cookies).text
    assert len(checked) == 1


@pytest.mark.parametrize(
    "path", ["audit?event=no:such", "audit?before=x", "studies?before=x", "studies?before=%ff", "studies/nobody"]
)
def test_bad_addresses_are_told_in_a_page(people: dict[str, httpx.Client], path: str) -> None:
    """Malformed links and unknown studies give a page with a 4xx status."""
    answer = people["admin"].get(f"/console/{path}")
    assert answer.status_code in (400, 404)
    assert "<main" in answer.text


def test_a_disabled_or_unknown_session_is_nobody(ward: Ward) -> None:
    """A cookie that was never given out, or is no token at all, signs nobody in."""
    for value in ("x", "x" * 5000, "%00"):
        answer = httpx.get(f"{ward.base}/console/studies", cookies={"dxgate_session": value})
        assert answer.status_code == 303


def test_who_was_not_erased_is_not_called_erased(tmp_path: Path, sqlite_template: Path) -> None:
    """A record that no model was asked about says so; once its patient is erased, it says that."""
    hospital = open_hospital(tmp_path / "home", sqlite_template)
    hospital.add_person("an.admin", "admin")
    study = add_study(hospital, tmp_path / "study", PLANTED[2], instances=1)
    with hospital.database.begin("tester") as unit:
        patient = unit.studies.get(study).patient
        unit.records.touch(patient, AT, AT)
        unit.commit()
    with serving(hospital.services) as base, httpx.Client(base_url=base, follow_redirects=True, timeout=20) as browser:
        sign_in(browser, "an.admin")
        page = browser.get(f"/console/studies/{record_id(patient)}").text
        assert "no model was asked about it" in page
        assert "was erased" not in page
        wiring.erase_patient(hospital.settings)(patient, "asked", "officer")
        assert "The identity of this patient was erased." in browser.get(f"/console/studies/{record_id(patient)}").text


def test_a_stopped_model_says_why_and_how_much_waits(ward: Ward, people: dict[str, httpx.Client]) -> None:
    """The Models page shows who stopped a model, for what reason, and counts its open tasks."""
    with ward.hospital.database.begin("cli:anna") as unit:
        stopped = unit.models.all()[0].id
        unit.governance.stop(Stop(stopped, "too many false alarms", AT, "cli:anna"))
        unit.commit()
    try:
        page = people["admin"].get("/console/models")
        assert page.status_code == 200
        words = " ".join(re.sub(r"<[^>]+>", "", page.text).split())
        assert re.search(r"Stopped .* by cli:anna: too many false alarms\. \d+ task\(s\) wait\.", words)
    finally:
        with ward.hospital.database.begin("cli:anna") as unit:
            assert unit.governance.resume(stopped)
            unit.commit()
