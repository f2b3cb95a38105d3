"""Variants that a laboratory reports one by one, as genotypes at sites; what is not told is not supposed."""

from __future__ import annotations

import textwrap
from typing import Any

import pytest
from harness.genome_file import at_site, document, rules, variant, vcf

from gateway.domain.record import SiteCall
from gateway.flow.record.entries import is_read
from gateway.flow.record.genome_files import MOST_FILES, Heard, agreed, doubts, genome_files, holds_vcf
from gateway.flow.record.variants import CUT, MOST_VARIANTS, variants

ALL = rules().sites
SITES = {site.name: site for site in ALL}
STAR_2 = SITES["rs4244285"]
HET, HOM = "LA6706-1", "LA6705-3"
BY_NUMBER = {"81255-2": "rs4244285", "69551-0": "A"}
BY_CHANGE = {"81290-9": "NC_000010.11:g.94781859G>A"}
BY_PLACE = {"48013-7": "NC_000010.10", "81254-5": 96541616, "69547-8": "G", "69551-0": "A"}
FROM_ZERO = BY_PLACE | {"81254-5": 96541615, "92822-6": "LA30100-4"}


def called(*resources: dict[str, Any]) -> dict[str, tuple[str, str]]:
    return {one.site: (one.first, one.second) for one in agreed(variants(resources, rules().sites))}


@pytest.mark.parametrize("parts", [BY_NUMBER, BY_CHANGE, BY_PLACE, FROM_ZERO], ids=["rs", "HGVS", "place", "from 0"])
@pytest.mark.parametrize(("state", "copies"), [(HET, ("G", "A")), (HOM, ("A", "A"))])
def test_a_variant_is_placed_however_it_is_named(parts: dict[str, Any], state: str, copies: tuple[str, str]) -> None:
    """By dbSNP id, by HGVS on a chromosome, by position and bases of either build and either way of counting."""
    assert called(variant("v", {**parts, "53034-5": state})) == {"rs4244285": copies}


@pytest.mark.parametrize(
    ("parts", "texts"),
    [(BY_NUMBER, {"81255-2": "rs4244285 (CYP2C19*2)"}), (BY_PLACE, {"48013-7": "chr10"})],
    ids=["rs", "place"],
)
def test_words_beside_a_code_hide_nothing(parts: dict[str, Any], texts: dict[str, str]) -> None:
    """A concept that also has a text is known by its code."""
    made = variant("v", {**parts, "53034-5": HET})
    for part in made["component"]:
        text = texts.get(part["code"]["coding"][0]["code"])
        if text is not None:
            part["valueCodeableConcept"]["text"] = text
    assert called(made) == {"rs4244285": ("G", "A")}


def test_an_absent_variant_is_the_reference_where_no_other_is_known() -> None:
    """Absent is the reference at a site of two alleles; at one of four it excludes one alone."""
    assert called(variant("v", BY_NUMBER, "LA9634-2")) == {"rs4244285": ("G", "G")}
    assert called(variant("v", {"81255-2": "rs34983651", "69551-0": "CATAT"}, "LA9634-2")) == {}


def test_two_variants_of_one_site_are_put_together() -> None:
    """One copy each of two alleles of a repeat."""
    parts = [{"81255-2": "rs34983651", "53034-5": HET, "69551-0": one} for one in ("CATAT", "C")]
    assert set(called(variant("a", parts[0]), variant("b", parts[1]))["rs34983651"]) == {"C", "CATAT"}


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({}, BY_NUMBER),
        ({"status": "preliminary"}, BY_NUMBER | {"53034-5": HET}),
        ({"valueCodeableConcept": {"text": "Indeterminate"}}, BY_NUMBER | {"53034-5": HET}),
        ({}, BY_PLACE | {"53034-5": HET, "48013-7": "NM_000769.4"}),
        ({}, BY_NUMBER | {"53034-5": "LA6707-6"}),
    ],
    ids=["no allelic state", "not final", "not known to be present", "a transcript's position", "hemizygous"],
)
def test_what_is_not_told_is_not_supposed(changes: dict[str, Any], parts: dict[str, Any]) -> None:
    """No genotype follows, and where a site is meant the reason says what lacks."""
    made = variant("v", parts) | changes
    assert called(made) == {}
    reasons = doubts(variants([made], rules().sites), ())
    assert reasons == () or "told without its allelic state" in reasons[0]


