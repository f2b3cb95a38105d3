"""The words that announce a person's name, by how surely they do, in the languages of the reports; as data.

Labels stand before a colon, titles and relations directly before the name, credentials behind it.
"""

from __future__ import annotations

import re
from typing import Final

_LABELS: Final = (
    r"patient(?:'s)?(?:\s(?:name|full\sname))?|pt(?:\sname)?|name|full\sname|last\sname|first\sname|surname|forename"
    r"|middle\sname|maiden\sname|alias|aka|family\sname|given\sname|mother'?s?\s(?:name|maiden\sname)|next\sof\skin"
    r"|emergency\scontact|contact(?:\sperson)?|guardian|spouse|subject|client|resident"
    r"|(?:referring|ordering|attending|requesting|interpreting|reading|consulting|admitting|primary\scare|family|reporting"
    r"|performing|supervising|responsible|treating|referred)(?:\s(?:physician|doctor|provider|radiologist|clinician|md|consultant"
    r"|by))?|physician|doctor|provider|radiologist|pathologist|surgeon|cardiologist|technologist|technician|sonographer"
    r"|operator|nurse|author|examiner|observer|transcriptionist|transcriber|transcribed|dictated|dictator|signed|verified|read"
    r"|reported|reviewed|approved|authenticated|consultant|pcp|gp|cc|attn|attention|from|to|copy\sto|dictated\sby|signed\sby"
    r"|electronically\ssigned(?:\sby)?|read\sby|reported\sby|reviewed\sby|performed\sby|verified\sby|approved\sby|typed\sby"
    r"|interpreted\sby|transcribed\sby|finali[sz]ed\sby|prepared\sby|requested\sby|ordered\sby|scanned\sby|seen\sby"
    r"|Patient(?:in|enname)?|Nachname|Vorname|Familienname|Geburtsname|Arzt|Ärztin|Untersucher(?:in)?|Befunder(?:in)?"
    r"|Überweiser(?:in)?|Zuweiser(?:in)?|Hausarzt|Oberarzt|Chefarzt|Radiologe|Radiologin|MTRA|Unterschrift|gezeichnet"
    r"|befundet(?:\svon)?|Angehörige"
    r"|Nom(?:\s(?:du\spatient|de\snaissance|d'usage))?|Prénom|Patiente|Médecin(?:\s(?:traitant|prescripteur|correspondant))?"
    r"|Radiologue|Opérateur|Signé(?:\spar)?|Rédigé\spar|Validé\spar|Prescripteur"
    r"|Nombre(?:\sy\sapellidos|\sdel\spaciente)?|Apellidos?|Paciente|Médico(?:\s(?:solicitante|tratante))?|Radiólogo"
    r"|Firmado(?:\spor)?|Informado\spor|Solicitante"
    r"|Cognome|Paziente|Medico|Firmato(?:\sda)?|Refertato\sda|Nome|Utente"
    r"|ФИО|Ф\.И\.О\.?|Пациент(?:ка)?|Фамилия|Имя|Отчество|Врач(?:-рентгенолог)?|Лаборант|Заведующий|Подпись"
    r"|Ασθενής|Ονοματεπώνυμο|Όνομα|Επώνυμο|Ιατρός|Ακτινολόγος|Παραπέμπων"
    r"|المريض|المريضة|الاسم|اسم\sالمريض|الطبيب|الطبيبة|طبيب\sالأشعة"
)
LABEL: Final = re.compile(rf"(?<![\w'])(?:{_LABELS})(?:\s?\(s\))?\s{{0,4}}[:：=]\s{{0,4}}", re.IGNORECASE)
"""A colon announces the name so surely that it may be in small letters."""

