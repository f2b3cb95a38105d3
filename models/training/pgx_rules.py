"""Making the pack `pgx-rules` from CPIC's tables as pypgx gives them; all of it but the signature.

    python -m models.training.pgx_rules --data DIR --out models/packs --seed 1
    python -m models.training.sign_pack --key KEY.pem models/packs/pgx-rules

No learning: every row is carried over, then walked in both directions through the code that will serve it.
PharmCAT's own phenotype tables are compared with, row by row, and nothing of them is copied.
"""

from __future__ import annotations

import hashlib
import json
import re
from importlib.metadata import version as installed
from itertools import combinations_with_replacement
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd

from gateway.domain.record import SiteCall
from models.manifest import RulesManifest, parse
from models.package import Package
from models.runtime.alleles import fitting
from models.runtime.genotype import call_genes
from models.runtime.rules import INDETERMINATE, Phenotype, RulesTable
from models.training import value_pack
from models.training.pgx_alleles import compared, definitions
from models.training.pgx_words import (
    DATE,
    INTENDED,
    KEYWORDS,
    NAME,
    NOTICE,
    OUT_OF_SCOPE,
    PYPGX_LICENCE,
    TABLES,
    TITLE,
    VERSION,
    card_words,
    facts,
    metrics,
    sources,
)
from models.training.rank import say
from models.training.write_pack import card_xml, write

FILES = ("recommendation", "diplotype", "allele", "equation", "cpic", "gene", "variant")
_BETWEEN = re.compile(r"(?P<low>[\d.]+) <= score(?: < (?P<below>[\d.]+))?")
_EXACT = re.compile(r"(?P<low>[\d.]+) == score")


def read(folder: Path, name: str) -> pd.DataFrame:
    """A table with nothing turned into a missing value: `None` is one of its words."""
    return pd.read_csv(folder / "pgx" / f"{name}-table.csv", keep_default_na=False, dtype=str)


def tables(folder: Path) -> dict[str, Any]:
    """`rules.json`: the rows in the tables' own words and order."""
    advice, allele, equation = (read(folder, name) for name in ("recommendation", "allele", "equation"))
    diplotypes: dict[str, dict[str, str]] = {}
    for row in read(folder, "diplotype").itertuples():
        diplotypes.setdefault(row.Gene, {})[row.Diplotype] = row.Phenotype
    scored = sorted(set(equation["Gene"]))
    known = allele[allele["ActivityScore"] != "N/A"]
    return {
        "version": TABLES,
        "notice": NOTICE,
        "diplotypes": {gene: _folded(rows) for gene, rows in diplotypes.items()},
        "scores": {
            gene: {row.StarAllele: row.ActivityScore for row in known[known["Gene"] == gene].itertuples()}
            for gene in scored
        },
        "equations": {gene: [_equation(r) for r in equation[equation["Gene"] == gene].itertuples()] for gene in scored},
        "recommendations": [_advice(row) for row in advice.itertuples()],
        "pairs": {
            f"{row.Gene} {row.Drug}": {"level": row.CPICLevel, "guideline": row.Guideline, "pmid": row.PMID}
            for row in read(folder, "cpic").itertuples()
        },
        "alleles": definitions(folder),
    }


def _folded(rows: dict[str, str]) -> dict[str, list[str]]:
    """A gene's diplotypes as numbers into its alleles and phenotypes: a fifth of the size, a row a line."""
    pairs = [name.split("/") for name in rows]
    alleles = list(dict.fromkeys(allele for pair in pairs for allele in pair))
    phenotypes = list(dict.fromkeys(rows.values()))
    at = {allele: place for place, allele in enumerate(alleles)}
    told = [
        f"{at[first]} {at[second]} {phenotypes.index(name)}"
        for (first, second), name in zip(pairs, rows.values(), strict=True)
    ]
    return {"alleles": alleles, "phenotypes": phenotypes, "rows": told}


def _equation(row: Any) -> dict[str, str]:
    """`2 == score` of the tables is 2 and above: no allele of those genes scores more than 1, a copy more may."""
    found = _BETWEEN.fullmatch(row.Equation) or _EXACT.fullmatch(row.Equation)
    if found is None:
        raise ValueError(f"an equation that is not understood: {row.Equation}")
    below = found.groupdict().get("below") or ""
    return {"phenotype": row.Phenotype, "equation": f"{row.Gene} {row.Equation}", "low": found["low"], "below": below}


def _advice(row: Any) -> dict[str, str]:
    def word(value: str) -> str:
        return "" if value == "None" else value

    return {
        "drug": row.Drug,
        "gene1": row.Gene1,
        "phenotype1": row.Phenotype1,
        "gene2": word(row.Gene2),
        "phenotype2": row.Phenotype2 if row.Gene2 != "None" else "",
        "recommendation": word(row.Recommendation),
    }


