"""pack: the last step before the signature. Numbers go into card and facts, golden vectors and digests are made.

Refused while a FILL IN is left, or while the evaluation is of another graph or threshold: a card that was not
written, or that speaks of another model, is worse than none.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from gateway.domain.errors import Conflict, Invalid
from models import card
from models.bring import draft, golden, words
from models.bring.page import with_table
from models.bring.skeleton import FILL_IN
from models.manifest import RulesManifest, Scored, parse
from models.package import RULES, SIGNATURE

WRITTEN = ("manifest.toml", "card.xml", "facts.md")
_NO_FILES = '\n[files]\n"{artefact}" = "{digest}"\n'


def finish(folder: Path) -> list[str]:
    """The files of the pack, in order. Raises `Invalid` or `Conflict` with what is still to be done."""
    for name in WRITTEN:
        _check_written(folder / name)
    if (folder / RULES).is_file():
        _check_rules(folder)
    else:
        _finish_graph(folder)
    files = sorted(
        path.relative_to(folder).as_posix()
        for path in folder.rglob("*")
        if path.is_file() and path.name not in (SIGNATURE, "manifest.toml")
    )
    (folder / SIGNATURE).unlink(missing_ok=True)  # whatever it said, it does not fit any more
    digests = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in files}
    text = with_table(draft.page(folder), "files", digests)
    manifest = parse(text.encode("utf-8"))
    card.check((folder / "card.xml").read_bytes(), manifest.version)
    (folder / "manifest.toml").write_text(text, "utf-8")
    return ["manifest.toml", *files]


def _finish_graph(folder: Path) -> None:
    manifest, model = draft.manifest_of(folder), (folder / "model.onnx").read_bytes()
    found = _evaluation(folder)
    if found.get("model_sha256") != hashlib.sha256(model).hexdigest():
        raise Conflict("evaluation.json is of another model.onnx; run `dxgate model evaluate` again")
    if found["chosen_on_validation"]["threshold"] != manifest.output.threshold:
        raise Conflict("manifest.toml has another threshold than evaluation.json; run `dxgate model evaluate` again")
    xml = (folder / "card.xml").read_bytes()
    card.check(xml, manifest.version)
    (folder / "card.xml").write_bytes(words.with_numbers(xml, found))
    _facts(folder / "facts.md", found, manifest)
    (folder / "golden.npz").write_bytes(golden.made(manifest, model))


def _facts(path: Path, found: dict[str, Any], manifest: Scored) -> None:
    text = path.read_text("utf-8")
    if words.NUMBERS not in text:
        raise Invalid(f"facts.md of {manifest.name} lacks the line {words.NUMBERS}")
    head, rest = text.split(words.NUMBERS, 1)
    after = rest.split("\n**", 1)[1] if "\n**" in rest else ""
    path.write_text(f"{head}{words.NUMBERS}\n\n{words.numbers(found)}\n\n**{after}", "utf-8")


def _check_rules(folder: Path) -> None:
    text = draft.page(folder)
    digest = hashlib.sha256((folder / RULES).read_bytes()).hexdigest()
    whole = text if "[files]" in text else text + _NO_FILES.format(artefact=RULES, digest=digest)
    if not isinstance(parse(whole.encode("utf-8")), RulesManifest):
        raise Invalid(f"{RULES} belongs to a pack of kind genotype")
    _evaluation(folder)


def _evaluation(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / "evaluation.json").read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise Invalid("there is no readable evaluation.json; run `dxgate model evaluate` first") from error
    if not isinstance(found, dict):
        raise Invalid("evaluation.json is not an object")
    return found


def _check_written(path: Path) -> None:
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise Invalid(f"{path.name} cannot be read") from error
    left = [number for number, line in enumerate(lines, start=1) if FILL_IN in line.split("#")[0]]
    if path.suffix == ".toml":
        left = [n for n in left if not lines[n - 1].strip().startswith("#")]
    if left:
        raise Invalid(f"{path.name} still says {FILL_IN} in line {', '.join(map(str, left[:8]))}")
