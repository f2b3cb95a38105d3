"""The month's figures are what was said and decided, and the rules stop a model that these speak against."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from harness.rows import AT, content, later, model, review
from harness.ward import Ward

from gateway.domain.errors import Missing
from gateway.domain.finding import Finding, Label, RecordAnswer
from gateway.domain.model import ServedModel
from gateway.domain.model_month import PROBABILITY
from gateway.domain.report import report_id
from gateway.flow.govern import GovernModels
from gateway.flow.model_month import DISTANCE, MISSING, ReadMonth
from gateway.flow.stop_rules import Rules, StopByRule
from gateway.formats import model_month
from gateway.storage.database import SqlDatabase

BREAST, SHADOW = model(), model("other", state="shadow")
MONTH = (AT + timedelta(days=40), AT + timedelta(days=70))


@pytest.fixture
def ward(database: SqlDatabase, tmp_path: Path) -> Ward:
    made = Ward(database, tmp_path)
    made.announce(BREAST, SHADOW)
    return made


def answered(ward: Ward, count: int, days: float, probability: float, served: ServedModel = BREAST) -> None:
    """`count` studies that the model answered so, `days` after the first; the question and images are the harness's."""
    from harness.rows import finding

    for number in range(count):
        study = ward.push(f"{served.name} {days} {number}")
        with ward.database.begin("tester") as unit:
            found = unit.studies.get(study)
            (task,) = unit.tasks.plan(found, [served], AT + timedelta(days=days))
            claimed = unit.tasks.claim(task.id, "w1", AT, AT)
            assert claimed is not None
            said = finding(claimed, served, probability + number / 1000)
            images = (replace(said.images[0], distance=10.0 + number),)
            unit.tasks.finish(claimed, replace(said, created_at=AT + timedelta(days=days), images=images))
            unit.commit()


def test_the_figures_are_what_was_said(ward: Ward) -> None:
    """Answers and tasks of the month alone are counted; drift compares them with the time before, by name."""
    answered(ward, 30, 1, 0.1)
    answered(ward, 31, 50, 0.8)
    (found,), pairs = ReadMonth(ward.database)(*MONTH)
    assert (found.model, found.answers, found.images, found.ends) == ("breast 1.0.0", 31, 31, {"done": 31})
    assert (found.drifts[PROBABILITY].before, found.drifts[PROBABILITY].now) == (30, 31)
    assert found.drifts[PROBABILITY].distance == 1.0
    assert found.drifts[DISTANCE].index is not None
    assert found.drifts[DISTANCE].index < 0.25
    assert pairs == []


def test_inputs_of_records_drift_by_name(ward: Ward) -> None:
    """Each number that a record gave is compared; an input that cannot be opened any more is left out."""

    def numbers(finding: Finding) -> Mapping[str, float]:
        if finding.created_at == AT + timedelta(days=1, seconds=1):
            raise Missing("erased")
        return {"age (a)": 40.0 if finding.created_at < MONTH[0] else 70.0}

    for days, missing in ((1, ()), (50, ("Weight",))):
        for number in range(31):
            _record(ward, days, number, missing)
    (found,), _ = ReadMonth(ward.database, numbers)(*MONTH)
    assert found.drifts["input age (a)"].distance == 1.0
    assert found.drifts["input age (a)"].before == 30
    assert found.drifts[MISSING].distance == 1.0


def _record(ward: Ward, days: int, number: int, missing: tuple[str, ...]) -> None:
    from harness.rows import finding

    study = ward.push(f"record {days} {number}")
    with ward.database.begin("tester") as unit:
        (task,) = unit.tasks.plan(unit.studies.get(study), [BREAST], AT + timedelta(days=days))
        claimed = unit.tasks.claim(task.id, "w1", AT, AT)
        assert claimed is not None
        said = finding(claimed)
        at = AT + timedelta(days=days, seconds=min(number, 1) if days == 50 else number)
        label = Label("high", said.question, 0.5)
        answer = RecordAnswer("record", (label,), "", missing)
        unit.tasks.finish(claimed, replace(said, created_at=at, images=(), answer=answer))
        unit.commit()


def test_a_shadow_is_compared_with_what_was_reported(ward: Ward) -> None:
    """Studies that both answered: how often alike, and how far apart their probabilities are."""
    study = ward.push()
    ward.settle()
    for task in ward.tasks(study):
        assert ward.run(task.id) == "done"
    _, (pair,) = ReadMonth(ward.database)(AT, later(9999))
    assert (pair.shadow, pair.reported) == ("other 1.0.0", "breast 1.0.0")
    assert (pair.studies, pair.same, pair.apart) == (1, 1, 0.0)


