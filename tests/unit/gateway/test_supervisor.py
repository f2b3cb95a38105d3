"""Claims about the supervisor, tried on small programs of our own: each as a new interpreter and as a fork."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import psutil
import pytest

from gateway.domain.errors import Conflict
from gateway.supervisor import BackOff, only_one

ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="PR_SET_PDEATHSIG and forks are for Linux alone")
LIMIT = 30.0  # seconds until a wait counts as failed

PRELUDE = """
import asyncio, sys, time, os, pathlib
from gateway.child import Role
from gateway.supervisor import Supervisor, BackOff
from gateway.domain.errors import GatewayError
FOLDER, FORKS = pathlib.Path(sys.argv[1]), sys.argv[2] == "fork"
def python(name, code, **more):
    head = f"FOLDER, NAME = pathlib.Path({str(FOLDER)!r}), {name!r}" + CHILD
    whole = "import os, sys, time, signal, pathlib, subprocess; " + head + code
    return Role(name, (sys.executable, "-c", whole), run=(lambda: exec(whole, {}) or 0) if FORKS else None,
        is_ready=lambda pid: (FOLDER / f"{name}-{pid}.ready").exists(), **more)
CHILD = '''
def ready():
    (FOLDER / f"{NAME}-{os.getpid()}.ready").touch()
def note(text):
    os.write(os.open(FOLDER / "notes", os.O_WRONLY | os.O_CREAT | os.O_APPEND), text.encode() + bytes([10]))
'''
BLOCK = "note('start ' + NAME); signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM}); "
WAIT = "; ready(); signal.sigwait({signal.SIGTERM}); note('stop ' + NAME)"
def waiter(name, before="pass"):
    return python(name, BLOCK + before + WAIT)
def run(*stages, **more):
    try:
        asyncio.run(Supervisor(stages, **more).run(lambda: print("ALL READY", flush=True)))
    except GatewayError as error:
        print("ERROR", error, flush=True)
        sys.exit(1)
