"""Rewriting a pack's manifest, card and facts from its recipe, where no number of it changes.

    python -m models.training.reword --data DIR --out models/packs RECIPE [RECIPE ...]
    dxgate model sign models/packs/NAME --key KEY.pem

Evaluation, weights, plots and golden vectors stay as they are; in the graph and the evaluation the version alone is
written anew. A recipe whose fields or thresholds have changed is not for this: fit it again.
"""

from __future__ import annotations

import argparse
import json
from importlib import import_module
from pathlib import Path

import onnx

from gateway.domain.errors import Invalid
from models.manifest import RecordManifest, parse
from models.training import value_words
from models.training.value_pack import Subject, manifest
from models.training.write_pack import card_xml, write


def reworded(folder: Path, subject: Subject) -> dict[str, bytes]:
    """All files of the pack but its signature."""
    known = parse((folder / "manifest.toml").read_bytes())
    if not isinstance(known, RecordManifest) or [one.name for one in known.input.fields] != [
        one["name"] for one in subject.fields
    ]:
        raise Invalid(f"{folder.name} has other fields than its recipe; fit it again")
    words = subject.words
    found = json.loads((folder / "evaluation.json").read_text("utf-8")) | {"version": words.version}
    kept = ("golden.npz", *(path.relative_to(folder).as_posix() for path in sorted(folder.glob("plots/*.png"))))
    files = {
        "model.onnx": versioned((folder / "model.onnx").read_bytes(), words.version),
        "evaluation.json": (json.dumps(found, indent=1) + "\n").encode(),
        "card.xml": card_xml(value_words.card(words, found), list(words.keywords), value_words.metrics(words, found)),
        "facts.md": value_words.facts(words, found).encode("utf-8"),
        **{name: (folder / name).read_bytes() for name in kept},
    }
    page = manifest(subject, found["chosen_on_validation"], known.output.intercept, files)
    return files | {"manifest.toml": page}


def versioned(graph: bytes, version: str) -> bytes:
    model = onnx.load_from_string(graph)
    (told,) = (one for one in model.metadata_props if one.key == "version")
    told.value = version
    return bytes(model.SerializeToString())


def main() -> None:
    """Reword every named recipe's pack."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("recipes", nargs="+")
    args = parser.parse_args()
    for recipe in args.recipes:
        module = import_module(f"models.training.{recipe}")
        subject: Subject = module.subject(args.data) if hasattr(module, "subject") else module.made(args.data, 1)[0]
        folder = args.out / subject.words.name
        write(folder, reworded(folder, subject))


if __name__ == "__main__":
    main()
