"""What the web server holds for its life: loaded before the first request, and left out of garbage collection.

Python's collector stops every thread while it looks at all objects that have lasted. The tables of R4 and the modules
are a hundred thousand of them, and one look at those took 130 ms: the longest wait that a reader met.
"""

from __future__ import annotations

import gc

from gateway.formats.fhir.search.extract import extract
from gateway.formats.fhir.wire.check import check


def load_for_good() -> None:
    """Reads the tables that judging and indexing a resource need, and sets aside all that is in memory by now.

    For a process that does nothing else: what is set aside is never looked at again.
    """
    anything = {"resourceType": "Patient"}
    check(anything)
    extract(anything)
    gc.collect()
    gc.freeze()
