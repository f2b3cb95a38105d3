"""The process that decodes: one frame in, its pixel values out, over its standard input and output, until they end.

Codecs are native code and their input is hostile. Here a crash costs one frame: nothing else lives in this process,
no key, no file it could write, no memory beyond its limit, and processor time for one frame at a time.

Wire law with `decode_pool`, both sides of one release: 4 bytes length and JSON head, then the bytes that it counts.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
from collections.abc import Mapping
from struct import Struct
from typing import Any, BinaryIO, Final

SIZE: Final = Struct(">I")
MOST_HEAD: Final = 4096  # bytes
MEMORY: Final = 6 << 30  # bytes of address space; a frame of 16384 x 16384 takes 3 GB while it is converted
_SLACK: Final = 1.0  # seconds of processor time above what a frame may take


def read_exactly(stream: BinaryIO, size: int) -> bytes:
    """EOFError where the other side has ended."""
    data = bytearray()
    while len(data) < size:
        part = stream.read(size - len(data))
        if not part:
            raise EOFError
        data += part
    return bytes(data)


def write_message(stream: BinaryIO, head: Mapping[str, Any], body: bytes | memoryview) -> None:
    text = json.dumps({**head, "bytes": len(body)}).encode()
    stream.write(SIZE.pack(len(text)) + text)
    stream.write(body)
    stream.flush()


def read_message(stream: BinaryIO, most: int) -> tuple[dict[str, Any], bytes]:
    """EOFError at the end of the stream; ValueError for what is longer than `most` or no message."""
    (size,) = SIZE.unpack(read_exactly(stream, SIZE.size))
    if size > MOST_HEAD:
        raise ValueError("head too long")
    head = json.loads(read_exactly(stream, size))
    if not 0 <= int(head["bytes"]) <= most:
        raise ValueError("body too long")
    return head, read_exactly(stream, int(head.pop("bytes")))


def main() -> None:
    seconds = float(sys.argv[1])
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a codec prints is not an answer
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)  # a worker that is stopped still finishes what it holds, with our help
    _confine()
    from gateway.domain.errors import GatewayError
    from models.runtime.decoding import Coded, decode_here

    while True:
        try:
            head, frame = read_message(requests, 1 << 31)
        except EOFError:
            return
        _limit_time(seconds)
        try:
            values = decode_here(Coded(**head, frame=frame))
        except GatewayError as error:
            write_message(answers, {"error": error.category.value, "text": str(error)}, b"")
        except Exception as error:  # the edge of this process: MemoryError, above all
            write_message(answers, {"error": "invalid", "text": f"decoding failed ({type(error).__name__})"}, b"")
        else:
            write_message(answers, {"type": values.dtype.str, "shape": values.shape}, values.tobytes())


def _confine() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a dump would hold pixels
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def _limit_time(seconds: float) -> None:
    """SIGXCPU ends a frame that computes without end, even where the one who waited for it has gone."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    limit = int(used.ru_utime + used.ru_stime + seconds + _SLACK) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
