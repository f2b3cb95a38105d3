"""Makes reports with planted identity whose places are known, to measure the cleaning of free text.

Names, addresses and numbers come from Faker's locales, not from the lists that the cleaner uses. Templates of the
set `held-out` were written after the patterns and are not used to improve them.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta

from faker import Faker

Template = Callable[["Report"], None]


@dataclass
class Report:
    """A text in the making; `spans` are the planted places."""

    locale: str
    seed: int
    text: str = ""
    spans: list[tuple[int, int, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = random.Random(self.seed)  # noqa: S311 - test data
        self.fake = Faker(self.locale)
        self.fake.seed_instance(self.seed)
        self.given = self.fake.first_name()
        self.family = self.fake.last_name()
        self.mrn = f"{self.random.choice(['', 'M', 'H', 'PAT-'])}{self.random.randrange(10**6, 10**8)}"
        self.accession = f"{self.random.choice('ABCX')}{self.random.randrange(10**6, 10**7)}"
        self.born = date(1934, 1, 1) + timedelta(days=self.random.randrange(25000))

    def say(self, *parts: str | tuple[str, str]) -> Report:
        """Plain words, and planted ones as (category, words)."""
        for part in parts:
            words = part if isinstance(part, str) else part[1]
            if not isinstance(part, str):
                self.spans.append((len(self.text), len(self.text) + len(words), part[0]))
            self.text += words
        return self

    def day(self, form: str) -> tuple[str, str]:
        """A date of the last years in a strftime form; `~` before a number takes its leading zero."""
        when = date(2017, 1, 1) + timedelta(days=self.random.randrange(2900))
        return "DATE", _formed(when, form)

    def birth(self, form: str) -> tuple[str, str]:
        return "DATE", _formed(self.born, form)

    def patient(self, form: str = "{given} {family}") -> tuple[str, str]:
        return "PATIENT", form.format(given=self.given, family=self.family)

    def person(self, form: str = "{given} {family}") -> tuple[str, str]:
        return "PERSON", form.format(given=self.fake.first_name(), family=self.fake.last_name())

    def number(self, form: str) -> tuple[str, str]:
        return "ID", self.fake.bothify(form)

    def phone(self, form: str) -> tuple[str, str]:
        return "PHONE", self.fake.numerify(form)

    def pick(self, *choices: str) -> str:
        return self.random.choice(choices)


def _formed(when: date, form: str) -> str:
    return when.strftime(form).replace("~0", "").replace("~", "")


def _english_radiology(r: Report) -> None:
    r.say("EXAM: CT CHEST WITH CONTRAST\nPatient: ", r.patient("{family}, {given}"), "\nMRN: ", ("ID", r.mrn))
    r.say("\nAccession: ", ("ID", r.accession), "\nDOB: ", r.birth("%m/%d/%Y"), "\nDate of exam: ", r.day("%m/%d/%Y"))
    r.say(
        "\nReferring physician: ", r.person("Dr. {given} {family}"), "\n\nINDICATION: ", str(r.random.randrange(45, 88))
    )
    r.say(
        "-year-old with cough and weight loss.\nCOMPARISON: CT of ",
        r.day("%B ~%d, %Y"),
        ".\nTECHNIQUE: Axial images of 1.25 mm.\n",
    )
    r.say(
        "FINDINGS: There is a 14 x 9 mm spiculated nodule in the right upper lobe (series 4, image 112). No pleural effusion. "
    )
    r.say(
        "Heart size is normal. Mild coronary calcification. No enlarged lymph nodes by size criteria. Hodgkin disease is unlikely.\n"
    )
    r.say("IMPRESSION: Suspicious nodule, Lung-RADS 4B. PET/CT is recommended.\nThese findings were discussed with ")
    r.say(r.person("Dr. {family}"), " by telephone at 3:42 PM on ", r.day("%m/%d/%Y"), ".\nElectronically signed by: ")
    r.say(r.person("{given} {family}"), ", MD ", r.day("%Y-%m-%d"), " 16:05\n")


def _english_discharge(r: Report) -> None:
    r.say("DISCHARGE SUMMARY\nName: ", r.patient(), "   Unit No: ", ("ID", r.mrn), "\nAdmitted: ", r.day("%m/%d/%y"))
    r.say("  Discharged: ", r.day("%m/%d/%y"), "\nAttending: ", r.person("{given} {family}"), ", M.D.\n\nHISTORY: ")
    r.say(r.patient("Mr. {family}"), " is a 71 year old man who lives at ", ("ADDRESS", r.fake.street_address()))
    r.say(
        " with his wife ",
        r.person("{given}"),
        ". He was transferred from ",
        ("ORG", f"{r.fake.last_name()} Memorial Hospital"),
    )
    r.say(
        " after a fall. Blood pressure 142/88, pulse 92, WBC 11.4, Na 138, creatinine 1.2.\nHOSPITAL COURSE: Troponin was "
    )
    r.say(
        "negative x3. He was seen by ",
        r.person("Dr. {given} {family}"),
        " of cardiology. Metoprolol 25 mg twice daily was begun. ",
    )
    r.say("Crohn's disease was stable on mesalamine. His daughter may be reached at ", r.phone("(###) ###-####"), ".\n")
    r.say("FOLLOW-UP: with ", r.person("Dr. {family}"), " in 2 weeks, call ", r.phone("###-###-####"), ".\n")
    r.say(
        "Dictated by: ",
        r.person("{given} {family}"),
        "\nTranscribed: ",
        r.day("%m/%d/%Y"),
        " job ",
        r.number("#######"),
        "\n",
    )


def _english_pathology(r: Report) -> None:
    r.say(
        "SURGICAL PATHOLOGY REPORT\nCase: ",
        r.number("S##-#####"),
        "\nPatient Name: ",
        r.patient("{family}, {given}"),
        "\nMed. Rec.: ",
    )
    r.say(
        ("ID", r.mrn),
        "\nSSN: ",
        r.number("###-##-####"),
        "\nCollected: ",
        r.day("%d-%b-%Y"),
        "  Received: ",
        r.day("%d-%b-%Y"),
    )
    r.say(
        "\nSubmitting: ",
        r.person("{given} {family}"),
        ' MD\n\nGROSS: Received in formalin labeled "',
        r.patient("{family}"),
    )
    r.say(
        ', left breast" is a 3.2 x 2.5 x 1.1 cm portion of tissue.\nDIAGNOSIS: Invasive ductal carcinoma, Nottingham grade 2, ER 90%, '
    )
    r.say(
        "PR 40%, HER2 1+, Ki-67 15%. Margins are free by 4 mm.\nReported by: ", r.person("{given} {family}"), ", MD\n"
    )
    r.say("E-mail copy to ", ("EMAIL", r.fake.email()), "\n")


def _english_telephone(r: Report) -> None:
    r.say(
        "TELEPHONE NOTE ",
        r.day("~%d %B %Y"),
        "\nSpoke with ",
        r.person("Mrs. {family}"),
        ", mother of ",
        r.patient(),
        ". ",
    )
    r.say(
        "Fever 38.9 since Tuesday, no rash. Insurance member ID ",
        ("ID", r.fake.bothify("???########", letters="ABCDEF")),
    )
    r.say(". Advised fluids and paracetamol 15 mg/kg. Callback number ", r.phone("+1 ### ### ####"), ". Records at ")
    r.say(
        ("URL", f"https://portal.{r.fake.domain_name()}/chart/{r.mrn}"), " reviewed from ", ("IP", r.fake.ipv4()), ".\n"
    )
    r.say(
        "Seen previously at ",
        ("ORG", f"{r.fake.city()} Medical Center"),
        " by ",
        r.person("{given} {family}"),
        ", RN.\n",
    )


def _german_letter(r: Report) -> None:
    r.say(
        "Radiologische Praxis\nPatient: ",
        r.patient("{family}, {given}"),
        ", geb. ",
        r.birth("%d.%m.%Y"),
        "\nUntersuchung vom ",
    )
    r.say(
        r.day("%d.%m.%Y"),
        ": MRT des linken Kniegelenks\nFallnummer: ",
        ("ID", r.mrn),
        "\nZuweiser: ",
        r.person("Dr. med. {given} {family}"),
    )
    r.say(
        "\n\nSehr geehrter Herr Kollege ",
        r.person("{family}"),
        ",\nvielen Dank für die Überweisung von ",
        r.patient("Frau {family}"),
    )
    r.say(
        ", wohnhaft ",
        ("ADDRESS", r.fake.street_address()),
        ".\nBefund: Regelrechte Darstellung der Kreuzbänder. Kleiner Gelenkerguss. ",
    )
    r.say("Riss des Innenmeniskushinterhorns Grad III. Signalanhebung im T2 bis 8 mm. Kein Knochenödem. Baker-Zyste.\n")
    r.say(
        "Vergleich mit Voraufnahme vom ",
        r.day("%d.%m.%Y"),
        " aus dem ",
        ("ORG", f"Klinikum {r.fake.city()}"),
        ".\nRückfragen unter Tel. ",
    )
    r.say(r.phone("0##/######"), ".\nMit freundlichen Grüßen\nBefundet von ", r.person("{given} {family}"), "\n")


def _french_report(r: Report) -> None:
    r.say(
        "COMPTE RENDU\nNom: ",
        r.patient("{family}"),
        "\nPrénom: ",
        r.patient("{given}"),
        "\nNé(e) le ",
        r.birth("%d/%m/%Y"),
        "\nDate: ",
        r.day("%d/%m/%Y"),
    )
    r.say(
        "\nMédecin prescripteur: ",
        r.person("Dr {given} {family}"),
        "\nIPP: ",
        ("ID", r.mrn),
        "\n\nIndication: dyspnée chez une patiente de 64 ans.\n",
    )
    r.say(
        "Résultat: Pas d'épanchement pleural. Silhouette cardiaque normale. Opacité de 12 mm du lobe supérieur droit.\n"
    )
    r.say(
        "Comparaison au ",
        ("DATE", _french_day(r)),
        ". Adressée par le ",
        ("ORG", f"CHU de {r.fake.city().split()[0]}"),
        ".\n",
    )
    r.say("Tél: ", r.phone("0# ## ## ## ##"), "\nSigné par ", r.person("{given} {family}"), "\n")


def _french_day(r: Report) -> str:
    months = "janvier février mars avril mai juin juillet août septembre octobre novembre décembre".split()  # noqa: SIM905
    return f"{r.random.randrange(1, 28)} {r.random.choice(months)} {r.random.randrange(2012, 2025)}"


def _spanish_report(r: Report) -> None:
    r.say(
        "INFORME RADIOLÓGICO\nPaciente: ",
        r.patient(),
        "\nHistoria: ",
        ("ID", r.mrn),
        "\nFecha de nacimiento: ",
        r.birth("%d/%m/%Y"),
    )
    r.say(
        "\nFecha: ",
        r.day("%d/%m/%Y"),
        "\nMédico solicitante: ",
        r.person("Dra. {given} {family}"),
        "\n\nHallazgos: No se observan ",
    )
    r.say(
        "condensaciones ni derrame pleural. Índice cardiotorácico de 0,48. Nódulo de 6 mm en el lóbulo inferior izquierdo.\n"
    )
    r.say("Comentado con ", r.person("Dr. {family}"), ". Firmado: ", r.person("{given} {family}"), "\n")


def _chinese_ct(r: Report) -> None:
    hospital = f"{r.fake.city_name()}市第一人民医院"
    r.say(
        ("ORG", hospital),
        "\nCT检查报告单\n姓名：",
        r.patient("{family}{given}"),
        "　性别：男　年龄：56岁　检查号：",
        ("ID", r.accession),
    )
    r.say(
        "\n住院号：",
        ("ID", r.mrn),
        "　检查日期：",
        ("DATE", _han_day(r)),
        "\n检查所见：右肺上叶见一结节影，大小约1.4cm×0.9cm，边缘毛刺。双侧胸腔未见积液。",
    )
    r.say(
        "心影不大，纵隔未见肿大淋巴结。与",
        ("DATE", _han_day(r)),
        "片对比，病灶增大。\n诊断意见：右肺上叶结节，建议增强扫描。\n报告医师：",
    )
    r.say(
        r.person("{family}{given}"),
        "　审核医师：",
        r.person("{family}{given}"),
        "\n报告时间：",
        r.day("%Y-%m-%d"),
        " 10:21\n",
    )


def _chinese_discharge(r: Report) -> None:
    r.say(
        "出院小结\n患者",
        r.patient("{family}{given}"),
        "，女，68岁，因“反复胸闷3天”于",
        ("DATE", _han_day(r)),
        "入院。身份证号：",
        ("ID", r.fake.ssn()),
    )
    r.say(
        "，联系电话：",
        ("PHONE", r.fake.phone_number()),
        "。家庭住址：",
        ("ADDRESS", r.fake.address().split(" ")[0]),
        "。\n入院查体：血压142/88mmHg，",
    )
    r.say(
        "心率92次/分。经",
        r.person("{family}"),
        "主任医师会诊，给予阿司匹林100mg每日一次。冠脉造影示左前降支狭窄70%。\n",
    )
    r.say(r.day("%Y.%m.%d"), "出院，嘱2周后门诊复查。\n主治医师：", r.person("{family}{given}"), "\n")


def _han_day(r: Report) -> str:
    when = date(2017, 1, 1) + timedelta(days=r.random.randrange(2900))
    return f"{when.year}年{when.month}月{when.day}日"


def _japanese_report(r: Report) -> None:
    r.say("患者氏名：", r.patient("{family} {given}"), "　患者ID：", ("ID", r.mrn), "　検査日：", ("DATE", _han_day(r)))
    r.say("\n所見：右上葉に14mm大の結節を認めます。胸水はありません。縦隔リンパ節の腫大は認めません。\n")
    r.say("依頼医：", r.person("{family} {given}"), "\n読影医：", r.person("{family}"), "先生\n")


# Other habits of writing, fewer cues: held out at first, then used to improve the rules.


def _few_cues_nursing(r: Report) -> None:
    r.say(
        r.day("%m/%d"),
        " 0715 Received report from ",
        r.person("{given} {family}"),
        " RN. Pt ",
        r.patient("{family}"),
        " alert and oriented x3, ",
    )
    r.say(
        "NAD. Lungs clear bilat, O2 sat 96% on 2L NC. IV 20g L forearm patent. Sister ",
        r.person("{given}"),
        " at bedside, number is ",
    )
    r.say(
        r.phone("###.###.####"),
        ". Foley draining 400 ml clear yellow. Wound VAC at 125 mmHg. ",
        r.person("Dr {family}"),
        " aware of K 3.1, ",
    )
    r.say(
        "KCl 40 mEq given. Will endorse to ",
        r.person("{given}"),
        " on nights. MRN on band verified: ",
        ("ID", r.mrn),
        ".\n",
    )


def _few_cues_consult(r: Report) -> None:
    r.say(
        "Dear ",
        r.person("{given}"),
        ",\n\nThank you for asking me to see ",
        r.patient(),
        " (",
        ("ID", r.mrn),
        "), a retired schoolteacher from ",
    )
    r.say(
        ("ADDRESS", r.fake.city()),
        ", whom I met in clinic on ",
        r.day("%A, %B ~%d"),
        ". ",
        r.patient("{given}"),
        " has had left hip pain since 2016 ",
    )
    r.say(
        "and walks with a cane. Examination shows 10 degrees of flexion contracture; Trendelenburg sign positive. Radiographs at "
    )
    r.say(
        ("ORG", f"St. {r.fake.first_name()} Hospital"),
        " show Kellgren-Lawrence grade 3 change. I offered total hip replacement, and ",
    )
    r.say(
        r.person("{given} {family}"),
        " will do the preoperative visit.\n\nWith best wishes,\n",
        r.person("{given} {family}"),
        "\nOrthopaedic Surgery\n",
    )


def _few_cues_addendum(r: Report) -> None:
    r.say(
        "ADDENDUM: Report originally read by resident ",
        r.person("{given} {family}"),
        " and overread by me. Outside films from ",
    )
    r.say(
        ("ORG", f"{r.fake.last_name()} Imaging"),
        " dated ",
        r.day("%b %d %Y"),
        " became available. The 7 mm nodule in the lingula is stable ",
    )
    r.say(
        "for 3 years. Critical result called to ",
        r.person("{given}"),
        " (ED charge nurse) at 1410. Patient ",
        ("PATIENT", f"{r.given} {r.family}".upper()),
    )
    r.say(" notified. Ref ", ("ID", r.accession), ". -- ", r.person("{given} {family}"), " ", r.day("%d.%m.%Y"), "\n")


def _few_cues_german(r: Report) -> None:
    r.say(
        "Konsil Neurologie\n",
        r.patient("{given} {family}"),
        " *",
        r.birth("%d.%m.%Y"),
        ", Aufnahme ",
        r.day("%d.%m."),
        "\nAnamnese: Seit drei Tagen Schwindel. ",
    )
    r.say(
        "Fremdanamnese mit der Ehefrau ",
        r.person("{given}"),
        ". Vorbekannt Morbus Parkinson, Hypertonie. CT-Schädel nativ ohne Blutung. ",
    )
    r.say(
        "Therapie mit ASS 100 mg. Weitere Betreuung durch Hausarzt ",
        r.person("{family}"),
        " in ",
        ("ADDRESS", r.fake.city()),
        ". gez. ",
    )
    r.say(r.person("{family}"), ", Oberärztin\n")


def _few_cues_chinese(r: Report) -> None:
    r.say(
        "超声所见：肝脏形态大小正常，门静脉内径11mm。胆囊壁光滑。左肾见3mm强回声。患者",
        r.patient("{family}{given}"),
        "已告知结果。\n",
    )
    r.say(
        "操作医师 ",
        r.person("{family}{given}"),
        "　记录：",
        r.person("{family}{given}"),
        "\n",
        r.day("%Y/%m/%d"),
        "\n联系家属（其女",
        r.person("{family}{given}"),
    )
    r.say("，手机", r.phone("139########"), "）。转自", ("ORG", f"{r.fake.city_name()}中心医院"), "。\n")


def _few_cues_chinese_note(r: Report) -> None:
    r.say(
        ("DATE", _han_day(r)),
        " 查房记录\n",
        r.person("{family}"),
        "主任查房后指出：患者",
        r.patient("{family}{given}"),
        "（床号",
        r.number("##"),
        "，ID ",
        ("ID", r.mrn),
        "）",
    )
    r.say(
        "术后第3天，体温36.8℃，切口干燥。血红蛋白102g/L。高血压病史10年。嘱继续抗感染治疗。记录者",
        r.person("{family}{given}"),
        "\n",
    )


# Held out: measured once, never used to improve.


def _second_emergency(r: Report) -> None:
    r.say(
        "ED COURSE\n52F BIBA after MVC. Driver, restrained. GCS 15. Hx per boyfriend ",
        r.person("{given} {family}"),
        " who followed in own car ",
    )
    r.say(
        "(plate ",
        ("PLATE", r.fake.bothify("??? ####", letters="BCDFGH")),
        "). FAST neg. C-collar cleared by ",
        r.person("{family}"),
        ". CXR wet read: no ptx. ",
    )
    r.say(
        "Tetanus given ",
        r.day("%m/%d/%Y"),
        ". Ortho (",
        r.person("{family}"),
        ") to see in AM. ",
        r.patient("{given}"),
        " lives alone, neighbor has key. ",
    )
    r.say("Dispo: admit obs, HAR ", ("ID", r.mrn), ". d/w ", r.person("{given} {family}"), " 0230.\n")


def _second_ultrasound(r: Report) -> None:
    r.say(
        "OB ULTRASOUND ",
        r.day("%d %b %Y"),
        "\n",
        r.patient("{family}"),
        " ",
        r.patient("{given}"),
        " G2P1, LMP ",
        r.day("%d/%m/%Y"),
        "\n",
    )
    r.say(
        "BPD 48 mm, HC 178 mm, AC 152 mm, FL 33 mm, EFW 355 g. Placenta posterior, AFI normal. Four-chamber view seen.\n"
    )
    r.say(
        "Performed: ",
        r.person("{given} {family}"),
        " RDMS; supervised by ",
        r.person("{family}"),
        "\n",
        ("ORG", f"{r.fake.last_name()} Women's Clinic"),
        ", ",
    )
    r.say(("ADDRESS", r.fake.street_address()), "\n")


def _second_referral(r: Report) -> None:
    r.say(
        "To whom it may concern,\nI have been treating ",
        r.patient(),
        " since ",
        r.day("%B %Y"),
        " for ankylosing spondylitis. ",
    )
    r.say(
        r.pick("He", "She"),
        " works at ",
        ("ORG", r.fake.company()),
        " and is exempt from lifting over 10 kg. HLA-B27 positive, CRP 14 mg/L. ",
    )
    r.say(
        "Please contact me on ",
        r.phone("0#### ######"),
        " or ",
        ("EMAIL", r.fake.email()),
        ".\nYours faithfully,\n",
        r.person("{given} {family}"),
        "\n",
    )


def _second_french(r: Report) -> None:
    r.say(
        "Cher confrère,\nJ'ai reçu ce jour ",
        r.patient("Mme {family} {given}"),
        ", 58 ans, demeurant ",
        ("ADDRESS", r.fake.street_address()),
        ". IRM cérébrale du ",
    )
    r.say(
        r.day("%d/%m/%Y"),
        " sans anomalie. Je propose un contrôle dans six mois. Son mari ",
        r.person("{given}"),
        " l'accompagne. Dossier ",
        ("ID", r.mrn),
    )
    r.say(".\nCordialement,\n", r.person("Dr {given} {family}"), "\n")


def _second_chinese(r: Report) -> None:
    r.say(
        "病理诊断：（左乳）浸润性导管癌Ⅱ级，ER（90%+），HER2（1+）。切缘净。\n病理号",
        ("ID", r.accession),
        "　姓名 ",
        r.patient("{family}{given}"),
        "　年龄 63岁\n",
    )
    r.say(
        "送检单位：",
        ("ORG", f"{r.fake.city_name()}市妇幼保健院"),
        "　送检医生：",
        r.person("{family}{given}"),
        "\n",
        r.person("{family}{given}"),
        "　",
        r.person("{family}{given}"),
    )
    r.say("　报告日期 ", r.day("%Y年%m月%d日"), "\n")


def _second_chinese_history(r: Report) -> None:
    r.say(
        "主诉：头痛2天。现病史：",
        r.patient("{family}{given}"),
        "，女，45岁，",
        ("DATE", _han_day(r)),
        "无明显诱因出现头痛，由丈夫",
        r.person("{family}{given}"),
        "送至我院急诊。",
    )
    r.say(
        "头颅MRI未见异常。血压156/94mmHg。现住",
        ("ADDRESS", f"{r.fake.city_name()}市{r.fake.district()}区{r.fake.street_name()}{r.random.randrange(1, 200)}号"),
        "，电话",
    )
    r.say(("PHONE", r.fake.phone_number()), "。\n值班医生：", r.person("{family}{given}"), "\n")


SETS: dict[str, list[tuple[str, Template]]] = {
    "written beside": [
        ("en_US", _english_radiology),
        ("en_US", _english_discharge),
        ("en_GB", _english_pathology),
        ("en_US", _english_telephone),
        ("de_DE", _german_letter),
        ("fr_FR", _french_report),
        ("es_ES", _spanish_report),
        ("zh_CN", _chinese_ct),
        ("zh_CN", _chinese_discharge),
        ("ja_JP", _japanese_report),
        ("en_US", _few_cues_nursing),
        ("en_GB", _few_cues_consult),
        ("en_US", _few_cues_addendum),
        ("de_DE", _few_cues_german),
        ("zh_CN", _few_cues_chinese),
        ("zh_CN", _few_cues_chinese_note),
    ],
    "held out": [
        ("en_US", _second_emergency),
        ("en_GB", _second_ultrasound),
        ("en_GB", _second_referral),
        ("fr_FR", _second_french),
        ("zh_CN", _second_chinese),
        ("zh_CN", _second_chinese_history),
    ],
}


def reports(name: str, each: int) -> Iterator[Report]:
    """`each` reports of every template of a set, the same in every run."""
    for place, (locale, template) in enumerate(SETS[name]):
        for number in range(each):
            report = Report(locale, 1000 * place + number + (500_000 if name == "held out" else 0))
            template(report)
            yield report
