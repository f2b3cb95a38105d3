"""Agreement with final reports as figures of a month and as a rule that stops, on both databases."""

from __future__ import annotations

import csv
import io
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from threading import Event

import pytest
from harness.rows import AT, accepted, arrival, model
from harness.ward import Ward

from gateway.domain.agreement import CodedAnswer, FinalReport, StudyLink
from gateway.domain.ids import StudyId
from gateway.flow.agree import CompareReports
from gateway.flow.govern import GovernModels
from gateway.flow.model_month import ReadMonth
from gateway.flow.stop_rules import Rules, StopByRule
from gateway.formats import model_month
from gateway.storage.database import SqlDatabase

BREAST, SHADOW = model(), model("other", state="shadow")
MONTH = (AT - timedelta(days=1), AT + timedelta(days=29))


@pytest.fixture
def ward(database: SqlDatabase, tmp_path: Path) -> Ward:
    made = Ward(database, tmp_path)
    made.announce(BREAST, SHADOW)
    return made


def report(name: str, key: int, *labels: str, version: int = 1) -> FinalReport:
    """On the study that the harness makes under this name."""
    what = arrival(name)
    answer = CodedAnswer("http://snomed.info/sct", "254837009", labels, ("benign", "malignant"), "malignant")
    link = StudyLink("study", what.study_uid_index)
    return FinalReport(key, version, what.patient, AT, (link,), (answer,) if labels else ())


def received(ward: Ward, study: StudyId, told: FinalReport) -> None:
    with ward.database.begin("web") as unit:
        unit.agreements.keep(told)
        CompareReports(ward.clock).of_study(unit, unit.studies.lock(study))
        unit.commit()


def answered(ward: Ward, name: str) -> StudyId:
    study = ward.push(name)
    ward.settle()
    assert {ward.run(task.id) for task in ward.tasks(study)} == {"done"}
    return study


def test_the_month_tells_agreement_by_version(ward: Ward) -> None:
    """Of active models and of those in the shadow, on the page and in the CSV, with interval and kappa."""
    labels = [("malignant",), ("malignant",), ("malignant",), ("benign",), (), ("benign", "malignant")]
    for number, told in enumerate(labels):
        received(ward, answered(ward, f"s{number}"), report(f"s{number}", number, *told))
    answered(ward, "unread")
    with ward.database.begin("cli:anna") as unit:
        unit.governance.accept(accepted(BREAST))
        unit.commit()
    months, _ = ReadMonth(ward.database)(*MONTH)
    assert [one.model for one in months] == ["breast 1.0.0", "other 1.0.0"]
    for one in months:
        assert (one.agreement.received, one.agreement.agreement.hits, one.agreement.agreement.of) == (6, 3, 4)
        assert (one.agreement.uncoded, one.agreement.contradictory) == (1, 1)
    rows = {
        (row["model"], row["figure"], row["of"]): row["value"] for row in _csv(model_month.csv_rows("m", months, []))
    }
    assert rows["breast 1.0.0", "final reports", "disagreed"] == "1"
    assert rows["breast 1.0.0", "agreement with the final report", "of 4"] == "0.7500"
    assert float(rows["breast 1.0.0", "agreement with the final report", "95 % from"]) < 0.75
    assert rows["breast 1.0.0", "positive percent agreement", "of 3"] == "1.0000"
    assert rows["breast 1.0.0", "negative percent agreement", "of 1"] == "0.0000"
    assert rows["breast 1.0.0", "acceptance run", "verdict"] == "passed"
    assert rows["breast 1.0.0", "acceptance run", "AUC, 95 % from"] == "0.8900"
    assert rows["other 1.0.0", "acceptance run", "verdict"] == "none"
    assert "negative percent agreement" in model_month.page("m", "site", months, [])


