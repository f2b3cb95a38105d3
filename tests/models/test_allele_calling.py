"""Genotypes at sites to pairs of named alleles and phenotypes; what was not read is never taken for the reference."""

from __future__ import annotations

from collections.abc import Iterable

import pytest
from harness.genome_file import HEADER_37, HEADER_38, of_pair, rules, vcf

from gateway.domain.errors import Unsupported
from gateway.domain.record import Genotype, InputDocument, SiteCall
from gateway.formats.vcf import read_vcf
from models.runtime.alleles import fitting
from models.runtime.genotype import Called, call_genes
from workers.record_engine import predict


def called(lines: Iterable[str], header: tuple[str, ...] = HEADER_38) -> dict[str, Called]:
    found = read_vcf(vcf(lines, header), rules().sites)
    return {one.gene: one for one in call_genes(rules(), found.calls)[0]}


@pytest.mark.parametrize(
    ("gene", "first", "second", "phenotype"),
    [
        ("CYP2C19", "*1", "*1", "Normal Metabolizer"),
        ("CYP2C19", "*2", "*17", "Intermediate Metabolizer"),
        ("CYP2C9", "*1", "*3", "Intermediate Metabolizer"),
        ("CYP3A5", "*3", "*3", "Poor Metabolizer"),
        ("DPYD", "Reference", "c.1905+1G>A (*2A)", "Intermediate Metabolizer"),
        ("NUDT15", "*1", "*3", "Intermediate Metabolizer"),
        ("SLCO1B1", "*1", "*5", "Decreased Function"),
        ("UGT1A1", "*28", "*28", "Poor Metabolizer"),
        ("ABCG2", "rs2231142", "rs2231142", "Poor Function"),
    ],
)
@pytest.mark.parametrize("build", [38, 37])
def test_a_pair_of_alleles_is_called_from_a_file(
    gene: str, first: str, second: str, phenotype: str, build: int
) -> None:
    """A VCF of either build with every site of the gene leads to the pair and its phenotype."""
    found = called(of_pair(gene, first, second, build=build), HEADER_37 if build == 37 else HEADER_38)[gene]
    assert found.phenotype is not None
    assert found.phenotype.name == phenotype
    assert found.genotype in (f"{first}/{second}", f"{second}/{first}")
    assert "allele table" in found.phenotype.source


def test_every_allele_with_itself_is_found() -> None:
    """All 450 named alleles of 15 genes, as homozygous genotypes at every site."""
    count = 0
    for gene in rules().alleles.values():
        for name, row in gene.alleles.items():
            calls = {
                site.name: SiteCall(site.name, min(letters), min(letters))
                for site, letters in zip(gene.sites, row, strict=True)
            }
            assert (name, name) in fitting(gene, calls).found
            count += 1
    assert count == 450


def test_the_reference_allele_needs_every_site_that_matters() -> None:
    """With one site missing *1/*1 is refused, and the site is named; a poor metabolizer needs fewer sites."""
    lacking = called(of_pair("CYP2C19", "*1", "*1", without=["rs4986893"]))["CYP2C19"]
    assert lacking.phenotype is None
    assert lacking.reason.startswith("no confident genotype at rs4986893; possible: *1/*1 or *1/*3")
    others = [site.name for site in rules().alleles["CYP2C19"].sites if site.name not in ("rs4244285", "rs12769205")]
    poor = called(of_pair("CYP2C19", "*2", "*2", without=others))["CYP2C19"]
    assert poor.phenotype is not None
    assert (poor.genotype, poor.phenotype.name) == ("*2/*2", "Poor Metabolizer")


def test_an_empty_file_says_nothing_of_any_gene() -> None:
    """No gene is normal because no variant of it is listed."""
    assert call_genes(rules(), ())[0] == ()


def test_phase_decides_between_pairs() -> None:
    """TPMT *1/*3A and *3B/*3C are the same genotypes: refused unphased, told apart by phase."""
    open_ = called(of_pair("TPMT", "*1", "*3A"))["TPMT"]
    assert open_.phenotype is None
    assert "*1/*3A or *3B/*3C cannot be told apart without phase" in open_.reason
    for first, second, name in (("*1", "*3A", "Intermediate Metabolizer"), ("*3B", "*3C", "Poor Metabolizer")):
        known = called(of_pair("TPMT", first, second, phased=True))["TPMT"]
        assert known.phenotype is not None
        assert (known.genotype, known.phenotype.name) == (f"{first}/{second}", name)


def test_an_allele_that_no_table_names_is_not_called() -> None:
    """A third base at a site leads to no pair, and to no normal phenotype."""
    lines = of_pair("CYP2C19", "*1", "*2")
    (at,) = [number for number, one in enumerate(lines) if "\t94781859\t" in one]
    found = called([*lines[:at], lines[at].replace("\tA\t.", "\tT\t."), *lines[at + 1 :]])["CYP2C19"]
    assert (found.phenotype, found.reason) == (None, "no pair of published alleles explains what was read")


def test_genes_that_small_variants_do_not_show_are_not_called() -> None:
    """CYP2D6 with its deletions and duplications, G6PD and MT-RNR1 have no definitions; structural ones are named."""
    assert not {"CYP2D6", "G6PD", "MT-RNR1"} & set(rules().alleles)
    found = called(of_pair("CYP2C19", "*1", "*1"))["CYP2C19"]
    assert found.phenotype is not None
    assert "*36, *37 not looked for" in found.phenotype.source


