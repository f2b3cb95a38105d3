"""Values over time in, a prediction out: the one call for a model on trajectories.

Readings are averaged per bin; what was not measured stays NaN, and the graph knows what to make of it. A
value outside its plausible range is set aside as an artefact and counted, as it was in training. The
explanation leaves out one field at a time and runs all of these as one batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice

import numpy as np
import numpy.typing as npt

from gateway.domain.errors import Unsupported
from models.inputs import Field, SeriesInput
from models.manifest import SeriesManifest
from models.runtime.guard import Refusal
from models.runtime.readings import MAX_READINGS, Patient, Reading, by_name, number, patient_refusal
from models.runtime.record import Contribution, ValuePrediction, answered, log_odds, refused
from models.runtime.session import MAX_BATCH
from models.runtime.unit_words import value_in_words
from models.runtime.value_session import ValueSession

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Binned:
    """(bins, fields) means with NaN, (statics,) with NaN, and why readings were set aside."""

    values: Floats
    statics: Floats
    set_aside: tuple[str, ...]


class SeriesPredictor:
    """A warm session with the manifest's rules around it."""

    def __init__(self, session: ValueSession) -> None:
        if not isinstance(session.manifest, SeriesManifest):
            raise Unsupported(f"{session.manifest.name} does not take a series")
        self.session = session
        self.manifest: SeriesManifest = session.manifest

    def predict(
        self, readings: Iterable[Reading], statics: Iterable[Reading] = (), patient: Patient | None = None
    ) -> ValuePrediction:
        """Score one stay; raises `Fault` only where the model itself fails."""
        rule = self.manifest.input
        refusal = patient_refusal(patient or Patient(), self.manifest.applies_to)
        made = refusal or binned(rule, readings, statics)
        if isinstance(made, Refusal):
            return refused(self.session, made)
        prob, _ = self._run(made.values[None], made.statics[None])
        told = self._left_out(made, float(prob[0, self.manifest.positive_column]))
        answer = answered(self.session, [float(p) for p in prob[0]], told, made.set_aside)
        single = told[len(rule.fields) :]
        return replace(answer, explanation=f"{answer.explanation} {_unspoken(single, answer.explanation)}".strip())

    def chance(self, readings: Iterable[Reading], statics: Iterable[Reading]) -> float | Refusal:
        """The probability of the positive label alone: what measuring many stays needs, without explanations."""
        made = binned(self.manifest.input, readings, statics)
        if isinstance(made, Refusal):
            return made
        prob, _ = self._run(made.values[None], made.statics[None])
        return float(prob[0, self.manifest.positive_column])

    def _run(self, values: Floats, statics: Floats) -> tuple[Floats, Floats]:
        rule = self.manifest.input
        return self.session.run({rule.tensor: values, rule.static_tensor: statics})

    def _left_out(self, made: Binned, full: float) -> tuple[Contribution, ...]:
        """Log-odds with everything minus log-odds without each measured field."""
        fields = self.manifest.input.fields
        measured = np.flatnonzero(~np.isnan(made.values).all(0))
        change: dict[int, float] = {}
        for start in range(0, len(measured), MAX_BATCH):
            part = measured[start : start + MAX_BATCH]
            copies = np.repeat(made.values[None], len(part), 0)
            copies[np.arange(len(part)), :, part] = np.nan
            prob, _ = self._run(copies, np.repeat(made.statics[None], len(part), 0))
            without = prob[:, self.manifest.positive_column]
            change |= {int(k): log_odds(full) - log_odds(float(p)) for k, p in zip(part, without, strict=True)}
        told = tuple(
            Contribution(rule.name, rule.title, change.get(k), _range(rule, made.values[:, k]))
            for k, rule in enumerate(fields)
        )
        return told + self._single_left_out(made, full)

    def _single_left_out(self, made: Binned, full: float) -> tuple[Contribution, ...]:
        """The same for age and whatever else is known once for the whole stay."""
        rules, known = self.manifest.input.statics, np.flatnonzero(~np.isnan(made.statics))
        change: dict[int, float] = {}
        for start in range(0, len(known), MAX_BATCH):
            part = known[start : start + MAX_BATCH]
            copies = np.repeat(made.statics[None], len(part), 0)
            copies[np.arange(len(part)), part] = np.nan
            prob, _ = self._run(np.repeat(made.values[None], len(part), 0), copies)
            without = prob[:, self.manifest.positive_column]
            change |= {int(k): log_odds(full) - log_odds(float(p)) for k, p in zip(part, without, strict=True)}
        said = ["" if np.isnan(v) else value_in_words(r, float(v)) for r, v in zip(rules, made.statics, strict=True)]
        return tuple(Contribution(rule.name, rule.title, change.get(k), said[k]) for k, rule in enumerate(rules))


