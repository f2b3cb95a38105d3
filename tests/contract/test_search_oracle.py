"""Every kind of parameter against an oracle: random questions, asked of the index and of plain code over FHIRPath."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import pytest
from harness.indexed import store
from harness.search_data import BIRTHS, DATES, UCUM, UNITS, Ward
from harness.search_oracle import BASE, CURRENCIES, elements, fits
from sqlalchemy import delete

from gateway.domain.errors import Unsupported
from gateway.domain.resource import Change, StoredVersion
from gateway.domain.search_parameter import Parameter
from gateway.flow.record.open import OpenResources
from gateway.flow.record.reindex import Reindex
from gateway.flow.record.search import SearchResources
from gateway.formats.fhir.element import Resource, encode
from gateway.formats.fhir.search.parameters import parameters
from gateway.formats.fhir.search.query import search_query
from gateway.formats.fhir.search.read_wanted import Reading
from gateway.ports import UnitOfWork
from gateway.storage import index_tables
from gateway.storage.database import SqlDatabase

PREFIXES = ("", "eq", "ne", "gt", "lt", "ge", "le", "sa", "eb")
PER_PARAMETER = 4


class Questions:
    """Questions about one parameter, made from what some resource says and from its neighbours."""

    def __init__(self, parameter: Parameter, known: list[Resource], random: Random) -> None:
        self._parameter, self._known, self._random = parameter, known, random

    def __iter__(self) -> Iterator[tuple[str, str]]:
        nodes = [node for each in self._known for node in elements(each, self._parameter)]
        for _ in range(PER_PARAMETER if nodes else 0):
            if self._random.random() < 0.1 and self._parameter.kind != "composite":
                yield "missing", self._random.choice(("true", "false"))
            else:
                yield getattr(self, f"_{self._parameter.kind}")(self._random.choice(nodes))

    def _escaped(self, text: str) -> str:
        for special in "\\,|$":
            text = text.replace(special, f"\\{special}")
        return text

    def _token(self, node: Any) -> tuple[str, str]:
        choose = self._random.choice
        if not isinstance(node, dict):
            text = str(node).lower() if isinstance(node, bool) else node
            return choose(("", "not")), choose((text, f"{text},other"))
        if choose((0, 0, 0, 1)) and node.get("text"):
            return "text", choose((node["text"], node["text"][:4].upper()))
        if choose((0, 1)) and node.get("type"):
            coding = node["type"]["coding"][0]
            return "of-type", f"{coding['system']}|{coding['code']}|{self._escaped(node['value'])}"
        coding = choose(node["coding"]) if "coding" in node else node
        code, system = self._escaped(coding.get("code", coding.get("value"))), coding.get("system", "")
        forms = (code, f"{system}|{code}", f"|{code}", f"{code},{system}|nothing", f"urn:other|{code}")
        return choose(("", "", "not")), choose((*forms, f"{system}|") if system else forms)

    def _reference(self, node: Any) -> tuple[str, str]:
        choose = self._random.choice
        if isinstance(node, str):
            return "", choose((node, node.partition("|")[0]))
        if "identifier" in node:
            return "identifier", choose((f"urn:mrn|{node['identifier']['value']}", node["identifier"]["value"]))
        target = node["reference"].partition("/_history/")[0].removeprefix(f"{BASE}/")
        if target.startswith("#"):
            return "", f"{choose(self._parameter.targets)}/r1"
        kind, own_id = target.split("/")[-2:]
        if "://" in target or kind not in self._parameter.targets:
            return "", target
        return choose(
            (("", target), ("", own_id), (kind, own_id), ("", f"{BASE}/{target}"), ("", f"{target},{kind}/r3"))
        )

    def _date(self, node: Any) -> tuple[str, str]:
        asked = self._random.choice(
            BIRTHS if self._parameter.is_hidden else (*DATES, "2024-03-01T00:00Z", "2024-02-29T23:30:00Z")
        )
        return "", f"{self._random.choice(PREFIXES)}{asked}"

    def _string(self, node: Any) -> tuple[str, str]:
        texts = (
            [node]
            if isinstance(node, str)
            else [each for value in node.values() for each in ([value] if isinstance(value, str) else value)]
        )
        text = self._escaped(self._random.choice(texts))
        cut = self._random.choice((text, text[:3], text[:4].upper(), text[:5], text[:6].lower(), text[:1]))
        if self._random.random() < 0.3:
            return "exact", text
        if not self._parameter.is_hidden and self._random.random() < 0.5:
            return "contains", text[2:6] or text
        return "", cut

    def _number(self, node: Any) -> tuple[str, str]:
        number = self._random.choice((node, "0.5", "0.50", "1", "150", "200.0"))
        return (
            "",
            f"{self._random.choice((*PREFIXES, 'ap'))}{number}",
        )

    def _quantity(self, node: Any) -> tuple[str, str]:
        choose = self._random.choice
        value = choose(("72.5", "72.50", "72", "5", "5.0", "72500", "0.0725", "120", "160", "40", "45", "1", "60"))
        unit = choose(
            ("", f"|{UCUM}|{choose(UNITS)}", f"|{UCUM}|{choose((*UNITS, 'a', 'min', 'h'))}", f"||{choose(UNITS)}")
        )
        if node is not None and "currency" in node:
            unit = choose(("", f"|{CURRENCIES}|SEK", "||EUR", f"|{UCUM}|SEK"))
        return "", f"{choose((*PREFIXES, 'ap'))}{value}{unit}"

    def _uri(self, node: Any) -> tuple[str, str]:
        return self._random.choice(("", "below", "above")), self._random.choice(
            (node, "http://a.example/q/1", "http://a.example")
        )

    def _composite(self, node: Any) -> tuple[str, str]:
        words = []
        for part in self._parameter.parts:
            words.append(
                {
                    "token": lambda: self._random.choice(
                        (
                            "http://loinc.org|29463-7",
                            "29463-7",
                            "8480-6",
                            "|29463-7",
                            "age",
                            "1",
                            "urn:chr|X",
                            "replaces",
                            "signs",
                        )
                    ),
                    "quantity": lambda: self._quantity(None)[1],
                    "date": lambda: self._date(None)[1],
                    "string": lambda: self._random.choice(("Body", "systolic", "Weight")),
                    "number": lambda: (
                        f"{self._random.choice(('', 'ge', 'lt'))}{self._random.choice((100, 101, 110, 200, 202, 300))}"
                    ),
                    "reference": lambda: f"DocumentReference/r{self._random.randrange(3)}",
                }[part.kind]()
            )
        return "", "$".join(words)


KINDS = (
    "Patient", "Observation", "Condition", "DiagnosticReport", "Organization", "Encounter", "Questionnaire",
    "MolecularSequence", "RiskAssessment", "DocumentReference", "Appointment", "Slot", "ChargeItem",
)  # fmt: skip


@dataclass(frozen=True)
class Question:
    """One search, and what the oracle says to it."""

    parameter: Parameter
    name: str
    value: str
    of: int
    expected: frozenset[str]

    @property
    def tells_apart(self) -> bool:
        return 0 < len(self.expected) < self.of


@pytest.fixture(scope="module")
def known() -> list[Resource]:
    return Ward(20261128).resources(280)


@pytest.fixture(scope="module")
def questions(known: list[Resource]) -> list[Question]:
    """Asked once for both databases."""
    random = Random(7)
    found = []
    for kind in KINDS:
        mine = [each for each in known if each["resourceType"] == kind]
        for parameter in parameters(kind).values():
            if parameter.is_phonetic or parameter.code in ("_id", "_lastUpdated"):
                continue
            for modifier, value in Questions(parameter, mine, random):
                expected = frozenset(each["id"] for each in mine if fits(each, parameter, modifier, value))
                name = f"{parameter.code}:{modifier}" if modifier else parameter.code
                found.append(Question(parameter, name, value, len(mine), expected))
    return found


def test_the_index_finds_what_the_oracle_says(
    database: SqlDatabase, known: list[Resource], questions: list[Question]
) -> None:
    """Hundreds of random questions over thirteen types: exactly the same resources, whatever the kind and modifier."""
    with database.begin("tester") as unit:
        changes = {change.stored.key: change for change in store(unit, known).values()}
        asked = check(unit, changes, questions)
    assert set(asked) == {"token", "reference", "date", "string", "number", "quantity", "uri", "composite", "telling"}
    assert asked.total() > 500
    assert asked["telling"] > 150


def test_an_index_written_anew_finds_the_same(
    database: SqlDatabase, known: list[Resource], questions: list[Question]
) -> None:
    """A quarter of the questions, after every row of the index was lost and made again from the stored bodies."""
    with database.begin("tester") as unit:
        changes = {change.stored.key: change for change in store(unit, known).values()}
        for table in index_tables.ALL:
            unit._transaction.execute(delete(table))
        unit.commit()
    done = Reindex(database, Bodies(changes), pause=lambda _: None)("tester")
    assert (done.done, done.failed) == (len(known), 0)
    with database.begin("tester") as unit:
        assert check(unit, changes, questions[::4])["telling"] > 30


class Bodies(OpenResources):
    """What was stored, without a vault."""

    def __init__(self, changes: Mapping[int, Change]) -> None:
        object.__setattr__(self, "_changes", changes)

    def unseen(self, unit: UnitOfWork, stored: StoredVersion) -> bytes:
        changes: Mapping[int, Change] = vars(self)["_changes"]
        return encode(dict(changes[stored.key].resource or {}))


def check(unit: UnitOfWork, changes: Mapping[int, Change], questions: Sequence[Question]) -> Counter[str]:
    """How many were asked of each kind, and how many of them tell resources apart."""
    asked: Counter[str] = Counter()
    search = SearchResources(lambda stored: encode(dict(changes[stored.key].resource or {})), BASE)
    for each in questions:
        kind = each.parameter.on
        try:
            query = search_query(kind, [(each.name, each.value), ("_count", "200")], Reading(BASE))
            page = search(unit, query, may_read=lambda _: True)
        except Unsupported:
            continue
        assert {shown.stored.id for shown in page.matches} == each.expected, (kind, each.name, each.value)
        asked[each.parameter.kind] += 1
        asked["telling"] += each.tells_apart
    return asked
