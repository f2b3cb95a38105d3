"""What a VCF confidently says at known sites, and what it does not say; hostile files end with a clear error."""

from __future__ import annotations

import gzip
from contextlib import suppress

import pytest
from harness.genome_file import HEADER_37, at_site, line, rules, vcf, zipped
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.domain.errors import GatewayError, Invalid, Unsupported
from gateway.domain.record import Site
from gateway.formats.genome import build_of_accession, build_of_length, chromosome
from gateway.formats.vcf import Read, read_vcf
from gateway.formats.vcf_lines import MOST_MEMBERS

SITES = {site.name: site for site in rules().sites}
STAR_2, STAR_17, REPEAT, DELETION = (SITES[name] for name in ("rs4244285", "rs12248560", "rs34983651", "rs72549303"))


def read(*lines: str) -> Read:
    return read_vcf(vcf(lines), rules().sites)


def called(*lines: str) -> dict[str, tuple[str, str]]:
    return {one.site: (one.first, one.second) for one in read(*lines).calls}


def test_genotypes_are_read_at_sites_alone() -> None:
    """A site's two copies, in the order of the genotype; a variant elsewhere is not passed on."""
    found = called(at_site(STAR_2, "G", "A"), line("10", 94781800, "C", "T", "1/1"))
    assert found == {"rs4244285": ("G", "A")}


def test_an_absent_position_is_no_reference() -> None:
    """A file with one record says nothing about any other site."""
    assert set(called(at_site(STAR_2, "A", "A"))) == {"rs4244285"}


def test_a_block_of_a_gvcf_is_the_reference_where_it_is_confident() -> None:
    """A block covers sites by its END; one of low quality or without a call leaves them in doubt."""
    first, last = STAR_17.position_38 - 5, STAR_17.position_38 + 5
    block = line("10", first, "C", "<NON_REF>", "0/0", info=f"END={last}")
    assert called(block)["rs12248560"] == ("C", "C")
    for weak in (block.replace(":99", ":19"), block.replace("0/0:", "./.:")):
        assert read(weak).doubtful == ("rs12248560",)
        assert read(weak).calls == ()


@pytest.mark.parametrize(
    "changed",
    [("PASS", "LowQual"), (":99", ":12"), ("0/1", "./1"), ("0/1", "1"), ("0/1", "0/0/1"), ("0/1", "0/2")],
    ids=["filtered", "low quality", "half a call", "one copy", "three copies", "an allele that is not listed"],
)
def test_what_is_not_confident_is_in_doubt(changed: tuple[str, str]) -> None:
    """The site is named as doubtful and never called."""
    found = read(at_site(STAR_2, "G", "A").replace(*changed))
    assert (found.calls, found.doubtful) == ((), ("rs4244285",))


def test_lines_that_contradict_each_other_are_in_doubt() -> None:
    """Two records of one site with other genotypes; the same twice is the same."""
    assert called(at_site(STAR_2, "G", "A"), at_site(STAR_2, "A", "G")) == {"rs4244285": ("G", "A")}
    assert read(at_site(STAR_2, "G", "A"), at_site(STAR_2, "A", "A")).doubtful == ("rs4244285",)


@pytest.mark.parametrize(
    ("reference", "alternate", "genotype", "expected"),
    [
        ("C", "CAT", "0/1", ("CAT", "CATAT")),
        ("CAT", "CATAT", "1/1", ("CATAT", "CATAT")),
        ("CAT", "C,CATAT", "1/2", ("C", "CATAT")),
        ("CATA", "CA", "0/1", None),
        ("C", "CATAT", "0/0", ("CAT", "CAT")),
    ],
)
def test_a_repeat_is_read_however_it_is_written(
    reference: str, alternate: str, genotype: str, expected: tuple[str, str] | None
) -> None:
    """TA repeats of UGT1A1: with one base of context, with the whole window, two alleles at once."""
    found = called(line("2", REPEAT.position_38, reference, alternate, genotype)).get("rs34983651")
    assert found == expected or (expected is None and found == ("CAT", "C"))


def test_an_indel_close_by_puts_a_known_one_in_doubt() -> None:
    """A deletion that another caller may have aligned otherwise is not taken for a reference."""
    block = line("1", DELETION.position_38 - 9, "A", "<NON_REF>", "0/0", info=f"END={DELETION.position_38 + 2}")
    shifted = line("1", DELETION.position_38 + 4, "GT", "G", "0/1")
    assert "rs72549303" in called(block)
    assert "rs72549303" in read(block, shifted).doubtful


