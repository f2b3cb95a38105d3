"""VCF files that a patient's resources carry: which attachments they are, and what they say at the sites asked for.

A DocumentReference (GenomicDataFile of Genomics Reporting), a Media, or an Observation by R5's `value[x]` extension.
Only bytes inside the resource are read: the gateway fetches nothing from an address that a sender names.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Final

from gateway.domain.errors import GatewayError
from gateway.domain.record import Site, SiteCall
from gateway.flow.record.concept import dicts
from gateway.formats.vcf import read_vcf

Resource = Mapping[str, Any]
MOST_FILES: Final = 4  # of one record, the newest
OBSERVED: Final = ("final", "amended", "corrected")  # states of an Observation that counts
ATTACHED: Final = "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.value"
_TYPES: Final = frozenset({"text/vcf", "application/vcf", "text/x-vcf", "application/x-vcf", "application/vcf+gzip"})
_OTHERS: Final = frozenset({"application/gzip", "application/x-gzip", "text/plain", "application/octet-stream"})
_CURRENT: Final = {"DocumentReference": ("current",), "Media": ("completed",)}
_MOST_ATTACHMENTS: Final = 8  # of one resource
_MOST_REASONS: Final = MOST_FILES + 2  # one for each file, for reports in other words, for variants beyond the bound
NAMED: Final = 12  # sites that are named in a reason
_APART: Final = 1 << 24  # between the phases of one source and those of the next


@dataclass(frozen=True)
class Heard:
    """What one source says: calls, sites that it mentions without confidence, and why it says nothing at all."""

    source: str
    calls: tuple[SiteCall, ...] = ()
    doubtful: tuple[str, ...] = ()
    unread: str = ""


def holds_vcf(resource: Resource) -> bool:
    return next(_attachments(resource), None) is not None


def genome_files(resources: Sequence[Resource], sites: Sequence[Site]) -> list[Heard]:
    """The newest files that count, in the order of their time."""
    counted = [one for one in resources if counts(one) and holds_vcf(one)]
    counted.sort(key=lambda one: str(one.get("date") or one.get("issued") or one.get("createdDateTime") or ""))
    files = [(one, found) for one in counted[-MOST_FILES:] for found in _attachments(one)]
    return [_heard(one, found, sites) for one, found in files[-MOST_FILES:]]


def agreed(heard: Sequence[Heard]) -> tuple[SiteCall, ...]:
    """Calls of all sources, by site; where a source doubts a site or says something else, it is not known. Where two
    phase it differently, its phase is not."""
    found: dict[str, SiteCall] = {}
    doubtful = {site for one in heard for site in one.doubtful}
    unphased = _phased_differently(heard)
    for number, one in enumerate(heard):
        for call in one.calls:
            was = found.get(call.site)
            if was is not None and sorted((was.first, was.second)) != sorted((call.first, call.second)):
                doubtful.add(call.site)
            elif was is None or (call.phase and not was.phase):
                phase = call.phase + number * _APART if call.phase and call.site not in unphased else 0
                found[call.site] = SiteCall(call.site, call.first, call.second, phase)
    return tuple(found[site] for site in sorted(found) if site not in doubtful)


def _phased_differently(heard: Sequence[Heard]) -> set[str]:
    """Sites that two sources each phase with each other, one so and one the other way round."""
    found: set[str] = set()
    told = ({call.site: call for call in one.calls if call.phase and call.first != call.second} for one in heard)
    for one, other in combinations([each for each in told if each], 2):
        ways: dict[tuple[int, int], dict[bool, list[str]]] = {}
        for site in one.keys() & other.keys():
            own, again = one[site], other[site]
            ways.setdefault((own.phase, again.phase), {}).setdefault(own.first == again.first, []).append(site)
        found.update(site for way in ways.values() if len(way) > 1 for listed in way.values() for site in listed)
    return found


def doubts(heard: Sequence[Heard], calls: Sequence[SiteCall]) -> tuple[str, ...]:
    """Why sources say nothing, and which sites they name in vain; no word of a patient."""
    told = list(dict.fromkeys(one.unread for one in heard if one.unread))[:_MOST_REASONS]
    called = {one.site for one in calls}
    vain = sorted({site for one in heard for site in (*one.doubtful, *(call.site for call in one.calls))} - called)
    if vain:
        more = f" and {len(vain) - NAMED} more" if len(vain) > NAMED else ""
        told.append(f"told without confidence, or in contradiction: {', '.join(vain[:NAMED])}{more}")
    if heard and not called and not told:
        told.append("no position of the tables is told with confidence")
    return tuple(told)


def counts(resource: Resource) -> bool:
    """Whether what a resource holds is current and final."""
    kind = str(resource.get("resourceType"))
    if kind == "Observation":
        return resource.get("status") in OBSERVED
    return resource.get("status") in _CURRENT.get(kind, ()) and resource.get("docStatus", "final") in (
        "final",
        "amended",
    )


def _attachments(resource: Resource) -> Iterator[Mapping[str, Any]]:
    """Those whose type says VCF, or whose type is a general one and whose title ends as a VCF's name does."""
    for one in _candidates(resource)[:_MOST_ATTACHMENTS]:
        kind = str(one.get("contentType", "")).partition(";")[0].strip().lower()
        named = str(one.get("title", "")).lower().endswith((".vcf", ".vcf.gz", ".vcf.bgz"))
        if kind in _TYPES or (kind in _OTHERS and named):
            yield one


def _candidates(resource: Resource) -> list[Mapping[str, Any]]:
    kind = resource.get("resourceType")
    if kind == "DocumentReference":
        found = [one.get("attachment") for one in dicts(resource.get("content"))]
    elif kind == "Media":
        found = [resource.get("content")]
    elif kind == "Observation":
        said = dicts(resource.get("extension"))
        found = [one.get("valueAttachment") for one in said if one.get("url") == ATTACHED]
    else:
        found = []
    return [one for one in found if isinstance(one, Mapping)]


def _heard(resource: Resource, attachment: Mapping[str, Any], sites: Sequence[Site]) -> Heard:
    source = f"{resource['resourceType']}/{resource.get('id')}"
    data = attachment.get("data")
    if not isinstance(data, str):
        return Heard(source, unread="a VCF was named by an address, and is read only as data of the attachment")
    try:
        content = base64.b64decode("".join(data.split()), validate=True)  # FHIR allows white space
    except ValueError:
        return Heard(source, unread="the data of a VCF attachment are not base64")
    try:
        found = read_vcf(content, sites)
    except GatewayError as error:
        return Heard(source, unread=f"a VCF was not read: {error}")
    return Heard(source, found.calls, found.doubtful)
