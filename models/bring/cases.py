"""The cases that a model is measured on: a folder of DICOM files or of stays with labels.csv, or one CSV of records.

Every case goes the road of a hospital's: the same decoding, the same guards. What is refused is counted by reason
and not scored. `group` names the patient, so that no patient stands on both sides; where it does not, what is alike
(one image, one stay, one line but for its label) is taken for one patient. Columns `by:NAME` are subgroups.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gateway.domain.errors import Invalid
from models.bring.numbers import Floats, Names, Truth
from models.bring.stays import Stays, read_stays
from models.inputs import Field
from models.runtime.guard import Refusal
from models.runtime.predict import Predictor
from models.runtime.readings import Reading
from models.runtime.record import RecordPredictor
from models.runtime.series import SeriesPredictor

MAX_CASES = 200_000
MAX_SIZE = 512 * 1024 * 1024  # bytes of a CSV
MAX_SUBGROUPS = 100  # values of one column
Predictors = Predictor | RecordPredictor | SeriesPredictor
Answered = tuple[float | str, str]
"""A probability of the positive label, or the code of a refusal; and whose case it is, as far as that can be seen."""


@dataclass(frozen=True)
class Scored:
    """Answers (N,), truth, patient of each, subgroups, and how many were refused for what."""

    prob: Floats
    truth: Truth
    group: Names
    subgroups: dict[str, Names]
    refused: Counter[str]
    sha256: str


@dataclass
class _Table:
    prob: list[float] = field(default_factory=list)
    truth: list[bool] = field(default_factory=list)
    group: list[str] = field(default_factory=list)
    by: dict[str, list[str]] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)


def score(data: Path, by: Predictors) -> Scored:
    """Every case of `data`. Raises `Invalid` for a table that cannot be used, naming line and column."""
    table, digest = _Table(), hashlib.sha256()
    sheet = data / "labels.csv" if data.is_dir() else data
    names = [label.name for label in by.manifest.labels]
    chance_of = _scorer(data, by, digest)
    for number, row in _rows(sheet, digest):
        if row.get("label") not in names:
            raise Invalid(f"{sheet.name} line {number}: label must be one of {', '.join(names)}")
        chance, whose = chance_of(row, number)
        if isinstance(chance, str):
            table.refused[chance] += 1
            continue
        table.prob.append(chance)
        table.truth.append(row["label"] == by.manifest.output.positive)
        table.group.append(row.get("group") or whose)
        for name, value in row.items():
            if name.startswith("by:"):
                table.by.setdefault(name[3:], []).append(value)
    if not table.prob:
        raise Invalid(f"no case could be scored; refused: {dict(table.refused) or 'none, the table is empty'}")
    if any(len(set(values)) > MAX_SUBGROUPS for values in table.by.values()):
        raise Invalid(f"{sheet.name}: a column by: names more than {MAX_SUBGROUPS} subgroups")
    return Scored(
        np.asarray(table.prob),
        np.asarray(table.truth),
        np.asarray(table.group),
        {name: np.asarray(values) for name, values in table.by.items()},
        table.refused,
        digest.hexdigest(),
    )


def _scorer(data: Path, by: Predictors, digest: hashlib._Hash) -> Callable[[dict[str, str], int], Answered]:
    """What answers for a line of the table."""
    if isinstance(by, Predictor):
        return lambda row, number: _image(data, row, by, digest, number)
    if isinstance(by, RecordPredictor):
        return lambda row, number: _record(row, by, number)
    stays = read_stays(data, by.manifest, digest)
    return lambda row, number: _stay(row, by, stays, number)


def _rows(sheet: Path, digest: hashlib._Hash) -> Iterator[tuple[int, dict[str, str]]]:
    if not sheet.is_file() or sheet.stat().st_size > MAX_SIZE:
        raise Invalid(f"{sheet} is not a CSV file of at most {MAX_SIZE} bytes; images need a folder with labels.csv")
    digest.update(sheet.read_bytes())
    with sheet.open(encoding="utf-8-sig", newline="") as lines:
        reader = csv.DictReader(lines)
        if "label" not in (reader.fieldnames or ()):
            raise Invalid(f"{sheet.name} has no column label")
        for number, row in enumerate(reader, start=2):
            if number > MAX_CASES:
                raise Invalid(f"more than {MAX_CASES} cases")
            yield number, {str(name): value or "" for name, value in row.items() if name}


def _image(folder: Path, row: dict[str, str], by: Predictor, digest: hashlib._Hash, number: int) -> Answered:
    path = folder / row.get("file", "")
    if folder.resolve() not in path.resolve().parents or not path.is_file():
        raise Invalid(f"labels.csv line {number}: file is not a file in the folder")
    content = path.read_bytes()
    digest.update(content)
    (image,) = by.predict([content]).images
    whose = f"image {hashlib.sha256(content).hexdigest()}"
    if image.refusal is not None:
        return image.refusal.code, whose
    return dict(image.probabilities)[by.manifest.output.positive], whose


def _stay(row: dict[str, str], by: SeriesPredictor, stays: Stays, number: int) -> Answered:
    if not row.get("stay"):
        raise Invalid(f"labels.csv line {number}: stay names no stay")
    statics = list(_readings(row, by.manifest.input.statics, number))
    chance = by.chance(stays.of(row["stay"]), statics)
    return chance.code if isinstance(chance, Refusal) else chance, f"stay {row['stay']}"


def _record(row: dict[str, str], by: RecordPredictor, number: int) -> Answered:
    told = by.predict(list(_readings(row, by.manifest.input.fields, number)))
    given = "\0".join(f"{name}\0{row[name].strip()}" for name in sorted(row) if not _is_said_of_it(name))
    whose = f"line {hashlib.sha256(given.encode()).hexdigest()}"
    if told.refusal is not None:
        return told.refusal.code, whose
    return dict(told.probabilities)[by.manifest.output.positive], whose


def _is_said_of_it(column: str) -> bool:
    return column in ("label", "group") or column.startswith("by:")


def _readings(row: dict[str, str], fields: tuple[Field, ...], number: int) -> Iterator[Reading]:
    """Values in the manifest's units; an empty cell is not known."""
    for one in fields:
        if one.name not in row:
            raise Invalid(f"the table has no column {one.name}")
        text = row[one.name].strip()
        if text in one.answers:
            yield Reading(one.name, text)
        elif text:
            try:
                value = float(text)
            except ValueError:
                raise Invalid(f"line {number}: {one.name} is no number and none of its answers") from None
            if not math.isnan(value):
                yield Reading(one.name, value, one.unit)