def document(*lines: str, reported: tuple[Genotype, ...] = ()) -> InputDocument:
    calls = read_vcf(vcf(lines), rules().sites).calls
    return InputDocument("genotype", 50, "F", genotypes=reported, calls=calls, drugs=("clopidogrel",))


def test_a_report_of_the_laboratory_counts_and_a_contradiction_is_told() -> None:
    """The laboratory's diplotype is used; where the variants say otherwise, the answer says so."""
    lines = of_pair("CYP2C19", "*2", "*2")
    told = predict(rules(), document(*lines, reported=(Genotype("CYP2C19", diplotype="*1/*1"),))).answer
    assert told is not None
    assert [(one.genotype, one.phenotype) for one in told.phenotypes] == [("*1/*1", "Normal Metabolizer")]
    assert "the variants say Poor Metabolizer, the laboratory's report Normal Metabolizer" in told.set_aside[0]


def test_a_report_that_the_tables_do_not_know_gives_way_to_a_call() -> None:
    """The call is used and the report named; without a call the report stands as indeterminate."""
    reported = (Genotype("CYP2C19", diplotype="*1/*999"),)
    told = predict(rules(), document(*of_pair("CYP2C19", "*2", "*2"), reported=reported))
    assert told.answer is not None
    assert [one.phenotype for one in told.answer.phenotypes] == ["Poor Metabolizer"]
    assert "To be noted: CYP2C19: the laboratory's report *1/*999 is not in the tables" in told.conclusion
    for word in ("Not determined", "Indeterminate"):
        assert word not in told.conclusion
    alone = predict(rules(), document(reported=reported)).answer
    assert alone is not None
    assert [(one.genotype, one.phenotype) for one in alone.phenotypes] == [("*1/*999", "Indeterminate")]


def test_a_report_that_the_tables_call_indeterminate_is_used_in_its_own_words() -> None:
    """An allele of unknown function is in the tables: the laboratory's pair is quoted, not a word it never said."""
    reported = (Genotype("CYP2C19", diplotype="*1/*12"),)
    told = predict(rules(), document(*of_pair("CYP2C19", "*2", "*2"), reported=reported)).answer
    assert told is not None
    assert [one.phenotype for one in told.phenotypes] == ["Indeterminate"]
    assert "the laboratory's report *1/*12, which the tables call indeterminate" in told.set_aside[0]


def test_sites_that_would_tell_nothing_are_not_blamed() -> None:
    """TPMT *1/*3A or *3B/*3C with another site unread: what lacks is the phase where both pairs are alike there."""
    gene = rules().alleles["TPMT"]
    own = [gene.alleles[name] for name in ("*1", "*3A", "*3B", "*3C")]
    alike = [site.name for place, site in enumerate(gene.sites) if len({row[place] for row in own}) == 1]
    phase = "*1/*3A or *3B/*3C cannot be told apart without phase"
    reasons = {one: called(of_pair("TPMT", "*1", "*3A", without=[one]))["TPMT"].reason for one in alike}
    assert phase in reasons.values()
    for site, reason in reasons.items():
        assert reason == phase or reason.startswith(f"no confident genotype at {site}; possible: *1/*3A or ")


def test_a_pair_is_named_only_where_no_other_fits() -> None:
    """With every site *6/*6; without one that tells *6 from *36 the phenotype is the same, and no pair is named.

    Of a report, the laboratory's own pair; none where it told a phenotype, or alleles that the tables do not know.
    """
    site = "rs34223104"
    whole, part = (called(of_pair("CYP2B6", "*6", "*6", without=left))["CYP2B6"] for left in ([], [site]))
    assert whole.phenotype is not None
    assert part.phenotype is not None
    assert whole.phenotype.name == part.phenotype.name == "Poor Metabolizer"
    assert (whole.pair, part.pair) == ("*6/*6", "")
    assert part.genotype == "*36/*36 or *36/*6 or *6/*6"
    reported = (
        Genotype("CYP2C19", diplotype="*1/*2"),
        Genotype("CYP2D6", phenotype="Poor Metabolizer"),
        Genotype("TPMT", diplotype="*1/*999"),
    )
    told = predict(rules(), document(*of_pair("CYP2B6", "*6", "*6", without=[site]), reported=reported)).answer
    assert told is not None
    assert {one.gene: one.diplotype for one in told.phenotypes} == {
        "CYP2B6": "",
        "CYP2C19": "*1/*2",
        "CYP2D6": "",
        "TPMT": "",
    }


def test_variants_alone_lead_to_advice() -> None:
    """The phenotype from variants selects the row of advice for the drug."""
    told = predict(rules(), document(*of_pair("CYP2C19", "*2", "*2"))).answer
    assert told is not None
    assert [one.genotype for one in told.phenotypes] == ["*2/*2 (from variants)"]
    assert "Avoid" in str(told.advice[0].text)


def test_too_little_is_refused_with_the_sites_that_lack() -> None:
    """Nothing determined: the refusal names gene and sites, and the genes of which nothing was read. rs4244285 is not
    named: every allele that has it has rs12769205 too, which was read."""
    lines = of_pair("CYP2C19", "*1", "*1", without=["rs4986893", "rs4244285"])
    with pytest.raises(Unsupported, match="CYP2C19: no confident genotype at rs4986893; possible") as told:
        predict(rules(), document(*lines))
    assert "no site was read of ABCG2" in str(told.value)
