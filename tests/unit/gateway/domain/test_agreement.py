"""Agreement: a comparison says what codes say, and the figures are those computed by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from harness.rows import AT, finding, model
from hypothesis import given
from hypothesis import strategies as st

from gateway.domain.agreement import (
    AgreementCount,
    CodedAnswer,
    Comparison,
    FinalReport,
    Outcome,
    compared,
    figures,
)
from gateway.domain.ids import ModelId, StudyId
from gateway.domain.proportion import Share
from gateway.domain.task import Task

TASK = Task("t", StudyId("s"), 1, model().id, "doing", 1, "routine", AT)  # type: ignore[arg-type]
FOUND = finding(TASK)
QUESTION = (FOUND.question.system, FOUND.question.value)


def report(*labels: str, question: tuple[str, str] = QUESTION) -> FinalReport:
    answer = CodedAnswer(*question, labels, ("benign", "malignant"), "malignant")
    return FinalReport(1, 1, "p", AT, (), (answer,) if labels else ())


@pytest.mark.parametrize(
    ("reports", "outcome"),
    [
        ([report("malignant")], "agreed"),
        ([report("benign")], "disagreed"),
        ([report()], "uncoded"),
        ([report("benign", question=("urn:other", "q"))], "uncoded"),
        ([report("benign", "malignant")], "contradictory"),
        ([report("benign"), report("malignant")], "contradictory"),
        ([report("benign"), report()], "disagreed"),
    ],
)
def test_an_answer_is_compared_with_all_reports_in_force(reports: list[FinalReport], outcome: Outcome) -> None:
    """By the label that they say; one that says nothing to the question takes nothing from another."""
    assert compared(FOUND, reports).outcome == outcome


def test_an_inconclusive_answer_is_no_disagreement() -> None:
    """It stands apart, with what the report says; a label that the table does not know is not judged."""
    assert compared(replace(FOUND, decided=None), [report("malignant")]) == Comparison(
        "inconclusive", "", "malignant", "malignant"
    )
    assert FOUND.decided is not None
    other = replace(FOUND, decided=replace(FOUND.decided, name="cyst"))
    assert compared(other, [report("malignant")]).outcome == "uncoded"


def count(outcome: Outcome, said: str, reference: str, number: int) -> AgreementCount:
    return AgreementCount(ModelId("m"), outcome, said, reference, "malignant" if reference else "", number)


def test_the_figures_are_those_by_hand() -> None:
    """Of 100 compared, 20 both malignant, 60 both benign, 5 missed, 15 too many; what is not comparable in none."""
    told = figures(
        [
            count("agreed", "malignant", "malignant", 20),
            count("agreed", "benign", "benign", 60),
            count("disagreed", "benign", "malignant", 5),
            count("disagreed", "malignant", "benign", 15),
            count("inconclusive", "", "malignant", 7),
            count("contradictory", "malignant", "", 2),
            count("uncoded", "malignant", "", 3),
            count("several-studies", "malignant", "", 1),
        ]
    )
    assert (told.agreement, told.positive, told.negative) == (Share(80, 100), Share(20, 25), Share(60, 75))
    assert told.kappa == pytest.approx((0.8 - 0.575) / (1 - 0.575))  # by chance: .35 x .25 + .65 x .75
    assert (told.inconclusive, told.contradictory, told.uncoded, told.several_studies) == (7, 2, 3, 1)
    assert (told.received, told.disagreement_rate) == (113, pytest.approx(0.2))


def test_nothing_compared_says_nothing() -> None:
    """No share, no kappa, no rate; neither where one label is all that anybody ever said."""
    none = figures([])
    assert (none.agreement.value, none.kappa, none.disagreement_rate) == (None, None, None)
    assert figures([count("agreed", "benign", "benign", 9)]).kappa is None


def test_the_interval_is_wilsons() -> None:
    """Five of five: .5655 to 1 (Newcombe 1998); 81 of 263: .2553 to .3662, his table I."""
    assert Share(5, 5).interval == (pytest.approx(0.5655, abs=1e-4), pytest.approx(1.0))
    assert Share(81, 263).interval == (pytest.approx(0.2553, abs=1e-4), pytest.approx(0.3662, abs=1e-4))
    assert Share(0, 0).interval == (0.0, 1.0)


@given(st.integers(0, 500), st.integers(0, 500))
def test_the_interval_holds_its_share(hits: int, more: int) -> None:
    """Whatever the counts, within 0 and 1."""
    share = Share(hits, hits + more)
    low, high = share.interval
    assert 0 <= low <= (share.value or 0) + 1e-12
    assert (share.value if share.value is not None else 1) - 1e-12 <= high <= 1
