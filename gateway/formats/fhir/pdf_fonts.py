"""Fonts for the PDF form: Vera for what it has, and for Chinese the characters that are needed out of Noto Sans SC.

Vera comes with reportlab (Bitstream's licence). Noto Sans SC (SIL OFL 1.1) comes with the extra `cjk`; it has
PostScript outlines, which a PDF of reportlab cannot hold, so the characters of one text are taken out of it and made
quadratic.
Without the extra, and for scripts that neither has, a box stands for the character and the page says so.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from io import BytesIO
from itertools import groupby
from pathlib import Path
from threading import Lock
from typing import Any, Final

BOX: Final = "[]"
"""What stands for a character that no font has; made of what every font has."""
_LATIN: Final = "DxgateLatin"
_HAN: Final = "DxgateHan"
_printing = Lock()  # reportlab keeps its fonts in one table for the process


@dataclass(frozen=True)
class Typeface:
    """Fonts for one text: `name` has most of it, `other` (a font) has `others`; nobody has `lacks`."""

    name: str
    other: str
    others: frozenset[str]
    lacks: frozenset[str]

    @property
    def wrap(self) -> str | None:
        """Where lines may break: between any two characters where there is Chinese."""
        return "CJK" if self.others else None

    def marked(self, markup: str) -> str:
        """`markup` (escaped already) with the other font named around what is its own."""
        parts = []
        for kind, run in groupby(markup, self._kind):
            text = "".join(run)
            if kind == "other":
                parts.append(f'<font name="{self.other}">{text}</font>')
            else:
                parts.append(text if kind == "own" else BOX * len(text))
        return "".join(parts)

    def _kind(self, character: str) -> str:
        if character in self.others:
            return "other"
        return "lacking" if character in self.lacks else "own"


@contextmanager
def typeface(text: str) -> Iterator[Typeface]:
    """Fonts that print `text`, inside the block: there is one set of them in a process at a time."""
    with _printing:
        latin = _latin()
        rest = frozenset(each for each in frozenset(text) if ord(each) not in latin and not each.isspace())
        has = frozenset(each for each in rest if ord(each) in _repertoire())
        if has:
            _register_han("".join(sorted(has)))
        yield Typeface(_LATIN, _HAN, has, rest - has)


@cache
def _latin() -> frozenset[int]:
    """Registers Vera; the characters that it has."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    font = TTFont(_LATIN, "Vera.ttf")
    pdfmetrics.registerFont(font)
    return frozenset(font.face.charToGlyph)


def _source() -> Path | None:
    try:
        from pylopdf_fonts_zh_cn import sans_path
    except ImportError:
        return None
    return Path(sans_path())


@cache
def _repertoire() -> frozenset[int]:
    """The characters of Noto Sans SC; none where the extra is not installed."""
    path = _source()
    if path is None:
        return frozenset()
    from fontTools.ttLib import TTFont

    with TTFont(path, lazy=True) as font:
        return frozenset(font.getBestCmap())


def _register_han(characters: str) -> None:
    """Under one name for every text, so that fonts do not gather in memory."""
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    pdfmetrics._fonts[_HAN] = TTFont(_HAN, BytesIO(_quadratic(characters)))  # registerFont would keep the first one
    pdfmetrics.registerFontFamily(_HAN)


@lru_cache(maxsize=64)
def _quadratic(text: str) -> bytes:
    """A TrueType font of the characters of `text`: cut out of an OpenType one, its curves made quadratic."""
    from fontTools import subset
    from fontTools.pens.cu2quPen import Cu2QuPen
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from fontTools.ttLib import newTable

    options = subset.Options()
    options.layout_features = []
    options.notdef_outline = True
    options.recalc_bounds = True
    font: Any = subset.load_font(str(_source()), options)
    cutter = subset.Subsetter(options)
    cutter.populate(text=text)
    cutter.subset(font)
    order, outlines = font.getGlyphOrder(), font.getGlyphSet()
    glyphs = {}
    for glyph in order:
        pen = TTGlyphPen(outlines)
        outlines[glyph].draw(Cu2QuPen(pen, 1.0, reverse_direction=True))
        glyphs[glyph] = pen.glyph()
    font["loca"], font["glyf"] = newTable("loca"), newTable("glyf")
    font["glyf"].glyphOrder, font["glyf"].glyphs = order, glyphs
    del font["CFF "]
    if "VORG" in font:
        del font["VORG"]
    font["maxp"].tableVersion = 0x00010000
    for name in ("maxZones", "maxTwilightPoints", "maxStorage", "maxFunctionDefs", "maxInstructionDefs"):
        setattr(font["maxp"], name, 1 if name == "maxZones" else 0)
    for name in ("maxStackElements", "maxSizeOfInstructions", "maxComponentElements"):
        setattr(font["maxp"], name, 0)
    font["post"].formatType = 3.0
    font["head"].glyphDataFormat = 0
    font.sfntVersion = "\000\001\000\000"
    target = BytesIO()
    font.save(target)
    return target.getvalue()
