"""`dxgate model report`: what each model did in a month, as a page, as CSV, or as lines on the screen."""

from __future__ import annotations

import argparse
from datetime import UTC, datetime
from pathlib import Path

from gateway.commands.output import print_rows, row_of, tell
from gateway.config import LoadedSettings
from gateway.domain.errors import Conflict, Invalid

FIRST_YEAR, LAST_YEAR = 2000, 2999
SHOWN = (
    "model",
    "state",
    "answers",
    "inconclusive",
    "images",
    "refused_images",
    "reviewed",
    "override_rate",
    "compared",
    "agreement",
    "shifted",
)


def report(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """Of the month given as YYYY-MM, in UTC; files that exist are not overwritten."""
    from gateway import wiring
    from gateway.formats import model_month

    since, before = _month(arguments.month)
    models, pairs = wiring.read_month(loaded.settings)(since, before)
    site = loaded.settings.gateway.organization
    if arguments.csv:
        _write(Path(arguments.csv), model_month.csv_rows(arguments.month, models, pairs))
    if arguments.page:
        _write(Path(arguments.page), model_month.page(arguments.month, site, models, pairs))
    shifted = model_month.SHIFTED
    rows = [
        row_of(each)
        | {
            "refused_images": each.refused_images,
            "reviewed": each.reviews.reviewed,
            "override_rate": each.reviews.override_rate,
            "compared": each.agreement.agreement.of,
            "agreement": each.agreement.agreement.value,
            "shifted": [name for name, one in each.drifts.items() if one.is_shifted(shifted)],
        }
        for each in models
    ]
    print_rows(rows, SHOWN, as_json=arguments.json)
    return 0


def _month(text: str) -> tuple[datetime, datetime]:
    try:
        since = datetime.strptime(f"{text}-01", "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise Invalid("a month is given as YYYY-MM") from None
    if f"{since:%Y-%m}" != text or not FIRST_YEAR <= since.year <= LAST_YEAR:
        raise Invalid(f"a month is given as YYYY-MM, from {FIRST_YEAR} to {LAST_YEAR}")
    return since, since.replace(year=since.year + since.month // 12, month=since.month % 12 + 1)


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8", newline="") as out:
            out.write(text)
    except FileExistsError:
        raise Conflict(f"{path} exists") from None
    except OSError as error:
        raise Invalid(f"{path} cannot be written: {error.strerror}") from error
    tell(f"{path} is written")
