"""The rules of the pack `treatment-plan`: what is proposed, by which guideline, when, with what caution.

Each says no more than its guideline's own recommendation; thresholds are the guideline's. A finding of a model alone
leads to a test or to a look by a physician, never to a treatment.
"""

from __future__ import annotations

from typing import Any

_ASK = "The finding comes from a research model and must be confirmed before anything follows from it."


def _rule(
    rule_id: str, category: str, text: str, guideline: str, caution: str, *when: dict[str, Any]
) -> dict[str, Any]:
    return {
        "id": rule_id,
        "category": category,
        "text": text,
        "guideline": guideline,
        "caution": caution,
        "when": list(when),
    }


def _fact(question: str, label: str) -> dict[str, Any]:
    return {"fact": f"{question}={label}"}


def _value(name: str, at_least: float | None = None, below: float | None = None) -> dict[str, Any]:
    bounds = {"at_least": at_least, "below": below}
    return {"value": name} | {key: value for key, value in bounds.items() if value is not None}


def _age(at_least: float, below: float) -> dict[str, Any]:
    return {"age_at_least": at_least, "age_below": below}


USPSTF_DIABETES = "US Preventive Services Task Force, Screening for Prediabetes and Type 2 Diabetes, 2021"
ADA_DIAGNOSIS = "American Diabetes Association, Standards of Care in Diabetes 2024, section 2 (diagnosis)"
ADA_PREVENTION = "American Diabetes Association, Standards of Care in Diabetes 2024, section 3 (prevention)"
ACC_PRESSURE = "ACC/AHA, Guideline for High Blood Pressure in Adults, 2017"
AHA_LIPIDS = "AHA/ACC, Guideline on the Management of Blood Cholesterol, 2018"
USPSTF_STATIN = "US Preventive Services Task Force, Statin Use for Primary Prevention, 2022"
USPSTF_WEIGHT = "US Preventive Services Task Force, Weight Loss to Prevent Obesity-Related Morbidity, 2018"
USPSTF_TOBACCO = "US Preventive Services Task Force, Tobacco Smoking Cessation in Adults, 2021"
BIRADS = "American College of Radiology, BI-RADS Atlas, 5th edition, 2013"
FLEISCHNER = "Fleischner Society, Incidental Pulmonary Nodules on CT, 2017"

RULES = (
    _rule(
        "diabetes-test",
        "laboratory",
        "Consider measuring HbA1c or fasting plasma glucose.",
        USPSTF_DIABETES,
        f"{_ASK} Not where diabetes is known, nor where a recent result is at hand.",
        _fact("diabetes-risk", "diabetes"),
        _age(35, 71),
        _value("bmi", at_least=25),
    ),
    _rule(
        "diabetes-confirm",
        "laboratory",
        "Consider confirming diabetes by a second test: HbA1c is at or above the diagnostic threshold of 6.5 %.",
        ADA_DIAGNOSIS,
        "Not where diabetes is known already. HbA1c misleads with anaemia, haemoglobin variants and in pregnancy.",
        _value("hba1c", at_least=6.5),
    ),
    _rule(
        "prediabetes-prevention",
        "education",
        "Consider referral to an intensive programme of diet and activity: HbA1c lies in the range of prediabetes.",
        ADA_PREVENTION,
        "Not where diabetes is known. HbA1c misleads with anaemia, haemoglobin variants and in pregnancy.",
        _value("hba1c", at_least=5.7, below=6.5),
        _age(18, 150),
    ),
    _rule(
        "pressure-systolic",
        "encounter",
        "Consider confirming raised blood pressure by measurements outside the office.",
        ACC_PRESSURE,
        "One measurement makes no diagnosis; acute illness and pain raise it.",
        _value("systolic", at_least=130),
        _age(18, 150),
    ),
    _rule(
        "pressure-diastolic",
        "encounter",
        "Consider confirming raised diastolic blood pressure by measurements outside the office.",
        ACC_PRESSURE,
        "One measurement makes no diagnosis; acute illness and pain raise it.",
        _value("diastolic", at_least=80),
        _age(18, 150),
    ),
    _rule(
        "ldl-severe",
        "drug",
        "Consider a high-intensity statin once secondary causes are excluded: LDL cholesterol is 190 mg/dL or more.",
        AHA_LIPIDS,
        "Look for contraindications, interactions and pregnancy; the physician prescribes, nothing is ordered here.",
        _value("ldl", at_least=190),
        _age(20, 76),
    ),
    _rule(
        "cardiovascular-estimate",
        "laboratory",
        "Consider estimating ten-year cardiovascular risk by a validated equation, and a statin by its result.",
        USPSTF_STATIN,
        f"{_ASK} It is not the equation that the guideline means.",
        _fact("chd-risk-10y", "chd"),
        _age(40, 76),
    ),
    _rule(
        "obesity",
        "education",
        "Consider offering or referring to intensive, multicomponent behavioural interventions for weight.",
        USPSTF_WEIGHT,
        "Body mass index misleads with oedema, pregnancy and great muscle mass.",
        _value("bmi", at_least=30),
        _age(18, 150),
    ),
    _rule(
        "tobacco",
        "counseling",
        "Consider advising to stop smoking, with behavioural support and, outside pregnancy, approved medication.",
        USPSTF_TOBACCO,
        "Smoking status may be out of date; ask first.",
        {"value": "smoker", "answer": "yes"},
        _age(18, 150),
    ),
    _rule(
        "breast-ultrasound-tissue",
        "procedure",
        "Consider tissue diagnosis if the physician's own reading is suspicious (BI-RADS 4 or 5).",
        BIRADS,
        f"{_ASK} The physician's reading decides, also where the model sees nothing.",
        _fact("breast-us-malignancy", "malignant"),
    ),
    _rule(
        "mammography-tissue",
        "procedure",
        "Consider tissue diagnosis: the radiologist's assessment is BI-RADS 4 or 5 and the model agrees.",
        BIRADS,
        _ASK,
        _fact("mammography-malignancy", "malignant"),
        _value("birads", at_least=4, below=6),
    ),
    _rule(
        "nodule-large",
        "procedure",
        "Consider CT at three months, PET/CT or tissue sampling of a solid nodule of more than 8 mm.",
        FLEISCHNER,
        f"{_ASK} Not under 35 years, with known cancer or with immunosuppression, for which the guideline is not made.",
        _fact("lung-nodule-rating", "suspicious"),
        _value("nodule_diameter", at_least=8.01),
        _age(35, 150),
    ),
)
