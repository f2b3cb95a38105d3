"""`dxgate fhir reindex`: the search index over stored resources, written anew while the gateway runs."""

from __future__ import annotations

import argparse

from gateway.commands.output import actor, print_json, row_of, tell
from gateway.config import LoadedSettings
from gateway.domain.reindex import Reindexing

_TELL_EVERY = 10_000


def reindex(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """1 where bodies did not open; their rows stay as they were."""
    from gateway import wiring

    told = 0

    def progress(current: Reindexing) -> None:
        nonlocal told
        if not arguments.json and current.done - told >= _TELL_EVERY:
            told = current.done
            tell(f"{current.done} resources")

    done = wiring.reindex(loaded.settings, progress)(actor(), anew=arguments.anew)
    if arguments.json:
        print_json(row_of(done))
    else:
        tell(f"{done.done} resources are indexed anew, as the pass begun at {done.begun_at:%Y-%m-%d %H:%M} found them")
        if done.failed:
            tell(f"{done.failed} do not open; they keep the rows that they had")
    return 1 if done.failed else 0