_TITLES: Final = (
    r"Dr|DR|Drs|Prof|PROF|Professor|Doctor|DOCTOR|Mr|MR|Mrs|MRS|Ms|MS|Miss|Mx|Sir|Madam|Nurse|Sister|Rev|Capt|Sgt|Lt|Col"
    r"|Herrn?|Frau|Hr|Fr|Priv\.-Doz|PD|OA|OÄ|Dipl\.-Med"
    r"|Monsieur|Madame|Mademoiselle|Mme|Mlle|Docteur|Pr"
    r"|Sr|Sra|Srta|Señora?|Señorita|Don|Doña|Doctora|Dra|Dott|Dott\.ssa|Sig|Sig\.ra|Signora?|Ing|Lic"
    r"|Г-н|г-н|Г-жа|г-жа|Господин|Госпожа|доктор|Доктор|проф|д-р|Д-р|врач|пациент|пациентка|Пациент|Пациентка|больной|больная"
    r"|κ|κος|κα|Κος|Κα|κυρία|κύριος|Δρ|δρ|Ιατρός|ασθενής"
    r"|د|الدكتور|الدكتورة|دكتور|السيد|السيدة|المريض|المريضة"
)
TITLE: Final = re.compile(
    rf"(?<![\w'])(?:{_TITLES})(?:\.\s{{0,2}}|\s{{1,2}}|\.?,\s)(?:(?:med|medic|hab|rer\.\snat)\.\s?)?"
)

_BEFORE: Final = (
    r"(?:electronically\s)?(?:signed|dictated|read|reported|reviewed|verified|approved|transcribed|typed|interpreted|performed"
    r"|ordered|requested|seen|examined|scanned|authenticated|finali[sz]ed|referred|attended|accompanied|supervised|placed|done"
    r"|conducted|assisted|consented|confirmed|contacted)\sby"
    r"|(?:discussed|spoke|spoken|reviewed|confirmed|shared|communicated|conferred|consulted|correlated)\s(?:\w{2,12}\s){0,5}?with"
    r"|(?:communicated|called|relayed|conveyed|reported|notified|told|given|faxed|paged|phoned|sent|referred|transferred"
    r"|telephoned|read\sback)\s(?:\w{2,12}\s){0,4}?(?:to|by)"
    r"|informed|notified|told|paged|called|attending|resident|intern|fellow|colleague|technologist|radiologist|surgeon|patient|pt"
    r"|physician|nurse|(?:wife|husband|daughter|son|mother|father|brother|sister|spouse|partner|caregiver|carer|uncle|aunt|niece"
    r"|nephew|neighbou?r|friend|guardian|cousin|grandson|granddaughter)(?:\s\(|,|\snamed|\scalled)?|named|c/o|thanks?|dear|per"
    r"|regards|sincerely|hi|hello|signed|endorsed?\sto|gez\.|i\.A\.|i\.V\.|Hausarzt|Hausärztin|Oberarzt|Oberärztin|Chefarzt|Arzt|Ärztin|Zuweiser|Facharzt|vertreten\sdurch|befundet\svon|besprochen\smit|Rücksprache\smit"
    r"|unterschrieben\svon|Kolleg(?:e|in|en)|Patient(?:in)?|Ehefrau|Ehemann|Tochter|Sohn|Mutter|Vater"
    r"|signé\spar|par\sle|validé\spar|discuté\savec|adressée?\spar|épouse|fils|fille"
    r"|firmado\spor|comentado\scon|paciente|esposa|hijo|hija|avisado\sa"
    r"|подписал|сообщено|направлен|жена|муж|сын|дочь"
)
BEFORE: Final = re.compile(rf"(?<![\w'])(?:{_BEFORE})\s{{1,3}}", re.IGNORECASE)
"""Only where capitals follow."""

CLOSING: Final = re.compile(
    r"(?:best\swishes|regards|sincerely|yours\s(?:truly|faithfully)|many\sthanks|thank\syou|Grüßen?|Hochachtungsvoll|cordialement"
    r"|sincères\ssalutations|atentamente|saludos?|cordiali\ssaluti|с\sуважением),?[ \t]{0,4}\n\s{0,8}",
    re.IGNORECASE,
)
"""What a letter ends with; the next line is a name."""