@pytest.mark.parametrize("alternate", ["<DEL>", "<CN0>,<CN2>", "<NON_REF>,<DEL>", "CA"])
def test_a_structural_variant_that_is_not_there_says_nothing_of_the_bases_it_spans(alternate: str) -> None:
    """`0/0` at a deletion denies the deletion; the sites inside, and the one at its first base, were not read."""
    for first in (STAR_17.position_38 - 50, STAR_17.position_38):
        denied = line("10", first, "C", alternate, "0/0", info=f"END={STAR_2.position_38 + 50}")
        found = read(denied)
        assert (found.calls, found.doubtful) == ((), ())
    assert called(denied, at_site(STAR_17, "C", "C")) == {"rs12248560": ("C", "C")}


@pytest.mark.parametrize(("site", "chromosome_"), [(REPEAT, "2"), (DELETION, "1")])
def test_the_anchor_alone_is_no_reference_of_a_whole_window(site: Site, chromosome_: str) -> None:
    """A record or a block that ends on the first base of a repeat or a deletion leaves the rest open."""
    start, anchor = site.position_38, site.reference_38[0]
    alone = line(chromosome_, start, anchor, ".", "0/0")
    block = line(chromosome_, start - 9, "A", "<NON_REF>", "0/0", info=f"END={start}")
    for told in (alone, block):
        assert site.name in read(told).doubtful
        assert site.name not in called(told)


def test_lines_that_cover_a_window_together_are_its_reference() -> None:
    """One record for each base, or two blocks with their border inside; a variant beside them stands."""
    start = REPEAT.position_38
    each = [line("2", start + number, base, "<NON_REF>", "0/0") for number, base in enumerate("CAT")]
    blocks = [
        line("2", start - 9, "A", "<NON_REF>", "0/0", info=f"END={start + 1}"),
        line("2", start + 2, "T", "<NON_REF>", "0/0", info=f"END={start + 9}"),
    ]
    for lines in (each, blocks):
        assert called(*lines)["rs34983651"] == ("CAT", "CAT")
        assert read(lines[0]).doubtful == read(*lines[1:]).doubtful == ("rs34983651",)
    longer = line("2", start, "C", "CAT,<NON_REF>", "0/1")
    assert called(longer, *each[1:])["rs34983651"] == ("CAT", "CATAT")
    shorter = line("2", start, "CAT", "C", "0/1")
    assert read(shorter, *each[1:]).doubtful == ("rs34983651",)


def test_neighbours_in_one_record_are_taken_apart() -> None:
    """A record over several bases of equal length says something about each of them."""
    found = called(line("10", STAR_2.position_38 - 1, "CG", "CA", "0/1"))
    assert found == {"rs6413438": ("C", "C"), "rs4244285": ("G", "A")}


def test_a_deletion_over_a_site_leaves_it_in_doubt() -> None:
    """A copy that lacks the base is neither allele; the base before the deletion is as it was."""
    found = read(line("10", STAR_2.position_38 - 1, "CGG", "C", "0/1"))
    assert (found.doubtful, [one.site for one in found.calls]) == (("rs4244285",), ["rs6413438"])
    whole = line("10", STAR_17.position_38 - 50, "C", "<DEL>", "0/1", info=f"END={STAR_2.position_38 + 50}")
    assert {"rs4244285", "rs12248560"} <= set(read(whole).doubtful)


def test_phase_is_kept_by_its_set() -> None:
    """Sites of one phase set share a number, another set has another, an unphased site has none."""
    lines = [
        at_site(STAR_2, "G", "A", phased=True),
        at_site(STAR_17, "T", "C", phased=True),
        at_site(REPEAT, "CAT", "C"),
    ]
    phases = {one.site: one.phase for one in read(*lines).calls}
    assert phases["rs4244285"] == phases["rs12248560"] != 0
    assert phases["rs34983651"] == 0


@pytest.mark.parametrize("others", [(True, "A", "G"), (False, "G", "A")], ids=["crossed", "unphased"])
def test_lines_that_phase_a_site_differently_leave_it_unphased(others: tuple[bool, str, str]) -> None:
    """The genotype stands, whichever line comes first; the phase is not known."""
    phased, first, second = others
    lines = [at_site(STAR_2, "G", "A", phased=True), at_site(STAR_2, first, second, phased=phased)]
    for listed in (lines, lines[::-1]):
        (found,) = read(*listed).calls
        assert ({found.first, found.second}, found.phase) == ({"G", "A"}, 0)
    assert read(lines[0], lines[0]).calls[0].phase != 0


