"""`dxgate` commands in processes of their own, forked from one that has imported what they need.

Why: importing is nearly all that a command costs here, and the suite runs many. The fork is the product's own, by
which `dxgate up` starts its roles (decision 18); that a new interpreter does the same is shown by the tests that start
one: test_supervisor_whole.py and test_bring_your_own.py.
"""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from gateway.commands.up import SHARED, _environment

REPOSITORY = Path(__file__).resolve().parents[2]
SECONDS = 120
ALONE = (  # what one role or command imports for itself; onnxruntime starts a thread and is left to the worker
    "gateway.servers.web.serve",
    "gateway.storage.migrate",
    "alembic.command",
    "alembic.context",
    "sqlalchemy.dialects.sqlite",
    "psycopg",
    "httpcore",
    "gateway.formats.fhir.printed_pdf",
    "reportlab.platypus",
    "celery.bin.celery",
    "celery.worker.consumer",
    "models.package",
)
_asking = threading.Lock()
_servers: dict[int, subprocess.Popen[str]] = {}


def run_command(
    words: Sequence[str], environment: Mapping[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """What `dxgate WORDS` answers in exactly this environment."""
    with tempfile.TemporaryDirectory(prefix="dxgate-command-") as folder:
        given, said, complained = (Path(folder, name) for name in ("in", "out", "err"))
        given.write_text(stdin, "utf-8")
        code = start_command(words, environment, said, complained, given).wait(SECONDS)
        out, err = (path.read_text("utf-8", "replace") for path in (said, complained))
    return subprocess.CompletedProcess(["dxgate", *words], code, out, err)


def start_command(
    words: Sequence[str], environment: Mapping[str, str], out: Path, err: Path | None = None, given: Path | None = None
) -> CommandProcess:
    """Starts `dxgate WORDS` and leaves it running; `out` is added to and holds both outputs where `err` is None."""
    files = [str(given or os.devnull), str(out), str(err or out)]
    return CommandProcess(_ask({"words": list(words), "environment": dict(environment), "files": files}))


def start_code(code: str, words: Sequence[str], given: Path = Path(os.devnull)) -> CommandProcess:
    """Python in a process of its own, as by `python -c CODE WORDS`; it says what ails it on our standard error."""
    here = f"/proc/{os.getpid()}/fd"
    files = [str(given), f"{here}/1", f"{here}/2"]
    return CommandProcess(_ask({"code": code, "words": list(words), "environment": dict(os.environ), "files": files}))


@dataclass
class CommandProcess:
    """What tests need of subprocess.Popen, for a process whose parent is not this one."""

    pid: int
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            self.returncode = _ask({"reap": self.pid})
        return self.returncode

    def wait(self, seconds: float) -> int:
        deadline = time.monotonic() + seconds
        pause = 0.005
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(["dxgate"], seconds)
            time.sleep(pause)
            pause = min(2 * pause, 0.1)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _ask(asked: Mapping[str, Any]) -> Any:
    with _asking:
        server = _server()
        assert server.stdin
        assert server.stdout
        server.stdin.write(json.dumps(asked) + "\n")
        server.stdin.flush()
        return json.loads(server.stdout.readline())


def _server() -> subprocess.Popen[str]:
    """One for each process of tests; it ends when its standard input does."""
    running = _servers.get(os.getpid())
    if running is None or running.poll() is not None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DXGATE_")}
        own = _environment() | {"PYTHONPATH": str(REPOSITORY)}  # what `dxgate up` sets before it imports
        command = [sys.executable, "-P", __file__]
        running = _servers[os.getpid()] = subprocess.Popen(
            command, env=clean | own, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        atexit.register(_end, running)
    return running


def _end(server: subprocess.Popen[str]) -> None:
    """Waited for, so that its time and that of all it started counts as ours."""
    server.communicate()


def _serve() -> None:
    """For each line of standard input a command is started, or asked whether it has ended."""
    import gc
    from importlib import import_module
    from pkgutil import iter_modules

    import gateway.commands
    from gateway.flow import secret_hash
    from gateway.forked import fork, may_fork
    from gateway.servers.web.lasting import load_for_good

    commands = [f"gateway.commands.{one.name}" for one in iter_modules(gateway.commands.__path__)]
    for name in (*SHARED, *commands, "gateway.cli", *ALONE):
        import_module(name)
    load_for_good()
    secret_hash._N, secret_hash._R, secret_hash._P = 1 << 8, 8, 1  # as in light_scrypt.py
    gc.collect()
    gc.freeze()
    assert may_fork(), "something that was imported has started a thread"
    while line := sys.stdin.readline():
        asked = json.loads(line)
        if "reap" in asked:
            ended, status = os.waitpid(asked["reap"], os.WNOHANG)
            answer = os.waitstatus_to_exitcode(status) if ended else None
        else:
            title = " ".join(["dxgate", *asked["words"]])
            answer, hear = fork(partial(_run, asked), title, asked["environment"], lambda: None)
            os.close(hear)
        sys.stdout.write(f"{json.dumps(answer)}\n")
        sys.stdout.flush()


def _run(asked: Mapping[str, Any]) -> int:
    """In the fork."""
    from gateway import cli

    for number, name in enumerate(asked["files"]):
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND if number else os.O_RDONLY
        opened = os.open(name, flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
    if code := asked.get("code"):
        sys.argv = ["-c", *asked["words"]]
        sys.path.append(str(REPOSITORY / "tests"))
        exec(code, {"__name__": "__main__"})  # noqa: S102 - of a test
        return 0
    sys.argv = ["dxgate", *asked["words"]]
    return cli.main(asked["words"])


if __name__ == "__main__":
    _serve()
