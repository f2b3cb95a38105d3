"""Named values in, a prediction in plain Python out: the one call for a model on a record.

Per record: scope, units and plausible ranges, how much is missing, run, decide, explain. A record that does
not fit is refused by name; nothing is guessed and nothing here raises for what a sender wrote.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import islice

import numpy as np

from gateway.domain.errors import Unsupported
from models.inputs import Field, RecordInput
from models.manifest import RecordManifest, SeriesManifest
from models.runtime.guard import Refusal
from models.runtime.predict import decide, sentence
from models.runtime.readings import Patient, Reading, by_name, number, patient_refusal
from models.runtime.session import MAX_BATCH
from models.runtime.unit_words import value_in_words
from models.runtime.value_session import ValueSession

SPOKEN = 4  # fields named in each direction
Row = np.ndarray[tuple[int], np.dtype[np.float32]]
QUIET = 0.05  # log-odds below which a field is not worth naming
MAX_READINGS = 4096
UNREAD = "on record, but in a unit or word that is not read"


@dataclass(frozen=True)
class Contribution:
    """What one field did to the log-odds, against the average training record; None: the field was not known.

    `value` is what the record says of it, in words: that a sign is absent may raise an answer as well as lower it.
    """

    name: str
    title: str
    log_odds: float | None
    value: str = field(default="", repr=False)

    @property
    def in_words(self) -> str:
        return f"{self.title} = {self.value}" if self.value else self.title


@dataclass(frozen=True)
class ValuePrediction:
    """The answer for one record or series, or its refusal; then `probabilities` is empty."""

    probabilities: tuple[tuple[str, float], ...]
    by_threshold: str | None
    possible: tuple[str, ...]
    decided: str | None  # None: inconclusive, or refused
    text: str
    explanation: str
    contributions: tuple[Contribution, ...]
    missing: tuple[str, ...]
    set_aside: tuple[str, ...]  # why single values were not used
    refusal: Refusal | None
    model_name: str
    model_version: str
    model_sha256: str
    provider: str
    runtime: str


class RecordPredictor:
    """A warm session with the manifest's rules around it."""

    def __init__(self, session: ValueSession) -> None:
        if not isinstance(session.manifest, RecordManifest):
            raise Unsupported(f"{session.manifest.name} does not take a record")
        self.session = session
        self.manifest: RecordManifest = session.manifest

    def predict(
        self, readings: Iterable[Reading], patient: Patient | None = None, unread: Sequence[str] = ()
    ) -> ValuePrediction:
        """Score one record; raises `Fault` only where the model itself fails.

        `unread` are names of fields that are on record in a unit that nobody reads, which the explanation tells.
        """
        refusal = patient_refusal(patient or Patient(), self.manifest.applies_to)
        row = refusal or values(self.manifest.input, readings)
        aside = tuple(f"{one.title}: {UNREAD}" for one in self.manifest.input.fields if one.name in unread)
        if isinstance(row, Refusal):
            return refused(self.session, _with(row, aside))
        prob, parts = self.session.run({self.manifest.input.tensor: row[None]})
        fields = self.manifest.input.fields
        effects = parts[0] if parts.shape[1] else self._left_out(row, float(prob[0, self.manifest.positive_column]))
        told = tuple(
            Contribution(rule.name, rule.title, None if np.isnan(value) else float(part), self._said(rule, value))
            for rule, value, part in zip(fields, row, effects, strict=True)
        )
        return answered(self.session, [float(p) for p in prob[0]], told, aside, frozenset(unread))

    def _said(self, rule: Field, value: np.float32) -> str:
        """Nothing where ranks count: a number on the scale of one platform tells nobody anything."""
        return "" if np.isnan(value) or self.manifest.input.by_rank else value_in_words(rule, float(value))

    def _left_out(self, row: Row, full: float) -> Row:
        """For a graph that is not linear: what each value did, against the same record without it."""
        effects, known = np.zeros(len(row), np.float32), np.flatnonzero(~np.isnan(row))
        for start in range(0, len(known), MAX_BATCH):
            part = known[start : start + MAX_BATCH]
            copies = np.repeat(row[None], len(part), 0)
            copies[np.arange(len(part)), part] = np.nan
            prob, _ = self.session.run({self.manifest.input.tensor: copies})
            without = prob[:, self.manifest.positive_column]
            effects[part] = [log_odds(full) - log_odds(float(p)) for p in without]
        return effects


def _with(refusal: Refusal, aside: Sequence[str]) -> Refusal:
    return Refusal(refusal.code, " ".join([refusal.text, *(f"{one}." for one in aside)]))


def log_odds(probability: float) -> float:
    """Of a probability that is kept away from 0 and 1."""
    bounded = min(max(probability, 1e-6), 1 - 1e-6)
    return float(np.log(bounded) - np.log1p(-bounded))


