"""`dxgate held` and `dxgate study recheck`: what waits for a person, and the person's word, from the command line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from harness.rows import arrival, receive

from gateway import cli, config, wiring
from gateway.domain.clearance import PixelFinding
from gateway.domain.ids import InstanceId
from gateway.domain.study import Instance
from gateway.privacy import keyring
from gateway.storage.database import SqlDatabase

Run = Callable[..., tuple[int, str]]


@pytest.fixture
def home(tmp_path: Path, sqlite_template: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DXGATE_GATEWAY_HOME", str(tmp_path))
    shutil.copy(sqlite_template, tmp_path / "dxgate.sqlite")
    keyring.create(config.load().settings.key_folder)
    return tmp_path


@pytest.fixture
def database(home: Path) -> SqlDatabase:
    return wiring.database(config.load().settings)


@pytest.fixture
def run(home: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Exit code and output of one command."""

    def made(*words: str) -> tuple[int, str]:
        code = cli.main(words)
        out, err = capsys.readouterr()
        return code, out + err

    return made


def put(database: SqlDatabase, event: str, reason: str, instance: str = "i1") -> Instance:
    with database.begin("check") as unit:
        what = arrival("s1", instance, instance.encode(), clearance="unchecked", pixels="unsearched")
        receive(unit, what)
        if event == "hold":
            unit.clearances.decide(what.instance, "mask")
            unit.pixel_tasks.plan(what.instance, "routine", what.instance.received_at)
            task = unit.pixel_tasks.claim(what.instance.id, "w", what.instance.received_at, what.instance.received_at)
            assert task is not None
            unit.pixel_tasks.finish(task, PixelFinding(1, 1, (), 0.0, reason, ("x",), "CPU"), None, None)
        else:
            unit.clearances.decide(what.instance, event, reason)  # type: ignore[arg-type]
        unit.commit()
        return what.instance


def state(database: SqlDatabase, instance_id: InstanceId) -> str:
    with database.read() as unit:
        return unit.clearances.get(instance_id).clearance


def test_held_objects_are_listed_and_shown(database: SqlDatabase, run: Run) -> None:
    """The list holds what waits for a person, quarantined objects only when asked for."""
    held, bad = put(database, "hold", "text near the edge"), put(database, "quarantine", "left", "i2")
    code, out = run("held", "list", "--json")
    assert (code, [row["id"] for row in json.loads(out)]) == (0, [held.id])
    code, out = run("held", "list", "--quarantined", "--json")
    assert {row["id"] for row in json.loads(out)} == {held.id, bad.id}
    code, out = run("held", "show", held.id, "--json")
    assert json.loads(out)["search"]["doubt"] == "text near the edge"
    assert run("held", "show", held.id)[0] == 0


@pytest.mark.parametrize(
    ("words", "after"),
    [
        (("release",), "unchecked"),
        (("reject",), "rejected"),
        (("mask", "--box", "1,2,30,40", "--box", "0,0,5,5,3"), "masking"),
    ],
)
def test_a_decision_moves_the_object(database: SqlDatabase, run: Run, words: tuple[str, ...], after: str) -> None:
    """Release, reject and mask do what they say, once."""
    held = put(database, "hold", "doubt")
    command = ("held", words[0], held.id, "--reason", "looked at it", *words[1:])
    assert run(*command)[0] == 0
    assert state(database, held.id) == after
    assert run(*command)[0] == 1


def test_boxes_are_read_as_written(database: SqlDatabase, run: Run) -> None:
    """Left, top, width, height and the frame, every frame where none is named; anything else is refused."""
    held = put(database, "hold", "doubt")
    assert run("held", "mask", held.id, "--reason", "name", "--box", "1,2,30")[0] == 2
    run("held", "mask", held.id, "--reason", "name", "--box", "1,2,30,40", "--box", "0,0,5,5,3")
    with database.read() as unit:
        asked = unit.pixel_tasks.get(held.id).asked or ()
    assert [(box.frame, box.left, box.top, box.width, box.height) for box in asked] == [
        (-1, 1, 2, 30, 40),
        (3, 0, 0, 5, 5),
    ]


def test_quarantined_objects_of_a_study_are_checked_again(database: SqlDatabase, run: Run) -> None:
    """Recheck sends all of them to the checker; a study without any is a conflict."""
    bad = put(database, "quarantine", "left")
    assert run("study", "recheck", bad.study_id, "--reason", "new release")[0] == 0
    assert state(database, bad.id) == "unchecked"
    assert run("study", "recheck", bad.study_id, "--reason", "new release")[0] == 1


def test_a_study_says_why_it_has_no_report(database: SqlDatabase, run: Run) -> None:
    """`study show` tells the checker's verdict and each reason, in words and as JSON."""
    bad = put(database, "quarantine", "the checker found: private at (0009,1001)")
    code, out = run("study", "show", bad.study_id)
    assert code == 0
    assert "1 quarantined: the checker found: private at (0009,1001)" in out
    assert "checker   refused" in out
    privacy = json.loads(run("study", "show", bad.study_id, "--json")[1])["privacy"]
    assert privacy["verdict"] == "refused"
    assert privacy["not_cleared"] == [
        {"state": "quarantined", "reason": "the checker found: private at (0009,1001)", "count": 1}
    ]
