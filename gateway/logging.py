"""One line for each event on standard error: time, level, logger, event and fields, as text or JSON.

No patient data gets into a log, and not by promise alone. Our own code logs an event name with ids, counts and
error categories, as `log.info("dicom.rejected association=%s", id)` or with `extra={"fields": {...}}`. An
exception is written as its class and the places it passed, without its message, unless it is a GatewayError,
whose messages are free of patient data by rule. A library outside the list below is heard only by the place
that spoke: pydicom, for one, quotes values in its warnings.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Mapping
from pathlib import PurePath
from types import TracebackType
from typing import Any, Literal, TextIO

from gateway.domain.errors import GatewayError

LogFormat = Literal["text", "json"]
MAX_LINE = 4096
MAX_FRAMES = 12
_OWN = ("gateway", "workers", "models")
_TRUSTED = ("celery", "kombu", "uvicorn.error", "alembic")  # they speak of connections, ids and revisions
_SILENT = ("uvicorn.access",)  # its lines hold query strings, in which clients search by patient identifier


def configure(level: str, log_format: LogFormat, stream: TextIO | None = None) -> None:
    """Send the logs of this process, its warnings and its uncaught exceptions to `stream`, one line each."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(LineFormatter(log_format))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in (*_OWN, *_TRUSTED):
        logging.getLogger(name).setLevel(level.upper())
    for name in ("celery", "kombu", "alembic"):  # what they say below a warning helps their developers alone
        logging.getLogger(name).setLevel(max(logging.getLevelName(level.upper()), logging.WARNING))
    for name in _SILENT:
        logging.getLogger(name).disabled = True
    logging.raiseExceptions = False  # a broken log stream must not print records in full
    warnings.showwarning = _log_warning
    sys.excepthook = _log_crash
    threading.excepthook = _log_thread_crash


class LineFormatter(logging.Formatter):
    """Makes one bounded line of a record, without control characters."""

    def __init__(self, log_format: LogFormat = "text") -> None:
        super().__init__()
        self._json = log_format == "json"

    def format(self, record: logging.LogRecord) -> str:
        fields = dict(_fields(record))
        line = self._as_json(record, fields) if self._json else self._as_text(record, fields)
        return line if len(line) <= MAX_LINE else line[: MAX_LINE - 1] + "…"

    def _as_json(self, record: logging.LogRecord, fields: Mapping[str, Any]) -> str:
        head = {"at": _time(record), "level": record.levelname.lower(), "logger": record.name}
        return json.dumps({**head, "event": _event(record), **fields}, ensure_ascii=False, default=str)

    def _as_text(self, record: logging.LogRecord, fields: Mapping[str, Any]) -> str:
        head = f"{_time(record)} {record.levelname.lower():<7} {record.name} {_one_line(_event(record))}"
        return " ".join((head, *(f"{name}={_value(value)}" for name, value in fields.items())))


def _speaks(logger: str) -> bool:
    return any(logger == name or logger.startswith(name + ".") for name in (*_OWN, *_TRUSTED))


def _event(record: logging.LogRecord) -> str:
    return record.getMessage() if _speaks(record.name) else "library-message"


def _fields(record: logging.LogRecord) -> Iterator[tuple[str, Any]]:
    if not _speaks(record.name):
        yield "at_line", f"{PurePath(record.pathname).name}:{record.lineno}"
    yield from getattr(record, "fields", {}).items()
    if record.exc_info and record.exc_info[1] is not None:
        yield from describe(record.exc_info[1]).items()


def describe(error: BaseException) -> dict[str, str]:
    """Class, innermost places and causes of an exception; the message only where it is known to be clean."""
    known = {"error": type(error).__name__}
    if isinstance(error, GatewayError):
        known["message"] = str(error)
    elif isinstance(error, ImportError):
        known["message"] = f"no module {error.name}"
    frames = traceback.extract_tb(error.__traceback__)[-MAX_FRAMES:]
    known["trace"] = " < ".join(f"{PurePath(f.filename).name}:{f.lineno}:{f.name}" for f in reversed(frames))
    if error.__cause__ is not None:
        known["cause"] = type(error.__cause__).__name__
    return known


def _time(record: logging.LogRecord) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{int(record.msecs):03d}Z"


def _one_line(text: str) -> str:
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in text)


def _value(value: object) -> str:
    text = _one_line(str(value))
    return json.dumps(text, ensure_ascii=False) if not text or " " in text or "=" in text or '"' in text else text


def _log_warning(  # noqa: PLR0917 - the signature that the warnings module calls
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    place = f"{PurePath(filename).name}:{lineno}"
    logging.getLogger("gateway.warnings").warning("warning category=%s at=%s", category.__name__, place)


def _log_crash(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        logging.getLogger("gateway").error("crash", extra={"fields": describe(error)})


def _log_thread_crash(crash: threading.ExceptHookArgs) -> None:
    if crash.exc_value is not None:
        logging.getLogger("gateway").error("thread-crash", extra={"fields": describe(crash.exc_value)})