CREDENTIAL: Final = re.compile(
    r",?\s{1,2}(?:\(?(?:M\.?D|D\.?O|Ph\.?D|R\.?N|N\.?P|P\.?A(?:-C)?|FRCR|FRCP|FRCS|FACR|FACC|FACS|MBBS|MBChB|MB\sBCh|FRANZCR|RDMS|RDCS|RT"
    r"|RT\(R\)|DPM|DDS|DMD|PharmD|CRNA|CNP|APRN|BSN|MSN|LPN|CNM|MPH|OD)(?![\w])\.?\)?)"
)

_HAN: Final = r"\u3400-\u9fff"
_KANA: Final = r"\u3040-\u30ffー々"
_SURNAMES: Final = (
    "王李张刘陈杨黄赵吴周徐孙马朱胡郭何高林罗郑梁谢宋唐许韩冯邓曹彭曾肖田董袁潘于蒋蔡余杜叶程苏魏吕丁任沈姚卢姜崔钟谭陆汪范金石廖贾夏韦付方白邹孟熊秦邱江尹薛闫"
    "段雷侯龙史陶黎贺顾毛郝龚邵万钱严覃武戴莫孔向汤常温康施文牛樊葛邢安齐易乔伍庞颜倪庄聂章鲁岳翟殷詹申欧耿关兰焦俞左柳甘祝包宁尚符舒阮柯纪梅童凌毕单季裴霍涂成"
    "苗谷盛曲翁冉骆蓝路游辛靳管柴蒙鲍华喻祁蒲房滕屈饶解牟艾尤阳时穆农司卓古吉缪简车项连芦麦褚娄窦戚岑景党宫费卜冷晏席卫米柏宗瞿桂全佟应臧闵苟邬边卞姬师和仇栾隋"
)
_COMPOUND: Final = "欧阳|太史|端木|上官|司马|东方|独孤|南宫|万俟|闻人|夏侯|诸葛|尉迟|公羊|赫连|澹台|皇甫|宗政|濮阳|公冶|太叔|申屠|公孙|慕容|仲孙|钟离|长孙|宇文|司徒|鲜于|司空|令狐"
_HAN_NAME: Final = rf"(?:{_COMPOUND}|[{_SURNAMES}])"
_HAN_AFTER: Final = (
    rf"(?=[^{_HAN}]|性别|年龄|男|女|科室|住院|门诊|床号|检查|出生|电话|病|审核|报告|日期|诊断|医院|主任|医师|医生|$)"
)
HAN_LABEL: Final = re.compile(
    r"(?:患者姓名|病人姓名|患者|病人|姓名|医师|医生|审核者?|审核医师|报告者?|报告医师|诊断医师|检查者|检查医师|主治医师|主管医师|记录者?|记录医师|操作医师|签名|签字|送检医师"
    r"|申请医师|申请医生|开单医生|技师|操作者|书写者|录入员?|护士|联系人|家属|监护人|會診醫師|醫師|病患)\s{0,3}[:：]\s{0,3}"
    rf"(?P<one>[{_HAN}]{{1,4}}?{_HAN_AFTER}|[{_HAN}]{{1,6}}[·・][{_HAN}·・]{{1,12}}|[{_HAN}]{{2,3}})"
)
HAN_SIGNED: Final = re.compile(
    r"(?:报告|审核|检查|诊断|主治|主管|记录|操作|送检|申请|会诊|手术|麻醉|值班)(?:医师|医生|者|人|护士|技师)\s{0,3}"
    rf"(?P<one>(?:{_COMPOUND}|[{_HAN}])[{_HAN}]{{1,2}})(?![{_HAN}])"
)
"""A role and, without a colon, a name that ends where the words end."""
KANA_LABEL: Final = re.compile(
    r"(?:氏名|患者名|患者氏名|担当医|主治医|読影医|依頼医|検査者|担当技師|署名|紹介医|医師)\s{0,3}[:：]\s{0,3}"
    rf"(?P<one>[{_HAN}{_KANA}]{{1,8}}(?:\s[{_HAN}{_KANA}]{{1,6}}(?![{_HAN}{_KANA}\s]{{0,3}}[:：]))?)"
)
HANGUL_LABEL: Final = re.compile(
    r"(?:이름|성명|환자명|환자|의사|판독의|담당의|의뢰의|서명|보호자)\s{0,3}[:：]\s{0,3}(?P<one>[가-힣]{1,2}\s[가-힣]{1,3}|[가-힣]{2,5})"
)
HAN_TITLED: Final = re.compile(
    rf"(?P<one>{_HAN_NAME}[{_HAN}]{{0,2}}?)(?:主治医师|副?主任医师|住院医师|医生|医师|医師|主任|大夫|教授|护士长?|护师|先生|女士|小姐|太太|老师|技师|院长|同志|阿姨|爷爷|奶奶)"
)
HAN_ALONE: Final = re.compile(
    rf"(?<![{_HAN}])(?P<one>[{_HAN}]{{1,3}}?)(?=主治医师|副?主任|医生|医师|大夫|教授|护士长?|先生|女士|老师)"
)
"""Whatever stands alone before a title, surname known or not."""
HAN_PATIENT: Final = re.compile(
    rf"(?:患者|病人|患儿|产妇|家属|其妻|其夫|其子|其女|与|由|经|请|告知|通知|电话通知|联系)(?P<one>{_HAN_NAME}[{_HAN}]{{1,2}}?)"
    r"(?=[,，。;；、\s()（）]|男|女|因|于|的|自|主诉|入院|出院|今|目前|来院|行|进行|讨论|沟通|会诊|审核|签|报告|确认|阅片|\d|$)"
)
KANA_TITLED: Final = re.compile(
    rf"(?P<one>(?:[{_HAN}]{{1,3}}[\s　]?[{_HAN}{_KANA}]{{0,4}}|[\u30a0-\u30ffー]{{2,10}}))(?:様|さん|殿|氏|医師|先生|技師|看護師|教授)"
)
HANGUL_TITLED: Final = re.compile(
    r"(?P<one>[가-힣]{2,4})\s?(?:님|씨|선생님|교수님?|의사|과장|간호사|원장|전문의|환자)(?![가-힣]{3})"
)
HANGUL_PATIENT: Final = re.compile(r"(?:환자|보호자|담당의)\s(?P<one>[가-힣]{2,4}?)(?=[은는이가의을를,.\s(]|$)")

