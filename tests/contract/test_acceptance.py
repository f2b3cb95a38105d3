"""Where acceptance is required nothing becomes active without a passed run of exactly its digest; on both databases."""

from __future__ import annotations

from dataclasses import replace

import pytest
from harness.rows import accepted, later, model

from gateway.domain.acceptance import Acceptance, Limits
from gateway.domain.errors import Conflict
from gateway.domain.model import ServedModel
from gateway.domain.record import Needs
from gateway.flow.govern import GovernModels
from gateway.storage.database import SqlDatabase
from workers.engine import Loaded
from workers.run import announce
from workers.shelf import Shelf

ASKED = Limits(auc=0.9)
DRAFT = model("breast", "2.0.0", state="draft")


def govern(database: SqlDatabase, persons: int = 1) -> GovernModels:
    return GovernModels(database, persons=persons, asked=ASKED)


def told(database: SqlDatabase, *models: ServedModel) -> None:
    with database.begin("worker") as unit:
        for one in models:
            unit.models.announce(one)
        unit.commit()


def kept(database: SqlDatabase, *runs: Acceptance) -> None:
    with database.begin("cli:anna") as unit:
        for run in runs:
            unit.governance.accept(run)
        unit.commit()


def serving(*models: ServedModel) -> Loaded:
    """What a worker has loaded."""
    return Loaded(models, Shelf(), ())


def state(database: SqlDatabase, served: ServedModel) -> str:
    with database.read() as unit:
        return unit.models.get(served.id).state


@pytest.mark.parametrize(
    ("runs", "why"),
    [
        ([], "no acceptance run"),
        ([accepted(model("breast", "1.0.0"))], "no acceptance run"),
        ([accepted(DRAFT, sha256="0" * 64)], "no acceptance run"),
        ([accepted(DRAFT, verdict="measured", limits=Limits())], "no acceptance run"),
        ([accepted(DRAFT, verdict="missed", missed=("all cases: auc 0.500, wanted 0.900",))], "auc 0.500"),
        ([accepted(DRAFT), accepted(DRAFT, verdict="missed", missed=("too few",), at=later(9))], "too few"),
        ([accepted(DRAFT, limits=Limits(auc=0.8))], "lower limits"),
        ([accepted(DRAFT, limits=Limits(auc=0.9, cases=5))], "lower limits"),
    ],
)
def test_without_a_passed_run_of_its_digest_nothing_is_active(
    database: SqlDatabase, runs: list[Acceptance], why: str
) -> None:
    """None, of another version or digest, without limits, missed, missed since, or by lower limits than now; neither
    one person nor two change that, and the shadow is open to it."""
    told(database, DRAFT)
    kept(database, *runs)
    for persons in (1, 2):
        with pytest.raises(Conflict, match=why) as refused:
            govern(database, persons).promote(DRAFT.id, "cli:anna")
        assert "dxgate model accept FOLDER --data PATH" in str(refused.value)
    with database.read() as unit:
        assert unit.governance.approvals() == []
    assert state(database, DRAFT) == "draft"


def test_a_passed_run_lets_it_be_active(database: SqlDatabase) -> None:
    """One after one that missed, and one without limits after it, which asks nothing and takes nothing back."""
    told(database, DRAFT)
    missed = accepted(DRAFT, verdict="missed", missed=("too few",))
    measured = accepted(DRAFT, verdict="measured", limits=Limits(), at=later(20))
    kept(database, missed, accepted(DRAFT, at=later(10)), measured)
    assert govern(database).promote(DRAFT.id, "cli:anna") is None
    assert state(database, DRAFT) == "active"
    with database.read() as unit:
        found = unit.governance.acceptances(DRAFT)
    assert [one.verdict for one in found] == ["measured", "passed", "missed"]
    assert found[0] == measured


def test_runs_that_nothing_was_asked_of_hide_none(database: SqlDatabase) -> None:
    """However many were measured after the one that passed, or after the one that missed."""
    told(database, DRAFT)
    measured = [accepted(DRAFT, verdict="measured", limits=Limits(), at=later(10 + each)) for each in range(25)]
    kept(database, accepted(DRAFT, verdict="missed", missed=("too few",)), *measured)
    with pytest.raises(Conflict, match="too few"):
        govern(database).promote(DRAFT.id, "cli:anna")
    kept(database, accepted(DRAFT, at=later(9)))
    assert govern(database).promote(DRAFT.id, "cli:anna") is None


def test_where_it_is_advised_nothing_is_asked(database: SqlDatabase) -> None:
    """As before there were acceptance runs."""
    told(database, DRAFT)
    assert GovernModels(database).promote(DRAFT.id, "cli:anna") is None


def test_the_way_back_and_out_is_never_barred(database: SqlDatabase) -> None:
    """Rollback to what was active before, stop, resume, retire: none asks for a run."""
    old = model("breast", "1.0.0")
    told(database, old, DRAFT)
    kept(database, accepted(DRAFT))
    bound = govern(database)
    bound.promote(DRAFT.id, "cli:anna")
    assert bound.rollback("breast", "cli:anna").id == old.id
    assert state(database, old) == "active"
    bound.stop(old.id, "harm", "cli:anna")
    bound.resume(old.id, "cli:anna")
    with database.begin("cli:anna") as unit:
        assert unit.models.decide(old.id, "retired")
        unit.commit()
    assert state(database, bound.rollback("breast", "cli:anna")) == "active"


def test_rules_have_nothing_to_measure(database: SqlDatabase) -> None:
    """A pack of rules gives no probabilities, so no run of it is asked."""
    rules = model("pgx", state="draft", needs=Needs("genotype"))
    told(database, rules)
    assert govern(database).promote(rules.id, "cli:anna") is None


def test_nothing_activates_itself_without_a_run(database: SqlDatabase) -> None:
    """A worker that would start it active announces a draft; with a run it is active; what was active goes on."""
    mine = model("breast", "3.0.0")
    announce(database, serving(mine), "worker", ASKED)
    assert state(database, mine) == "draft"
    kept(database, accepted(mine))
    announce(database, serving(mine), "worker", ASKED)
    assert state(database, mine) == "active"
    kept(database, accepted(mine, verdict="missed", missed=("auc",), at=later(50)))
    announce(database, serving(mine), "worker", ASKED)
    assert state(database, mine) == "active"
    newer = replace(model("breast", "4.0.0"), announced_at=later(60))
    announce(database, serving(newer), "worker", ASKED)
    assert (state(database, newer), state(database, mine)) == ("draft", "active")
    announce(database, serving(model("other")), "worker")
    assert state(database, model("other")) == "active"
