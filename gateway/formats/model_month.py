"""The monthly report on models: one page for people, rows for a spreadsheet; both from the same figures.

Neither holds anything of a patient: counts, shares and distances alone.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from html import escape

from gateway.domain.acceptance import Acceptance
from gateway.domain.agreement import AgreementFigures
from gateway.domain.drift import LEAST, Drift
from gateway.domain.model_month import ModelMonth, ShadowPair
from gateway.domain.proportion import Share

COLUMNS = ("model", "figure", "of", "value")
_STYLE = (
    "body{font:15px/1.45 system-ui,sans-serif;margin:2rem auto;max-width:60rem;padding:0 1rem}"
    "table{border-collapse:collapse;margin:.5rem 0 1.5rem}th,td{border-bottom:1px solid #ccc;padding:.25rem .75rem;"
    "text-align:left}td{font-variant-numeric:tabular-nums}.warn{font-weight:600}"
)
SHIFTED = 0.25  # of a population stability index, by custom
Row = tuple[str, str, str, str]


def csv_rows(month: str, models: Sequence[ModelMonth], pairs: Sequence[ShadowPair]) -> str:
    """One line a figure: month, model, figure, what of, value."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(("month", *COLUMNS))
    for row in _rows(models, pairs):
        writer.writerow((month, *row))
    return out.getvalue()


def page(month: str, site: str, models: Sequence[ModelMonth], pairs: Sequence[ShadowPair]) -> str:
    """A page of its own, without script or anything from elsewhere."""
    parts = [f"<h1>Models in {escape(month)}</h1>", f"<p>{escape(site)}</p>"]
    if not models:
        parts.append("<p>No model was given work.</p>")
    for each in models:
        rows = [row[1:] for row in _of_model(each)]
        stopped = f'<p class="warn">Stopped: {escape(each.stopped)}</p>' if each.stopped else ""
        parts += [
            f"<h2>{escape(each.model)} ({escape(each.state)})</h2>",
            stopped,
            _table(("figure", "of", "value"), rows),
        ]
        parts += _drifts(each)
    if pairs:
        parts += ["<h2>In the shadow, beside what was reported</h2>", _table(COLUMNS, [*_shadow(pairs)])]
    head = f'<meta charset="utf-8"><title>Models in {escape(month)}</title><style>{_STYLE}</style>'
    return f'<!doctype html><html lang="en"><head>{head}</head><body>{"".join(parts)}</body></html>\n'


def _rows(models: Sequence[ModelMonth], pairs: Sequence[ShadowPair]) -> Iterator[Row]:
    for each in models:
        yield from _of_model(each)
        for name, found in each.drifts.items():
            for figure, value in _drift(found):
                yield each.model, figure, name, value
    yield from _shadow(pairs)


def _of_model(each: ModelMonth) -> Iterator[Row]:
    for state, count in sorted(each.ends.items()):
        yield each.model, "tasks", state, str(count)
    yield each.model, "answers", "", str(each.answers)
    yield each.model, "inconclusive", "answers", str(each.inconclusive)
    yield each.model, "images", "", str(each.images)
    for code, count in each.refusals.items():
        yield each.model, "images refused", code, str(count)
    told = each.reviews
    for verdict, count in (("as it is", told.accepted), ("changed", told.changed), ("rejected", told.rejected)):
        yield each.model, "reviewed", verdict, str(count)
    yield each.model, "override rate", "reviewed", _number(told.override_rate)
    for figure, of, value in (*_agreement(each.agreement), *_acceptance(each.acceptance)):
        yield each.model, figure, of, value


def _agreement(told: AgreementFigures) -> Iterator[tuple[str, str, str]]:
    """With the final reports received, which are compared with and prove nothing."""
    counted = {
        "received": told.received,
        "compared": told.agreement.of,
        "agreed": told.agreement.hits,
        "disagreed": told.agreement.of - told.agreement.hits,
        "answer inconclusive": told.inconclusive,
        "codes contradict, not comparable": told.contradictory,
        "no code, not comparable": told.uncoded,
        "several studies, not comparable": told.several_studies,
    }
    for of, count in counted.items():
        yield "final reports", of, str(count)
    if not told.received:
        return
    yield from _share("agreement with the final report", told.agreement)
    yield from _share("positive percent agreement", told.positive)
    yield from _share("negative percent agreement", told.negative)
    yield "Cohen's kappa", "compared", _number(told.kappa)


def _acceptance(run: Acceptance | None) -> Iterator[tuple[str, str, str]]:
    if run is None:
        yield "acceptance run", "verdict", "none"
        return
    yield "acceptance run", "verdict", run.verdict
    yield "acceptance run", "on", f"{run.at:%Y-%m-%d}"
    yield "acceptance run", "cases", str(run.scored)
    yield "acceptance run", "positive cases", str(run.positive)
    yield "acceptance run", "share refused", _number(run.refused_share)
    for name, told in (("AUC", run.auc), ("sensitivity", run.sensitivity), ("specificity", run.specificity)):
        yield "acceptance run", name, _number(told.value)
        yield "acceptance run", f"{name}, 95 % from", _number(told.low)
        yield "acceptance run", f"{name}, 95 % to", _number(told.high)
    yield "acceptance run", "AUC of the worst subgroup", _number(run.worst_auc)


def _share(figure: str, share: Share) -> Iterator[tuple[str, str, str]]:
    """With its Wilson interval, of however many there are."""
    low, high = share.interval
    yield figure, f"of {share.of}", _number(share.value)
    yield figure, "95 % from", _number(low if share.of else None)
    yield figure, "95 % to", _number(high if share.of else None)


def _drift(found: Drift) -> Iterator[tuple[str, str]]:
    yield "values before", str(found.before)
    yield "values in the month", str(found.now)
    yield "population stability index", _number(found.index)
    yield "Kolmogorov-Smirnov distance", _number(found.distance)
    yield "by chance as far", _number(found.chance)


def _drifts(each: ModelMonth) -> list[str]:
    if not each.drifts:
        return []
    names = ("compared with the 90 days before", "before", "month", "PSI", "KS distance", "by chance")
    rows = [(name, *(value for _, value in _drift(found)), _is_shifted(found)) for name, found in each.drifts.items()]
    return [f"<h3>Drift (PSI, KS; from {LEAST} values on)</h3>", _table((*names, ""), rows)]


def _is_shifted(found: Drift) -> str:
    return "shifted" if found.is_shifted(SHIFTED) else ""


def _shadow(pairs: Sequence[ShadowPair]) -> Iterator[Row]:
    for each in pairs:
        beside = f"beside {each.reported}"
        yield each.shadow, "studies answered by both", beside, str(each.studies)
        yield each.shadow, "same answer", beside, str(each.same)
        yield each.shadow, "only the shadow decided", beside, str(each.only_shadow_decided)
        yield each.shadow, "only the reported one decided", beside, str(each.only_reported_decided)
        yield each.shadow, "mean difference of probability", beside, _number(each.apart)


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in head)
    lines = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{top}</tr></thead><tbody>{lines}</tbody></table>"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4f}"
