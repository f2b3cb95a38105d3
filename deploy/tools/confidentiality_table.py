"""Writes deploy/privacy/attributes.md: what happens to each attribute, from the compiled rules, for the officer.

`python deploy/tools/confidentiality_table.py` rewrites the page; `--check` only compares. One row for each
attribute that PS3.15 lists, grouped by what a received object's header goes through; then the rules by VR for all
others, the content items of structured reports, and the kinds of object.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from gateway.privacy.content_items import Treatment, treatments
from gateway.privacy.dictionary import writable_vr
from gateway.privacy.disposition import KINDS
from gateway.privacy.rules import (
    EDITION,
    EXPORT,
    INFERENCE,
    Action,
    compile_rules,
    published_table,
    table_rows,
)

PAGE = Path(__file__).resolve().parents[2] / "deploy" / "privacy" / "attributes.md"
WORDS = {
    Action.KEEP: "kept",
    Action.DESCEND: "items cleaned one by one",
    Action.REMOVE: "removed",
    Action.EMPTY: "emptied",
    Action.DUMMY: "replaced by a dummy",
    Action.UID: "replaced by a pseudonymous UID",
    Action.SHIFT: "moved by the patient's shift",
    Action.HOUR: "cut to the hour",
    Action.TIME: "kept where it is a time",
    Action.NUMBER: "kept where it is a number",
    Action.PLAIN_UID: "kept where it is a UID",
    Action.TERM: "kept where it is a term of PS3.3",
    Action.SCAN: "kept where it holds no identifier of the patient",
    Action.CLEAN: "kept where every word is technical",
    Action.AGE: "kept, capped at 90 years",
    Action.CHARSET: "kept where it names character sets",
    Action.PATIENT_ID: "replaced by the patient's pseudonym",
    Action.ACCESSION: "replaced by a pseudonym",
    Action.STAMP: "written by the gateway",
    Action.BY_TYPE: "removed, emptied or replaced by a dummy, as the object's IOD requires",
}
TREATED = WORDS | {Action.DESCEND: "kept, its references replaced", Action.SHIFT: "moved by the patient's shift"}
FALLBACK = {Action.CLEAN: "where every word is technical", Action.SCAN: "where it holds no identifier"}


def main() -> int:
    """Write the page, or say by the exit status whether it is current."""
    page = rendered()
    if "--check" in sys.argv:
        return 0 if PAGE.read_text("utf-8") == page else 1
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page, "utf-8")
    return 0


def rendered() -> str:
    """The whole page."""
    return "\n".join([*_head(), *_attributes(), *_by_vr(), *_content(), *_kinds()]) + "\n"


def _head() -> Iterator[str]:
    yield "# What happens to each attribute"
    yield ""
    yield "Made from the compiled rules by `deploy/tools/confidentiality_table.py` (`make docs`); not to be edited."
    yield f"Edition of PS3.15: {EDITION}, Table E.1-1 and Table E.3.4-1. Every rule holds at every depth."
    yield ""
    for profile in (INFERENCE, EXPORT):
        names = ", ".join(sorted(option.value.replace("_", " ") for option in profile.options))
        yield f"- `{profile.name}` (methods {', '.join(profile.methods)}): basic profile with {names}."
    yield ""
    yield "`inference` is what lies sealed in the gateway and what a model reads; `export` is a research copy, in which"
    yield "only attributes of the object's own IOD stay. What is removed or changed is sealed in the vault, from which"
    yield "the header as received can be rebuilt bit for bit until the patient is erased; receipt in the sense of"
    yield "storage commitment can be promised no longer than that."


def _attributes() -> Iterator[str]:
    """The listed attributes, grouped by their action in inference."""
    rules = {profile: compile_rules(profile).actions for profile in (INFERENCE, EXPORT)}
    groups: dict[str, list[str]] = {}
    for row in sorted(table_rows(), key=lambda row: row.tag):
        here, there = (WORDS[rules[profile][row.tag]] for profile in (INFERENCE, EXPORT))
        code = " ".join([row.basic, *(f"{_short(option.value)}={how}" for option, how in row.options.items())])
        line = (
            f"| ({row.tag >> 16:04X},{row.tag & 0xFFFF:04X}) | {row.name} | {writable_vr(row.tag)} | {there} | {code} |"
        )
        groups.setdefault(here, []).append(line)
    for action, lines in sorted(groups.items(), key=lambda group: -len(group[1])):
        yield from ("", f"## In inference {action} ({len(lines)})", "")
        yield from ("| tag | attribute | VR | in export | PS3.15 |", "|---|---|---|---|---|", *lines)


def _short(option: str) -> str:
    """An option's name as the page's last column has room for."""
    words = option.removeprefix("retain_").replace("longitudinal_", "").split("_")
    return "".join(word[0] for word in words) if option.startswith("clean") else "-".join(words)


def _by_vr() -> Iterator[str]:
    yield from ("", "## Attributes that PS3.15 does not list, by VR", "")
    yield "Private attributes, overlays (60xx), curves (50xx), group 0004 and attributes unknown to PS3.6 are removed,"
    yield "and in an export whatever the object's IOD does not name. Names that may not stay are emptied."
    yield from ("", "| VR | in inference | in export |", "|---|---|---|")
    tables = [compile_rules(profile).by_vr for profile in (INFERENCE, EXPORT)]
    for vr in sorted(tables[0]):
        yield f"| {vr} | {' | '.join(WORDS[table[vr]] for table in tables)} |"


def _content() -> Iterator[str]:
    """Content items, grouped by their treatment in inference."""
    rows = published_table()["content_items"]
    assert isinstance(rows, list)  # noqa: S101 - the file's hash is pinned by a test
    meanings = {(row["code"], row["scheme"], row["value_type"]): row["meaning"] for row in rows}
    here, there = (treatments(profile.options) for profile in (INFERENCE, EXPORT))
    groups: dict[str, list[str]] = {}
    for concept, treatment in here.items():
        row = (f"{concept.code} {concept.scheme}", meanings[concept], concept.value_type, _said(there[concept]))
        groups.setdefault(_said(treatment), []).append(f"| {' | '.join(row)} |")
    yield from ("", "## Content items of structured reports", "")
    yield "Codes, numbers, coordinates and references that are not listed stay (references with replaced UIDs); a text"
    yield "that is not listed is replaced, unless in inference every word of it is technical; a name never stays."
    for action, lines in sorted(groups.items(), key=lambda group: -len(group[1])):
        yield from ("", f"### In inference {action} ({len(lines)})", "")
        yield from ("| code | concept | value type | in export |", "|---|---|---|---|", *sorted(lines))


def _said(treatment: Treatment) -> str:
    if treatment.action in FALLBACK:
        return f"kept {FALLBACK[treatment.action]}, else {TREATED[treatment.otherwise]}"
    return TREATED[treatment.action]


def _kinds() -> Iterator[str]:
    yield from ("", "## Kinds of object", "")
    yield "`original`: not searched where Image Type begins with ORIGINAL, PRIMARY and nothing says otherwise. A class"
    yield "that is not listed is quarantined. Suffixes are of 1.2.840.10008.5.1.4."
    yield from ("", "| kind | header | pixels | why | SOP classes |", "|---|---|---|---|---|")
    for kind in KINDS:
        yield f"| {kind.code} | {kind.action} | {kind.pixels} | {kind.why} | {kind.classes} |"


if __name__ == "__main__":
    sys.exit(main())
