"""Where a word may have been left behind, and in which bytes: every encoding, files, process memory, the broker.

A needle is at least six bytes long, so that no random byte string of a sealed file is taken for one.
"""

from __future__ import annotations

import base64
import json
import unicodedata
from collections.abc import Iterable, Iterator
from mmap import PAGESIZE
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import psutil
import redis

CODECS = (
    "utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "gb18030", "latin-1", "cp1251", "koi8_r", "iso8859_5", "iso8859_6",
    "cp1256", "iso8859_7", "cp1253", "iso2022_jp", "shift_jis", "euc_jp",
)  # fmt: skip
SHORTEST = 6
_MOST_MEMORY = 3 << 29
_LARGE = 1 << 14
_PIECE = 1 << 16


def needles(words: Iterable[str], codecs: Iterable[str] = CODECS) -> set[bytes]:
    """The bytes of each word in each encoding and spelling that it may have been written in."""
    found: set[bytes] = set()
    for word in words:
        for spelled in {word, word.upper(), word.lower(), unicodedata.normalize("NFD", word)}:
            found |= {bare for codec in codecs if (bare := _encoded(spelled, codec))}
            found |= {json.dumps(spelled)[1:-1].encode(), quote(spelled).encode(), ascii(spelled)[1:-1].encode()}
            found |= _base64(spelled.encode())
    return {needle for needle in found if len(needle) >= SHORTEST}


def found_in(content: bytes, sought: Iterable[bytes]) -> list[bytes]:
    """The needles that stand in the content; a large one is read once for all of them."""
    if len(content) < _LARGE:
        return [needle for needle in sought if needle in content]
    by_start: dict[bytes, list[bytes]] = {}
    for needle in sought:
        by_start.setdefault(needle[:4], []).append(needle)
    found = set()
    for place in _places(content, by_start):
        for needle in by_start.get(content[place : place + 4], ()):
            if content.startswith(needle, place):
                found.add(needle)
    return sorted(found)


def _places(content: bytes, starts: Iterable[bytes]) -> Iterator[int]:
    """Where four bytes may be one of the starts: both of their pairs are pairs of a start. In no order."""
    first, second = np.zeros(1 << 16, bool), np.zeros(1 << 16, bool)
    for start in starts:
        first[int.from_bytes(start[:2], "little")] = True
        second[int.from_bytes(start[2:], "little")] = True
    for odd in (0, 1):
        pairs = np.frombuffer(content, "<u2", (len(content) - odd) // 2, odd)
        for begin in range(0, len(pairs) - 1, _PIECE):
            piece = pairs[begin : begin + _PIECE + 1]
            if not piece.any():  # as most of a process's memory is; no needle begins with four zeros
                continue
            may_be = np.flatnonzero(first[piece[:-1]])
            may_be = may_be[second[piece[may_be + 1]]]
            yield from (odd + 2 * (begin + may_be)).tolist()


def process_texts(process: psutil.Process) -> Iterator[tuple[str, bytes]]:
    """What /proc shows of a process: environment, command line, and files that are open and deleted."""
    proc = Path("/proc", str(process.pid))
    for name in ("environ", "cmdline"):
        yield f"{name} of {process.pid}", (proc / name).read_bytes()
    for link in (proc / "fd").iterdir():
        try:
            target = link.readlink()
            if str(target).startswith("/") and str(target).endswith("(deleted)"):
                yield f"deleted file of {process.pid}", link.read_bytes()
        except OSError:  # closed meanwhile
            continue


def process_memory(process: psutil.Process) -> bytes:
    """Everything that a process has written and holds: its private writable pages (proc(5), maps and mem)."""
    parts, size = [], 0
    proc = Path("/proc", str(process.pid))
    with (proc / "mem").open("rb", 0) as memory, (proc / "pagemap").open("rb", 0) as pages:
        for line in (proc / "maps").read_text().splitlines():
            span, rights, *_ = line.split()
            if not rights.startswith("rw"):
                continue
            start, end = (int(each, 16) for each in span.split("-"))
            for first, last in _held(pages, start, end):
                size += last - first
                assert size < _MOST_MEMORY, "a process holds more memory than a test should read"
                try:
                    memory.seek(first)
                    parts.append(memory.read(last - first))
                except (OSError, ValueError, OverflowError):  # [vvar] and pages that have gone
                    continue
            parts.append(b"\0")
    return b"".join(parts)


def _held(pages: Any, start: int, end: int) -> list[tuple[int, int]]:
    """The runs of pages that are in memory or in swap; the others were never written (proc(5), pagemap)."""
    try:
        pages.seek(start // PAGESIZE * 8)
        entries = np.frombuffer(pages.read((end - start) // PAGESIZE * 8), "<u8")
    except (OSError, OverflowError):  # [vsyscall] has no place in it
        return [(start, end)]
    edges = np.flatnonzero(np.diff(entries >> np.uint64(62) != 0, prepend=False, append=False))
    return [(start + int(one) * PAGESIZE, start + int(two) * PAGESIZE) for one, two in edges.reshape(-1, 2)]


def broker_memory(socket: Path) -> bytes:
    """Every key of the broker as it dumps it, and its values in clear, for a dump may be compressed."""
    client = redis.Redis(unix_socket_path=str(socket))
    parts: list[bytes] = []
    for key in client.scan_iter(count=1000):
        parts += [bytes(key), client.dump(key) or b""]
        read = {
            b"string": lambda key: [client.get(key)],
            b"list": lambda key: client.lrange(key, 0, -1),
            b"set": client.smembers,
            b"hash": lambda key: [one for pair in client.hgetall(key).items() for one in pair],
            b"zset": lambda key: client.zrange(key, 0, -1),
        }.get(client.type(key))
        parts += [bytes(one or b"") for one in (read(key) if read else ())]
    parts += [repr(client.execute_command("SLOWLOG", "GET", "128")).encode()]
    return b"\n".join(parts)


def _encoded(word: str, codec: str) -> bytes | None:
    """ISO 2022 without the escape sequence before and after it, which depend on what stands beside the word."""
    try:
        return word.encode(codec).removeprefix(b"\x1b$B").removesuffix(b"\x1b(B")
    except UnicodeEncodeError:
        return None


def _base64(raw: bytes) -> set[bytes]:
    """The middle of the three ways in which a word may lie in base64 text."""
    found = set()
    for before in range(3):
        text = base64.b64encode(b"\0" * before + raw).rstrip(b"=")
        found.add(text[(0, 2, 3)[before] : -1])
    return found