ISOLEUCINE = {"48013-7": "NC_000010.10", "81254-5": 96602623, "69547-8": "G", "69551-0": "A"}


def test_the_other_copy_is_the_reference_of_the_same_build() -> None:
    """At a site where the builds have other bases, one copy of a variant of GRCh37 leaves GRCh37's base."""
    assert called(variant("v", {**ISOLEUCINE, "53034-5": HET})) == {"rs3758581": ("G", "A")}
    assert called(variant("v", {**ISOLEUCINE}, "LA9634-2")) == {"rs3758581": ("G", "G")}


@pytest.mark.parametrize(
    "parts",
    [
        BY_PLACE | {"69547-8": "C", "53034-5": HET},
        {"81255-2": "rs3758581", "53034-5": HET},
        {"81255-2": "rs4244285", "69551-0": "G", "53034-5": HET},
    ],
    ids=["another reference base", "builds that differ and no base", "the reference as a variant"],
)
def test_a_variant_that_cannot_be_meant_puts_its_site_in_doubt(parts: dict[str, Any]) -> None:
    """The site is named, and no genotype follows."""
    heard = variants([variant("v", parts)], rules().sites)
    assert agreed(heard) == ()
    assert doubts(heard, ())[0].startswith("told without confidence, or in contradiction: rs")


def test_two_reports_of_one_variant_that_disagree_are_in_doubt() -> None:
    """Heterozygous here, homozygous there."""
    one, other = variant("a", BY_NUMBER | {"53034-5": HET}), variant("b", BY_NUMBER | {"53034-5": HOM})
    assert called(one, other) == {}
    assert called(one, one | {"id": "c"}) == {"rs4244285": ("G", "A")}


def sequence(**changes: Any) -> dict[str, Any]:
    at = {"start": STAR_2.position_38, "end": STAR_2.position_38, "observedAllele": "A", "referenceAllele": "G"}
    return {
        "resourceType": "MolecularSequence",
        "id": "m",
        "type": "dna",
        "coordinateSystem": 1,
        "patient": {"reference": "Patient/p1"},
        "referenceSeq": {"genomeBuild": "GRCh38", "chromosome": {"text": "10"}},
        "variant": [at | changes],
    }


def test_a_molecular_sequence_counts_with_its_allelic_state() -> None:
    """Pointed to, or derived from: the Observation tells how many copies; alone the sequence tells nothing."""
    state = variant("v", {"53034-5": HET})
    assert called(sequence(variantPointer={"reference": "Observation/v"}), state) == {"rs4244285": ("G", "A")}
    derived = state | {"derivedFrom": [{"reference": "MolecularSequence/m"}]}
    assert called(sequence(), derived) == {"rs4244285": ("G", "A")}
    heard = variants([sequence()], rules().sites)
    assert doubts(heard, agreed(heard))[0] == "a variant at rs4244285 is told without its allelic state"


FILE = vcf([at_site(STAR_2, "G", "A")])


def test_files_are_known_by_their_type() -> None:
    """Types of VCF, and general types with the name of one; other documents are not opened for models."""
    assert is_read(document(FILE))
    assert is_read(document(FILE, "application/gzip"))
    assert not is_read(document(FILE, "application/pdf"))
    assert not holds_vcf(variant("v", {}))


ATTACHED = document(FILE)["content"][0]["attachment"]
BY_EXTENSION = {
    "url": "http://hl7.org/fhir/5.0/StructureDefinition/extension-Observation.value",
    "valueAttachment": ATTACHED,
}


