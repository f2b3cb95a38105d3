"""Text in the character sets of DICOM, decoded only where an identity has to be known or looked for.

PS3.5 section 6.1 and PS3.3 C.12.1.1.2 (Specific Character Set). Nonsense in the attribute or the bytes falls
back to Latin-1, which loses nothing, so that searching still finds what is there. Sets without code extensions
are Python's own codecs; for those of ISO 2022 pydicom is loaded, which costs 40 MB that most gateways never need.
"""

from __future__ import annotations

import warnings
from functools import lru_cache

DEFAULT = ("latin-1",)
_PLAIN = {
    "": "latin-1",
    "ISO_IR 6": "latin-1",
    "ISO_IR 100": "latin-1",
    "ISO_IR 101": "iso8859_2",
    "ISO_IR 109": "iso8859_3",
    "ISO_IR 110": "iso8859_4",
    "ISO_IR 126": "iso_ir_126",
    "ISO_IR 127": "iso_ir_127",
    "ISO_IR 138": "iso_ir_138",
    "ISO_IR 144": "iso_ir_144",
    "ISO_IR 148": "iso_ir_148",
    "ISO_IR 166": "iso_ir_166",
    "ISO_IR 192": "utf-8",
    "GB18030": "gb18030",
    "GBK": "gbk",
}
_DELIMITERS = {0x0D, 0x0A, 0x09, 0x0C, 0x5C, 0x5E, 0x3D}  # PS3.5 6.1.2.5.3: the code extension resets here


def is_defined(value: bytes) -> bool:
    """True where every term of a Specific Character Set is one of the standard's."""
    terms = value.decode("latin-1").strip(" \0").split("\\")
    if len(terms) == 1 and terms[0].strip() in _PLAIN:
        return True
    from pydicom import charset as tables

    return len(terms) <= len(tables.python_encoding) and all(term.strip() in tables.python_encoding for term in terms)


@lru_cache(maxsize=256)
def encodings_for(value: bytes) -> tuple[str, ...]:
    """The Python codecs for a Specific Character Set value, the first being the one without escapes."""
    terms = [term.strip() for term in value.decode("latin-1").strip(" \0").split("\\")]
    if len(terms) == 1 and terms[0] in _PLAIN:
        return (_PLAIN[terms[0]],)
    if not is_defined(value):
        return DEFAULT
    from pydicom import charset as tables

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return tuple(tables.convert_encodings(terms))


def decode(value: bytes, encodings: tuple[str, ...]) -> str:
    """The text of a value; padding is taken off."""
    if value.isascii() and b"\x1b" not in value and encodings[0] != "shift_jis":
        return value.decode("ascii").strip(" \0")
    if len(encodings) == 1 and encodings[0] in _PLAIN.values():
        try:
            return value.decode(encodings[0]).strip(" \0")
        except UnicodeError:
            return value.decode("latin-1").strip(" \0")
    from pydicom import charset as tables

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            text: str = tables.decode_bytes(value, list(encodings), _DELIMITERS)
        except (UnicodeError, LookupError, ValueError):
            text = value.decode("latin-1")
    return text.strip(" \0")
