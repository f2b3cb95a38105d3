"""`dxgate` commands in processes of their own, forked from one that has imported what they need.

Why: importing is nearly all that a command costs here, and the suite runs many. The fork is the product's own, by
which `dxgate up` starts its roles (decision 18); that a new interpreter does the same is shown by the tests that start
one: test_supervisor_whole.py, test_cli.py, test_bring_your_own.py.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
_asking = threading.Lock()
_servers: dict[int, subprocess.Popen[str]] = {}


def run_command(
    words: Sequence[str], environment: Mapping[str, str], stdin: str = ""
) -> subprocess.CompletedProcess[str]:
    """What `dxgate WORDS` answers in exactly this environment."""
    with tempfile.TemporaryDirectory(prefix="dxgate-command-") as folder:
        given, said, complained = (Path(folder, name) for name in ("in", "out", "err"))
        given.write_text(stdin, "utf-8")
        asked = {"words": list(words), "environment": dict(environment), "folder": folder}
        with _asking:
            server = _server()
            assert server.stdin
            assert server.stdout
            server.stdin.write(json.dumps(asked) + "\n")
            server.stdin.flush()
            code = int(server.stdout.readline())
        out, err = (path.read_text("utf-8", "replace") for path in (said, complained))
    return subprocess.CompletedProcess(["dxgate", *words], code, out, err)


def _server() -> subprocess.Popen[str]:
    """One for each process of tests; it ends when its standard input does."""
    running = _servers.get(os.getpid())
    if running is None or running.poll() is not None:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("DXGATE_")}
        own = {"PYTHONPATH": str(REPOSITORY), "OPENBLAS_NUM_THREADS": "1"}  # a thread would forbid to fork
        command = [sys.executable, "-P", __file__]
        running = _servers[os.getpid()] = subprocess.Popen(
            command, env=clean | own, cwd=REPOSITORY, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
    return running


def _serve() -> None:
    """One command for each line of standard input, one after the other; their exit codes are the answers."""
    import gc
    from importlib import import_module
    from pkgutil import iter_modules

    import gateway.commands
    from gateway.commands.up import SHARED
    from gateway.forked import fork, may_fork

    commands = [f"gateway.commands.{one.name}" for one in iter_modules(gateway.commands.__path__)]
    for name in (*SHARED, *commands, "gateway.cli", "gateway.storage.migrate", "sqlalchemy.dialects.sqlite"):
        import_module(name)
    gc.collect()
    gc.freeze()
    assert may_fork(), "something that was imported has started a thread"
    while line := sys.stdin.readline():
        asked = json.loads(line)
        pid, hear = fork(lambda asked=asked: _run(asked), "dxgate command", asked["environment"], lambda: None)
        os.close(hear)
        _, status = os.waitpid(pid, 0)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


def _run(asked: Mapping[str, Any]) -> int:
    """In the fork."""
    from gateway import cli

    for number, (name, flags) in enumerate(
        (("in", os.O_RDONLY), ("out", os.O_WRONLY | os.O_CREAT), ("err", os.O_WRONLY | os.O_CREAT))
    ):
        opened = os.open(Path(asked["folder"], name), flags, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, encoding="utf-8", closefd=False)  # noqa: SIM115 - as long as the process
    sys.argv = ["dxgate", *asked["words"]]
    return cli.main(asked["words"])


if __name__ == "__main__":
    _serve()
