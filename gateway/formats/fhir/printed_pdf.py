"""The report as PDF for EHRs that take nothing else: the blocks of report_page.py on A4 pages.

The same version gives the same bytes. Every font is embedded; a character that no font at hand has is printed as a
box, and the page says so. Running heads repeat whose report it is and that it is preliminary, for pages part.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from io import BytesIO
from typing import Any

from gateway.formats.fhir.pdf_fonts import BOX, Typeface, typeface
from gateway.formats.fhir.report_page import Block, report_page
from gateway.formats.fhir.text import paragraphs
from gateway.ports import ReportDocument

_MARGIN = 51  # points: 18 mm
_A4 = (595.28, 841.89)
_RED = "#a40000"
_DRAFT = "PRELIMINARY – AI ASSISTED"
_LACKING = f"Some characters are not in the fonts of this PDF and are printed as {BOX}; the HTML form has them all."
_LONGEST = 1000  # characters, and lines, of one paragraph: a table's cell has to fit on a page
_MOST_LINES = 25


def printed_pdf(document: ReportDocument, organization_name: str) -> bytes:
    """PDF 1.4, A4. Takes some 20 ms; the first Chinese text in a process takes a second more, to make its font."""
    blocks = list(report_page(document, organization_name))
    version = document.version
    foot = f"Report {version.report_id}, version {version.version}, {version.status}"
    with typeface("".join(map(_words, blocks))) as type_:
        if type_.lacks:
            blocks.append(Block("note", _LACKING))
        return _built(blocks, type_, foot, _DRAFT if version.status == "preliminary" else "")


def _built(blocks: list[Block], type_: Typeface, foot: str, mark: str) -> bytes:
    from reportlab import rl_config
    from reportlab.platypus import SimpleDocTemplate

    rl_config.useA85 = 0  # streams as they are: written in ASCII they are a quarter longer, and Python writes them so
    target = BytesIO()
    sides = dict.fromkeys(("leftMargin", "rightMargin", "topMargin", "bottomMargin"), _MARGIN)
    page = SimpleDocTemplate(target, pagesize=_A4, title=blocks[0].text, invariant=1, lang="en", **sides)

    def furnish(canvas: Any, made: Any) -> None:
        canvas.saveState()
        canvas.setFont(type_.name, 7.5)
        canvas.drawString(_MARGIN, 28, f"{foot}    page {made.page}")
        canvas.setFillColor(_RED)
        canvas.drawRightString(_A4[0] - _MARGIN, 28, mark)
        canvas.restoreState()

    page.build(list(_flow(blocks, type_)), onFirstPage=furnish, onLaterPages=furnish)
    return target.getvalue()


def _words(block: Block) -> str:
    return block.text + "".join(name + value for name, value in block.rows)


def _flow(blocks: list[Block], type_: Typeface) -> Iterator[Any]:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph, Spacer

    body = ParagraphStyle("body", fontName=type_.name, fontSize=9.5, leading=13, spaceAfter=4, wordWrap=type_.wrap)
    styles = {
        "title": ParagraphStyle("title", body, fontSize=15, leading=20),
        "heading": ParagraphStyle("heading", body, fontSize=11.5, leading=15, spaceBefore=8, keepWithNext=1),
        "frame": ParagraphStyle("frame", body, spaceBefore=6, spaceAfter=12, textColor=_RED, **_FRAME),
    }
    for block in blocks:
        if block.kind == "rows":
            yield _table(block, body, type_)
        elif block.kind == "picture":
            yield _picture(block.picture)
        else:
            for part in _parts(block.text):
                yield Paragraph(type_.marked(_safe(part)), styles.get(block.kind, body))
    yield Spacer(1, 1)


def _table(block: Block, body: Any, type_: Typeface) -> Any:
    from reportlab.lib.styles import ParagraphStyle
    from reportlab.platypus import Paragraph, Spacer, Table

    names = ParagraphStyle("names", body, textColor="#555555")
    rows = [
        [Paragraph(type_.marked(_safe(name)), names), Paragraph(type_.marked(_safe(part)), body)]
        for name, value in block.rows
        if value
        for name, part in _named(name, value)
    ]
    if not rows:
        return Spacer(1, 1)
    return Table(rows, colWidths=(125, 356), spaceAfter=8, style=[("VALIGN", (0, 0), (-1, -1), "TOP"), *_TIGHT])


_FRAME = {"borderColor": _RED, "borderWidth": 1.2, "borderPadding": 5}
_TIGHT = [
    ("LEFTPADDING", (0, 0), (-1, -1), 0),
    ("TOPPADDING", (0, 0), (-1, -1), 0),
    ("BOTTOMPADDING", (0, 0), (-1, -1), 0),
]


def _named(name: str, value: str) -> Iterator[tuple[str, str]]:
    """A long value over as many rows as it needs: a row cannot be broken between two pages."""
    for place, part in enumerate(_parts(value)):
        yield ("" if place else name), part


def _parts(text: str) -> list[str]:
    lines = [
        line[start : start + _LONGEST]
        for line in paragraphs(text, 8192).split("\n")
        for start in range(0, max(len(line), 1), _LONGEST)
    ]
    parts = [""]
    for line in lines:
        together = f"{parts[-1]}\n{line}" if parts[-1] else line
        if len(together) <= _LONGEST and together.count("\n") < _MOST_LINES:
            parts[-1] = together
        else:
            parts.append(line)
    return parts


def _picture(png: bytes) -> Any:
    """At most 9 cm high; what PIL cannot read is left out, as a browser would."""
    from reportlab.platypus import Image, Spacer

    try:
        image = Image(BytesIO(png))
        scale = min(255 / image.imageHeight, 356 / image.imageWidth, 2.0)
        image.drawHeight, image.drawWidth = image.imageHeight * scale, image.imageWidth * scale
    except Exception:  # the library raises whatever its decoder does
        return Spacer(1, 1)
    image.hAlign = "LEFT"
    return image


def _safe(text: str) -> str:
    return escape(text, quote=True).replace("\n", "<br/>")
