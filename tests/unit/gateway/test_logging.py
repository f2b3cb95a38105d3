"""Claims about the log: one bounded line an event, and no patient data through any of its doors."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

import pytest

from gateway.domain.errors import Unavailable
from gateway.logging import MAX_LINE, LineFormatter

NAME = "Quillfeather^Zebulon"


def record(message: str, *args: Any, logger: str = "gateway.test", **more: Any) -> logging.LogRecord:
    error = more.pop("error", None)
    made = logging.LogRecord(logger, logging.INFO, "/x/place.py", 7, message, args, (type(error), error, None))
    made.exc_info = (type(error), error, error.__traceback__) if error else None
    for name, value in more.items():
        setattr(made, name, value)
    return made


def test_text_has_time_level_logger_event_and_fields() -> None:
    """A line reads from left to right: when, how bad, who, what, with which values."""
    line = LineFormatter().format(record("study.settled id=%s", "abc", fields={"revision": 2, "why": "quiet time"}))
    when, rest = line.split(" ", 1)
    assert when.endswith("Z")
    assert rest == 'info    gateway.test study.settled id=abc revision=2 why="quiet time"'


def test_json_holds_the_same() -> None:
    """The JSON form carries event and fields as members."""
    line = json.loads(LineFormatter("json").format(record("study.settled", fields={"revision": 2})))
    assert (line["event"], line["revision"], line["level"]) == ("study.settled", 2, "info")


@pytest.mark.parametrize("form", ["text", "json"])
def test_no_value_can_forge_a_line(form: Any) -> None:
    """Line breaks and terminal controls inside values do not reach the stream."""
    line = LineFormatter(form).format(record("a\nb\x1b[2J", fields={"x": "1\r\n2 info gateway forged"}))
    assert line.isprintable()


def test_a_line_is_bounded() -> None:
    """However long a message, its line is not."""
    assert len(LineFormatter().format(record("x" * 100_000))) == MAX_LINE


@pytest.mark.parametrize("form", ["text", "json"])
def test_the_message_of_a_strange_exception_is_left_out(form: Any) -> None:
    """An exception of a library may quote patient data; its class and place are enough."""
    try:
        int(NAME)
    except ValueError as error:
        line = LineFormatter(form).format(record("failed", error=error))
    assert "ValueError" in line
    assert "test_logging.py" in line
    assert NAME not in line


def test_the_message_of_our_own_error_is_kept() -> None:
    """A GatewayError is free of patient data by rule, so that its message may help."""
    line = LineFormatter().format(record("failed", error=Unavailable("the disk is full")))
    assert 'message="the disk is full"' in line


def test_a_library_is_heard_by_its_place_alone() -> None:
    """Messages of libraries that quote values are replaced by the line that logged them."""
    line = LineFormatter().format(record(f"invalid value {NAME}", logger="pydicom"))
    assert "library-message at_line=place.py:7" in line
    assert NAME not in line


def test_warnings_and_crashes_tell_no_values() -> None:
    """After `configure` neither a warning, an uncaught exception nor one in a thread shows what it quotes."""
    program = (
        "import threading, warnings, sys\n"
        "from gateway import logging\n"
        "logging.configure('debug', 'text')\n"
        "import logging as l\n"
        f"name = {NAME!r}\n"
        "warnings.warn('invalid ' + name)\n"
        "l.getLogger('uvicorn.access').error('GET /?patient=' + name)\n"
        "l.getLogger('pynetdicom.acse').error('from ' + name)\n"
        "t = threading.Thread(target=lambda: int(name)); t.start(); t.join()\n"
        "int(name)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Quillfeather" not in done.stderr
    events = [line.split()[3] for line in done.stderr.splitlines()]
    assert events == ["warning", "library-message", "thread-crash", "crash"]