@pytest.mark.parametrize(
    "made",
    [
        document(FILE),
        {"resourceType": "Media", "id": "m", "status": "completed", "content": ATTACHED},
        variant("v", {}) | {"extension": [BY_EXTENSION]},
    ],
    ids=["DocumentReference", "Media", "Observation"],
)
def test_a_file_is_read_from_each_resource_that_may_carry_it(made: dict[str, Any]) -> None:
    """The same genotype from a DocumentReference, a Media, and an Observation with R5's value."""
    assert is_read(made)
    (heard,) = genome_files([made], rules().sites)
    assert heard.source == f"{made['resourceType']}/{made['id']}"
    assert agreed([heard]) == (SiteCall("rs4244285", "G", "A"),)


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (document(b"no such file"), "not a VCF"),
        (document(FILE) | {"content": [{"attachment": {"contentType": "text/vcf", "url": "Binary/1"}}]}, "address"),
        (document(FILE) | {"content": [{"attachment": {"contentType": "text/vcf", "data": "?"}}]}, "base64"),
        (document(vcf([])), "no position"),
    ],
)
def test_a_file_that_says_nothing_leaves_a_reason(made: dict[str, Any], reason: str) -> None:
    """Unreadable, somewhere else, or without a site: the reason is kept, without a word of the file."""
    heard = genome_files([made], rules().sites)
    assert agreed(heard) == ()
    (told,) = doubts(heard, ())
    assert reason in told


def test_white_space_in_base64_is_allowed() -> None:
    """Lines of 76 letters, as MIME writes them, are FHIR's base64Binary too; letters beyond ASCII are none."""
    lines = "\r\n ".join(textwrap.wrap(ATTACHED["data"], 76))
    for data, calls in ((lines, 1), (f"{lines}\u00e4", 0)):
        (heard,) = genome_files([{**document(FILE), "content": [{"attachment": {**ATTACHED, "data": data}}]}], ALL)
        assert len(heard.calls) == calls
    assert heard.unread == "the data of a VCF attachment are not base64"


def test_so_many_files_of_a_record_are_read_and_no_more() -> None:
    """Attachments count, not the resources that carry them."""
    many = [document(FILE, own_id=f"d{number}") | {"content": [{"attachment": ATTACHED}] * 3} for number in range(3)]
    assert [one.source[-2:] for one in genome_files(many, ALL)] == ["d1", "d2", "d2", "d2"]
    assert MOST_FILES == 4


def test_sources_that_phase_differently_leave_the_phase_open() -> None:
    """Two sites on one chromosome here, on both there: the genotypes stand unphased, in whichever order."""
    cis = (SiteCall("a", "G", "A", 1), SiteCall("b", "C", "T", 1), SiteCall("c", "C", "T", 2))
    trans = (SiteCall("a", "A", "G", 3), SiteCall("b", "C", "T", 3), SiteCall("c", "T", "C", 4))
    same = tuple(SiteCall(one.site, one.second, one.first, one.phase) for one in cis)
    for first, second in ((cis, trans), (trans, cis)):
        found = {one.site: one.phase for one in agreed([Heard("x", first), Heard("y", second)])}
        assert (found["a"], found["b"]) == (0, 0)
        assert found["c"] != 0
    assert all(one.phase for one in agreed([Heard("x", cis), Heard("y", same)]))


def test_variants_beyond_the_bound_are_told_as_not_read() -> None:
    """The last is left out, and the reason says so; at the bound nothing is left out."""
    one = variant("v", BY_NUMBER | {"53034-5": HET})
    many = [one | {"id": f"v{number}"} for number in range(MOST_VARIANTS)]
    assert CUT not in doubts(variants(many, ALL), ())
    other = variant("last", {"81255-2": "rs12248560", "69551-0": "T", "53034-5": HET})
    heard = variants([*many, other], ALL)
    assert [call.site for call in agreed(heard)] == ["rs4244285"]
    assert CUT in doubts(heard, agreed(heard))


def test_what_is_withdrawn_is_not_read() -> None:
    """A superseded document, or one that is no final one, counts as absent."""
    for changes in ({"status": "superseded"}, {"docStatus": "preliminary"}):
        assert genome_files([document(FILE, **changes)], rules().sites) == []


def test_sources_that_disagree_leave_the_site_open() -> None:
    """The same genotype from two sources counts; another one puts the site in doubt, and the reason names it."""
    same, other = variant("v", BY_NUMBER | {"53034-5": HET}), variant("v", BY_NUMBER | {"53034-5": HOM})
    files = genome_files([document(FILE)], rules().sites)
    assert agreed([*files, *variants([same], rules().sites)]) == (SiteCall("rs4244285", "G", "A"),)
    heard = [*files, *variants([other], rules().sites)]
    assert agreed(heard) == ()
    assert doubts(heard, ()) == ("told without confidence, or in contradiction: rs4244285",)