def _csv(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def test_a_model_that_final_reports_gainsay_is_stopped(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the share and the number of comparisons on that the rule names; after a resume only later answers count."""
    monkeypatch.setattr(ward.database, "_now", ward.clock)  # of the trail, which has when it was resumed
    govern = GovernModels(ward.database, now=ward.clock)
    rule = StopByRule(govern, Rules(disagreement_rate=0.5, least_comparisons=4), ward.clock)
    for number, label in enumerate(("malignant", "benign", "benign")):
        received(ward, answered(ward, f"s{number}"), report(f"s{number}", number, label))
    received(ward, answered(ward, "uncoded"), report("uncoded", 8))
    assert rule() == 0
    received(ward, answered(ward, "s4"), report("s4", 9, "benign"))
    assert rule() == 2
    with ward.database.read() as unit:
        reasons = {stop.reason for stop in unit.governance.stops()}
    assert reasons == {"final reports said otherwise of 75% of 4 answers; the rule allows less than 50%"}
    ward.wait(1)
    for one in (BREAST, SHADOW):
        govern.resume(one.id, "cli:anna")
    assert rule() == 0


def test_a_correction_of_the_images_is_compared_anew(ward: Ward) -> None:
    """A later revision's finding takes the place of the earlier one; the row is of the newest, and is one."""
    study = answered(ward, "s1")
    received(ward, study, report("s1", 1, "benign"))
    ward.push("s1", "i2", b"more")
    ward.settle()
    assert {ward.run(task.id) for task in ward.tasks(study)} == {"done"}
    with ward.database.read() as unit:
        rows = unit.agreements.of_study(study)
        newest = {one.id for one in unit.tasks.findings(study, 2)}
    assert {row.finding_id for row in rows} == newest
    assert {row.outcome for row in rows} == {"disagreed"}


def test_of_report_and_finding_whichever_comes_second_compares(ward: Ward) -> None:
    """A report that is being written while a worker finishes: the worker waits for the study, and then sees it."""
    study = ward.push("s1")
    ward.settle()
    first, second = ward.tasks(study)
    written, go = Event(), Event()

    def arrives() -> None:
        with ward.database.begin("web") as unit:
            locked = unit.studies.lock(study)
            unit.agreements.keep(report("s1", 1, "benign"))
            CompareReports(ward.clock).of_study(unit, locked)
            written.set()
            assert go.wait(20)
            unit.commit()

    assert ward.run(first.id) == "done"
    with ThreadPoolExecutor(2) as pool:
        arriving = pool.submit(arrives)
        assert written.wait(20)
        finishing = pool.submit(ward.run, second.id)
        go.set()
        arriving.result(20)
        assert finishing.result(20) == "done"
    with ward.database.read() as unit:
        assert {one.outcome for one in unit.agreements.of_study(study)} == {"disagreed"}
        assert len(unit.agreements.of_study(study)) == 2


def test_a_study_that_no_model_takes_shares_the_report_too(ward: Ward) -> None:
    """An ultrasound and a mammogram under one number: when the second is here the report means neither alone."""
    number = arrival("s1").accession_index
    assert number is not None
    study = answered(ward, "s1")
    received(ward, study, replace(report("s1", 1, "benign"), links=(StudyLink("accession", number),)))
    with ward.database.read() as unit:
        assert {one.outcome for one in unit.agreements.of_study(study)} == {"disagreed"}
    other = ward.push("s2", modality="MG", accession_index=number)
    ward.settle()
    assert ward.tasks(other) == []
    with ward.database.read() as unit:
        assert {one.outcome for one in unit.agreements.of_study(study)} == {"several-studies"}
        assert unit.agreements.of_study(other) == []


def test_what_is_withdrawn_is_counted_nowhere(ward: Ward) -> None:
    """A report that is forgotten takes its comparisons with it, once."""
    study = answered(ward, "s1")
    received(ward, study, report("s1", 1, "benign"))
    for _ in range(2):
        with ward.database.begin("web") as unit:
            unit.agreements.forget(1)
            CompareReports(ward.clock).of_study(unit, unit.studies.lock(study))
            unit.commit()
    with ward.database.read() as unit:
        assert unit.agreements.counts(MONTH[0]) == []
        withdrawn = [row.entry for row in unit.audit.newest(limit=50, event="agreement:withdraw")]
    assert sorted(str(one.details["model"]) for one in withdrawn) == sorted([BREAST.id, SHADOW.id])
