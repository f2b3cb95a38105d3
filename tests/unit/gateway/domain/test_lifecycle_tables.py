"""The state tables as data: every state reachable, every move named in the audit vocabulary, pictures in step."""

from __future__ import annotations

import subprocess
import sys

import pytest
from harness.gateway_process import REPOSITORY

from gateway.domain.audit import AUDIT_EVENTS, AuditEntry
from gateway.domain.errors import Conflict
from gateway.domain.lifecycle import LIFECYCLES, Lifecycle

each = pytest.mark.parametrize("life", LIFECYCLES, ids=lambda life: life.subject)


@each
def test_every_state_can_be_reached_from_the_initial_one(life: Lifecycle) -> None:
    """No state of a table is an island."""
    reached, frontier = {life.initial}, [life.initial]
    while frontier:
        state = frontier.pop()
        for (was, _), target in life.moves.items():
            if was == state and target not in reached:
                reached.add(target)
                frontier.append(target)
    assert reached == set(life.states)


@each
def test_what_is_not_in_the_table_is_refused(life: Lifecycle) -> None:
    """Over the full product of states and events the table alone decides."""
    for state in life.states:
        for event in life.events:
            if (state, event) in life.moves:
                assert life.after(state, event) == life.moves[state, event]
            else:
                with pytest.raises(Conflict):
                    life.after(state, event)


@each
def test_every_move_has_its_word_in_the_audit_vocabulary(life: Lifecycle) -> None:
    """A move that could not be audited could not be made."""
    assert {f"{life.subject}:{event}" for event in life.events} <= AUDIT_EVENTS


def test_the_audit_vocabulary_is_closed() -> None:
    """An event that is not in the vocabulary cannot be recorded."""
    with pytest.raises(ValueError, match="vocabulary"):
        AuditEntry("study:vanish", "1", "test")


def test_the_pictures_in_the_architecture_page_show_the_tables() -> None:
    """`make docs` has been run after the last change of a table."""
    script = REPOSITORY / "deploy" / "tools" / "state_diagrams.py"
    done = subprocess.run([sys.executable, str(script), "--check"], check=False, timeout=60)
    assert done.returncode == 0
