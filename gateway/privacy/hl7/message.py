"""Reads and writes ER7: delimiters from the message itself, fields kept as written, characters by MSH-18.

HL7 v2 chapter 2: 2.5 delimiters, 2.7 escapes, 2.15 (MSH-18, table 0211). Tolerant of line ends and of charset names
as senders write them; every size and count is bounded before anything is split.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from gateway.domain.errors import Invalid

MOST_BYTES: Final = 16 << 20
_MOST_SEGMENTS: Final = 20_000
_MOST_PARTS: Final = 200_000
_LINE: Final = re.compile(r"\r\n|\r|\n")
_CODECS: Final = {
    "": "",
    "ASCII": "",
    "ISO IR6": "",
    **{f"8859/{part}": f"iso8859_{part}" for part in (1, 2, 3, 4, 5, 6, 7, 8, 9, 15)},
    "ISO IR14": "shift_jis",
    "ISO IR87": "iso2022_jp_2",
    "ISO IR159": "iso2022_jp_2",
    "GB 18030-2000": "gb18030",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "GB2312": "gb18030",
    "KS X 1001": "euc_kr",
    "CNS 11643-1992": "big5hkscs",
    "BIG-5": "big5",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "8859-1": "iso8859_1",
    "ISO-8859-1": "iso8859_1",
    "WINDOWS-1252": "cp1252",
    "WINDOWS-1251": "cp1251",
}
_NAMED: Final = {"F": 0, "S": 1, "R": 2, "E": 3, "T": 4}


@dataclass(frozen=True)
class Delimiters:
    """Field, component, repetition, escape and sub-component separators; `encoding` is MSH-2 as written."""

    field: str
    encoding: str
    component: str = "^"
    repetition: str = "~"
    escape: str = "\\"
    subcomponent: str = "&"

    @property
    def in_order(self) -> str:
        return self.field + self.component + self.repetition + self.escape + self.subcomponent


@dataclass
class Segment:
    """A segment's name and its fields as written; fields[0] is field 1, and for MSH that is the separator itself."""

    name: str
    fields: list[str] = field(repr=False)

    def get(self, number: int) -> str:
        """Field `number` as written; empty where the segment ends before it."""
        return self.fields[number - 1] if 0 < number <= len(self.fields) else ""


@dataclass
class Message:
    """One message; has no text form but what `write` gives."""

    delimiters: Delimiters
    codec: str
    segments: list[Segment] = field(repr=False)

    @property
    def version(self) -> str:
        """MSH-12 without what follows the number."""
        return self.segments[0].get(12).split(self.delimiters.component)[0].strip()


def parse(data: bytes) -> Message:
    """The message in `data`, frame bytes around it ignored; raises Invalid where it cannot be read whole."""
    data = data.strip(b"\x0b\x1c\r\n \0").removeprefix(b"\xef\xbb\xbf")
    if len(data) > MOST_BYTES:
        raise Invalid(f"the message is longer than {MOST_BYTES} bytes")
    if not data.startswith(b"MSH") or len(data) < 5:
        raise Invalid("the message does not begin with MSH and its delimiters")
    head = re.split(rb"[\r\n]", data, maxsplit=1)[0].decode("latin-1")
    if head[3].isalnum() or head[3].isspace() or ord(head[3]) > 126:
        raise Invalid("the fourth character is not a field separator")
    fields = head.split(head[3], 19)
    delimiters = _delimiters(head[3], fields[1])
    text, codec = _decoded(data, fields[17] if len(fields) > 17 else "", delimiters)
    return Message(delimiters, codec, _segments(text, delimiters))


def split_messages(data: bytes) -> list[bytes]:
    """The messages of a file, batch or not; the batch's own segments (FHS, BHS, BTS, FTS) stay behind."""
    lines = re.split(rb"\r\n|\r|\n", data.strip(b"\xef\xbb\xbf\x0b\x1c\r\n \0"))
    messages: list[list[bytes]] = []
    for line in lines:
        plain = line.strip(b"\x0b\x1c\0 ")
        if plain.startswith(b"MSH"):
            messages.append([plain])
        elif messages and plain and plain[:3] not in (b"FHS", b"BHS", b"BTS", b"FTS"):
            messages[-1].append(line)
    return [b"\r".join(message) for message in messages]


