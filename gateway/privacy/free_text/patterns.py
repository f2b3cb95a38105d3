"""What looks like identity wherever it stands: contacts, numbers, addresses, institutions, plates, great ages.

HIPAA 45 CFR 164.514(b)(2)(i) as a list of expressions. Every repetition is bounded and none nests in another
without a limit, so that no text can make a search take long.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Final

from gateway.privacy.free_text.findings import Category, Find
from gateway.privacy.free_text.folding import Folded

_HAN: Final = r"\u3400-\u9fff"
_SURE: Final = re.IGNORECASE
_AS_WRITTEN: Final = re.NOFLAG
_UPPER_WORD: Final = r"[A-ZÀ-ÖØ-ÞĀ-ŽΑ-ΩА-Я][\w'’.\-]{1,30}"
_DIGITS: Final = r"\d(?:[\s().\-/]{0,3}\d){6,14}"
_NUMBERED: Final = r"(?=[A-Z0-9./\-]{0,20}\d)[A-Z0-9](?:[A-Z0-9./\-]{1,28})"
_PROVINCES: Final = "京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼"

_CONTACTS: Final = (
    (Category.EMAIL, r"(?<![^\s@<>()\[\],;:\"'])[^\s@<>()\[\],;:\"']{1,64}@[\w.\-]{1,190}\.\w{2,24}", _SURE),
    (Category.URL, r"\b(?:https?|ftps?|s3)://[^\s<>\"]{1,2000}", _SURE),
    (Category.URL, r"\bwww\.[^\s<>\"]{1,2000}", _SURE),
    (
        Category.URL,
        r"(?<![\w.@\-])(?:[\w\-]{1,63}\.){1,5}(?:com|org|net|edu|gov|info|eu|de|fr|es|it|uk|cn|jp|kr|ru|gr|ch|at|nl)"
        r"(?:/[^\s<>\"]{0,500})?(?![\w.])",
        _SURE,
    ),
    (
        Category.NETWORK,
        r"(?<![\d.])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\d.]\d)",
        _SURE,
    ),
    (Category.NETWORK, r"(?<![\w:])(?:[0-9a-f]{1,4}:){5,7}[0-9a-f]{1,4}(?![\w:])", _SURE),
    (Category.NETWORK, r"(?<![\w:])(?:[0-9a-f]{1,4}:){1,6}:(?:[0-9a-f]{1,4}:?){1,6}(?![\w:])", _SURE),
    (
        Category.PHONE,
        r"(?:\b(?:tel|telephone|téléphone|teléfono|telefono|telefon|phone|ph|mobile|mob|cell|fax|pager|beeper|handy"
        r"|ext|extension|call(?:back)?|тел|телефон|τηλ|τηλέφωνο)|电话|手机|传真|联系方式|電話|携帯|전화|연락처|هاتف)"
        r"\.?\s{0,3}(?:no\.?|number|nr\.?|号码|番号|번호)?\s{0,3}[:：#]?\s{0,3}(?P<one>[+(]{0,2}\d(?:[\s().\-/x]{0,3}\d){2,16})",
        _SURE,
    ),
    (Category.PHONE, rf"(?<![\w+])\+{_DIGITS}(?!\w)", _SURE),
    (Category.PHONE, r"(?<![\w.\-])(?:1[\s.\-])?\(?\d{3}\)?[\s.\-]{1,2}\d{3}[\s.\-]\d{4}(?![\w\-])", _SURE),
    (Category.PHONE, r"(?<![\w.])1[3-9]\d[\s\-]?\d{4}[\s\-]?\d{4}(?!\w)", _SURE),
    (Category.PHONE, r"(?<![\w.])0\d{2,3}[\-\s]\d{7,8}(?:-\d{1,5})?(?!\w)", _SURE),
    (Category.PHONE, r"(?<![\w.])0\d(?:[\s.]\d\d){4}(?!\w)", _SURE),
    (Category.PHONE, r"(?<![\w.])\(?0\d{2,5}\)?\s?[/\-]\s?\d{3,9}(?:[\s\-]\d{1,6})?(?!\w)", _SURE),
    (Category.PHONE, r"(?<![\w.])0\d{1,4}-\d{1,4}-\d{3,4}(?!\w)", _SURE),
)

_NUMBERS: Final = (
    (Category.IDENTIFIER, r"(?<![\d.])[0-2](?:\.\d{1,40}){5,20}(?![\d])", _SURE),
    (Category.IDENTIFIER, r"(?<!\w)\d{17}[\dX](?!\w)", _SURE),
    (Category.IDENTIFIER, r"(?<![\w\-])\d{3}[\-\s]\d{2}[\-\s]\d{4}(?![\w\-])", _SURE),
    (Category.IDENTIFIER, r"(?<!\w)[A-Z]{2}\d{2}(?:\s?[A-Z0-9]{4}){3,7}(?:\s?[A-Z0-9]{1,3})?(?!\w)", _AS_WRITTEN),
    (
        Category.IDENTIFIER,
        r"\b(?:MRN|M\.R\.N|URN|UHID|NHS|SSN|DEA|NPI|HKID|PID|ID|I\.D|no|nr|num|acc|acct|accession|case|account|policy"
        r"|member|insurance|licen[cs]e|passport|record|chart|order|visit|encounter|specimen|requisition|serial|lot|device"
        r"|hospital|unit|medical\srecord|Fall|Fallnummer|Patientennummer|Auftrag|Versichertennummer|dossier|numéro"
        r"|expediente|historia|карта|полис|номер|№|αριθμός|ΑΜΚΑ|رقم)(?:[\s\-]{0,2}(?:no|number|num|nr|id|n°|nummer|№)\b)?"
        rf"\.?\s{{0,3}}[:#=]?\s{{0,3}}[:#=]?\s{{0,2}}(?P<one>{_NUMBERED})",
        _SURE,
    ),
    (
        Category.IDENTIFIER,
        r"(?:病历|住院|门诊|门诊病历|检查|影像|医保|保险|社保|身份证|登记|条码|流水|病案|床|就诊|卡|申请|报告|放射|病理|超声|CT|MR"
        r"|診察券|患者|カルテ|受付|保険証|환자|등록|주민등록)\s?(?:番号|번호|号码|编号|号|ID|No\.?)\s{0,2}[:：]?\s{0,3}"
        r"(?P<one>[A-Za-z0-9][A-Za-z0-9\-]{0,30})",
        _SURE,
    ),
    (Category.IDENTIFIER, r"#\s?(?P<one>[A-Z]{0,4}\d[\d\-]{3,20})(?!\w)", _SURE),
    (Category.IDENTIFIER, r"(?<!\w)[A-Z]{1,5}[\-_]?\d{5,20}(?:-\d{1,6})?(?!\w)", _SURE),
    (Category.IDENTIFIER, r"(?<!\w)[A-Z]{1,4}(?:[\-/]\d{2,8}){2,4}(?!\w)", _SURE),
    (Category.IDENTIFIER, r"(?<![\w.,\-])\d{7,30}(?![\w]|[.,]\d)", _SURE),
    (Category.IDENTIFIER, r"(?<![\w.,/\-])\d{2,4}-\d{4,10}(?![\w\-])", _SURE),
    (Category.IDENTIFIER, r"(?<!\w)\d{6}[\-\s][1-8]\d{6}(?!\w)", _SURE),
    (Category.IDENTIFIER, r"(?<![\w.])\d{2,4}-\d{2,4}-\d{2,6}(?:-\d{1,6})?(?!\w)", _SURE),
    (Category.PLATE, rf"[{_PROVINCES}][A-Z][·\s]?[A-Z0-9]{{5,6}}(?!\w)", _AS_WRITTEN),
    (
        Category.PLATE,
        r"(?:\b(?:plate|plates|registration|reg|number\splate|kennzeichen|immatriculation|matrícula|targa)|车牌号?|号牌)"
        r"\s{0,2}(?:no\.?|number)?\s{0,2}[:：]?\s{0,3}(?P<one>(?=[A-ZÄÖÜ0-9\-\s]{0,12}\d)[A-ZÄÖÜ0-9][A-ZÄÖÜ0-9\-\s]{2,11}[A-Z0-9])",
        _SURE,
    ),
    (
        Category.AGE,
        r"(?<![\d.])(?:9\d|1[0-3]\d)(?=[\s\-]{0,2}(?:years?\b|yrs?\b|y\.?o\b|y/o\b|year-old|jährig|Jahre|ans\b|años|anni\b"
        r"|лет|год|ετών|[岁歲歳세]|[MF]\b|سنة))",
        _SURE,
    ),
    (
        Category.AGE,
        r"(?:\b(?:aged?|Alter|âge|edad|возраст|ηλικία)|年龄|年齡|年齢|나이)[:：]?\s?(?P<one>9\d|1[0-3]\d)(?!\d|\.\d)",
        _SURE,
    ),
)

_PLACES: Final = (
    (
        Category.ADDRESS,
        r"(?<![\w.:])\d{1,5}[A-Za-z]?,?\s(?:[A-Z0-9][\w.'’\-]{0,20}\s){1,4}(?:Street|St|Avenue|Ave|Road|Rd|Lane|Ln|Drive|Dr"
        r"|Boulevard|Blvd|Court|Ct|Terrace|Square|Highway|Hwy|Parkway|Pkwy|Way|Close|Crescent|Place|Circle)\b\.?"
        r"(?:,?\s(?:Apt|Apartment|Suite|Ste|Unit|Floor|#)\.?\s?[\w\-]{1,6})?"
        r"(?:,\s[\w.'’\-]{2,30}(?:\s[\w.'’\-]{2,30})?)?(?:,?\s[A-Z]{2})?(?:\s\d{5}(?:-\d{4})?)?",
        _AS_WRITTEN,
    ),
    (
        Category.ADDRESS,
        r"\b[A-Z][\w.'’\-]{1,30}(?:\s[A-Z][\w.'’\-]{1,30})?,\s[A-Z]{2}\s\d{5}(?:-\d{4})?\b",
        _AS_WRITTEN,
    ),
    (Category.ADDRESS, r"\bP\.?\s?O\.?\s?Box\s\d{1,8}", _SURE),
    (
        Category.ADDRESS,
        r"\b[A-ZÄÖÜ][\wäöüß.\-]{0,40}(?:straße|strasse|str\.|weg|platz|allee|gasse|ring|ufer|damm)\s\d{1,4}\s?[a-z]?\b"
        r"(?:,?\s\d{4,5}\s[A-ZÄÖÜ][\wäöüß\-]{1,30})?",
        _AS_WRITTEN,
    ),
    (
        Category.ADDRESS,
        r"\b[A-ZÄÖÜ][\wäöüß\-]{1,30}\s(?:Straße|Strasse|Str\.|Weg|Platz|Allee)\s\d{1,4}\s?[a-z]?\b",
        _AS_WRITTEN,
    ),
    (
        Category.ADDRESS,
        r"\b(?:\d{1,4}(?:\s?(?:bis|ter))?,?\s)(?:rue|avenue|boulevard|bd|place|allée|chemin|impasse|quai|cours)\s"
        r"[\w'’\-]{1,30}(?:\s[\w'’\-]{1,30}){0,4}(?:,?\s\d{5}\s[A-ZÀ-Ý][\w'’\-]{1,30})?",
        _SURE,
    ),
    (
        Category.ADDRESS,
        r"\b(?:calle|c/|avenida|avda\.?|av\.|plaza|paseo|via|viale|piazza|corso|ul\.|ulica|улица|пр\.|проспект|οδός)\s"
        r"[\w.'’\-]{1,30}(?:\s[\w.'’\-]{1,30}){0,4},?\s(?:n[º°o.]{1,2}\s?|д\.\s?)?\d{1,5}\b(?:,\s\d{5}\s[\w'’\-]{2,30})?",
        _SURE,
    ),
    (Category.ADDRESS, r"〒?\s?\d{3}-\d{4}\s?[\u3040-\u30ff\u3400-\u9fff\d\-]{2,40}", _SURE),
    (
        Category.ADDRESS,
        rf"[{_HAN}]{{2,3}}[都道府県][{_HAN}\u3040-\u30ff]{{1,8}}[市区町村郡][{_HAN}\u3040-\u30ff\d\-丁目番地号]{{0,30}}",
        _SURE,
    ),
    (
        Category.ADDRESS,
        rf"(?:[{_HAN}]{{2,8}}?(?:省|自治区))?[{_HAN}]{{2,8}}?(?:市|州|盟)[{_HAN}]{{1,8}}?(?:区|县|市|镇|旗)[{_HAN}\d]{{0,30}}"
        r"(?:\d{1,5}[号弄幢栋室单元楼\-\d]{0,20})?",
        _SURE,
    ),
    (Category.ADDRESS, rf"[{_HAN}]{{2,8}}(?:路|街|大道|胡同|巷|弄)\d{{1,5}}(?:号|弄)[{_HAN}\d\-]{{0,16}}", _SURE),
    (
        Category.ADDRESS,
        r"[가-힣]{2,8}(?:특별시|광역시|시|도)\s[가-힣]{1,8}(?:구|군|시)(?:\s[가-힣\d]{1,12}(?:로|길|동)\s?[\d\-]{0,10})?",
        _SURE,
    ),
    (
        Category.ADDRESS,
        r"(?:\b(?:address|residence|home|from|Anschrift|Adresse|demeurant|domicilio|dirección|адрес|διεύθυνση)\s?[:：]"
        r"|(?:住址|地址|家庭住址|住所|주소|العنوان)\s?[:：]?)\s{0,3}(?P<one>[^\n;。，|]{2,80})",
        _SURE,
    ),
    (
        Category.ADDRESS,
        r"\b(?:resid(?:es|ing)\s(?:at|in)|lives\s(?:at|in)|living\sat|resident\sof|wohnhaft(?:\sin)?|domicilié à|residente en)"
        r"\s{1,3}(?P<one>[^\n;。|,.]{2,50}(?:,\s\d{4,5}\s[\w\-]{2,30})?)",
        _SURE,
    ),
    (
        Category.ADDRESS,
        r"\b(?:teacher|farmer|worker|engineer|nurse|retiree|man|woman|lady|gentleman|male|female|patient|resident|native|visitor"
        rf"|student|driver|veteran|refugee|tourist)\s(?:from|of)\s(?P<one>{_UPPER_WORD}(?:\s{_UPPER_WORD}){{0,2}})",
        _AS_WRITTEN,
    ),
    (
        Category.ADDRESS,
        rf"\b(?:Hausarzt|Hausärztin|Praxis|Arzt|Ärztin|Dr\.?|GP|PCP)\s{_UPPER_WORD}\s(?:in|aus|from)\s(?P<one>{_UPPER_WORD})",
        _AS_WRITTEN,
    ),
    (
        Category.INSTITUTION,
        rf"(?<![\w'])(?:{_UPPER_WORD}\s(?:(?:of|the|and|&|de|del|la|der|für|am|im)\s){{0,2}}){{1,5}}(?:Hospital|Hospitals|Clinic"
        r"|Clinics|Infirmary|Healthcare|Sanatorium|Hospice|University|College|Krankenhaus|Klinik|Klinikum|Laboratories"
        r"|Medical\s(?:Cent(?:er|re)|Group|Associates|College)|Health\s(?:System|Cent(?:er|re)|Network|Services)"
        r"|(?:Imaging|Cancer|Heart|Diagnostic|Trauma|Surgery|Nursing|Rehab(?:ilitation)?)\s(?:Cent(?:er|re)|Institute|Home)"
        r"|Imaging|Radiology|Diagnostics|Nursing\sHome|NHS\s(?:Foundation\s)?Trust)\b(?:\s(?:of|in|at)\s[A-Z][\w\-]{2,20})?",
        _AS_WRITTEN,
    ),
    (
        Category.INSTITUTION,
        r"\b(?:[A-ZÄÖÜ][\wäöüß\-]{0,30}(?:klinikum|klinik|krankenhaus|spital|hospital)|Klinikum|Krankenhaus|Charité)"
        r"(?:\s(?:am|der|des|in|im|zum|St\.|Sankt|rechts|links)){0,2}(?:\s[A-ZÄÖÜ][\wäöüß.\-]{1,30}){0,3}",
        _AS_WRITTEN,
    ),
    (
        Category.INSTITUTION,
        r"\b(?:H[ôo]pital|Hospital|CHU|CHRU|Centre\s[Hh]ospitalier|Clinique|Cl[íi]nica|Ospedale|Policlinico|Polyclinique)"
        r"(?:\s(?:de|du|des|di|del|la|le|l'|San|Santa|Saint|Sainte|Universitario|Universitaire|General|Général)){0,4}"
        r"(?:\s?[A-ZÀ-Ý][\w'’.\-]{1,30}){1,4}",
        _AS_WRITTEN,
    ),
    (
        Category.INSTITUTION,
        rf"[{_HAN}A-Za-z\d]{{2,18}}?(?:医院|卫生院|卫生服务中心|诊所|門診部|医学院|医科大学|病院|クリニック)(?:[{_HAN}]{{1,4}}(?:院区|分院))?",
        _SURE,
    ),
    (Category.INSTITUTION, r"[가-힣]{2,12}(?:병원|의원|의료원)", _SURE),
    (
        Category.INSTITUTION,
        r"\b(?:больница|поликлиника|клиника|госпиталь|НИИ|ГКБ)\s(?:им\.\s?)?(?:№\s?\d{1,4}|[А-Я][\w.\-]{1,30}(?:\s[А-Я][\w.\-]{1,30})?)",
        _SURE,
    ),
)

_OLDEST: Final = "90+"
_OUR_OWN: Final = frozenset(
    {"我院", "本院", "外院", "住院", "出院", "入院", "转院", "该医院", "当地医院", "外地医院", "某医院", "上级医院"}
)


def pattern_finds(folded: Folded) -> Iterator[Find]:
    """Every place of a `shape` text that looks like identity; only the value where a cue goes before it."""
    for category, pattern in _compiled():
        for found in pattern.finditer(folded.text):
            start, end = found.span("one") if "one" in pattern.groupindex else found.span()
            if found[0] in _OUR_OWN:
                continue
            kept = _OLDEST if category is Category.AGE else ""
            yield Find(*folded.span(start, end), category, kept)


@cache
def _compiled() -> tuple[tuple[Category, re.Pattern[str]], ...]:
    """At the first text, because most commands and roles never read one, and compiling takes a quarter of a second."""
    sources = (*_CONTACTS, *_NUMBERS, *_PLACES)
    return tuple((category, re.compile(source, flags)) for category, source, flags in sources)
