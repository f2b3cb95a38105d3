"""What the pack `pgx-rules` says about itself; every count is read from its evaluation."""

from __future__ import annotations

from typing import Any

from models.training.write_pack import table

NAME = "pgx-rules"
VERSION = "1.1.0"
DATE = "2026-11-28"
TABLES = "pypgx 0.27.0"
TITLE = "Pharmacogenomic advice from published rules (research)"
INTENDED = (
    "Research and integration testing. From diplotypes, phenotypes or activity scores that a laboratory reported, or "
    "from confident genotypes at the sites of the allele definition tables (VCF, reported variants), the phenotype and "
    "the published recommendation for a drug, each with the row it came from, for a physician to accept, change or "
    "refuse."
)
OUT_OF_SCOPE = (
    "Not for calling variants from reads. From variants no CYP2D6, G6PD or MT-RNR1, no deletion, duplication or hybrid "
    "of a gene. A site that was not read is never taken for the reference. Not for drugs, genes or alleles that the "
    "tables lack: no advice is not the standard dose. Knows nothing of kidneys, liver, other drugs, age or pregnancy. "
    "Not a prescription."
)
KEYWORDS = ["pharmacogenomics", "CPIC", "rules", "diplotype", "phenotype", "no learning", "research use only"]
NOTICE = (
    "Tables taken from pypgx 0.27.0 (https://github.com/sbslee/pypgx), MIT License, Copyright (c) 2020 Seung-been "
    '"Steven" Lee. Their content derives from the Clinical Pharmacogenetics Implementation Consortium (CPIC, '
    "https://cpicpgx.org), dedicated to the public domain under CC0 1.0 (https://cpicpgx.org/license), accessed "
    "through "
    "that package in November 2026, and from PharmVar and PharmGKB as pypgx cites them. PharmCAT's tables (MPL-2.0) "
    "were "
    "compared with and are not contained here."
)
PYPGX_LICENCE = """MIT License

Copyright (c) 2020 Seung-been "Steven" Lee

Permission is hereby granted, free of charge, to any person obtaining a copy
of this software and associated documentation files (the "Software"), to deal
in the Software without restriction, including without limitation the rights
to use, copy, modify, merge, publish, distribute, sublicense, and/or sell
copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all
copies or substantial portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR
IMPLIED, INCLUDING BUT NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY,
FITNESS FOR A PARTICULAR PURPOSE AND NONINFRINGEMENT. IN NO EVENT SHALL THE
AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES OR OTHER
LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM,
OUT OF OR IN CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE
SOFTWARE.
"""


def sources(sha256: str) -> list[dict[str, str]]:
    """The one source, with the digest of the tables read."""
    return [
        {
            "name": "CPIC tables as given by pypgx 0.27.0",
            "licence": "MIT; CPIC content CC0 1.0",
            "citation": (
                "Relling and Klein, Clin Pharmacol Ther 2011;89:464 (CPIC, https://cpicpgx.org); Lee et al., PLoS ONE "
                "2022;17:e0272129 (pypgx)."
            ),
            "sha256": sha256,
        }
    ]


def agreement(found: dict[str, Any]) -> str:
    """The comparison with PharmCAT in a sentence."""
    parts = [
        f"{gene} {c['same']} of {c['compared']} the same, {c['only one indeterminate']} indeterminate on one side, "
        f"{c['different']} different, {c['not in our table']} unknown here"
        for gene, c in found["test"]["pharmcat"].items()
    ]
    return "Against PharmCAT's diplotype tables: " + "; ".join(parts) + "."


def definitions_agree(found: dict[str, Any]) -> str:
    """The comparison of allele definitions with PharmCAT, and the walk over pairs, in sentences."""
    parts = [
        f"{gene} {c['same']} of {c['same'] + c['different']} alleles the same at {c['shared positions']} shared "
        f"positions, {c['only there']} known there alone"
        for gene, c in found["test"]["pharmcat_alleles"].items()
    ]
    pairs = found["test"]["allele_pairs"].values()
    total, got, told = (sum(one[key] for one in pairs) for key in ("pairs", "found", "determined"))
    return (
        f"Allele definitions against PharmCAT's: {'; '.join(parts)}. Of {total} pairs of alleles, written as unphased "
        f"genotypes at every site, {got} are found again and {told} lead to one phenotype; the others cannot be told "
        "apart without phase and are not answered."
    )


def limits(found: dict[str, Any]) -> str:
    """What the tables do not know."""
    test = found["test"]
    return (
        f"{test['recommendation_rows_without_advice']} of {test['recommendation_rows']} rows hold no advice, which is "
        f"not "
        "the standard dose. Alleles without an activity score, hybrid genes that are not tabulated and copy numbers "
        "outside 1 to 13 are indeterminate. The tables are a package's copy of CPIC and may lag behind the guideline; "
        "HLA genes, VKORC1, CYP4F2 and other genes without phenotype rows are not covered. A CYP2C9 or DPYD score of "
        "two "
        f"or more counts as two. {agreement(found)} Calling from variants assumes that each copy is one named allele: "
        "two unphased variants that only fit two alleles on two copies are taken so, though a copy that no table names "
        "could hold both; structural alleles are not looked for, and the answer says which. "
        f"{definitions_agree(found)}"
    )