def write(message: Message) -> bytes:
    """The message as bytes in its own character set, segments ended by CR."""
    sign = message.delimiters.field
    lines = []
    for segment in message.segments:
        if segment.name == "MSH":
            lines.append(f"MSH{sign}" + sign.join(segment.fields[1:]))
        else:
            lines.append(sign.join([segment.name, *segment.fields]))
    try:
        return "".join(line + "\r" for line in lines).encode(message.codec)
    except UnicodeEncodeError as cause:
        raise Invalid("the message cannot be written in its own character set") from cause


def unescape(text: str, delimiters: Delimiters) -> str:
    """The characters a value stands for; escapes for print only become blanks or line ends, unknown ones go."""
    sign = delimiters.escape
    if sign not in text:
        return text
    parts = text.split(sign)
    out = [parts[0]]
    for place, part in enumerate(parts[1:], 1):
        inside = place % 2 == 1 and place < len(parts) - 1
        out.append(_escaped(part, delimiters) if inside else part)
    return "".join(out)


def escape(text: str, delimiters: Delimiters) -> str:
    """A value in which no delimiter stands by itself; a line end is `.br`, which is legal in every text type."""
    letters = {delimiters.in_order[place]: letter for letter, place in _NAMED.items()}
    mark = delimiters.escape
    made = "".join(f"{mark}{letters[char]}{mark}" if char in letters else char for char in text)
    return re.sub(r"\r\n|\r|\n", lambda _: f"{mark}.br{mark}", made)


def _delimiters(sign: str, encoding: str) -> Delimiters:
    """Those of MSH-2, with the usual ones where it is short; Invalid where two are the same."""
    usual = "^~\\&"
    chosen = encoding[:4] + usual[len(encoding[:4]) :]
    found = Delimiters(sign, encoding, *chosen)
    if len(set(found.in_order)) != 5 or any(char.isalnum() or char.isspace() for char in chosen):
        raise Invalid("the delimiters in MSH-2 are not usable")
    return found


def _decoded(data: bytes, declared: str, delimiters: Delimiters) -> tuple[str, str]:
    """The text and its codec. An undeclared 8-bit text is UTF-8 where it can be, else Latin-1."""
    first, *others = declared.split(delimiters.repetition)
    name = first.strip().upper().replace("_", "-")
    further = [other.strip() for other in others if other.strip()]
    codec = _CODECS.get(name) if name in _CODECS else _CODECS.get(name.replace("ISO", "").strip(" -"))
    if codec is None or any(_CODECS.get(one.upper()) not in ("iso2022_jp_2", codec) for one in further):
        raise Invalid("the character set in MSH-18 is not one that we read")
    if further and codec != "iso2022_jp_2":
        codec = "iso2022_jp_2"
    for candidate in (codec,) if codec else ("utf-8", "latin-1"):
        try:
            return data.decode(candidate), candidate
        except UnicodeDecodeError:
            continue
    raise Invalid("the message is not in the character set that MSH-18 names")


def _segments(text: str, delimiters: Delimiters) -> list[Segment]:
    if text.count(delimiters.field) + text.count(delimiters.component) > _MOST_PARTS:
        raise Invalid(f"the message has more than {_MOST_PARTS} fields and components")
    segments: list[Segment] = []
    for line in _LINE.split(text):
        if not line.strip("\0 \x1c\x0b"):
            continue
        name, *fields = line.split(delimiters.field)
        if name == "MSH":
            if segments:
                raise Invalid("there is more than one message here")
            fields.insert(0, delimiters.field)
        segments.append(Segment(name, fields))
        if len(segments) > _MOST_SEGMENTS:
            raise Invalid(f"the message has more than {_MOST_SEGMENTS} segments")
    return segments


def _escaped(code: str, delimiters: Delimiters) -> str:
    if code in _NAMED:
        return delimiters.in_order[_NAMED[code]]
    if code.startswith((".br", ".sp", ".ce")):
        return "\n"
    if code[:1] == "X" and re.fullmatch(r"(?:[0-9A-Fa-f]{2}){1,64}", code[1:]):
        return bytes.fromhex(code[1:]).decode("latin-1")
    return ""
