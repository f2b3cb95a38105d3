"""Writes the state diagrams of ARCHITECTURE.md from the state tables, so that picture and code cannot differ.

`python deploy/tools/state_diagrams.py` rewrites the part between the markers; `--check` only compares.
"""

from __future__ import annotations

import sys
from pathlib import Path

from gateway.domain.lifecycle import LIFECYCLES, Lifecycle

PAGE = Path(__file__).resolve().parents[2] / "ARCHITECTURE.md"
BEGIN, END = "<!-- state diagrams: begin -->", "<!-- state diagrams: end -->"


def diagram(life: Lifecycle) -> str:
    """One table as a Mermaid state diagram; state names keep their hyphens in the label."""
    lines = [f"### {life.subject.capitalize()}", "", "```mermaid", "stateDiagram-v2"]
    lines += [f'    state "{state}" as {_name(state)}' for state in life.states if "-" in state]
    lines.append(f"    [*] --> {_name(life.initial)}")
    lines += [f"    {_name(was)} --> {_name(to)}: {event}" for (was, event), to in life.moves.items()]
    return "\n".join([*lines, "```"])


def _name(state: str) -> str:
    return state.replace("-", "_")


def rendered(page: str) -> str:
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return before + BEGIN + "\n" + "\n\n".join(map(diagram, LIFECYCLES)) + "\n" + END + after


def main() -> int:
    page = PAGE.read_text("utf-8")
    new = rendered(page)
    if "--check" in sys.argv:
        return 0 if new == page else 1
    PAGE.write_text(new, "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