"""


class Started:
    """A supervisor in a process of its own, with what it says."""

    def __init__(self, folder: Path, program: str, way: str) -> None:
        self.folder = folder
        self.log = folder / "log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PRELUDE + textwrap.dedent(program), str(folder), way],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    @property
    def said(self) -> str:
        return self.log.read_text()

    @property
    def notes(self) -> list[str]:
        path = self.folder / "notes"
        return path.read_text().splitlines() if path.exists() else []

    def wait_ready(self) -> None:
        until(lambda: "ALL READY" in self.said, self)

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def guards(self) -> set[psutil.Process]:
        """What kills the roles that a dead supervisor leaves."""
        return {process for process, name in self._named() if name == "sh"}

    def roles(self) -> set[psutil.Process]:
        return {process for process, name in self._named() if name != "sh"}

    def _named(self) -> Iterator[tuple[psutil.Process, str]]:
        """A process that ends while it is looked at is none."""
        for process in self.descendants():
            with suppress(psutil.NoSuchProcess):
                yield process, process.name()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(LIMIT)


def until(claim: Callable[[], bool], started: Started) -> None:
    deadline = time.monotonic() + LIMIT
    while not claim():
        assert time.monotonic() < deadline, started.said
        time.sleep(0.01)


def gone(processes: list[psutil.Process]) -> bool:
    return all(not one.is_running() or one.status() == psutil.STATUS_ZOMBIE for one in processes)


@pytest.fixture(params=["program", pytest.param("fork", marks=ON_LINUX)])
def start(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Callable[[str], Started]]:
    started: list[Started] = []

    def begin(program: str) -> Started:
        started.append(Started(tmp_path, program, request.param))
        return started[-1]

    yield begin
    for one in started:
        with_children = [one.process.pid]
        if one.process.poll() is None:
            with_children += [child.pid for child in one.descendants()]
            for pid in reversed(with_children):
                os.kill(pid, signal.SIGKILL)
            one.process.wait(LIMIT)


def test_starts_stages_in_order_and_stops_in_reverse(start: Callable[[str], Started]) -> None:
    """A stage starts after the one before is ready, and the last started is stopped first."""
    one = start("run([waiter('a')], [waiter('b')], [waiter('c')])")
    one.wait_ready()
    assert one.stop() == 0
    assert one.notes == ["start a", "start b", "start c", "stop c", "stop b", "stop a"]


def test_a_one_shot_must_end_well_before_the_next_stage(start: Callable[[str], Started]) -> None:
    """A role that runs once is waited for, and is not started again."""
    one = start("run([python('once', \"note('once')\", once=True)], [waiter('b')])")
    one.wait_ready()
    assert one.stop() == 0
    assert one.notes == ["once", "start b", "stop b"]


def test_a_failing_one_shot_fails_the_start(start: Callable[[str], Started]) -> None:
    """When a one-shot ends badly the supervisor stops what runs and says which role it was."""
    one = start("run([waiter('a')], [python('once', 'sys.exit(3)', once=True)], [waiter('c')])")
    assert one.process.wait(LIMIT) == 1
    assert "ERROR once does not start" in one.said
    assert one.notes == ["start a", "stop a"]


def test_a_role_that_never_becomes_ready_fails_the_start(start: Callable[[str], Started]) -> None:
    """A role that ends at every attempt is given up after three."""
    quick = "back_off=BackOff(0.01, 0.02)"
    one = start(f"run([python('bad', \"note('try'); sys.exit(1)\")], {quick})")
    assert one.process.wait(LIMIT) == 1
    assert one.notes == ["try"] * 3


def test_a_role_that_takes_too_long_is_killed(start: Callable[[str], Started]) -> None:
    """A role that is not ready within its limit counts as failed and does not stay behind."""
    one = start("run([python('slow', 'time.sleep(600)', ready_seconds=0.2)], back_off=BackOff(0.01, 0.02))")
    assert one.process.wait(LIMIT) == 1
    assert "is not ready after 0.2 s" in one.said


def test_a_missing_program_is_one_line(start: Callable[[str], Started]) -> None:
    """A command that does not exist is named, without a traceback."""
    one = start("run([Role('broker', ('/nonexistent/program',))])")
    assert one.process.wait(LIMIT) == 1
    assert "ERROR broker cannot be run" in one.said
    assert "Traceback" not in one.said


def test_a_killed_role_starts_again(start: Callable[[str], Started]) -> None:
    """After SIGKILL of a child a new one takes its place, and its end is said."""
    one = start("run([waiter('a')], back_off=BackOff(0.01, 0.1))")
    one.wait_ready()
    (child,) = one.roles()
    child.kill()
    until(lambda: one.notes.count("start a") == 2, one)
    assert "ended (killed by SIGKILL)" in one.said
    until(lambda: bool(one.roles()), one)
    assert one.stop() == 0


def test_a_killed_leader_takes_its_group_along(start: Callable[[str], Started]) -> None:
    """Grandchildren do not outlive their dead parent, so that a restart never doubles them."""
    grandchild = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    one = start(f"run([waiter('a', before={grandchild!r})], back_off=BackOff(0.01, 0.1))")
    one.wait_ready()
    leader = next(p for p in one.descendants() if p.children())
    (below,) = leader.children()
    leader.kill()
    until(lambda: gone([below]), one)
    assert one.stop() == 0


@ON_LINUX
@pytest.mark.parametrize("guard_too", [False, True])
def test_kill_9_of_the_supervisor_leaves_no_orphan(start: Callable[[str], Started], guard_too: bool) -> None:
    """Children that ignore SIGTERM go with a killed supervisor; grandchildren too, while the guard lives."""
    deaf = "signal.signal(signal.SIGTERM, signal.SIG_IGN)"
    grandchild = f"subprocess.Popen([sys.executable, '-c', 'import signal, time; {deaf}; time.sleep(600)'])"
    before = "pass" if guard_too else f"{deaf}; {grandchild}"
    one = start(f"run([waiter('a')], [waiter('b', before={before!r})])")
    one.wait_ready()
    processes = one.descendants()
    assert len(processes) == (3 if guard_too else 4)
    one.process.send_signal(signal.SIGSTOP)  # the supervisor must not notice that its guard dies
    if guard_too:
        next(process for process in processes if process.name() == "sh").kill()
    one.process.kill()
    one.process.wait(LIMIT)
    until(lambda: gone(processes), one)


def test_a_killed_guard_is_replaced(start: Callable[[str], Started]) -> None:
    """The guard is itself kept alive, and the new one knows the running groups."""
    grandchild = "subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])"
    one = start(f"run([waiter('a', before={grandchild!r})])")
    one.wait_ready()
    (guard,) = one.guards()
    guard.kill()
    until(lambda: bool(one.guards() - {guard}), one)
    processes = one.descendants()
    one.process.kill()
    one.process.wait(LIMIT)
    until(lambda: gone(processes), one)


def test_a_child_that_ignores_sigterm_is_killed_after_its_grace(start: Callable[[str], Started]) -> None:
    """The stop is bounded by the grace of each role."""
    code = "signal.signal(signal.SIGTERM, signal.SIG_IGN); ready(); time.sleep(600)"
    one = start(f"run([python('deaf', {code!r}, grace_seconds=0.1)])")
    one.wait_ready()
    assert one.stop() == 0
    assert "did not stop within 0.1 s" in one.said


def test_a_second_signal_does_not_wait(start: Callable[[str], Started]) -> None:
    """A second SIGTERM or Ctrl-C kills what is still stopping."""
    code = "signal.signal(signal.SIGTERM, lambda *_: note('deaf')); ready(); [time.sleep(1) for _ in range(600)]"
    one = start(f"run([python('deaf', {code!r}, grace_seconds=600.0)])")
    one.wait_ready()
    one.process.send_signal(signal.SIGTERM)
    until(lambda: "deaf" in one.notes, one)
    assert one.stop() == 0


def test_stop_during_the_start_is_clean(start: Callable[[str], Started]) -> None:
    """SIGTERM before everything is ready stops what has been started."""
    one = start("run([waiter('a')], [python('slow', \"note('slow'); time.sleep(600)\")])")
    until(lambda: "slow" in one.notes, one)
    assert one.stop() == 0
    assert one.notes[-1] == "stop a"
    assert "ALL READY" not in one.said


def test_lines_carry_the_role_and_are_bounded(start: Callable[[str], Started]) -> None:
    """What a child writes comes out line by line after its name; a line without end is cut."""
    code = "print('one'); print('two', file=sys.stderr); print('x' * 100_000); print('last', end='')"
    one = start(f"run([python('talk', {code!r}, once=True)], [waiter('b')])")
    one.wait_ready()
    one.stop()
    lines = one.said.splitlines()
    assert "talk    | one" in lines
    assert "talk    | two" in lines
    assert "talk    | last" in lines
    assert max(map(len, lines)) < 20_000


@pytest.mark.parametrize("way", ["program", pytest.param("fork", marks=ON_LINUX)])
def test_a_reader_who_has_gone_stops_nothing(tmp_path: Path, way: str) -> None:
    """A closed pipe on standard error takes neither the supervisor down nor the restart of a role."""
    code = "print('first'); note('said'); ready(); time.sleep(600)"
    program = f"run([python('talk', {code!r})], back_off=BackOff(0.01, 0.02))"
    process = subprocess.Popen(
        [sys.executable, "-c", PRELUDE + program, str(tmp_path), way],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stderr is not None
    assert process.stdout is not None
    process.stderr.close()
    notes = tmp_path / "notes"
    try:
        assert process.stdout.readline() == b"ALL READY\n"
        (talking,) = [child for child in psutil.Process(process.pid).children() if child.name() != "sh"]
        talking.kill()
        deadline = time.monotonic() + LIMIT
        while notes.read_text().count("said") < 2:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        process.send_signal(signal.SIGTERM)
        assert process.wait(LIMIT) == 0
    finally:
        process.kill()
        process.stdout.close()


@pytest.mark.parametrize(
    ("previous", "lived", "expected"), [(0, 0, 1), (1, 0.5, 2), (2, 0.5, 4), (4, 0.5, 5), (5, 30, 1)]
)
def test_back_off_doubles_to_a_limit_and_forgets(previous: float, lived: float, expected: float) -> None:
    """The pause doubles while a role keeps dying young and is short again after a good life."""
    assert BackOff(1, 5, 30).after(previous, lived) == expected


def test_two_supervisors_refuse_one_home(tmp_path: Path) -> None:
    """The second holder of a lock file is refused and told who holds it."""
    lock = tmp_path / "run" / "up.lock"
    with only_one(lock), pytest.raises(Conflict, match=str(os.getpid())), only_one(lock):
        pass
    with only_one(lock):
        pass


def test_a_role_killed_by_a_signal_without_a_name_starts_again(start: Callable[[str], Started]) -> None:
    """Real-time signals end a process too, and its keeper outlives them."""
    one = start("run([waiter('a')], back_off=BackOff(0.01, 0.02))")
    one.wait_ready()
    (first,) = one.roles()
    first.send_signal(signal.SIGRTMIN + 6)
    until(lambda: one.notes == ["start a", "start a"], one)
    assert f"killed by signal {signal.SIGRTMIN + 6}" in one.said
    until(lambda: len(list(one.folder.glob("a-*.ready"))) == 2, one)
    assert one.stop() == 0


FORKED = """
import json, os, sys, threading
def role():
    import atexit, signal
    FILES = {n: os.readlink(f"/proc/self/fd/{n}") for n in range(100) if os.path.exists(f"/proc/self/fd/{n}")}
    def late():
        time.sleep(0.1); note("thread")
    import time
    note(json.dumps({"files": FILES, "argv": sys.argv, "more": os.environ["MORE"],
        "leader": os.getsid(0) == os.getpid(),
        "deaf": signal.getsignal(signal.SIGTERM) == signal.SIG_DFL,
        "shared": "colorsys" in sys.modules,
        "title": pathlib.Path("/proc/self/cmdline").read_bytes().rstrip(bytes(1)).decode().strip()}))
    atexit.register(note, "exit function")
    threading.Thread(target=late).start()
    return 7
