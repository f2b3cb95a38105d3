"""Held objects over HTTP: who sees what, what is decided, what a forged form cannot do, what is audited."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
from harness.held_objects import BOXES, DOUBT, NAMED, hold, png, quarantine, received, state
from harness.studies import PLANTED
from harness.ultrasound import ultrasound
from wire.fhir_rest.hospital import PASSWORD, Hospital, open_hospital, serving
from wire.fhir_rest.test_web_console import sign_in

from gateway.domain.access import Person
from gateway.domain.clearance import Box
from gateway.domain.ids import InstanceId
from gateway.domain.lifecycle import INSTANCE
from gateway.servers.web.console.form_token import FormTokens
from gateway.servers.web.console.held_object import OFFERED, UNSEEN
from gateway.servers.web.console.rights import RIGHTS, ROLES, may

DECIDERS = ("admin", "privacy-officer")


@dataclass
class Office:
    """A hospital with objects that wait for a search, one taken by each test that needs one; a browser per role."""

    hospital: Hospital
    people: dict[str, httpx.Client]
    waiting: list[InstanceId]
    base: str = ""

    def held(self, **options: Any) -> InstanceId:
        taken = self.waiting.pop()
        hold(self.hospital, taken, **options)
        return taken

    def form(self, role: str, instance_id: InstanceId) -> dict[str, Any]:
        """What a browser would send: the page's hidden fields and the boxes that are checked."""
        page = self.people[role].get(f"/console/held/{instance_id}").text
        hidden = dict(re.findall(r'name="(token|seen)" value="([^"]+)"', page.partition('id="decide"')[2]))
        checked = re.findall(r'name="proposed" value="(\d+)" checked', page)
        return {**hidden, "proposed": checked, "left": "", "top": "", "width": "", "height": "", "reason": "looked"}

    def post(self, role: str, instance_id: InstanceId, form: dict[str, Any], **changes: Any) -> httpx.Response:
        return self.people[role].post(f"/console/held/{instance_id}", data={**form, **changes})

    def decide(self, role: str, instance_id: InstanceId, action: str, **changes: Any) -> httpx.Response:
        return self.post(role, instance_id, self.form(role, instance_id), action=action, **changes)

    def asked(self, instance_id: InstanceId) -> tuple[Box, ...] | None:
        with self.hospital.database.read() as unit:
            return unit.pixel_tasks.get(instance_id).asked


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    hospital = open_hospital(folder / "home", sqlite_template)
    waiting = received(hospital, folder / "study", PLANTED[0], 24)
    people: dict[str, httpx.Client] = {}
    with serving(hospital.services) as base:
        for role in ROLES:
            hospital.add_person(f"some-{role}", role)
            people[role] = httpx.Client(base_url=base, follow_redirects=True, timeout=20)
            assert sign_in(people[role], f"some-{role}", PASSWORD).status_code == 200
        yield Office(hospital, people, waiting, base)
    for browser in people.values():
        browser.close()


def test_every_right_names_its_roles(office: Office) -> None:
    """The table of rights knows no role that does not exist, and who may decide may look at the list."""
    assert all(roles <= set(ROLES) for roles in RIGHTS.values())
    assert RIGHTS["decide about held objects"] <= RIGHTS["list held objects"]
    with office.hospital.database.read() as unit:
        person = unit.access.person("some-physician")
    assert isinstance(person, Person)
    found = {role for role in ROLES if may(replace(person, role=role), "decide about held objects")}
    assert found == set(DECIDERS)
    assert not may(None, "list held objects")


def test_only_moves_of_the_state_table_are_offered() -> None:
    """Each button is a move of the state that it is shown in."""
    for shown, actions in OFFERED.items():
        assert all((shown, action) in INSTANCE.moves for action in actions)
    assert set(UNSEEN) <= set(OFFERED["held"])


