"""Which codes of a final report say which label of a model: the built-in table, and the one of the site.

It stands outside the packs, whose signatures cover their manifests (decision 20), and outside `models`, which the
process that receives reports does not load.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, Final

from gateway.domain.agreement import CodedAnswer
from gateway.domain.errors import Invalid

BUILT_IN: Final = Path(__file__).with_name("data") / "agreement.toml"
OWN_SYSTEM: Final = "urn:dxgate:finding"
MOST_BYTES: Final = 1 << 20
MOST_QUESTIONS: Final = 200
MOST_LABELS: Final = 20
MOST_CODES: Final = 500  # of one label
_WORD: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,127}")
_SYSTEM: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:[^\s|]{1,250}")
_CODE: Final = re.compile(r"\S{1,64}")
Coding = tuple[str, str]
"""System and code."""


@dataclass(frozen=True)
class LabelCodes:
    """`absent_means`: the label that is said where what the codes name is denied; empty for none."""

    name: str
    codes: frozenset[Coding]
    absent_means: str = ""


@dataclass(frozen=True)
class QuestionCodes:
    """`positive` is the label that counts as positive."""

    system: str
    value: str
    positive: str
    labels: tuple[LabelCodes, ...]

    def answer(self, said: Collection[Coding], denied: Collection[Coding]) -> CodedAnswer | None:
        """None where no code is about it."""
        labels = {one.name for one in self.labels if not one.codes.isdisjoint(said)}
        labels |= {one.absent_means for one in self.labels if one.absent_means and not one.codes.isdisjoint(denied)}
        if not labels:
            return None
        known = tuple(sorted(one.name for one in self.labels))
        return CodedAnswer(self.system, self.value, tuple(sorted(labels)), known, self.positive)


def answers(
    questions: Sequence[QuestionCodes], said: Collection[Coding], denied: Collection[Coding]
) -> tuple[CodedAnswer, ...]:
    """What codes that were said, and codes of what was denied, answer."""
    found = (one.answer(said, denied) for one in questions)
    return tuple(one for one in found if one is not None)


@cache
def read(site: str = "") -> tuple[QuestionCodes, ...]:
    """The built-in questions and those of the file `site`, which replace built-in ones of the same name.

    Invalid, naming the file and the place, where one of them cannot be used.
    """
    known = {(one.system, one.value): one for one in parsed(BUILT_IN.read_text("utf-8"), BUILT_IN.name)}
    if site:
        known |= {(one.system, one.value): one for one in parsed(_text(Path(site).expanduser()), site)}
    return tuple(known[name] for name in sorted(known))


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
        if len(content) > MOST_BYTES:
            raise Invalid(f"{path} (models.agreement_codes) has more than {MOST_BYTES} bytes")
        return content.decode("utf-8")
    except (OSError, UnicodeDecodeError):
        raise Invalid(f"{path} (models.agreement_codes) cannot be read as text in UTF-8") from None


def parsed(text: str, name: str) -> list[QuestionCodes]:
    try:
        page = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise Invalid(f"{name}: {error}") from None
    _check(set(page) <= {"question"}, name, "holds [[question]] and nothing else")
    told = _tables(page.get("question"), MOST_QUESTIONS, name)
    found = [_question(one, f"{name} question {place}") for place, one in enumerate(told, 1)]
    names = {(one.system, one.value) for one in found}
    _check(len(names) == len(found), name, "asks a question twice")
    return found


def _question(told: Mapping[str, Any], place: str) -> QuestionCodes:
    _check(
        set(told) <= {"system", "value", "positive", "label"}, place, "holds system, value, positive and [[label]] only"
    )
    labels = [_label(one, place) for one in _tables(told.get("label"), MOST_LABELS, place)]
    names = [one.name for one in labels]
    _check(len(labels) >= 2 and len(set(names)) == len(names), place, "needs two labels or more, each named once")
    _check(told.get("positive") in names, place, "positive is one of its labels")
    _check(all(one.absent_means in ("", *names) for one in labels), place, "absent_means is one of its labels")
    _check(all(one.absent_means != one.name for one in labels), place, "absent_means is another label")
    codes = [code for one in labels for code in one.codes]
    _check(len(codes) == len(set(codes)), place, "gives one code to two labels")
    return QuestionCodes(
        _matched(_SYSTEM, told.get("system", OWN_SYSTEM), place, "system is a URI"),
        _matched(_WORD, told.get("value"), place, "value is the code of the manifest's question"),
        str(told["positive"]),
        tuple(labels),
    )


def _label(told: Mapping[str, Any], place: str) -> LabelCodes:
    _check(set(told) <= {"name", "codes", "absent_means"}, place, "a label holds name, codes and absent_means only")
    name = _matched(_WORD, told.get("name"), place, "a label has the name that the manifest gives it")
    pairs = told.get("codes", [])
    fits = isinstance(pairs, list) and len(pairs) <= MOST_CODES
    _check(fits and all(isinstance(one, list) and len(one) == 2 for one in pairs), place, "codes are [system, code]")
    codes = frozenset(
        (_matched(_SYSTEM, system, place, "the system of a code is a URI"), _matched(_CODE, code, place, "a code"))
        for system, code in pairs
    )
    absent = told.get("absent_means", "")
    _check(isinstance(absent, str), place, "absent_means is a label")
    return LabelCodes(name, codes, str(absent))


def _tables(value: Any, most: int, place: str) -> list[Mapping[str, Any]]:
    told = value if isinstance(value, list) else []
    _check(value is None or isinstance(value, list), place, "is written with double brackets")
    _check(all(isinstance(one, dict) for one in told) and len(told) <= most, place, f"has at most {most} tables")
    return told


def _matched(pattern: re.Pattern[str], value: Any, place: str, what: str) -> str:
    _check(isinstance(value, str) and pattern.fullmatch(value) is not None, place, what)
    return str(value)


def _check(holds: bool, place: str, what: str) -> None:
    if not holds:
        raise Invalid(f"{place}: {what}")
