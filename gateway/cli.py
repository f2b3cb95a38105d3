"""The command line: which commands exist, what they take, and how an error becomes one line and an exit code.

Exit codes: 0 done, 1 refused or failed, 2 wrong usage or wrong settings. A command's code is imported only when
it runs, because every role of the gateway is one of these commands and has to start fast and small.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from typing import Any

from gateway.domain.errors import GatewayError, Invalid

Group = Any  # argparse keeps the class of its sub-parsers private
ROTATED_PURPOSES = ("objects", "identity", "audit", "tokens", "signing", "deposit")
PROVIDERS = ("file", "environment", "pkcs11", "vault")
SCOPE_EXAMPLES = "system/DiagnosticReport.rs, system/*.rs"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; never a traceback."""
    arguments = parser().parse_args(argv)
    try:
        return _run(arguments)
    except Invalid as error:
        return _complain(str(error), 2)
    except GatewayError as error:
        return _complain(str(error), 1)
    except KeyboardInterrupt:
        return _complain("interrupted", 1)
    except BrokenPipeError:
        with suppress(OSError):  # the reader of our output has gone; nothing may be written at exit either
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except Exception as error:  # the edge: a message of unknown origin may quote patient data, so it is not shown
        from gateway.logging import describe

        known = describe(error)
        said = f"{known['error']} ({known['message']})" if "message" in known else known["error"]
        return _complain(f"internal error: {said} at {known['trace']}", 1)


def _run(arguments: argparse.Namespace) -> int:
    os.umask(0o077)  # whatever a role writes is its own; the units of systemd say the same
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core file would hold keys; children inherit the limit
    if arguments.home:
        os.environ["DXGATE_GATEWAY_HOME"] = arguments.home  # children of `up` inherit it
    module, _, function = arguments.run.partition(":")
    command = getattr(import_module(module), function)
    if arguments.run == "gateway.commands.version:version":
        return int(command(arguments))
    from gateway import config, logging

    loaded = config.load()
    logging.configure(loaded.settings.gateway.log_level, loaded.settings.gateway.log_format)
    return int(command(loaded, arguments))


def _complain(message: str, code: int) -> int:
    with suppress(OSError):
        sys.stderr.write(f"dxgate: {message}\n")
    return code


def parser() -> argparse.ArgumentParser:
    """The whole command line."""
    top = argparse.ArgumentParser(
        prog="dxgate",
        description="Hospital integration gateway: studies in, de-identified inference, diagnostic reports out.",
        epilog="Settings: environment DXGATE_<SECTION>_<NAME>, or dxgate.toml in the home folder; "
        "`dxgate doctor --settings` lists them.",
    )
    top.add_argument("--home", metavar="FOLDER", help="home folder; the same as DXGATE_GATEWAY_HOME")
    commands = top.add_subparsers(metavar="COMMAND", required=True)
    _roles(commands)
    _operation(commands)
    _keys(commands)
    _access(commands)
    _work(commands)
    _store(commands)
    _held(commands)
    _models(commands)
    _release(commands)
    _files(commands)
    return top


def _command(group: Group, name: str, run: str, help_: str) -> argparse.ArgumentParser:
    made: argparse.ArgumentParser = group.add_parser(name, help=help_, description=help_)
    made.set_defaults(run=f"gateway.commands.{run}")
    return made


def _group(group: Group, name: str, help_: str) -> Group:
    made = group.add_parser(name, help=help_, description=help_)
    return made.add_subparsers(metavar="COMMAND", required=True)


def _roles(commands: Group) -> None:
    _command(commands, "up", "up:up", "start everything on this machine and keep it running")
    serve = _group(commands, "serve", "run one server process")
    _command(serve, "dicom", "roles:serve_dicom", "the DICOM port")
    _command(serve, "web", "roles:serve_web", "the FHIR endpoint and the console")
    _command(serve, "sweep", "roles:sweep", "the same as `dxgate sweep`, so that one systemd template fits")
    _command(commands, "sweep", "roles:sweep", "find work that nobody holds: settle, announce, compose, deliver")
    _command(commands, "worker", "roles:worker", "run the models")


def _operation(commands: Group) -> None:
    _command(commands, "init", "setup:init", "make what is missing: key rings, tables, the person `admin`")
    migrate = _command(commands, "migrate", "setup:migrate", "bring the database to the newest schema")
    migrate.add_argument("--worker-role", metavar="ROLE", help="PostgreSQL role of workers, to be granted its part")
    doctor = _command(commands, "doctor", "doctor:doctor", "check every part and say what to do")
    doctor.add_argument("--settings", action="store_true", help="list every setting in force and where it came from")
    _json(doctor)
    audit = _group(commands, "audit", "the audit trail")
    _json(_command(audit, "verify", "audit:verify", "check the whole chain"))
    _json(_command(audit, "head", "audit:head", "print the last row's number and code"))
    _command(commands, "version", "version:version", "print the version")


