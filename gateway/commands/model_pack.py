"""`dxgate model init|train|evaluate|accept|pack|keygen|sign|verify|add`: from a graph to a pack of the site.

Only `accept` asks for the database, to keep what it found: a pack is made where its maker sits. What runs is decided
by `promote`.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import fields, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from gateway.commands.output import actor, print_json, tell
from gateway.config import LoadedSettings
from gateway.domain.acceptance import Acceptance, Limits
from gateway.domain.errors import Conflict, GatewayError, Invalid, Unavailable

LIMITS = tuple(one.name for one in fields(Limits))
KINDS = ("image", "record", "series", "genotype")


def init(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """A folder with the graph, `manifest.toml`, `card.xml` and `facts.md`; nothing that exists is overwritten."""
    from models.bring import skeleton, words

    source = _bytes(Path(arguments.onnx))
    said = words.read(_bytes(Path(arguments.words))) if arguments.words else {}
    folder = Path(arguments.into) / arguments.name
    page = skeleton.manifest(arguments.name, arguments.kind, source)
    if folder.exists():
        raise Conflict(f"{folder} exists")
    folder.mkdir(parents=True)
    artefact = "rules.json" if arguments.kind == "genotype" else "model.onnx"
    (folder / artefact).write_bytes(source)
    (folder / "manifest.toml").write_text(page, "utf-8")
    (folder / "card.xml").write_bytes(words.card(arguments.name, "1.0.0", said))
    (folder / "facts.md").write_text(words.facts(arguments.name, "1.0.0", said), "utf-8")
    tell(f"{folder}: write what is marked FILL IN in manifest.toml, card.xml and facts.md, then evaluate")
    return 0


def evaluate(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from models.bring.evaluate import Wish, evaluate

    found = evaluate(_folder(arguments), Path(arguments.data), Wish(arguments.choose, arguments.sensitivity))
    if arguments.json:
        print_json(found)
        return 0
    test = found["test"]
    tell(f"{test['n']} cases, {test['positive']} positive; {found['refused']['n']} refused")
    if found["few_cases"]:
        tell(f"WARNING: {found['few_cases']}")
    for name, value in test.items():
        if isinstance(value, dict) and "ci95" in value:
            tell(f"  {name:<12} {value['value']:.3f}  (95 % CI {value['ci95'][0]:.3f} to {value['ci95'][1]:.3f})")
    tell(f"threshold {found['chosen_on_validation']['threshold']}; written: manifest.toml, evaluation.json, plots")
    return 0


def accept(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """1 where something lies below what was wanted. The run is kept in the database of the gateway."""
    from models import package
    from models.bring.accept import accept, acceptance

    limits = _limits(loaded, arguments)
    _check_free(arguments.out)
    opened = package.verify(_folder(arguments), _trusted(loaded, arguments.trust))
    may_keep = _has_database(loaded)
    found = accept(opened, Path(arguments.data), limits, loaded.settings.models.remote)
    failure = _record(loaded, acceptance(found, limits, datetime.now(UTC), actor())) if may_keep else None
    found["recorded"] = may_keep and failure is None
    if arguments.out:
        _keep(Path(arguments.out), found)
    if arguments.json:
        print_json(found)
    else:
        _tell_accepted(found)
    if failure is not None:
        raise failure
    return 1 if found["missed"] else 0


def _check_free(out: str) -> None:
    """Before an hour is spent on what could not be written then."""
    if out and Path(out).exists():
        raise Conflict(f"{out} exists")
    if out and not Path(out).absolute().parent.is_dir():
        raise Invalid(f"{out} cannot be written: its folder is not there")


def _limits(loaded: LoadedSettings, arguments: argparse.Namespace) -> Limits:
    """Those of the site, but for what the command line asks instead."""
    from gateway import wiring

    names = {"most_refused": "refused"} | {f"least_{name}": name for name in LIMITS if name != "refused"}
    asked = {name: getattr(arguments, option) for option, name in names.items()}
    return replace(
        wiring.acceptance_limits(loaded.settings), **{name: one for name, one in asked.items() if one is not None}
    )


def _has_database(loaded: LoadedSettings) -> bool:
    """Whether the run can be kept. Where it has to be and cannot, that is said before an hour is spent on measuring."""
    from gateway import wiring

    is_required = loaded.settings.models.acceptance == "required"
    try:
        current, newest = wiring.schema_revisions(loaded.settings)
    except Unavailable:
        if is_required:
            raise
        return False
    if current == newest:
        return True
    if is_required:
        raise Conflict("there is no database of this release to keep the run in: run it where the gateway is set up")
    return False


def _record(loaded: LoadedSettings, made: Acceptance) -> GatewayError | None:
    """Why it could not be kept; the figures are told all the same."""
    from gateway import wiring

    try:
        with wiring.database(loaded.settings).begin(made.by) as unit:
            unit.governance.accept(made)
            unit.commit()
    except GatewayError as error:
        return error
    return None


def _tell_accepted(found: dict[str, Any]) -> None:
    cases = found["cases"]
    tell(f"{cases['n']} cases, {cases['positive']} positive; {found['refused']['n']} refused")
    if found["few_cases"]:
        tell(f"WARNING: {found['few_cases']}")
    for part, told in {"all cases": cases, **found["subgroups"]}.items():
        for name, value in told.items():
            if isinstance(value, dict) and "ci95" in value:
                low, high = value["ci95"]
                tell(f"  {part:<20} {name:<12} {value['value']:.3f}  (95 % CI {low:.3f} to {high:.3f})")
    for missed in found["missed"]:
        tell(f"MISSED: {missed}")
    unasked = "no limit was declared" if not found["seen"] else "its maker has chosen the threshold by these very cases"
    said = {"passed": "passed", "missed": "missed", "measured": f"measured; {unasked}, so nothing is passed"}
    kept = "kept in the database" if found["recorded"] else "NOT KEPT: no database of this gateway took it"
    tell(f"{said[found['verdict']]}; {kept}")


def _keep(path: Path, found: dict[str, Any]) -> None:
    try:
        with path.open("x", encoding="utf-8") as out:
            out.write(json.dumps(found, indent=1) + "\n")
    except FileExistsError:
        raise Conflict(f"{path} exists") from None
    except OSError as error:
        raise Invalid(f"{path} cannot be written: {error.strerror}") from error


def train(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """Runs a recipe in this environment, which needs what requirements/train.txt lists."""
    from models.training import run

    run.recipe(arguments.recipe, Path(arguments.data), Path(arguments.out), arguments.seed)
    tell(f"{arguments.out}: look at evaluation.json, then sign the pack (`dxgate model sign`)")
    return 0


def pack(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from models.bring.finish import finish

    folder = _folder(arguments)
    files = finish(folder)
    tell(f"{folder}: {len(files)} files with golden vectors and digests; sign it")
    return 0


def keygen(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from models.bring import keys

    private = Path(arguments.key)
    public = private.with_suffix(".pub.pem")
    keys.make(private, public, _passphrase(arguments))
    tell(f"{private}: keep it off this machine; {public}: put it into the folder of models.trusted_keys")
    return 0


def sign(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from models import package
    from models.bring import keys

    folder = _folder(arguments)
    package.check_fitting(folder)
    package.sign(folder, keys.load(Path(arguments.key), _passphrase(arguments)))
    tell(f"{folder} is signed")
    return 0


def verify(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    """Prints every check; 1 where one fails."""
    from models.bring.checks import checks

    models = loaded.settings.models
    found = list(checks(_folder(arguments), _trusted(loaded, arguments.trust), models.remote))
    if arguments.json:
        print_json([{"check": one.name, "holds": one.holds, "found": one.found} for one in found])
    else:
        for one in found:
            tell(f"{'ok    ' if one.holds else 'FAILED'}  {one.name}: {one.found}")
    return 0 if all(one.holds for one in found) else 1


def add(loaded: LoadedSettings, arguments: argparse.Namespace) -> int:
    from models.bring.install import add

    models = loaded.settings.models
    if not models.folders:
        raise Invalid("the site has no folder for models: set models.folders (DXGATE_MODELS_FOLDERS)")
    target = add(
        _folder(arguments), Path(models.folders[0]).expanduser(), _trusted(loaded, arguments.trust), models.remote
    )
    tell(f"{target}: a worker announces it when it starts; then `dxgate model promote` decides what it may do")
    return 0


def _folder(arguments: argparse.Namespace) -> Path:
    folder = Path(arguments.folder).resolve()
    if not folder.is_dir():
        raise Invalid(f"{arguments.folder} is not a folder")
    return folder


def _trusted(loaded: LoadedSettings, extra: str) -> tuple[Ed25519PublicKey, ...]:
    """The keys that a worker of these settings trusts, and those of `extra`."""
    from models.package import TRUST, trusted_keys

    folders = [TRUST, *(Path(one).expanduser() for one in (loaded.settings.models.trusted_keys, extra) if one)]
    return tuple(key for folder in folders for key in trusted_keys(folder))


def _passphrase(arguments: argparse.Namespace) -> str:
    """From a file, never from the command line, where every process of the machine may read it."""
    if not arguments.passphrase_file:
        return ""
    return _bytes(Path(arguments.passphrase_file)).decode("utf-8").rstrip("\n")


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}") from error