_PARTICLES_TEXT: Final = """
van von de der den del della di da dos das du la le el al bin ibn bint abu ter ten zu zum zur und y e i af av do st mc
mac o san santa saint abd
"""
PARTICLES: Final = frozenset(_PARTICLES_TEXT.split())
_STOP_TEXT: Final = """
a an and are as at been by clinical comparison dated date dob born age aged sex gender male female mrn id for findings
from exam examination has have he her his history impression in indication is it kept known m f name no not of on or
patient physician phone procedure reason report returned room she the their there this time to today tomorrow was were
when who will with yesterday ward unit address accession acc account study order ordered visit account tel fax email
radiologist technologist referring ordering attending department service location hospital clinic years year yo old
number md do rn phd np pa team staff on-call who's about regarding after before during while that which geb geboren
geschlecht alter datum befund untersuchung fragestellung am um im und mit bei vom zur der die das den dem ein eine
station klinik telefon adresse né née le la les du des et au aux par pour avec date âge sexe adresse el los las del y
con por para fecha edad sexo nacido nacida il lo gli nato nata data età sesso от и на в с по для дата пол возраст rev
signed signature electronically verified dictated transcribed read reported chart file unknown none anonymous nil n/a
name: na removed redacted not- impression: findings: technique technique: comparison:
"""
STOP: Final = frozenset(_STOP_TEXT.split())
"""Words at which a name has ended, whatever their case."""
