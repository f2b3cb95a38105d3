"""Writes the golden files anew: `PYTHONPATH=. python tests/unit/gateway/privacy/hl7/write_golden.py`."""

from __future__ import annotations

import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from test_hl7_deidentify import GOLDEN, TODAY, pseudonymiser_for

from gateway.privacy.hl7.clean import deidentify

for source in sorted(GOLDEN.glob("*.hl7")):
    if not source.name.endswith(".clean.hl7"):
        made = deidentify(source.read_bytes(), pseudonymiser_for, today=TODAY)
        source.with_suffix(".clean.hl7").write_text(made.body.decode().replace("\r", "\n"), "utf-8")
        counts = json.dumps(dict(sorted(made.record.counts.items())), indent=1)
        source.with_suffix(".counts.json").write_text(counts + "\n", "utf-8")