def test_both_builds_are_read() -> None:
    """Positions of GRCh37 lead to the same sites."""
    content = vcf([at_site(STAR_2, "G", "A", build=37)], HEADER_37)
    found = read_vcf(content, rules().sites)
    assert (found.build, [one.site for one in found.calls]) == ("GRCh37", ["rs4244285"])


def test_a_compressed_file_of_several_members_is_read() -> None:
    """What bgzip writes is the same as plain text."""
    content = vcf([at_site(STAR_2, "G", "A")])
    assert read_vcf(zipped(content), rules().sites) == read_vcf(content, rules().sites)


def test_a_member_for_each_byte_is_read() -> None:
    """However the text is cut into members, what it says is the same."""
    content = vcf([at_site(STAR_2, "G", "A")])
    cut = b"".join(gzip.compress(content[at : at + 1]) for at in range(len(content)))
    assert read_vcf(cut, rules().sites) == read_vcf(content, rules().sites)


BOMB = gzip.compress(b"##fileformat=VCFv4.2\n" + b"#" * 30_000_000)
GOOD = at_site(STAR_2, "G", "A")


@pytest.mark.parametrize(
    ("content", "kind", "complaint"),
    [
        (b"%PDF-1.7", Invalid, "not a VCF"),
        (b"##fileformat=VCFv4.2\nchr1\t1\n", Invalid, "no line of columns"),
        (vcf([GOOD], ()), Unsupported, "GRCh37 or of GRCh38"),
        (vcf([GOOD], ("##reference=hg19", "##assembly=GRCh38")), Unsupported, "GRCh37 or of GRCh38"),
        (vcf([GOOD]).replace(b"Zebulon", b"Zebulon\tother"), Unsupported, "holds 2"),
        (vcf([GOOD + "\tx"]), Invalid, "ten columns"),
        (vcf([at_site(STAR_2, "G", "A").replace("\tG\tA\t", "\tC\tA\t")]), Invalid, "reference bases"),
        (vcf([at_site(STAR_2, "G", "G").replace("\tG\t.\t", "\tC\t.\t")]), Invalid, "reference bases"),
        (gzip.compress(vcf([GOOD]))[:-30], Invalid, "too early"),
        (b"\x1f\x8b" + b"nonsense" * 9, Invalid, "cannot be read"),
        (gzip.compress(b"") * (MOST_MEMBERS + 1), Invalid, "members"),
        (BOMB, Invalid, "compressed one|more than"),
        (vcf(["#" * (1 << 20) + "#"]), Invalid, "lines"),
    ],
)
def test_a_file_that_is_no_such_vcf_is_refused(content: bytes, kind: type[GatewayError], complaint: str) -> None:
    """Another format, no or two builds, several samples, another genome, cut off, a bomb: each with its reason."""
    with pytest.raises(kind, match=complaint) as told:
        read_vcf(content, rules().sites)
    assert "Quillfeather" not in str(told.value)


def test_builds_are_known_by_accession_and_length() -> None:
    """Accessions and lengths of both assemblies; what is neither names no build."""
    assert (chromosome("chr7"), chromosome("NC_000023.11"), chromosome("chrUn_1")) == ("7", "X", "")
    assert (build_of_accession("NC_000010.11"), build_of_accession("NC_000010.10")) == ("GRCh38", "GRCh37")
    assert (build_of_accession("NC_000010.9"), build_of_length("chr1", 7)) == (None, None)


@given(at=st.integers(0, 3000), cut=st.integers(0, 40), put=st.binary(max_size=12), packed=st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_damaged_file_ends_in_an_error_of_ours(at: int, cut: int, put: bytes, packed: bool) -> None:
    """Whatever is cut out or put in, plain or compressed: calls with letters, or an error with a reason."""
    content = vcf([GOOD, at_site(REPEAT, "CAT", "C"), at_site(DELETION, "TG", "T"), at_site(STAR_17, "T", "C")])
    content = zipped(content) if packed else content
    damaged = content[: at % len(content)] + put + content[at % len(content) + cut :]
    with suppress(GatewayError):
        found = read_vcf(damaged, rules().sites)
        assert all(set(one.first + one.second) <= set("ACGTN") for one in found.calls)
