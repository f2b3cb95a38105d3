"""Pharmacogenomic rules: every row of the tables, in both directions; what is unknown stays unknown."""

from __future__ import annotations

import pytest
from harness.built_in import built_in

from gateway.domain.errors import Invalid, Unsupported
from models.registry import load
from models.runtime.rules import INDETERMINATE, Phenotype, RulesTable


@pytest.fixture(scope="module")
def rules() -> RulesTable:
    table = load(built_in()["pgx-rules"])
    assert isinstance(table, RulesTable)
    return table


def test_every_diplotype_in_either_order_gives_its_phenotype(rules: RulesTable) -> None:
    """All 23301 diplotypes, written either way, give the tabulated phenotype."""
    walked = 0
    for gene, listed in rules.diplotypes.items():
        for diplotype, name in listed.items():
            first, second = diplotype.split("/")
            assert rules.phenotype(gene, diplotype).name == name
            assert rules.phenotype(gene, f"{second}/{first}").name == name
            walked += 1
    assert walked == 23301


def test_every_phenotype_gives_its_diplotypes(rules: RulesTable) -> None:
    """Backwards: the diplotypes of a gene's phenotypes are exactly the gene's rows, each once."""
    for gene, listed in rules.diplotypes.items():
        back = [one for name in set(listed.values()) for one in rules.diplotypes_of(gene, name)]
        assert sorted(back) == sorted(listed)


def test_every_recommendation_row_is_given_and_found_again(rules: RulesTable) -> None:
    """All 724 rows: the row's phenotypes give its text and number, and its text leads back to the row."""
    assert len(rules.rows) == 724
    for number, row in enumerate(rules.rows):
        given = [Phenotype(row["gene1"], row["phenotype1"], None, "")]
        given += [Phenotype(row["gene2"], row["phenotype2"], None, "")] if row["gene2"] else []
        advice = rules.advise(row["drug"], given)
        assert advice.source.startswith(f"recommendation table, row {number + 1},")
        assert advice.text == (row["recommendation"] or None)
        assert number in rules.rows_for(row["recommendation"])


def test_every_scored_pair_of_alleles_has_the_phenotype_of_its_sum(rules: RulesTable) -> None:
    """CYP2D6, CYP2C9 and DPYD: any two scored alleles give the phenotype of the sum of their scores."""
    for gene, scores in rules.scores.items():
        for first, one in scores.items():
            for second, other in list(scores.items())[:12]:
                total = str(float(one) + float(other))
                assert rules.phenotype(gene, f"{first}/{second}").name == rules.by_score(gene, total).name


@pytest.mark.parametrize(
    ("gene", "diplotype", "name", "score"),
    [
        ("CYP2D6", "*1/*1", "Normal Metabolizer", "2"),
        ("CYP2D6", "*4/*4", "Poor Metabolizer", "0"),
        ("CYP2D6", "*1x2/*1", "Ultrarapid Metabolizer", "3"),
        ("CYP2D6", "*4x2/*10", "Intermediate Metabolizer", "0.25"),
        ("CYP2D6", "*36+*10/*1", "Normal Metabolizer", "1.25"),
        ("CYP2C9", "*1/*3", "Intermediate Metabolizer", "1"),
        ("CYP2D6", "*1/*999", INDETERMINATE, None),
        ("CYP2C19", "*1/*999", INDETERMINATE, None),
    ],
)
def test_known_genotypes(rules: RulesTable, gene: str, diplotype: str, name: str, score: str | None) -> None:
    """Textbook genotypes, copies and tandems included; an unknown allele is indeterminate, never normal."""
    found = rules.phenotype(gene, diplotype)
    assert (found.name, found.score) == (name, score)


def test_both_genes_count_and_one_alone_is_told_apart(rules: RulesTable) -> None:
    """A drug that depends on two genes has one row for both and another where one result is not available."""
    poor, normal = rules.phenotype("CYP2C19", "*2/*2"), rules.phenotype("CYP2D6", "*1/*1")
    both, one = rules.advise("amitriptyline", [poor, normal]), rules.advise("amitriptyline", [normal])
    assert both.source != one.source
    assert both.cpic_level == "A"
    assert both.guideline.startswith("https://cpicpgx.org/")


def test_no_row_is_no_advice(rules: RulesTable) -> None:
    """An unknown drug and an indeterminate genotype get no text, which is not the standard dose."""
    unknown = rules.advise("aspirin", [rules.phenotype("CYP2C9", "*1/*1")])
    vague = rules.advise("celecoxib", [Phenotype("CYP2C9", INDETERMINATE, None, "")])
    assert unknown.text is None
    assert vague.text is None
    assert "no row" in unknown.source


@pytest.mark.parametrize("diplotype", ["*1", "*1/*2/*3", "", "x" * 200 + "/*1"])
def test_what_is_no_diplotype_is_invalid(rules: RulesTable, diplotype: str) -> None:
    """Text that is not two alleles is an error, not a guess."""
    with pytest.raises(Invalid):
        rules.phenotype("CYP2C19", diplotype)


def test_a_gene_without_tables_is_unsupported(rules: RulesTable) -> None:
    """HLA genes and others without rows are refused by name."""
    with pytest.raises(Unsupported, match="HLA-B"):
        rules.phenotype("HLA-B", "*57:01/*57:01")


def test_the_notices_travel_with_the_tables(rules: RulesTable) -> None:
    """The pack holds pypgx's licence and CPIC's attribution."""
    notice = rules.package.content["NOTICE.txt"].decode("utf-8")
    assert "MIT License" in notice
    assert "cpicpgx.org" in notice