NAME = "x"
exec(CHILD)
run([python("first", "pass", once=True)],
    [Role("forked", ("/nonexistent",), run=role, once=True, environment={"MORE": "yes"})],
    preload=["colorsys"])
"""


@ON_LINUX
def test_a_fork_has_the_modules_and_nothing_else_of_its_supervisor(tmp_path: Path) -> None:
    """Its files, signals, session, title and environment are its own; it ends as an interpreter does, with its code."""
    one = Started(tmp_path, FORKED, "fork")
    assert one.process.wait(LIMIT) == 1
    told = json.loads(one.notes[0])
    assert {name for number, name in told["files"].items() if int(number) > 2} == {"/dev/null"}
    assert told["argv"] == ["dxgate", "forked"]
    assert told["title"] == "dxgate forked"
    assert told["more"] == "yes"
    assert told["leader"]
    assert told["deaf"]
    assert told["shared"]
    assert one.notes[1:] == ["thread", "exit function"]
    assert "exit code 7" in one.said


@ON_LINUX
def test_what_roles_share_leaves_the_supervisor_able_to_fork(tmp_path: Path) -> None:
    """Everything on the list can be imported, and nothing of it starts a thread."""
    code = """
        import asyncio
        from gateway import forked
        from gateway.commands import up
        os.environ.update(up._environment())
        asyncio.run(forked.preload(up.SHARED))
        print(forked.may_fork(), set(up.SHARED) <= set(sys.modules))
    """
    one = Started(tmp_path, code, "fork")
    assert one.process.wait(LIMIT) == 0
    assert one.said == "True True\n"
