"""The names of the months in the languages of the reports, folded, with their numbers."""

from __future__ import annotations

from typing import Final

from gateway.privacy.free_text.folding import bare_text

_NAMES: Final = (
    "january jan januar jänner janvier janv enero ene gennaio gen janeiro januari января янв ιανουαρίου يناير",
    "february feb februar feber février févr fév febrero febbraio fevereiro fev февраля фев φεβρουαρίου فبراير",
    "march mar märz mrz mars marzo março maart марта мар μαρτίου مارس",
    "april apr avril avr abril abr aprile апреля апр απριλίου أبريل",
    "may mai mayo maggio mag maio mei мая μαΐου μαίου مايو",
    "june jun juni juin junio giugno giu junho июня июн ιουνίου يونيو",
    "july jul juli juillet juil julio luglio lug julho июля июл ιουλίου يوليو",
    "august aug août agosto ago augustus августа авг αυγούστου أغسطس",
    "september sep sept septembre septiembre settembre set setembro сентября сен σεπτεμβρίου سبتمبر",
    "october oct oktober okt octobre octubre ottobre ott outubro out октября окт οκτωβρίου أكتوبر",
    "november nov novembre noviembre novembro ноября ноя νοεμβρίου نوفمبر",
    "december dec dezember dez décembre déc diciembre dic dicembre dezembro декабря дек δεκεμβρίου ديسمبر",
)
MONTHS: Final = {bare_text(name): number for number, names in enumerate(_NAMES, 1) for name in names.split()}