def card_words(found: dict[str, Any]) -> dict[str, str]:
    """The card's texts."""
    test = found["test"]
    return {
        "ModelName": TITLE,
        "ModelDeveloper": "The dxgate project",
        "DeveloperContact": "The issue tracker of the dxgate repository",
        "ReleaseStage": "Research only; not a medical device; not cleared or approved anywhere",
        "ReleaseDate": DATE,
        "ReleaseVersion": VERSION,
        "GlobalAvailability": "With the dxgate source code. Not offered for clinical use in any country.",
        "RegulatoryApproval": "None.",
        "Summary": (
            f"Published rules, nothing learnt: {test['diplotype_rows']} diplotypes and three scored genes to "
            f"phenotypes, "
            f"{test['recommendation_rows']} rows of advice for {test['drugs']} drugs. Every answer names its row."
        ),
        "IntendedUseAndWorkflow": INTENDED,
        "PrimaryIntendedUsers": (
            "Engineers who test the integration; pharmacists and physicians taking part in research."
        ),
        "HowToUse": (
            "Give diplotypes such as *1/*2 (either order), activity scores, or genotypes at the listed sites, and drug "
            "names. The answer is a "
            "phenotype and a recommendation with table and row, 'indeterminate', or no advice. A physician decides."
        ),
        "TargetedPatientPopulation": "Anyone with a reported or sequenced genotype of a tabulated gene.",
        "CautionedOutOfScopeSettings": OUT_OF_SCOPE,
        "KnownRisksAndLimitations": limits(found),
        "KnownBiasesOrEthicalConsiderations": (
            "Star alleles were described mostly in people of European and East Asian descent; alleles of others are "
            "more often of unknown function, so they get 'indeterminate' more often."
        ),
        "ClinicalRiskLevel": "High if it were used clinically: a wrong dose may harm. Research only.",
        "OutcomesAndOutputs": "Phenotype, activity score, recommendation text, CPIC level, guideline address, row.",
        "ModelType": "Lookup tables and inequalities; no learning, no randomness.",
        "FoundationModels": "None.",
        "InputDataSource": "pypgx 0.27.0 (MIT); CPIC content CC0 1.0.",
        "OutputAndInputDataTypes": "Input: diplotypes, scores, or sequences at sites. Output: text with source.",
        "DevelopmentDataCharacterization": (
            f"{test['recommendation_rows']} recommendation rows, {test['diplotype_rows']} diplotype rows, scores for "
            f"{sum(test['scored_alleles'].values())} alleles of CYP2C9, CYP2D6 and DPYD, CPIC levels of gene and drug "
            f"pairs."
        ),
        "BiasMitigationApproaches": "None is possible in a table; unknown stays unknown.",
        "OngoingMaintenance": "Made again from newer tables by one command; a new version is a new signed pack.",
        "Security": "Signed (Ed25519); the gateway refuses a changed table.",
        "Transparency": "Tables, code, evaluation and this card are in the repository.",
        "FundingSource": "None.",
        "ThirdPartyInformation": NOTICE,
        "StakeholdersConsulted": "None yet. No physician or pharmacist has reviewed this pack.",
        "EvaluationReferences": "evaluation.json in the pack.",
        "PeerReviewedPublications": "None about this pack; the guidelines are CPIC's own.",
        "PatientConsentOrDisclosure": "Genotypes need consent as the site's own law asks.",
        "Bibliography": (
            "@article{cpic, author={Relling, M. V. and Klein, T. E.}, title={CPIC: Clinical Pharmacogenetics "
            "Implementation Consortium of the Pharmacogenomics Research Network}, journal={Clin Pharmacol Ther}, "
            "volume={89}, pages={464}, year={2011}}"
        ),
    }


def metrics(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The card's three groups of key metrics."""
    test = found["test"]
    shared = {
        "TestType": "Exhaustive walk over every row",
        "TestingDataDescription": f"{test['recommendation_rows']} and {test['diplotype_rows']} rows",
        "ValidationProcessAndJustification": "Each row is asked for and looked up backwards; nothing is sampled.",
    }
    counts = {key: value for key, value in test.items() if isinstance(value, int)}
    return {
        "UsefulnessUsabilityEfficacy": shared
        | {
            "MetricGoal": "Every row found in both directions",
            "results": counts,
            "Interpretation": (
                f"{test['recommendation_rows_found_forwards']} of {test['recommendation_rows']} rows forwards, "
                f"{test['recommendation_rows_found_backwards']} backwards."
            ),
        },
        "FairnessEquity": shared
        | {
            "MetricGoal": "Unknown alleles and unread sites are never taken for normal",
            "results": {"scored alleles": test["scored_alleles"]},
            "Interpretation": "An allele without a score makes the genotype indeterminate.",
        },
        "SafetyReliability": shared
        | {
            "MetricGoal": "Agreement with an independent tabulation",
            "results": {f"PharmCAT, {gene}": counts for gene, counts in test["pharmcat"].items()}
            | {f"PharmCAT alleles, {gene}": counts for gene, counts in test["pharmcat_alleles"].items()}
            | {f"Pairs of alleles, {gene}": counts for gene, counts in test["allele_pairs"].items()},
            "Interpretation": f"{agreement(found)} {definitions_agree(found)}",
        },
    }


def facts(found: dict[str, Any]) -> str:
    """One page for a physician."""
    test = found["test"]
    rows = [("what", "rows")] + [(key.replace("_", " "), str(v)) for key, v in test.items() if isinstance(v, int)]
    return f"""# Model facts: {NAME} {VERSION}

**Research only. Published rules, nothing learnt. A physician decides.**

**What it does.** {INTENDED}

**What it must not be used for.** {OUT_OF_SCOPE}

**From what.** {NOTICE}

**How well.** Every row, in both directions:

{table(rows)}

**Warnings.** {limits(found)}

**Not known.** Effect on care; whether each row still is the guideline's newest wording.

**Sources.** CPIC, https://cpicpgx.org; pypgx 0.27.0; compared with PharmCAT (github.com/PharmGKB/PharmCAT).
"""
