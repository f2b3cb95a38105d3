"""A physician works off the worklist in a real browser: signs, amends, rejects; an EHR sees each decision over FHIR."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from browser.chromium import Tab, chromium
from harness.studies import PLANTED
from harness.ultrasound import COLUMNS, ROWS, ultrasound
from PIL import Image
from wire.fhir_rest.hospital import PASSWORD, SECRET, Hospital, add_study, open_hospital, serving

from gateway import wiring
from gateway.domain.report import report_id

pytestmark = pytest.mark.peer("chromium")
WIDE, NARROW = (1280, 900), (390, 844)


@dataclass
class Desk:
    """A physician's browser, signed in, reports that wait, and an EHR that reads them."""

    hospital: Hospital
    tab: Tab
    base: str
    waiting: list[str]
    pictures: Path

    def open(self, size: tuple[int, int] = WIDE) -> str:
        """The page of the next report, by its link in the worklist."""
        number = self.waiting.pop()
        self.tab.size(*size, mobile=size == NARROW)
        self.tab.open(f"{self.base}/console/reports")
        self.looked_at("worklist", size)
        self.tab.submit(f"main a[href$='{number}']")
        return number

    def looked_at(self, name: str, size: tuple[int, int] = WIDE) -> None:
        """Nothing is wider than the window, and there is a picture of it for people."""
        self.tab.run("document.querySelectorAll('img').forEach(one => { one.loading = 'eager' })")
        self.tab.run("Promise.all([...document.images].map(one => one.decode()))", wait=True)
        assert self.tab.run("document.documentElement.scrollWidth") <= size[0]
        self.tab.picture(self.pictures / f"{name}-{size[0]}.png")

    def type_over(self, selector: str, text: str) -> None:
        self.tab.run(f"document.querySelector('{selector}').select()")
        self.tab.type(selector, text)

    def top(self, selector: str) -> float:
        return float(self.tab.run(f"document.querySelector('{selector}').getBoundingClientRect().top"))

    def told(self) -> str:
        assert self.tab.run("location.pathname") == "/console/reports"
        return str(self.tab.run("document.querySelector('[role=status]').innerText"))

    def fhir(self, number: str) -> dict[str, Any]:
        """The report as an EHR reads it, once it is filed."""
        wiring.file_reports(self.hospital.settings, self.hospital.database)()
        answer = httpx.get(f"{self.base}/fhir/DiagnosticReport/{number}", auth=("ehr", SECRET))
        assert answer.status_code == 200
        found: dict[str, Any] = answer.json()
        return found


def heat_map() -> bytes:
    """A synthetic ultrasound image with a warm spot over its lesion."""
    grey = ultrasound(())
    down, across = np.mgrid[0:ROWS, 0:COLUMNS]
    heat = np.exp(-(((across - COLUMNS * 0.45) / 90) ** 2 + ((down - ROWS * 0.55) / 60) ** 2))
    colour = np.stack([grey + heat * 140, grey + heat * 30, grey * (1 - heat)], axis=-1)
    written = BytesIO()
    Image.fromarray(np.clip(colour, 0, 255).astype(np.uint8)).save(written, "PNG")
    return written.getvalue()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("worklist")
    hospital = open_hospital(folder / "home", sqlite_template)
    hospital.add_person("a.physician", "physician")
    hospital.add_client("ehr", "system/*.rs")
    hospital.inference.heat_map = heat_map()
    waiting = [str(report_id(add_study(hospital, folder / str(n), PLANTED[n], 2))) for n in range(3)]
    with serving(hospital.services) as base, chromium(folder / "profile") as tab:
        tab.open(f"{base}/console")
        tab.type("#name", "a.physician")
        tab.type("#password", PASSWORD)
        tab.submit("main button")
        yield Desk(hospital, tab, base, waiting, folder)


def test_a_report_is_read_and_signed(desk: Desk) -> None:
    """The page shows findings and heat maps; signing makes the report final, in the physician's name."""
    number, tab = desk.open(), desk.tab
    assert desk.fhir(number)["status"] == "preliminary"
    assert "not for diagnosis until confirmed" in tab.run("document.body.innerText")
    pictures = "[...document.querySelectorAll('.images img')]"
    assert tab.run(f"{pictures}.length") == 2
    shown = f"Promise.all({pictures}.map(one => one.decode().then(() => one.naturalWidth)))"
    assert tab.run(shown, wait=True) == [COLUMNS, COLUMNS]
    assert tab.run(f"{pictures}.every(one => one.alt)")
    desk.looked_at("report")
    page = tab.run("location.href")
    tab.submit(".images a.picture")
    assert tab.run("document.images[0].width") == COLUMNS
    tab.open(page)
    tab.submit("button[value=accept]")
    assert desk.told() == "The report is signed and final."
    desk.looked_at("signed")
    assert tab.problems == []
    report = desk.fhir(number)
    assert report["status"] == "final"
    assert report["resultsInterpreter"][0]["display"] == "a.physician"
    assert number not in tab.run("document.querySelector('main').innerHTML")


def test_a_signed_report_is_amended(desk: Desk) -> None:
    """Signed in own words, then amended with a reason: an EHR reads the new conclusion, the page has every version."""
    number, tab = desk.open(NARROW), desk.tab
    tops = [desk.top(each) for each in ("#patient", "#findings", "#decision", "#history")]
    assert tops == sorted(tops)  # on a telephone too one reads what it is about before one decides
    desk.looked_at("report", NARROW)
    desk.type_over("#conclusion", "Benign cyst, no follow-up.")
    tab.submit("button[value=accept]")
    assert (desk.fhir(number)["status"], desk.fhir(number)["conclusion"]) == ("final", "Benign cyst, no follow-up.")
    tab.size(*WIDE)
    tab.open(f"{desk.base}/console/reports/{number}")
    desk.type_over("#conclusion", "Benign cyst; look again in six months.")
    tab.submit("button[value=amend]")
    assert "reason" in tab.run("document.querySelector('[role=alert]').innerText")
    assert tab.run("document.querySelector('#conclusion').value") == "Benign cyst; look again in six months."
    desk.looked_at("asked-for-a-reason")
    tab.type("#reason", "compared with last year")
    tab.submit("button[value=amend]")
    assert desk.told() == "The report is amended."
    report = desk.fhir(number)
    assert (report["status"], report["conclusion"]) == ("amended", "Benign cyst; look again in six months.")
    tab.open(f"{desk.base}/console/reports/{number}")
    said = tab.run("document.querySelector('#history').parentElement.innerText")
    assert [each in said for each in ("amended it: “compared with last year”", "signed it in other words")] == [
        True
    ] * 2
    desk.looked_at("amended")


def test_a_result_is_rejected(desk: Desk) -> None:
    """With a reason the report is cancelled, and an EHR reads neither a result nor the AI's conclusion as one."""
    number, tab = desk.open(), desk.tab
    tab.type("#reason", "wrong side was imaged")
    tab.submit("button[value=reject]")
    assert desk.told() == "The report is cancelled."
    desk.looked_at("rejected")
    assert desk.fhir(number)["status"] == "cancelled"
    tab.open(f"{desk.base}/console/reports/{number}")
    said = tab.run("document.body.innerText")
    assert "rejected it: “wrong side was imaged”" in said
    assert "Cancelled: what stands below is no result" in said
    assert tab.run("document.querySelectorAll('button[name=outcome]').length") == 0
    desk.looked_at("cancelled")