@pytest.mark.parametrize(
    ("role", "lists", "looks"),
    [("admin", 200, 200), ("privacy-officer", 200, 200), ("auditor", 200, 403), ("physician", 403, 403)],
)
def test_who_lists_and_who_looks(office: Office, role: str, lists: int, looks: int) -> None:
    """Officers and admins look at pictures, an auditor at the list alone, a physician at neither."""
    number = office.held()
    browser = office.people[role]
    seen = len(office.hospital.events("held:view"))
    assert browser.get("/console/held").status_code == lists
    page = browser.get(f"/console/held/{number}")
    picture = browser.get(f"/console/held/{number}/picture")
    assert (page.status_code, picture.status_code) == (lists, looks)
    assert ("<svg" in page.text) is (looks == 200)
    assert ("Mask these boxes" in page.text) is (looks == 200)
    assert ('href="/console/held"' in browser.get("/console/studies").text) is (lists == 200)
    assert len(office.hospital.events("held:view")) - seen == (looks == 200)


@pytest.mark.parametrize("path", ["", "/none", "/none/picture"])
def test_nobody_is_sent_to_sign_in(office: Office, path: str) -> None:
    """Without a session there is neither list, object, picture nor decision."""
    answer = httpx.get(f"{office.base}/console/held{path}")
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/login")
    answer = httpx.post(f"{office.base}/console/held/none", data={"action": "release"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/console/login")


def test_the_list_tells_why_and_shows_no_identity(office: Office) -> None:
    """The list names study, modality and the reason of doubt; the navigation counts what waits."""
    number = office.held()
    text = office.people["auditor"].get("/console/held").text
    assert number in text
    assert DOUBT in text
    with office.hospital.database.read() as unit:
        waiting = unit.clearances.count("held", 100)
    assert f'<span class="count">{waiting}</span>' in text
    for trace in (PLANTED[0].patient_id, PLANTED[0].accession, *PLANTED[0].name.split("^")):
        assert trace not in text


def test_the_picture_is_audited_and_stays_nowhere(office: Office) -> None:
    """A look at the picture is the PNG that the worker sealed, may not be stored, and names its viewer in the trail."""
    picture = png(ultrasound(NAMED), 4)
    number = office.held(picture=picture)
    answer = office.people["privacy-officer"].get(f"/console/held/{number}/picture")
    assert (answer.content, answer.headers["content-type"]) == (picture, "image/png")
    assert answer.headers["cache-control"] == "no-store"
    entry = office.hospital.events("held:view")[0]
    assert (entry.subject_id, entry.actor) == (number, "person:some-privacy-officer")


def test_boxes_are_placed_in_pixels_of_the_object(office: Office) -> None:
    """Picture and boxes share the object's own coordinates, whatever the size of the preview."""
    page = office.people["admin"].get(f"/console/held/{office.held()}").text
    assert 'viewBox="0 0 800 600"' in page
    assert re.search(r'<image href="[^"]+/picture" width="800" height="600" preserveAspectRatio="none"/>', page)
    for box in BOXES:
        assert f'x="{box.left}" y="{box.top}" width="{box.width}" height="{box.height}"' in page


def test_a_cine_is_said_to_be_one(office: Office, tmp_path: Path) -> None:
    """Who sees one frame of many is told so before he decides."""
    (number,) = received(office.hospital, tmp_path / "cine", PLANTED[2], 1, frames=3)
    hold(office.hospital, number)
    assert "This is one of 3 frames" in office.people["admin"].get(f"/console/held/{number}").text
    assert "This is one of" not in office.people["admin"].get(f"/console/held/{office.held()}").text


def test_script_is_ours_and_only_where_boxes_are_drawn(office: Office) -> None:
    """The object's page may run our own file and nothing else; every other page runs no script at all."""
    page = office.people["admin"].get(f"/console/held/{office.held()}")
    assert page.headers["content-security-policy"].endswith("; script-src 'self'")
    assert "unsafe" not in page.headers["content-security-policy"]
    assert re.findall(r"<script[^>]*>", page.text) == ['<script src="/console/static/draw_boxes.js" defer>']
    assert " style=" not in page.text
    assert re.search(r"\son\w+=", page.text) is None
    assert "script-src" not in office.people["admin"].get("/console/held").headers["content-security-policy"]


@pytest.mark.parametrize("role", DECIDERS)
def test_a_released_object_goes_back_to_the_checker(office: Office, role: str) -> None:
    """Release ends on the list with a word of what follows; reason and person stand in the trail."""
    number = office.held()
    answer = office.decide(role, number, "release", reason="calliper text only")
    assert (answer.status_code, answer.url.path) == (200, "/console/held")
    assert "The object was released" in answer.text
    assert state(office.hospital, number) == "unchecked"
    entry = office.hospital.events("instance:release")[0]
    assert (entry.subject_id, entry.actor) == (number, f"person:some-{role}")
    assert entry.details["reason"] == "calliper text only"


def test_a_rejected_object_offers_nothing_more(office: Office) -> None:
    """After the decision the page says the state, shows no picture and takes no form."""
    number = office.held()
    office.decide("admin", number, "reject")
    assert state(office.hospital, number) == "rejected"
    page = office.people["admin"].get(f"/console/held/{number}").text
    assert "the object is rejected" in page
    assert "<svg" not in page
    assert office.people["admin"].get(f"/console/held/{number}/picture").status_code == 404


def test_chosen_drawn_and_numbered_boxes_are_masked(office: Office) -> None:
    """A worker is asked for exactly the boxes that were checked, drawn and given in numbers."""
    number = office.held()
    numbers = {"left": "5", "top": "6", "width": "7", "height": "8"}
    answer = office.decide("privacy-officer", number, "mask", proposed=["0"], box=["1,2,3,4"], **numbers)
    assert "A worker masks the boxes" in answer.text
    assert state(office.hospital, number) == "masking"
    drawn = (Box(-1, 1, 2, 3, 4, "person"), Box(-1, 5, 6, 7, 8, "person"))
    assert office.asked(number) == (BOXES[0], *drawn)


def test_quarantined_objects_have_a_list_of_their_own(office: Office) -> None:
    """An object in quarantine is listed with its reason, has no picture, and can be checked again or rejected."""
    number = office.held()
    office.decide("admin", number, "release")
    quarantine(office.hospital, number, "rule 7: a name was left at (0040,A730)[2]")
    browser = office.people["admin"]
    assert number not in browser.get("/console/held").text
    listed = browser.get("/console/held?state=quarantined").text
    assert number in listed
    assert "(0040,A730)[2]" in listed
    page = browser.get(f"/console/held/{number}").text
    assert "<svg" not in page
    assert "Check again" in page
    assert office.decide("admin", number, "release").status_code == 400
    assert "The checker looks at the object again" in office.decide("admin", number, "recheck").text
    assert state(office.hospital, number) == "unchecked"


def test_an_object_without_a_picture_can_only_be_rejected(office: Office) -> None:
    """Nobody releases what he has not seen."""
    number = office.waiting.pop()
    with office.hospital.database.begin("worker-1") as unit:
        instance = unit.clearances.get(number)
        assert unit.clearances.decide(instance, "hold", "its pixels could not be searched: no codec")
        unit.commit()
    page = office.people["admin"].get(f"/console/held/{number}").text
    assert "There is no picture of this object" in page
    assert office.decide("admin", number, "release").status_code == 400
    assert state(office.hospital, number) == "held"
    assert office.decide("admin", number, "reject").status_code == 200


BAD: dict[str, dict[str, Any]] = {
    "no reason": {"reason": "  "},
    "long reason": {"reason": "x" * 201},
    "no such action": {"action": "clear"},
    "no action": {"action": ""},
    "no box": {"proposed": []},
    "no such proposal": {"proposed": ["3"]},
    "proposal that is no number": {"proposed": ["²"]},
    "outside to the right": {"box": ["790,0,11,10"]},
    "outside below": {"box": ["0,590,10,11"]},
    "negative": {"box": ["-1,0,10,10"]},
    "empty": {"box": ["1,1,0,10"]},
    "fraction": {"box": ["1.5,1,10,10"]},
    "huge": {"box": ["1,1,999999999999,10"]},
    "other digits": {"box": ["١,1,10,10"]},
    "three numbers": {"left": "1", "top": "1", "width": "10"},
    "more than can be drawn": {"box": [f"{place},0,5,5" for place in range(41)]},
    "released with a drawn box": {"action": "release", "box": ["1,1,10,10"]},
}


@pytest.fixture(scope="module")
def stubborn(office: Office) -> InstanceId:
    """An object that no bad form can move."""
    return office.held()


@pytest.mark.parametrize("what", BAD)
def test_a_bad_form_is_shown_again(office: Office, stubborn: InstanceId, what: str) -> None:
    """What cannot be done is said in the form with status 400, and nothing is decided."""
    decided = len(office.hospital.events("instance:mask"))
    answer = office.decide("admin", stubborn, **{"action": "mask", **BAD[what]})
    assert answer.status_code == 400
    assert 'role="alert"' in answer.text
    assert 'id="decide"' in answer.text
    assert state(office.hospital, stubborn) == "held"
    assert len(office.hospital.events("instance:mask")) == decided


def test_what_was_filled_in_is_not_lost(office: Office, stubborn: InstanceId) -> None:
    """A form that is shown again keeps reason, drawn boxes, numbers and what was unchecked."""
    answer = office.decide("admin", stubborn, "mask", proposed=["1"], box=["4,5,6,7", "bad"], left="9", reason="why<")
    assert answer.status_code == 400
    assert 'value="why&lt;"' in answer.text
    assert 'name="box" value="4,5,6,7" checked' in answer.text
    assert 'value="bad"' not in answer.text
    assert re.findall(r'name="proposed" value="(\d)" checked', answer.text) == ["1"]
    assert 'step="1" value="9"' in answer.text


@pytest.mark.parametrize("fields", [{"x": "1" * 20_000}, {f"x{number}": "1" for number in range(120)}])
def test_huge_forms_are_refused(office: Office, stubborn: InstanceId, fields: dict[str, str]) -> None:
    """A form has bounds in bytes and in fields, whatever is in it."""
    assert office.post("admin", stubborn, {**office.form("admin", stubborn), **fields}).status_code in (400, 413)


@pytest.mark.parametrize("token", ["", "0" * 64, "ä"])
def test_a_form_from_elsewhere_decides_nothing(office: Office, stubborn: InstanceId, token: str) -> None:
    """Without the token of this session and object nothing is decided."""
    answer = office.decide("admin", stubborn, "release", token=token)
    assert answer.status_code == 403
    assert state(office.hospital, stubborn) == "held"


def test_a_token_is_good_for_its_session_and_object_alone(office: Office, stubborn: InstanceId) -> None:
    """The token of another person's page, or of another object, is refused."""
    other = office.held()
    theirs = office.form("privacy-officer", stubborn)
    assert office.post("admin", stubborn, theirs, action="reject").status_code == 403
    assert office.post("admin", other, office.form("admin", stubborn), action="reject").status_code == 403
    assert state(office.hospital, stubborn) == state(office.hospital, other) == "held"


@pytest.mark.parametrize("role", ["auditor", "physician"])
def test_other_roles_decide_nothing(office: Office, stubborn: InstanceId, role: str) -> None:
    """A form by a role that may not decide is refused, even with a token that is right for its session."""
    form = office.form("admin", stubborn)
    forms = FormTokens(office.hospital.services.key("form"))
    cookie = office.people[role].cookies["dxgate_session"]
    token = forms.token(f"held {stubborn} {form['seen']}", cookie)
    answer = office.post(role, stubborn, form, action="reject", token=token)
    assert answer.status_code == 403
    assert "your role may not" in answer.text
    assert state(office.hospital, stubborn) == "held"


def test_the_second_decision_is_a_conflict(office: Office) -> None:
    """Who decides about what somebody else has decided meanwhile is told so, and nothing is changed."""
    number = office.held()
    early = office.form("admin", number)
    assert office.decide("privacy-officer", number, "reject").status_code == 200
    answer = office.post("admin", number, early, action="release")
    assert answer.status_code == 409
    assert "Somebody else may have decided" in answer.text
    assert "it is rejected now" in answer.text
    assert "Back to the held objects" in answer.text
    assert state(office.hospital, number) == "rejected"


def test_nobody_decides_on_a_picture_that_has_changed(office: Office) -> None:
    """An object that was masked and held again meanwhile is another one than the page has shown."""
    number = office.held()
    early = office.form("admin", number)
    office.decide("privacy-officer", number, "mask")
    hold(office.hospital, number)
    assert office.post("admin", number, early, action="release").status_code == 409
    assert state(office.hospital, number) == "held"


def test_every_value_is_escaped(office: Office) -> None:
    """A reason of doubt or a detector's name that is markup stays text, on list, page and history."""
    evil = "<script>alert(1)</script>\"'&"
    number = office.held(boxes=(Box(0, 1, 1, 9, 9, evil),), doubt=evil)
    for path in ("held", f"held/{number}", "studies"):
        text = office.people["admin"].get(f"/console/{path}").text
        assert "<script>alert" not in text
    assert "&lt;script&gt;alert" in office.people["admin"].get(f"/console/held/{number}").text
    answer = office.decide("admin", number, "reject", reason=evil)
    assert answer.status_code == 200
    assert "<script>alert" not in office.people["admin"].get(f"/console/held/{number}").text


@pytest.mark.parametrize("path", ["held?state=cleared", "held?after=" + "x" * 65, "held?study=none", "held/none"])
def test_bad_addresses_are_told_in_a_page(office: Office, path: str) -> None:
    """Unknown lists, objects and studies give a page with a 4xx status."""
    answer = office.people["admin"].get(f"/console/{path}")
    assert answer.status_code in (400, 404)
    assert "<main" in answer.text


def test_an_unknown_word_after_a_decision_says_nothing(office: Office) -> None:
    """What the list says of a decision is one of our own sentences, never the address's."""
    assert 'role="status"' not in office.people["admin"].get("/console/held?done=<b>").text


def test_the_study_pages_tell_what_is_withheld(office: Office) -> None:
    """The list of studies counts held objects; a study's page leads to them for those who may list them."""
    number = office.held()
    with office.hospital.database.read() as unit:
        study = unit.clearances.get(number).study_id
        count = unit.clearances.counts(study)["held"]
    assert f"held</span> {count}</span>" in office.people["physician"].get("/console/studies").text
    link = f"/console/held?state=held&amp;study={study}"
    assert link in office.people["privacy-officer"].get(f"/console/studies/{study}").text
    assert link not in office.people["physician"].get(f"/console/studies/{study}").text
    listed = office.people["privacy-officer"].get(link.replace("&amp;", "&")).text
    assert number in listed


def test_the_list_has_pages(office: Office, tmp_path: Path) -> None:
    """More objects than one page holds are reached by the link to newer ones, each once."""
    for number in received(office.hospital, tmp_path / "many", PLANTED[1], 27):
        hold(office.hospital, number)
    browser, found, path = office.people["auditor"], [], "/console/held"
    for _ in range(9):
        page = browser.get(path).text
        found += re.findall(r'data-label="Object"><a href="/console/held/(\w+)"', page)
        older = re.search(r'href="(/console/held\?state=held&amp;after=\w+)"', page)
        if older is None:
            break
        path = older[1].replace("&amp;", "&")
    with office.hospital.database.read() as unit:
        assert found == [one.id for one in unit.clearances.waiting(("held",), 1000)]
    assert len(found) > 27
