"""Deciding about a held object in a real browser: boxes by mouse, by keyboard and without any script."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser.chromium import Tab, chromium
from harness.held_objects import BOXES, hold, received, state
from harness.studies import PLANTED
from wire.fhir_rest.hospital import PASSWORD, Hospital, open_hospital, serving

from gateway.domain.clearance import Box
from gateway.domain.ids import InstanceId

pytestmark = pytest.mark.peer("chromium")
TAB = ("Tab", 9)


@dataclass
class Desk:
    """A privacy officer's browser, signed in, and objects that are held."""

    hospital: Hospital
    tab: Tab
    base: str
    held: list[InstanceId]

    def open(self, width: int = 1280, height: int = 800) -> InstanceId:
        """The page of the next held object."""
        number = self.held.pop()
        self.tab.size(width, height, mobile=width < 500)
        self.tab.open(f"{self.base}/console/held/{number}")
        return number

    def asked(self, number: InstanceId) -> tuple[Box, ...]:
        with self.hospital.database.read() as unit:
            return unit.pixel_tasks.get(number).asked or ()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("desk")
    hospital = open_hospital(folder / "home", sqlite_template)
    hospital.add_person("p.officer", "privacy-officer")
    held = received(hospital, folder / "study", PLANTED[0], 6)
    for number in held:
        hold(hospital, number)
    with serving(hospital.services) as base, chromium(folder / "profile") as tab:
        tab.open(f"{base}/console")
        tab.type("#name", "p.officer")
        tab.type("#password", PASSWORD)
        tab.submit("main button")
        yield Desk(hospital, tab, base, held)


@pytest.mark.parametrize(("width", "height"), [(1280, 800), (390, 844)])
def test_a_person_draws_a_box_and_masks_it(desk: Desk, width: int, height: int) -> None:
    """What is drawn on the picture is masked in the object's own pixels, at any size of the window."""
    number, tab = desk.open(width, height), desk.tab
    assert tab.run("document.documentElement.scrollWidth") <= width
    tab.drag("#picture", (0.5, 0.25), (0.75, 0.5))
    assert tab.run("document.querySelectorAll('#drawn input:checked').length") == 1
    assert tab.run("document.querySelectorAll('g:not(.off) .box.own[width]:not([width=\"0\"])').length") == 1
    tab.run("document.querySelector('input[name=proposed]').click()")
    assert tab.run("document.querySelector('#picture g[data-number=\"0\"]').classList.contains('off')")
    tab.type("#reason", "name in the upper left corner")
    tab.submit("button[value=mask]")
    assert tab.run("location.pathname + location.search") == "/console/held?done=mask"
    assert "A worker masks the boxes" in tab.run("document.querySelector('[role=status]').innerText")
    assert tab.problems == []
    assert state(desk.hospital, number) == "masking"
    *proposed, drawn = desk.asked(number)
    assert tuple(proposed) == BOXES[1:]
    scale = 800 / min(width, 800)  # a pixel on the screen, in pixels of the object
    for found, meant in zip((drawn.left, drawn.top, drawn.width, drawn.height), (400, 150, 200, 150), strict=True):
        assert abs(found - meant) <= 2 * scale + 1
    assert (drawn.frame, drawn.detector) == (-1, "person")


def test_boxes_by_keyboard(desk: Desk) -> None:
    """Numbers and the Tab key alone are enough to add boxes and to decide."""
    number, tab = desk.open(), desk.tab
    tab.run("document.querySelector('#left').focus()")
    for value in ("10", "20", "30", "40"):
        tab.call("Input.insertText", text=value)
        tab.press(*TAB)
    assert tab.run("document.activeElement.id") == "add"
    tab.run("document.activeElement.click()")
    assert tab.run("document.querySelector('#drawn input').value") == "10,20,30,40"
    assert tab.run("document.activeElement.id") == "left"
    for value in ("1", "2", "3", "4"):
        tab.call("Input.insertText", text=value)
        tab.press(*TAB)
    tab.type("#reason", "two lines")
    tab.submit("button[value=mask]")
    drawn = (Box(-1, 10, 20, 30, 40, "person"), Box(-1, 1, 2, 3, 4, "person"))
    assert desk.asked(number) == (*BOXES, *drawn)


def test_a_box_outside_the_picture_is_not_added(desk: Desk) -> None:
    """The script adds no box that the picture does not hold, nor one of a click that slipped."""
    number, tab = desk.open(), desk.tab
    for side, value in (("left", "790"), ("top", "0"), ("width", "20"), ("height", "10")):
        tab.type(f"#{side}", value)
    tab.run("document.querySelector('#add').click()")
    tab.drag("#picture", (0.4, 0.4), (0.401, 0.401))
    assert tab.run("document.querySelectorAll('#drawn li').length") == 0
    assert state(desk.hospital, number) == "held"


def test_everything_works_without_script(desk: Desk) -> None:
    """With scripts off, checkboxes and number fields mask a box all the same, and a wrong one is told."""
    number, tab = desk.open(), desk.tab
    tab.call("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(f"{desk.base}/console/held/{number}")
        assert tab.run("getComputedStyle(document.querySelector('#add')).display") == "none"
        for side, value in (("left", "700"), ("top", "7"), ("width", "200"), ("height", "20")):
            tab.type(f"#{side}", value)
        tab.type("#reason", "upper right corner")
        tab.submit("button[value=mask]")
        assert "lies inside the picture" in tab.run("document.querySelector('[role=alert]').innerText")
        assert tab.run("document.querySelector('#reason').value") == "upper right corner"
        tab.run("document.querySelector('#width').select()")
        tab.call("Input.insertText", text="99")
        tab.submit("button[value=mask]")
        assert tab.run("location.search") == "?done=mask"
    finally:
        tab.call("Emulation.setScriptExecutionDisabled", value=False)
    assert desk.asked(number)[-1] == Box(-1, 700, 7, 99, 20, "person")


def test_a_decision_needs_a_reason_before_it_is_sent(desk: Desk) -> None:
    """The browser itself does not send a decision without a reason."""
    number, tab = desk.open(), desk.tab
    tab.run("document.querySelector('button[value=release]').click()")
    assert tab.run("location.pathname").endswith(number)
    assert tab.run("document.activeElement.id") == "reason"
    assert state(desk.hospital, number) == "held"
