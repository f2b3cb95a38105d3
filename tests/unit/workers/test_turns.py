"""Turns: who may run beside whom."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor

from workers.turns import Turns


def test_tasks_run_together() -> None:
    """Eight at once: each waits for the others within its turn."""
    turns, meeting = Turns(), threading.Barrier(8)

    def run(_: int) -> bool:
        with turns.turn(alone=False, urgent=False) as granted:
            meeting.wait(10)
            return granted

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(run, range(8)))


def test_one_that_runs_alone_has_nobody_beside_it() -> None:
    """Neither a routine task nor another one that must be alone gets a turn; STAT does, and all do afterwards."""
    turns = Turns(patience=0.01)
    with turns.turn(alone=True, urgent=False) as first:
        assert first
        with turns.turn(alone=False, urgent=False) as routine, turns.turn(alone=True, urgent=True) as another:
            assert (routine, another) == (False, False)
        with turns.turn(alone=False, urgent=True) as stat:
            assert stat
    for alone in (False, True):
        with turns.turn(alone=alone, urgent=False) as granted:
            assert granted


def test_one_that_must_be_alone_waits_for_those_that_run_and_not_for_ever() -> None:
    """While another runs it gets no turn, and has closed the door to nobody when it gave up."""
    turns = Turns(patience=5, drain=0.01)
    with turns.turn(alone=False, urgent=False):
        with turns.turn(alone=True, urgent=False) as granted:
            assert not granted
        with turns.turn(alone=False, urgent=False) as routine:
            assert routine
    with turns.turn(alone=True, urgent=False) as granted:
        assert granted


def test_one_that_waits_to_be_alone_is_not_overtaken() -> None:
    """Its turn comes when those that run have left, though others keep coming."""
    turns = Turns(patience=0.01, drain=5)
    soon = threading.Event()

    def enter(*, alone: bool) -> bool:
        with turns.turn(alone=alone, urgent=False) as granted:
            return granted

    with ThreadPoolExecutor(2) as pool:
        with turns.turn(alone=False, urgent=False):
            waiting = pool.submit(enter, alone=True)
            while not turns._alone:
                soon.wait(0.001)
            late = pool.submit(enter, alone=False)
            assert not late.result(10), "who comes meanwhile is sent away, not kept waiting"
        assert waiting.result(10)
