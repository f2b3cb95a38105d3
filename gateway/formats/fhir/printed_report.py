"""The report as one HTML page for people: no script, no link to anything outside, heat maps as data URIs.

It is what an EHR shows from DiagnosticReport.presentedForm. Everything that came from outside is escaped, and
a content security policy in the page forbids what escaping might miss.
"""

from __future__ import annotations

from base64 import b64encode
from html import escape

from gateway.formats.fhir.report_page import PRINTED_IMAGES, Block, Rows, report_page
from gateway.formats.fhir.text import line, paragraphs
from gateway.ports import ReportDocument

__all__ = ["PRINTED_IMAGES", "printed_report"]
_HEAD = """<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><title>AI analysis</title>
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<style>body{font:14px/1.45 sans-serif;color:#111;max-width:52rem;margin:1rem auto;padding:0 1rem}
.mark{border:2px solid #a40000;color:#a40000;padding:.4rem .6rem;font-weight:bold}
table{border-collapse:collapse;margin:0 0 1rem}th{min-width:11rem}
th,td{text-align:left;vertical-align:top;padding:.1rem .8rem .1rem 0}
th{font-weight:normal;color:#555}td{overflow-wrap:anywhere}</style></head><body>
"""


_TAGS = {"title": ("h1", "h1"), "heading": ("h2", "h2"), "frame": ('p class="mark"', "p")}
_ONE_LINE = frozenset({"title", "by", "heading"})


def printed_report(document: ReportDocument, organization_name: str) -> str:
    return "".join([_HEAD, *map(_html, report_page(document, organization_name)), "</body></html>\n"])


def _html(block: Block) -> str:
    if block.kind == "rows":
        return _rows(block.rows)
    if block.kind == "picture":
        address = "data:image/png;base64," + b64encode(block.picture).decode("ascii")
        return f'<p><img alt="Heat map: what the model used" src="{address}"></p>\n'
    tag, name = _TAGS.get(block.kind, ("p", "p"))
    text = _text(block.text) if block.kind in _ONE_LINE else _block(block.text)
    return f"<{tag}>{text}</{name}>\n"


def _rows(pairs: Rows) -> str:
    rows = "".join(f"<tr><th>{_text(name)}</th><td>{_block(value)}</td></tr>\n" for name, value in pairs if value)
    return f"<table>\n{rows}</table>\n"


def _text(value: str) -> str:
    return escape(line(value), quote=True)


def _block(value: str) -> str:
    return escape(paragraphs(value, 8192), quote=True).replace("\n", "<br>")