def evaluate(rules: RulesTable, folder: Path) -> dict[str, Any]:
    """Every row forwards and backwards, and against PharmCAT's tables where the gene is in both."""
    forward = backward = 0
    for number, row in enumerate(rules.rows):
        given = [Phenotype(row["gene1"], row["phenotype1"], None, "")]
        if row["gene2"]:
            given.append(Phenotype(row["gene2"], row["phenotype2"], None, ""))
        told = rules.advise(row["drug"], given)
        forward += told.source.startswith(f"recommendation table, row {number + 1},")
        backward += number in rules.rows_for(row["recommendation"])
    seen = swapped = back = total = 0
    for gene, listed in rules.diplotypes.items():
        by_phenotype = {name: set(rules.diplotypes_of(gene, name)) for name in set(listed.values())}
        for diplotype, name in listed.items():
            total += 1
            first, second = diplotype.split("/")
            seen += rules.phenotype(gene, diplotype).name == name
            swapped += rules.phenotype(gene, f"{second}/{first}").name == name
            back += diplotype in by_phenotype[name]
    return {
        "recommendation_rows": len(rules.rows),
        "recommendation_rows_found_forwards": forward,
        "recommendation_rows_found_backwards": backward,
        "recommendation_rows_without_advice": sum(not row["recommendation"] for row in rules.rows),
        "drugs": len(rules.drugs),
        "diplotype_rows": total,
        "diplotype_rows_found": seen,
        "diplotype_rows_found_turned_over": swapped,
        "diplotype_rows_found_backwards": back,
        "scored_alleles": {gene: len(scores) for gene, scores in rules.scores.items()},
        "pharmcat": pharmcat(rules, folder),
        "pharmcat_alleles": compared(definitions(folder), folder),
        "allele_pairs": {gene: walk(rules, gene) for gene in rules.alleles},
    }


def walk(rules: RulesTable, gene: str) -> dict[str, int]:
    """Every pair of named alleles as genotypes at all sites of the gene, unphased: is it found, is it determined."""
    told = rules.alleles[gene]
    rows = {name: tuple(min(letters) for letters in row) for name, row in told.alleles.items()}
    counts = {"sites": len(told.sites), "alleles": len(rows), "pairs": 0, "found": 0, "determined": 0, "alone": 0}
    for first, second in combinations_with_replacement(rows, 2):
        both = zip(told.sites, rows[first], rows[second], strict=True)
        calls = [SiteCall(site.name, one, other) for site, one, other in both]
        found = fitting(told, {call.site: call for call in calls}).found
        ((called,), _) = call_genes(rules, calls)
        counts["pairs"] += 1
        counts["found"] += (first, second) in found
        counts["alone"] += len(found) == 1
        counts["determined"] += called.phenotype is not None
    return counts


def pharmcat(rules: RulesTable, folder: Path) -> dict[str, Any]:
    """How often PharmCAT's diplotype table says the same, per gene; `Indeterminate` on one side is told apart."""
    out: dict[str, Any] = {}
    for path in sorted((folder / "pgx" / "pharmcat").glob("*_phenotype.json")):
        table = json.loads(path.read_text())
        gene = table["gene"]
        if gene not in rules.diplotypes:
            continue
        counts = {"compared": 0, "same": 0, "only one indeterminate": 0, "different": 0, "not in our table": 0}
        for row in table["diplotypes"]:
            ours = rules.phenotype(gene, row["diplotype"])
            if ours.source.endswith("no row"):
                counts["not in our table"] += 1
                continue
            counts["compared"] += 1
            theirs = row["phenotype"]
            if theirs == ours.name:
                counts["same"] += 1
            elif INDETERMINATE in (theirs, ours.name):
                counts["only one indeterminate"] += 1
            else:
                counts["different"] += 1
        out[gene] = counts
    return out


def manifest(genes: list[str], files: dict[str, bytes], folder: Path) -> bytes:
    """`manifest.toml` of a pack of rules."""
    return value_pack.as_toml(
        {
            "name": NAME,
            "version": VERSION,
            "title": TITLE,
            "task": "rules",
            "licence": "Tables: MIT (pypgx), CPIC content CC0 1.0; see NOTICE.txt",
            "intended_use": INTENDED,
            "out_of_scope": OUT_OF_SCOPE,
            "device_memory_mib": 0,
            "question": value_pack.local("pgx-advice", "Pharmacogenomic advice from published rules"),
            "input": {"kind": "genotype", "rules": "rules.json", "genes": genes},
            "files": {name: hashlib.sha256(content).hexdigest() for name, content in sorted(files.items())},
            "sources": sources(value_pack.digest(*(folder / "pgx" / f"{name}-table.csv" for name in FILES))),
        }
    )


def main() -> None:
    """Tables, walk, pack folder. `--seed` is taken for uniformity; nothing here is random."""
    args = value_pack.arguments(__doc__)
    made = tables(args.data)
    raw = (json.dumps(made, indent=0, ensure_ascii=False, sort_keys=True) + "\n").encode("utf-8")
    genes = sorted({*made["diplotypes"], *made["equations"]})
    base = {"rules.json": raw, "NOTICE.txt": f"{NOTICE}\n\n{PYPGX_LICENCE}".encode()}
    draft = parse(manifest(genes, base, args.data))
    if not isinstance(draft, RulesManifest):
        raise TypeError("a pack of rules was meant")
    package = Package(Path(NAME), draft, MappingProxyType(base), hashlib.sha256(raw).hexdigest(), "", "")
    found = {
        "model": NAME,
        "version": VERSION,
        "software": {"pandas": installed("pandas")},
        "test": evaluate(RulesTable(package), args.data),
    }
    files = base | {
        "evaluation.json": (json.dumps(found, indent=1) + "\n").encode(),
        "card.xml": card_xml(card_words(found), KEYWORDS, metrics(found)),
        "facts.md": facts(found).encode("utf-8"),
    }
    write(args.out / NAME, files | {"manifest.toml": manifest(genes, files, args.data)})
    say(f"{files['facts.md'].decode('utf-8')} {DATE}")


if __name__ == "__main__":
    main()
