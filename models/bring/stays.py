"""Trajectories to measure a model on: `measurements.csv`, one line a measurement, beside `labels.csv`, one a stay.

The columns are `stay`, `minute` (from the start of the window), `name`, `value` and, where it is not the manifest's,
`unit` (UCUM). The long form is what monitors and PhysioNet's sets give; no grid has to be made first.
"""

from __future__ import annotations

import csv
import hashlib
from dataclasses import dataclass
from pathlib import Path

from gateway.domain.errors import Invalid
from models.manifest import SeriesManifest
from models.runtime.readings import Reading

SHEET = "measurements.csv"
COLUMNS = ("stay", "minute", "name", "value")
MAX_SIZE = 512 * 1024 * 1024  # bytes
MAX_MEASUREMENTS = 2_000_000  # of all stays together


@dataclass(frozen=True)
class Stays:
    """Measurements by the name of their stay."""

    readings: dict[str, list[Reading]]

    def of(self, stay: str) -> list[Reading]:
        """A stay without any measurement is one that nothing was measured in."""
        return self.readings.get(stay, [])


def read_stays(folder: Path, manifest: SeriesManifest, digest: hashlib._Hash) -> Stays:
    """Raises `Invalid` naming the line for what is no measurement of a field of the manifest."""
    path = folder / SHEET
    if not path.is_file() or path.stat().st_size > MAX_SIZE:
        raise Invalid(f"a model on series needs a folder with labels.csv and {SHEET} of at most {MAX_SIZE} bytes")
    digest.update(path.read_bytes())
    units = {one.name: one.unit for one in manifest.input.fields}
    found: dict[str, list[Reading]] = {}
    with path.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        absent = [one for one in COLUMNS if one not in (reader.fieldnames or ())]
        if absent:
            raise Invalid(f"{SHEET} has no column {', '.join(absent)}")
        for number, row in enumerate(reader, start=2):
            if number > MAX_MEASUREMENTS:
                raise Invalid(f"{SHEET}: more than {MAX_MEASUREMENTS} measurements")
            found.setdefault(row["stay"] or "", []).append(_reading(row, units, number))
    return Stays(found)


def _reading(row: dict[str, str], units: dict[str, str], number: int) -> Reading:
    name = row["name"] or ""
    if name not in units:
        raise Invalid(f"{SHEET} line {number}: name is none of the fields of the manifest")
    try:
        return Reading(name, float(row["value"]), row.get("unit") or units[name], int(row["minute"]))
    except (TypeError, ValueError):
        raise Invalid(f"{SHEET} line {number}: value must be a number, minute a whole one") from None