def test_page_and_csv_hold_the_same_figures(ward: Ward) -> None:
    """Every value of the CSV stands on the page, words of the site are escaped, and a stop is said."""
    answered(ward, 30, 1, 0.1)
    answered(ward, 31, 50, 0.8)
    GovernModels(ward.database).stop(BREAST.id, "<b>harm", "cli:anna")
    models, pairs = ReadMonth(ward.database)(*MONTH)
    page = model_month.page("2027-01", "A & B", models, pairs)
    rows = list(csv.reader(io.StringIO(model_month.csv_rows("2027-01", models, pairs))))
    assert rows[0] == ["month", "model", "figure", "of", "value"]
    assert ["2027-01", "breast 1.0.0", "answers", "", "31"] in rows
    assert all(f"<td>{row[4]}</td>" in page for row in rows[1:])
    assert "A &amp; B" in page
    assert "Stopped: &lt;b&gt;harm" in page
    assert "<td>shifted</td>" in page


def _signed(ward: Ward, count: int, verdict: str, **changes: Any) -> None:
    """Reviewed results of today; the rows of a report are those that a physician's decision writes."""
    for number in range(count):
        study = ward.push(f"reviewed {verdict} {number} {ward.now} {changes}")
        with ward.database.begin("tester") as unit:
            found = unit.studies.get(study)
            made = unit.reports.write(unit.reports.register(found, ward.now), "compose", 1, content(), ward.now)
            signed = unit.reports.write(made, "sign", 1, content(), ward.now)
            unit.reviews.add(review(signed, verdict=verdict, at=ward.now, **changes))
            unit.commit()
        assert signed.id == report_id(study)


def test_a_model_that_physicians_overrule_is_stopped_once(ward: Ward) -> None:
    """From the share and the number of reviews on that the rule names; after a resume it begins to count anew."""
    answered(ward, 1, 0, 0.5)
    rule = StopByRule(GovernModels(ward.database, now=ward.clock), Rules(0.5, 4), ward.clock)
    ward.wait(3600)
    _signed(ward, 1, "as-is")
    _signed(ward, 2, "changed")
    ward.wait(1)
    assert rule() == 0
    _signed(ward, 1, "rejected")
    ward.wait(1)
    assert rule() == 1
    assert rule() == 0
    with ward.database.read() as unit:
        (stop,) = unit.governance.stops()
    assert (stop.model_id, stop.by) == (BREAST.id, "sweep:stop-rule")
    assert stop.reason == "physicians overruled 75% of 4 results; the rule allows less than 50%"


def test_a_model_that_says_something_else_is_stopped(ward: Ward) -> None:
    """A shift of its probabilities beyond the rule's index stops it; without a rule nothing does."""
    answered(ward, 30, 1, 0.1)
    answered(ward, 30, 50, 0.8)
    ward.now = MONTH[1]
    govern = GovernModels(ward.database, now=ward.clock)
    assert StopByRule(govern, Rules(), ward.clock)() == 0
    assert StopByRule(govern, Rules(shift=100.0), ward.clock)() == 0
    assert StopByRule(govern, Rules(shift=0.25), ward.clock)() == 1


def test_a_rule_stops_nothing_again_for_what_a_person_has_seen(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a resume the shift that was seen is the state to compare with, and reviews of results written before it
    do not count; other models' reviews never do."""
    answered(ward, 30, 1, 0.1)
    answered(ward, 40, 50, 0.8)
    ward.now = MONTH[1]
    monkeypatch.setattr(ward.database, "_now", ward.clock)  # of the trail, which has when it was resumed
    govern = GovernModels(ward.database, now=ward.clock)
    rule = StopByRule(govern, Rules(0.5, 1, 0.25), ward.clock)
    assert rule() == 1
    govern.resume(BREAST.id, "cli:anna")
    answered(ward, 31, 71, 0.8)
    ward.wait(2 * 86400)
    _signed(ward, 3, "rejected", models=(str(BREAST.id),), base_at=AT)
    _signed(ward, 3, "changed", models=("another",), base_at=ward.now)
    assert rule() == 0
    _signed(ward, 4, "rejected", base_at=ward.now)
    assert rule() == 1


def test_reviews_of_a_month_long_ago_are_found(ward: Ward) -> None:
    """Of a version that was given no work in it, and however much was reviewed since."""
    ward.now = MONTH[0]
    _signed(ward, 2, "changed")
    ward.now = MONTH[1]
    _signed(ward, 3, "as-is")
    (found,), _ = ReadMonth(ward.database)(*MONTH)
    assert (found.model, found.answers, found.reviews.reviewed, found.reviews.changed) == ("breast 1.0.0", 0, 2, 2)
    with ward.database.read() as unit:
        assert [one.verdict for one in unit.reviews.since(MONTH[0], 2, MONTH[1])] == ["changed", "changed"]


def test_what_is_compared_is_bounded(ward: Ward, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more values than that the first by id stand for all; everything is counted."""
    monkeypatch.setattr("gateway.flow.model_month.MOST_VALUES", 30)
    answered(ward, 32, 50, 0.8)
    (found,), _ = ReadMonth(ward.database)(*MONTH)
    assert (found.answers, found.drifts[PROBABILITY].now, found.drifts[DISTANCE].now) == (32, 30, 30)
    with ward.database.read() as unit:
        assert len([*unit.governance.sample(BREAST.id, *MONTH, 5)]) == 5
        assert [*unit.governance.sample(SHADOW.id, *MONTH, 5)] == []