def values(rule: RecordInput, readings: Iterable[Reading]) -> Row | Refusal:
    """(fields,) in the manifest's units, NaN where not known, or why the record is refused."""
    row = np.full(len(rule.fields), np.nan, np.float32)
    known = by_name(rule.fields)
    for count, reading in enumerate(islice(readings, MAX_READINGS + 1)):
        if count == MAX_READINGS:
            return Refusal("unreadable", f"More than {MAX_READINGS} values in one record.")
        if reading.name not in known:
            return Refusal("unknown-input", "A value was sent that this model does not take.")
        place, one = known[reading.name]
        value = number(one, reading)
        if isinstance(value, Refusal):
            return value
        if not np.isnan(row[place]):
            return Refusal("twice", f"{one.title}: more than one value.")
        row[place] = value
    return _too_little(rule, row) or row


def _too_little(rule: RecordInput, row: Row) -> Refusal | None:
    absent = np.isnan(row)
    lacking = [one.title for one, gone in zip(rule.fields, absent, strict=True) if gone and one.required]
    if lacking:
        return Refusal("required", f"Not scored without: {', '.join(lacking)}.")
    telling = [place for place, one in enumerate(rule.fields) if one.name in rule.one_of]
    if telling and not any(_shows(rule.fields[place], row[place]) for place in telling):
        named = ", ".join(_in_title(rule.fields[place]) for place in telling)
        return Refusal("required", f"Not scored without one of: {named}.")
    if float(absent.mean()) > rule.missing_max:
        return Refusal("too-little", f"More than {rule.missing_max:.0%} of the values are not known.")
    return None


def _shows(one: Field, value: np.float32) -> bool:
    nothing = [one.answers[word] for word in one.shows_nothing]
    return not np.isnan(value) and float(value) not in nothing


def _in_title(one: Field) -> str:
    return f"{one.title} (not: {', '.join(one.shows_nothing)})" if one.shows_nothing else one.title


def answered(
    session: ValueSession,
    prob: Sequence[float],
    told: tuple[Contribution, ...],
    set_aside: tuple[str, ...] = (),
    unread: frozenset[str] = frozenset(),
) -> ValuePrediction:
    """The decision and its words, for a record or a series."""
    manifest = session.manifest
    by_threshold, possible = decide(manifest, prob)
    decided = by_threshold if possible == (by_threshold,) else None
    return ValuePrediction(
        probabilities=tuple((label.name, p) for label, p in zip(manifest.labels, prob, strict=True)),
        by_threshold=by_threshold,
        possible=possible,
        decided=decided,
        text=sentence(manifest, decided, prob[manifest.positive_column]),
        explanation=in_words(told, scale(manifest), unread),
        contributions=told,
        missing=tuple(one.title for one in told if one.log_odds is None and one.name not in unread),
        set_aside=set_aside,
        refusal=None,
        model_name=manifest.name,
        model_version=manifest.version,
        model_sha256=session.package.sha256,
        provider=session.provider,
        runtime=session.runtime,
    )


def refused(session: ValueSession, refusal: Refusal) -> ValuePrediction:
    """No score, and why."""
    return ValuePrediction(
        probabilities=(),
        by_threshold=None,
        possible=(),
        decided=None,
        text=refusal.text if refusal.text.startswith("Not scored") else f"Not scored. {refusal.text}",
        explanation="",
        contributions=(),
        missing=(),
        set_aside=(),
        refusal=refusal,
        model_name=session.manifest.name,
        model_version=session.manifest.version,
        model_sha256=session.package.sha256,
        provider=session.provider,
        runtime=session.runtime,
    )


def scale(manifest: RecordManifest | SeriesManifest) -> str:
    """Against what a contribution is measured."""
    if manifest.output.contribution:
        return "against the average training record"
    kind = "stay without that measurement" if isinstance(manifest, SeriesManifest) else "record without that value"
    return f"against the same {kind}"


def in_words(told: Sequence[Contribution], against: str, unread: frozenset[str] = frozenset()) -> str:
    """Which fields raised and lowered the answer, strongest first, which could not be read, and which are not known."""
    known = [(one.in_words, one.log_odds) for one in told if one.log_odds is not None]
    up = sorted((item for item in known if item[1] >= QUIET), key=lambda item: -item[1])
    down = sorted((item for item in known if item[1] <= -QUIET), key=lambda item: item[1])
    absent = [one.title for one in told if one.log_odds is None and one.name not in unread]
    strange = [one.title for one in told if one.log_odds is None and one.name in unread]
    parts = [
        f"Raised by: {_listed(up)}." if up else "Nothing raised it noticeably.",
        f"Lowered by: {_listed(down)}." if down else "Nothing lowered it noticeably.",
        f"{UNREAD.capitalize()}: {_some(strange)}." if strange else "",
        f"Not known: {_some(absent)}." if absent else "",
        f"Numbers are log-odds {against}; they say what the model used, not what causes the disease.",
    ]
    return " ".join(part for part in parts if part)


def _listed(items: Sequence[tuple[str, float]]) -> str:
    named = [f"{title} ({value:+.2f})" for title, value in items[:SPOKEN]]
    return ", ".join(named) + (f" and {len(items) - SPOKEN} more" if len(items) > SPOKEN else "")


def _some(titles: Sequence[str]) -> str:
    shown = 8
    return ", ".join(titles[:shown]) + (f" and {len(titles) - shown} more" if len(titles) > shown else "")