def _keys(commands: Group) -> None:
    keys = _group(commands, "keys", "key rings: who can open what")
    _command(keys, "init", "keys:init", "create the key rings that are missing")
    _json(_command(keys, "status", "keys:status", "list every key and how many rows rest on it"))
    rotate = _command(keys, "rotate", "keys:rotate", "make new keys current and wrap all rows anew")
    rotate.add_argument("--purpose", action="append", choices=ROTATED_PURPOSES, help="only this one (default: all)")
    rotate.add_argument("--stage", action="store_true", help="only make the next key, to be copied first")
    rotate.add_argument("--kek", action="store_true", help="wrap the rings themselves under a new key of the provider")
    rotate.add_argument("--from", dest="moved_from", choices=PROVIDERS, help="the provider until now")
    retire = _command(keys, "retire", "keys:retire", "destroy a former key on which nothing rests any more")
    retire.add_argument("kid", metavar="KEY")
    for name, help_ in (
        ("backup", "seal all rings in one new file"),
        ("restore", "bring the rings back from a backup"),
    ):
        command = _command(keys, name, f"keys_backup:{name}", help_)
        command.add_argument("file", metavar="FILE")
        command.add_argument("--passphrase-stdin", action="store_true", help="read the passphrase from standard input")
    command.add_argument("--force", action="store_true", help="replace other rings, which are kept beside")
    shred = _command(keys, "shred", "shred:shred", "erase a patient for good: secret, keys, identity, sealed files")
    who = shred.add_mutually_exclusive_group(required=True)
    who.add_argument("--patient", metavar="PSEUDONYM")
    who.add_argument("--patient-id", metavar="ID", help="as the hospital writes it; - reads it from standard input")
    shred.add_argument("--issuer", metavar="ISSUER", help="issuer of the patient id, where several use it")
    shred.add_argument("--reason", required=True, metavar="TEXT", help="for the audit trail; it must name nobody")
    shred.add_argument("--yes", action="store_true", help="do not ask")


def _access(commands: Group) -> None:
    client = _group(commands, "client", "systems that may connect")
    add = _group(client, "add", "let a system connect")
    made = "add a FHIR client; where it has no keys or certificate, with a secret that is shown once"
    fhir = _credentials(_command(add, "fhir", "fhir_client:add_fhir_client", made))
    fhir.add_argument("name", help="client id")
    fhir.add_argument("--scope", action="append", required=True, metavar="SCOPE", help=f"e.g. {SCOPE_EXAMPLES}")
    fhir.add_argument("--from", dest="networks", action="append", default=[], metavar="CIDR", help="its network")
    fhir.add_argument(
        "--redirect",
        dest="redirects",
        action="append",
        default=[],
        metavar="URL",
        help="an app in which people sign in: where it gets its code",
    )
    fhir.add_argument("--launch", metavar="URL", help="where such an app is opened from a report in the console")
    fhir.add_argument(
        "--id-token-alg",
        choices=("RS256", "ES256"),
        default="RS256",
        help="how ID tokens for such an app are signed (id_token_signed_response_alg)",
    )
    dicom = _command(add, "dicom", "access:add_dicom_client", "add a DICOM peer by its AE title")
    dicom.add_argument("name", metavar="AE", help="AE title")
    dicom.add_argument("--from", dest="networks", action="append", required=True, metavar="CIDR", help="its network")
    _json(_command(client, "list", "access:list_clients", "list the clients"))
    anew = "replace a FHIR client's credentials and end its tokens"
    rotate = _credentials(_command(client, "rotate", "fhir_client:rotate_fhir_client", anew))
    rotate.add_argument("name", help="client id")
    disable = _command(client, "disable", "access:disable_client", "stop a client from connecting")
    disable.add_argument("kind", choices=("fhir", "dicom"))
    disable.add_argument("name")
    person = _group(commands, "person", "people who use the console")
    add_person = _command(person, "add", "access:add_person", "add a person; the password is asked for")
    add_person.add_argument("name")
    add_person.add_argument("--role", required=True, choices=("admin", "auditor", "physician", "privacy-officer"))
    add_person.add_argument("--display-name", default="", metavar="TEXT", help="as it stands on signed reports")
    add_person.add_argument("--qualification", default="", metavar="TEXT", help="e.g. Radiologist")
    add_person.add_argument("--identifier", default="", metavar="SYSTEM|VALUE", help="e.g. the NPI")
    add_person.add_argument("--password-stdin", action="store_true", help="read the password from standard input")


