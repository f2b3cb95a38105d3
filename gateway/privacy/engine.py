"""Header de-identification of one DICOM object: one walk over the spans, one list of edits.

PS3.15 annex E under a compiled profile, at every nesting depth. Pixel data is never copied; what is taken out
is returned packed, so that the vault can give the original back bit for bit.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import cache
from threading import BoundedSemaphore

from gateway.domain.clearance import Deidentification
from gateway.domain.errors import Invalid
from gateway.privacy import edits as editing
from gateway.privacy.allow_list import restricted
from gateway.privacy.charset import DEFAULT
from gateway.privacy.dataset import (
    DEFAULT_LIMITS,
    DEFLATED_SYNTAXES,
    DataSet,
    Element,
    Encoding,
    Limits,
    deflate,
    inflate,
    parse,
)
from gateway.privacy.edits import Edit
from gateway.privacy.identifiers import NOTHING, charset_of, harvest
from gateway.privacy.identity import OriginalIdentity, identity_key
from gateway.privacy.instance_header import InstanceHeader, read_header
from gateway.privacy.part10 import file_header, split
from gateway.privacy.pseudonyms import IdentityKey, Pseudonymiser
from gateway.privacy.read_identity import read_identity
from gateway.privacy.rewriter import Rewriter
from gateway.privacy.rules import EDITION, Profile, Rules
from gateway.privacy.stamps import ANSWERS, METHOD, METHOD_CODES, REMOVED_FLAG, TEMPORAL, PixelMethod, stamps

_REQUIRED = {0x00080016: "SOP Class UID", 0x00080018: "SOP Instance UID", 0x0020000E: "Series Instance UID"}
_STAMPED = frozenset({REMOVED_FLAG, METHOD, METHOD_CODES, TEMPORAL})

_INFLATING = BoundedSemaphore(2)
"""A megabyte on the wire may inflate to a gigabyte, which no budget of received bytes sees: so few at a time."""


@dataclass(frozen=True)
class Deidentified:
    """One object without its identity, and what the vault has to keep of it."""

    parts: list[bytes | memoryview] = field(repr=False)
    header: InstanceHeader
    identity: OriginalIdentity
    key: IdentityKey
    removed: bytes = field(repr=False)
    record: Deidentification


def deidentify(
    data: bytes | bytearray | memoryview,
    transfer_syntax: str,
    rules: Rules,
    pseudonymiser_for: Callable[[IdentityKey], Pseudonymiser],
    limits: Limits = DEFAULT_LIMITS,
    *,
    pixels: frozenset[PixelMethod] = frozenset(),
) -> Deidentified:
    """A complete Part 10 file of the data set without identity, in the same transfer syntax.

    `data` is the data set as received, without group 0002; the parts may be slices of it. `pixels` names what the
    caller has done to the pixels, to be stamped. Raises Invalid where the data set cannot be read whole, or names
    no study, series, instance or class; Unsupported where the profile has an allow-list without this class.
    """
    with _INFLATING if transfer_syntax in DEFLATED_SYNTAXES else nullcontext():
        return _deidentify(data, transfer_syntax, rules, pseudonymiser_for, limits, pixels=pixels)


def _deidentify(
    data: bytes | bytearray | memoryview,
    transfer_syntax: str,
    rules: Rules,
    pseudonymiser_for: Callable[[IdentityKey], Pseudonymiser],
    limits: Limits,
    *,
    pixels: frozenset[PixelMethod],
) -> Deidentified:
    data_set = parse(data, transfer_syntax, limits)
    top = {element.tag: element for element in data_set.elements}
    for tag, name in _REQUIRED.items():
        if tag not in top or top[tag].value == top[tag].end or top[tag].vr != "UI":
            raise Invalid(f"the data set has no {name} ({tag >> 16:04X},{tag & 0xFFFF:04X}) of VR UI")
    charset = charset_of(data_set, data_set.elements, DEFAULT)
    identity = read_identity(data_set, top, charset)
    key = identity_key(identity)
    sop_class = data_set.value(top[0x00080016])[:64].tobytes().decode("latin-1").strip(" \0")
    if rules.profile.allow_list:
        rules = restricted(rules, sop_class)
    identifiers = harvest(data_set, charset, rules.retained)
    rewriter = Rewriter(data_set, rules, pseudonymiser_for(key), key, identifiers, sop_class=sop_class)
    answers = frozenset(ANSWERS[method] for method in pixels)
    rewriter.rewrite(answers)
    marks = _insertions(data_set, _stamps(data_set, top, rules.profile, identifiers, pixels))
    marks += [Edit(top[tag].start, top[tag].end, b"") for tag in answers if tag in top]
    edits = editing.in_order(rewriter.edits + marks)
    body = editing.apply(data_set.source, edits)
    if transfer_syntax in DEFLATED_SYNTAXES:
        body = [deflate(body)]
    header = read_header(data_set, top, rewriter.values)
    meta = file_header(header.sop_class_uid, header.sop_instance_uid, transfer_syntax)
    counts = {str(action): count for action, count in sorted(rewriter.counts.items()) if count}
    methods = tuple(sorted({*rules.profile.methods, *(method.value[0] for method in pixels)}))
    record = Deidentification(rules.profile.name, EDITION, methods, counts)
    return Deidentified([meta, *body], header, identity, key, _inverse(data_set.source, edits), record)


def restore(file: bytes | memoryview | list[bytes | memoryview], removed: bytes) -> bytes:
    """The original data set from a de-identified file and what was removed from it.

    Bit for bit what was received; of a deflated data set the inflated content, deflated anew. Storage commitment
    may be promised only for objects that this, after `restore_pixels` (masked_file.py), can still give back: not
    where the removed part was not kept, and not after the patient's secret is destroyed.
    """
    whole = b"".join(file) if isinstance(file, list) else file
    transfer_syntax, body = split(whole)
    deflated = transfer_syntax in DEFLATED_SYNTAXES
    source = memoryview(inflate(body, DEFAULT_LIMITS.inflated)) if deflated else body
    edits, length = editing.unpack(removed, len(source))
    parts = editing.apply(source, edits)
    if sum(map(len, parts)) != length:
        raise Invalid("what was removed does not fit this object")
    return deflate(parts) if deflated else b"".join(parts)


def _stamps(
    data_set: DataSet,
    top: dict[int, Element],
    profile: Profile,
    identifiers: re.Pattern[str],
    pixels: frozenset[PixelMethod],
) -> list[tuple[int, bytes]]:
    """Always the same where the object bears no earlier stamps, as most do."""
    if _STAMPED.isdisjoint(top):
        return _first_stamps(data_set.encoding, profile, pixels)
    return stamps(data_set, top, profile, identifiers, pixels)


@cache
def _first_stamps(encoding: Encoding, profile: Profile, pixels: frozenset[PixelMethod]) -> list[tuple[int, bytes]]:
    return stamps(DataSet(memoryview(b""), encoding, []), {}, profile, NOTHING, pixels)


def _insertions(data_set: DataSet, elements: list[tuple[int, bytes]]) -> list[Edit]:
    """Insert each element before the first one of a higher or equal tag."""
    tags = [element.tag for element in data_set.elements]
    starts = [element.start for element in data_set.elements] + [len(data_set.source)]
    places = [starts[bisect_left(tags, tag)] for tag, _ in elements]
    return [Edit(place, place, new) for place, (_, new) in zip(places, elements, strict=True)]


def _inverse(source: memoryview, edits: list[Edit]) -> bytes:
    """What turns the de-identified data set back into `source`, packed."""
    length = len(source) + sum(len(edit.new) - (edit.end - edit.start) for edit in edits)
    return editing.pack(editing.invert(source, edits), length, len(source))
