"""The officer's table of attributes is the one that the compiled rules give."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from gateway.privacy.rules import table_rows

REPOSITORY = Path(__file__).resolve().parents[4]
PAGE = REPOSITORY / "deploy" / "privacy" / "attributes.md"


def test_the_committed_page_is_current() -> None:
    """Rules and page cannot differ: after a change `make docs` writes it again."""
    script = REPOSITORY / "deploy" / "tools" / "confidentiality_table.py"
    done = subprocess.run(
        [sys.executable, str(script), "--check"], env={"PYTHONPATH": str(REPOSITORY)}, check=False, timeout=60
    )
    assert done.returncode == 0


def test_every_listed_attribute_stands_on_it_once() -> None:
    """No row of the standard's table is missing or there twice."""
    lines = PAGE.read_text("utf-8").splitlines()
    for row in table_rows():
        start = f"| ({row.tag >> 16:04X},{row.tag & 0xFFFF:04X}) |"
        assert len([line for line in lines if line.startswith(start)]) == 1, start