def _credentials(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """By what a FHIR client proves who it is."""
    command.add_argument(
        "--jwks", metavar="FILE|URL", help="its public keys (RS384, ES384), or the https address of them"
    )
    command.add_argument(
        "--certificate", action="append", default=[], metavar="FILE", help="exactly this TLS certificate (PEM or DER)"
    )
    command.add_argument(
        "--certificate-subject", action="append", default=[], metavar="DN", help="a certificate with this subject"
    )
    command.add_argument(
        "--certificate-dns", action="append", default=[], metavar="NAME", help="a certificate with this DNS name"
    )
    return _json(command)


def _work(commands: Group) -> None:
    study = _group(commands, "study", "studies, by their pseudonymous id")
    _limit(_json(_command(study, "list", "study:list_studies", "list the newest studies")))
    show = _json(_command(study, "show", "study:show", "show a study with its tasks, report and deliveries"))
    show.add_argument("id")
    retry = _command(study, "retry", "study:retry", "try again what failed, was refused or found no model")
    retry.add_argument("id")
    recheck = _command(study, "recheck", "study:recheck", "let the checker look again at quarantined objects")
    recheck.add_argument("id")
    recheck.add_argument("--reason", required=True, help="why, without a word about the patient")
    report = _group(commands, "report", "diagnostic reports, by their number")
    listed = _limit(_json(_command(report, "list", "report:list_reports", "list the newest reports")))
    listed.add_argument("--status", default="", metavar="STATUS", help="only of this status")
    listed.add_argument("--waiting", action="store_true", help="those that wait for a signature, STAT first")
    shown = "show what a report says, who decided about it, and where it went"
    _json(_command(report, "show", "report:show", shown)).add_argument("id")
    counted = _json(_command(report, "figures", "report:show_figures", "time to sign and override rate by model"))
    counted.add_argument("--days", type=int, default=90, metavar="N", help="decisions of the last N days (default 90)")
    _json(_command(report, "verify", "report:verify", "verify the signatures of a report")).add_argument("id")
    _command(report, "keys", "report:keys", "print the public signing keys as JSON Web Key Set")
    delivery = _group(commands, "delivery", "report versions on their way to destinations")
    _limit(_json(_command(delivery, "list", "delivery:list_deliveries", "list deliveries of the newest reports")))
    replay = _command(delivery, "replay", "delivery:replay", "send a delivery again")
    replay.add_argument("id")


def _store(commands: Group) -> None:
    store = _group(commands, "fhir", "the store of FHIR resources")
    anew = "write the search index anew while the gateway runs; goes on where an earlier run was cut off"
    reindex = _json(_command(store, "reindex", "fhir_store:reindex", anew))
    reindex.add_argument("--anew", action="store_true", help="give up an unfinished run and begin from the start")


def _held(commands: Group) -> None:
    held = _group(commands, "held", "objects that wait for a person's decision")
    waiting = _limit(_json(_command(held, "list", "held:list_held", "list the objects that are held, oldest first")))
    waiting.add_argument("--quarantined", action="store_true", help="and those that are quarantined")
    _json(_command(held, "show", "held:show", "show an object and what was found in its pixels")).add_argument("id")
    decisions = {
        "release": "the object shows nobody: let it pass",
        "reject": "never let a model read the object",
        "mask": "let a worker mask boxes of the object's pixels",
    }
    for name, help_ in decisions.items():
        decide = _command(held, name, f"held:{name}", help_)
        decide.add_argument("id")
        decide.add_argument("--reason", required=True, help="why, without a word about the patient")
        if name == "mask":
            box = "left, top, width, height in pixels; frame from 0, all where it is left out"
            decide.add_argument("--box", action="append", required=True, metavar="L,T,W,H[,FRAME]", help=box)


def _models(commands: Group) -> None:
    model = _group(commands, "model", "models: bring, check, let read")
    _json(_command(model, "list", "model:list_models", "list every version that workers announced, with its state"))
    _version(_command(model, "activate", "model:activate", "let a version read studies, in place of the active one"))
    promote = _version(_command(model, "promote", "model:promote", "let a version run: in the shadow, or for reports"))
    promote.add_argument("--to", required=True, choices=("shadow", "active"), help="shadow: findings are not reported")
    _version(_command(model, "retire", "model:retire", "let a version read nothing any more"))
    stop = _version(_command(model, "stop", "model:stop", "run nothing with it from now on; what waits stays in sight"))
    stop.add_argument("--reason", required=True, metavar="TEXT", help="why; it stays in the audit trail")
    _version(_command(model, "resume", "model:resume", "let a stopped version go on with what waits for it"))
    month = _json(_command(model, "report", "model_month:report", "what each version did in a month; page and CSV"))
    month.add_argument("--month", required=True, metavar="YYYY-MM", help="in UTC")
    month.add_argument("--csv", default="", metavar="FILE", help="every figure, one a line")
    month.add_argument("--page", default="", metavar="FILE", help="the same as a page (HTML)")
    rollback = _command(model, "rollback", "model:rollback", "back to the version that was active before")
    rollback.add_argument("name")
    _packs(model)
    recall = _json(
        _command(commands, "recall", "recall:recall", "list, mark and redo what a model version had a part in")
    )
    recall.add_argument("--model", required=True, metavar="NAME")
    recall.add_argument("--version", required=True, metavar="VERSION")
    recall.add_argument("--sha256", default="", metavar="DIGITS", help="first digits, where two packages share both")
    recall.add_argument("--reason", default="", metavar="TEXT", help="why; it goes out with the reports")
    recall.add_argument("--mark", action="store_true", help="retire it, cancel unsigned reports, flag signed ones")
    recall.add_argument("--rerun", action="store_true", help="analyse the studies again with what is active")


def _packs(model: Group) -> None:
    init = _command(model, "init", "model_pack:init", "make the folder of a new pack from an ONNX file")
    init.add_argument("name", help="lower-case words joined by hyphens")
    init.add_argument("--kind", required=True, choices=("image", "record", "series", "genotype"))
    init.add_argument("--onnx", required=True, metavar="FILE", help="the graph; for kind genotype rules.json")
    init.add_argument("--words", default="", metavar="FILE", help="texts of the card as TOML, where they are written")
    init.add_argument("--into", default=".", metavar="FOLDER", help="where the folder NAME is made (default: here)")
    measure = _json(_packed(model, "evaluate", "measure it on labelled cases; sets threshold and quantiles"))
    measure.add_argument("--data", required=True, metavar="PATH", help="folder with labels.csv, or a CSV of records")
    measure.add_argument("--choose", type=float, default=0.5, metavar="SHARE", help="patients that choose (default .5)")
    measure.add_argument("--sensitivity", type=float, default=0.9, metavar="SHARE", help="wanted (default .9)")
    accept = _json(_packed(model, "accept", "measure a signed pack, as it is served, on the site's own cases"))
    accept.add_argument("--data", required=True, metavar="PATH", help="as for evaluate; every case is scored")
    accept.add_argument("--out", default="", metavar="FILE", help="the figures as JSON; a file that exists stays")
    for name in ("auc", "sensitivity", "specificity"):
        told = f"exit 1 where the {name} of all cases, or of a subgroup, is lower (default: models.least_{name})"
        accept.add_argument(f"--least-{name}", type=_share, default=None, metavar="SHARE", help=told)
    asked = "what these have to reach in a subgroup, where that is less (default: models.least_subgroup)"
    accept.add_argument("--least-subgroup", type=_share, default=None, metavar="SHARE", help=asked)
    asked = "largest share of cases that the guards may refuse (default: models.most_refused)"
    accept.add_argument("--most-refused", type=_share, default=None, metavar="SHARE", help=asked)
    asked = "patients with cases of either label, without whom nothing passes (default: models.least_cases)"
    accept.add_argument("--least-cases", type=_positive, default=None, metavar="NUMBER", help=asked)
    train = _command(model, "train", "model_pack:train", "make a built-in pack again from its data; not signed")
    train.add_argument("recipe", help="a file of models/training, such as diabetes_risk")
    train.add_argument("--data", required=True, metavar="FOLDER", help="as the first lines of the recipe say")
    train.add_argument("--out", default="build/packs", metavar="FOLDER", help="where the pack is written")
    train.add_argument("--seed", type=int, default=1, metavar="NUMBER")
    _packed(model, "pack", "put in numbers, golden vectors and digests; refuses what is not written")
    keygen = _command(model, "keygen", "model_pack:keygen", "make a pair of signing keys")
    keygen.add_argument("key", metavar="FILE", help="for the private half; the public one lies beside, *.pub.pem")
    sign = _packed(model, "sign", "sign a pack")
    sign.add_argument("--key", required=True, metavar="FILE", help="the private key")
    for command in (keygen, sign):
        command.add_argument("--passphrase-file", default="", metavar="FILE", help="passphrase of the private key")
    verify = _json(_packed(model, "verify", "print every check that a worker makes"))
    add = _packed(model, "add", "copy a verified pack into the site's folder of models")
    for command in (verify, add, accept):
        command.add_argument("--trust", default="", metavar="FOLDER", help="more public keys (*.pem) to trust")


def _share(text: str) -> float:
    with suppress(ValueError):
        if 0 <= float(text) <= 1:
            return float(text)
    raise argparse.ArgumentTypeError("a number from 0 to 1 is wanted")


def _positive(text: str) -> int:
    if text.isdecimal() and text.isascii() and 0 < int(text) <= 100_000:
        return int(text)
    raise argparse.ArgumentTypeError("a whole number from 1 to 100000 is wanted")


def _packed(group: Group, name: str, help_: str) -> argparse.ArgumentParser:
    made = _command(group, name, f"model_pack:{name}", help_)
    made.add_argument("folder", metavar="FOLDER", help="the pack")
    return made


def _version(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("name")
    command.add_argument("version")
    command.add_argument("--sha256", default="", metavar="DIGITS", help="first digits, where two packages share both")
    return command


def _release(commands: Group) -> None:
    export = _command(commands, "export", "export:export", "write a research copy of chosen studies")
    export.add_argument("--out", required=True, metavar="FOLDER", help="a new folder")
    export.add_argument("--recipient", required=True, metavar="NAME", help="who gets it; pseudonyms are his own")
    export.add_argument("--purpose", required=True, metavar="TEXT", help="what for, as it stands in the audit trail")
    export.add_argument("--study", action="append", default=[], metavar="ID", help="this study; may be repeated")
    export.add_argument("--patient", action="append", default=[], metavar="PSEUDONYM", help="all studies of a patient")
    export.add_argument("--modality", default="", metavar="CS", help="studies with this modality")
    export.add_argument("--body-part", default="", metavar="CS", help="studies of this body part")
    export.add_argument(
        "--from", dest="received_from", default="", metavar="DATE", help="received on this day or later"
    )
    export.add_argument("--to", dest="received_to", default="", metavar="DATE", help="received on this day or before")
    export.add_argument("--k", type=int, default=5, metavar="N", help="patients in the smallest group (default 5)")
    export.add_argument("--dates", choices=("removed", "shifted"), default="removed", help="default: removed")
    export.add_argument("--allow-unsearched-pixels", action="store_true", help="also objects exempt from the search")
    export.add_argument("--yes", action="store_true", help="do not ask")
    identity = _group(commands, "identity", "who a pseudonym stands for")
    opening = _json(_command(identity, "open", "identity:open_identity", "lead one pseudonym back, on record"))
    opening.add_argument("pseudonym", help="patient pseudonym or pseudonymous Study Instance UID")
    opening.add_argument("--person", required=True, metavar="NAME", help="who asks; the password is asked for")
    opening.add_argument(
        "--purpose", required=True, metavar="CODE", help="TREAT, ETREAT, PATSFTY, PATRQT, PUBHLTH, HLEGAL"
    )
    opening.add_argument("--reason", required=True, metavar="TEXT", help="why, in words that name no patient")
    opening.add_argument("--export", default="", metavar="ID", help="the export that the pseudonym comes from")
    opening.add_argument("--password-stdin", action="store_true", help="read the password from standard input")


def _files(commands: Group) -> None:
    made = _json(_command(commands, "deidentify", "deidentify:deidentify", "de-identify DICOM, FHIR and HL7 v2 files"))
    made.add_argument("files", nargs="+", metavar="FILE")
    made.add_argument(
        "--out", required=True, metavar="FOLDER", help="where the copies go; nothing there is overwritten"
    )
    made.add_argument("--profile", choices=("inference", "export"), default="inference", help="how much is kept")
    made.add_argument(
        "--dates", choices=("shift", "year", "remove"), help="instead of what the profile does with dates"
    )
    made.add_argument(
        "--patient-key",
        metavar="ISSUER|ID",
        help="whose files these are where they do not say it; - reads it from standard input",
    )
    made.add_argument(
        "--issuer",
        action="append",
        default=[],
        metavar="SYSTEM=ISSUER",
        help="a FHIR system or HL7 authority and the issuer it is in DICOM; may be repeated",
    )
    made.add_argument("--throw-away", action="store_true", help="a key that is forgotten at once, instead of the vault")


def _json(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("--json", action="store_true", help="print JSON")
    return command


def _limit(command: argparse.ArgumentParser) -> argparse.ArgumentParser:
    command.add_argument("--limit", type=int, default=20, metavar="N", help="at most N rows (default 20)")
    return command


if __name__ == "__main__":
    sys.exit(main())