def _unspoken(told: Sequence[Contribution], explanation: str) -> str:
    """What was known and did too little to be named: who signs sees all that was used of age and the like."""
    said = [one.in_words for one in told if one.log_odds is not None and one.in_words not in explanation]
    return f"Used as well: {', '.join(said)}." if said else ""


def _range(rule: Field, column: Floats) -> str:
    """Lowest and highest mean of a bin; nothing where nothing was measured."""
    seen = column[~np.isnan(column)]
    if not len(seen):
        return ""
    low, high = f"{float(seen.min()):.4g}", value_in_words(rule, float(seen.max()))
    return high if seen.min() == seen.max() else f"{low} to {high}"


def binned(rule: SeriesInput, readings: Iterable[Reading], statics: Iterable[Reading]) -> Binned | Refusal:
    """The two tensors, or why the stay is refused."""
    known, total = by_name(rule.fields), np.zeros((rule.bins, len(rule.fields)))
    count = np.zeros_like(total)
    aside: dict[str, int] = {}
    for position, reading in enumerate(islice(readings, MAX_READINGS + 1)):
        if position == MAX_READINGS:
            return Refusal("unreadable", f"More than {MAX_READINGS} values in one series.")
        place = _bin(rule, reading)
        if reading.name not in known or place is None:
            return Refusal("unknown-input", "A value or a time was sent that this model does not take.")
        column, field = known[reading.name]
        value = number(field, reading)
        if isinstance(value, Refusal):
            if value.code == "unit":
                return value
            aside[value.text] = aside.get(value.text, 0) + 1
            continue
        total[place, column] += value
        count[place, column] += 1
    single = _statics(rule, statics)
    if isinstance(single, Refusal):
        return single
    table = np.where(count > 0, total / np.maximum(count, 1), np.nan).astype(np.float32)
    return _too_little(rule, table) or Binned(table, single, tuple(f"{text} ({n})" for text, n in aside.items()))


def _bin(rule: SeriesInput, reading: Reading) -> int | None:
    """The bin of a reading; the very last minute belongs to the last bin, as in training."""
    if not 0 <= reading.minute <= rule.bins * rule.bin_minutes:
        return None
    return min(reading.minute // rule.bin_minutes, rule.bins - 1)


def _statics(rule: SeriesInput, statics: Iterable[Reading]) -> Floats | Refusal:
    row, known = np.full(len(rule.statics), np.nan, np.float32), by_name(rule.statics)
    for reading in islice(statics, len(rule.statics) + 1):
        if reading.name not in known or not np.isnan(row[known[reading.name][0]]):
            return Refusal("unknown-input", "A single value was sent twice, or is not one that this model takes.")
        place, field = known[reading.name]
        value = number(field, reading)
        if isinstance(value, Refusal):
            return value
        row[place] = value
    lacking = [f.title for f, value in zip(rule.statics, row, strict=True) if f.required and np.isnan(value)]
    return Refusal("required", f"Not scored without: {', '.join(lacking)}.") if lacking else row


def _too_little(rule: SeriesInput, table: Floats) -> Refusal | None:
    seen = ~np.isnan(table)
    measured = [rule.fields[column].title for column in np.flatnonzero(seen.any(0))]
    if len(measured) < rule.measured_min:
        only = f" Measured were: {', '.join(measured)}." if measured else ""
        return Refusal("too-little", f"Fewer than {rule.measured_min} of the fields were measured.{only}")
    filled = np.flatnonzero(seen.any(1))
    if int(filled[-1] - filled[0]) < rule.span_min_bins:
        return Refusal("too-little", "The measurements cover too short a time.")
    return None
