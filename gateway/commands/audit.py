"""`dxgate audit`: is the trail whole, and where does it end."""

from __future__ import annotations

import argparse

from gateway.commands.output import print_json, tell
from gateway.config import LoadedSettings
from gateway.storage.audit_verify import verify_database


def verify(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """1 where any row or anchor is not as it was written."""
    from gateway import wiring

    settings = loaded.settings
    verdict = verify_database(wiring.database(settings), wiring.audit_keys(settings), wiring.anchor_file(settings))
    problems = [{"problem": problem.kind, "seq": problem.seq} for problem in verdict.problems]
    if arguments.json:
        print_json({"sound": verdict.sound, "rows": verdict.rows, "anchors": verdict.anchors, "problems": problems})
    else:
        for problem in problems:
            tell(f"{problem['problem']} at {problem['seq']}")
        told = "sound" if verdict.sound else f"NOT sound, {len(problems)} problem(s) named"
        tell(f"audit trail of {verdict.rows} rows, {verdict.anchors} anchors: {told}")
    return 0 if verdict.sound else 1


def head(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """What an auditor notes down elsewhere, to find a cut tail later."""
    from gateway import wiring

    with wiring.database(loaded.settings).read() as unit:
        seq, code = unit.audit.head()
    if arguments.json:
        print_json({"seq": seq, "code": code})
    else:
        tell(f"{seq} {code.hex()}")
    return 0
