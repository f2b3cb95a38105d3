"""What the web server sets aside before its first request."""

from __future__ import annotations

import subprocess
import sys

LOOKS = """
import gc
from gateway.servers.web.lasting import load_for_good
load_for_good()
frozen = gc.get_freeze_count()
from gateway.formats.fhir.wire.check import check
check({"resourceType": "Observation"})
print(frozen, len(gc.get_objects()))
"""


def test_the_tables_are_out_of_garbage_collection() -> None:
    """After loading, a collection looks at a small part of what is in memory, also once a resource was judged."""
    said = subprocess.run([sys.executable, "-c", LOOKS], check=True, capture_output=True, text=True).stdout
    frozen, looked_at = map(int, said.split())
    assert frozen > 10 * looked_at
