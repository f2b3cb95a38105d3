"""Reports over HTTP: the worklist, who decides, what a forged or stale form cannot do, what is audited."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from harness.studies import PLANTED
from wire.fhir_rest.hospital import PASSWORD, Hospital, add_study, open_hospital, serving
from wire.fhir_rest.test_web_console import sign_in

from gateway.domain.report import Report, report_id
from gateway.domain.review import offered
from gateway.servers.web.console.report import WORDS
from gateway.servers.web.console.rights import ROLES


@dataclass
class Desk:
    """A hospital with preliminary reports, one taken by each test that needs one; a browser per role."""

    hospital: Hospital
    people: dict[str, httpx.Client]
    waiting: list[str]

    def take(self) -> str:
        return self.waiting.pop()

    def report(self, number: str) -> Report:
        with self.hospital.database.read() as unit:
            return unit.reports.get(number)  # type: ignore[arg-type]

    def form(self, number: str, role: str = "physician") -> dict[str, str]:
        """What a browser would send of the page as it is."""
        page = self.people[role].get(f"/console/reports/{number}").text.partition('id="decide"')[2]
        hidden = dict(re.findall(r'name="(token|version)" value="([^"]+)"', page))
        text = re.search(r'name="conclusion"[^>]*>\n(.*?)</textarea>', page, re.DOTALL)
        return {**hidden, "conclusion": text[1] if text else "", "reason": ""}

    def decide(self, number: str, outcome: str, role: str = "physician", **changes: str) -> httpx.Response:
        form = {**self.form(number, role), **changes, "outcome": outcome}
        return self.people[role].post(f"/console/reports/{number}", data=form)


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    hospital = open_hospital(folder / "home", sqlite_template)
    waiting = [str(report_id(add_study(hospital, folder / str(n), PLANTED[n % 6], 1))) for n in range(6)]
    people: dict[str, httpx.Client] = {}
    with serving(hospital.services) as base:
        for role in ROLES:
            hospital.add_person(f"some-{role}", role)
            people[role] = httpx.Client(base_url=base, follow_redirects=True, timeout=20)
            sign_in(people[role], f"some-{role}", PASSWORD)
        yield Desk(hospital, people, waiting)
    for browser in people.values():
        browser.close()


def test_the_worklist_shows_what_waits(desk: Desk) -> None:
    """Every preliminary report stands in the list, STAT first, and the navigation counts them."""
    with desk.hospital.database.begin("test") as unit:
        from gateway.storage.tables import study

        urgent = desk.report(desk.waiting[-1])
        unit._transaction.execute(study.update().where(study.c.id == urgent.study_id), {"priority": "stat"})
        unit.commit()
    page = desk.people["physician"].get("/console/reports").text
    listed = re.findall(r'href="/console/reports/([0-9a-f]{32})"', page)
    assert set(listed) == set(desk.waiting)
    assert listed[0] == urgent.id
    assert f'class="count">{len(listed)}<' in page


@pytest.mark.parametrize(
    ("role", "lists", "decides"),
    [("physician", 200, True), ("admin", 200, False), ("auditor", 200, False), ("privacy-officer", 403, False)],
)
def test_who_lists_and_who_decides(desk: Desk, role: str, lists: int, decides: bool) -> None:
    """Only a physician gets the form; an auditor sees no name; a forged form of another role is refused."""
    number = desk.waiting[0]
    browser = desk.people[role]
    assert browser.get("/console/reports").status_code == lists
    page = browser.get(f"/console/reports/{number}")
    assert page.status_code == lists
    assert ('id="decide"' in page.text) is decides
    if not decides:
        form = {**desk.form(number), "outcome": "accept"}
        assert browser.post(f"/console/reports/{number}", data=form).status_code == 403
        assert desk.report(number).status == "preliminary"


def test_the_buttons_are_the_moves_of_the_state_table(desk: Desk) -> None:
    """Before and after signing the page offers exactly what the table has."""
    number = desk.take()
    for _ in range(2):
        page = desk.people["physician"].get(f"/console/reports/{number}").text
        buttons = re.findall(r'name="outcome" value="(\w+)"', page)
        assert buttons == list(offered(desk.report(number).status))
        assert all(WORDS[each] in page for each in buttons)  # type: ignore[index]
        desk.decide(number, "accept")
    assert desk.report(number).status == "final"


def test_signing_leads_back_to_the_list(desk: Desk) -> None:
    """Signed as it is: final, told on the list, the version and its signer stand on the page and in the audit."""
    number = desk.take()
    answer = desk.decide(number, "accept")
    assert answer.url.path == "/console/reports"
    assert "signed and final" in answer.text
    page = desk.people["auditor"].get(f"/console/reports/{number}").text
    assert "some-physician" in page
    assert "as it is" in page
    (entry,) = [each for each in desk.hospital.events("report:review") if each.subject_id == number]
    assert (entry.actor, entry.details["verdict"]) == ("person:some-physician", "as-is")
    assert "How results were taken" in answer.text


def test_other_words_are_kept_line_for_line(desk: Desk) -> None:
    """A conclusion of several lines arrives as it was typed and counts as changed."""
    number = desk.take()
    desk.decide(number, "accept", conclusion="No malignancy.\r\n\r\nSee <b>above</b> & below.")
    with desk.hospital.database.read() as unit:
        content = unit.reports.version(number, 3).content  # type: ignore[arg-type]
        (review,) = unit.reviews.of_report(number)  # type: ignore[arg-type]
    assert content is not None
    assert content.conclusion == "No malignancy.\n\nSee <b>above</b> & below."
    assert review.verdict == "changed"
    assert "&lt;b&gt;above" in desk.people["physician"].get(f"/console/reports/{number}").text


def test_a_form_without_a_reason_comes_back_filled(desk: Desk) -> None:
    """What was typed is not lost, and nothing was decided."""
    number = desk.take()
    answer = desk.decide(number, "reject", conclusion="My own words")
    assert answer.status_code == 400
    assert "needs a reason" in answer.text
    assert "My own words" in answer.text
    assert desk.report(number).status == "preliminary"
    assert desk.decide(number, "reject", reason="motion artefact").status_code == 200
    assert desk.report(number).status == "cancelled"


def test_a_stale_form_is_a_conflict_and_a_forged_one_is_refused(desk: Desk) -> None:
    """Nobody signs what has changed since he looked, and no other site signs at all."""
    number = desk.take()
    form = {**desk.form(number), "outcome": "accept"}
    assert desk.decide(number, "accept").status_code == 200
    stale = desk.people["physician"].post(f"/console/reports/{number}", data=form)
    assert stale.status_code == 409
    assert "has changed since" in stale.text
    forged = {**desk.form(number), "token": "0" * 64, "outcome": "retract", "reason": "x"}
    assert desk.people["physician"].post(f"/console/reports/{number}", data=forged).status_code == 403
    assert desk.report(number).status == "final"
    wrong = {**desk.form(number), "outcome": "accept"}
    assert desk.people["physician"].post(f"/console/reports/{number}", data=wrong).status_code == 400
