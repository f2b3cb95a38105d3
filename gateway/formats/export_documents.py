"""What lies beside the files of a research export: a manifest for programs and a report for people.

Neither names a patient, an identifier of this gateway or a path on its machine.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import datetime
from typing import Any

from gateway.domain.export import Exported

FORMAT = "dxgate-export/1"
GROUPED_BY = ("age band", "sex", "modality", "body part", "study year")
UNCHANGED_SITE = "all objects come from this one gateway, so the site does not tell patients apart"


def manifest(done: Exported, at: datetime) -> str:
    """JSON: what was asked for, what left, what was withheld, how the header was cleaned."""
    plan, asked = done.plan, done.plan.request
    document: dict[str, Any] = {
        "format": FORMAT,
        "export": done.id,
        "made_at": at.isoformat(timespec="seconds"),
        "recipient": asked.recipient,
        "purpose": asked.purpose,
        "deidentification": {
            "profile": done.profile,
            "edition": done.edition,
            "methods": list(done.methods),
            "dates": asked.dates,
            "actions": dict(done.counts),
        },
        "k_anonymity": {
            "k": asked.k,
            "grouped_by": list(GROUPED_BY),
            "age_band_years": plan.band_years,
            "groups": plan.groups,
            "smallest_group": plan.smallest_group,
        },
        "pixels": {"unsearched_allowed": asked.allow_unsearched_pixels, "objects": _pixels(done)},
        "checker": {"passed": plan.objects, "failed": 0},
        "exported": {
            "patients": plan.patients,
            "studies": len(plan.studies),
            "objects": plan.objects,
            "bytes": done.bytes,
        },
        "withheld": dict(plan.withheld),
    }
    return json.dumps(document, ensure_ascii=False, indent=2) + "\n"


def report(done: Exported, at: datetime) -> str:
    """Markdown, one page, for whoever has to answer for the export."""
    plan, asked = done.plan, done.plan.request
    lines = [
        f"# Export {done.id}",
        "",
        f"Made {at:%Y-%m-%d %H:%M} UTC for {_plain(asked.recipient)}. Purpose: {_plain(asked.purpose)}.",
        "",
        f"{plan.objects} objects of {len(plan.studies)} studies of {plan.patients} patients, {done.bytes} bytes.",
        "",
        "## Withheld",
        "",
        *(f"- {count} objects: {reason}" for reason, count in plan.withheld.items()),
        *([] if plan.withheld else ["Nothing."]),
        "",
        "## How the headers were cleaned",
        "",
        f"Profile `{done.profile}` of PS3.15 {done.edition}, methods {', '.join(done.methods)} (CID 7050). "
        f"Dates are {asked.dates}. Pseudonyms, UIDs and date shifts are this recipient's own.",
        "",
        "## Pixels",
        "",
        *(f"- {count} objects: {words}" for words, count in _pixels(done).items()),
        "",
        "## Groups (k-anonymity)",
        "",
        f"Grouped by {', '.join(GROUPED_BY)}; ages in bands of {plan.band_years} years, written as the lowest age of "
        f"the band. k = {asked.k}; {plan.groups} groups, the smallest of {plan.smallest_group} patients; "
        f"{UNCHANGED_SITE}.",
        "",
        "## Checks",
        "",
        f"The independent checker passed {plan.objects} of {plan.objects} files; it looked for this gateway's own "
        "pseudonyms too. `sha256sum -c SHA256SUMS` checks the copy. Read `inventory.csv` before it is handed over: "
        "every distinct value of every attribute stands there once.",
        "",
    ]
    return "\n".join(lines)


_SAID_OF_PIXELS = {
    "clean": "searched, no text found",
    "masked": "searched, text overwritten",
    "released": "released by a person",
    "exempt": "not searched: the rule for this kind of object asks for no search",
}


def _pixels(done: Exported) -> dict[str, int]:
    counted = Counter(_SAID_OF_PIXELS[one.pixels] for study in done.plan.studies for one in study.instances)
    return dict(sorted(counted.items()))


def _plain(text: str) -> str:
    """Text of a person inside Markdown: it can neither mark up nor link."""
    return "".join(f"\\{char}" if char in r"\`*_{}[]<>()#+-!|~" else char for char in text).rstrip(".")
