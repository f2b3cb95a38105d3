"""ICU stays for training: PhysioNet/CinC Challenge 2012, set a, as hourly tables with holes in them.

Why the holes stay: what was not measured says something about the patient, and the gateway will not have it
either. Nothing is filled here; the network's graph does that. Length of stay and survival are outcomes and
are never read as inputs. Source: Silva et al., Computing in Cardiology 2012;39:245-248.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

Floats = npt.NDArray[np.float32]
HOURS = 48
STATICS = ("Age", "Gender", "Height", "Weight", "ICUType")


@dataclass(frozen=True)
class Variable:
    """A series: its title, LOINC code, UCUM unit, the range that is believed, and whether it is skewed."""

    title: str
    loinc: str
    unit: str
    low: float
    high: float
    skewed: bool = False


VARIABLES = {
    "ALP": Variable("Alkaline phosphatase", "6768-6", "U/L", 5, 5000, True),
    "ALT": Variable("Alanine aminotransferase", "1742-6", "U/L", 1, 20000, True),
    "AST": Variable("Aspartate aminotransferase", "1920-8", "U/L", 1, 30000, True),
    "Albumin": Variable("Albumin", "1751-7", "g/dL", 0.5, 7),
    "BUN": Variable("Urea nitrogen", "3094-0", "mg/dL", 1, 300, True),
    "Bilirubin": Variable("Bilirubin, total", "1975-2", "mg/dL", 0.05, 80, True),
    "Cholesterol": Variable("Cholesterol", "2093-3", "mg/dL", 20, 600),
    "Creatinine": Variable("Creatinine", "2160-0", "mg/dL", 0.05, 30, True),
    "DiasABP": Variable("Diastolic blood pressure, invasive", "76213-8", "mm[Hg]", 5, 200),
    "FiO2": Variable("Inspired oxygen fraction", "3150-0", "{fraction}", 0.2, 1),
    "GCS": Variable("Glasgow coma score", "9269-2", "{score}", 3, 15),
    "Glucose": Variable("Glucose", "2345-7", "mg/dL", 5, 2000, True),
    "HCO3": Variable("Bicarbonate", "1963-8", "mmol/L", 2, 60),
    "HCT": Variable("Haematocrit", "4544-3", "%", 5, 75),
    "HR": Variable("Heart rate", "8867-4", "/min", 10, 300),
    "K": Variable("Potassium", "2823-3", "mmol/L", 1, 12),
    "Lactate": Variable("Lactate", "2524-7", "mmol/L", 0.1, 40, True),
    "MAP": Variable("Mean blood pressure, invasive", "76214-6", "mm[Hg]", 10, 250),
    "MechVent": Variable("Mechanical ventilation (1: yes)", "", "1", 0, 1),
    "Mg": Variable("Magnesium", "19123-9", "mg/dL", 0.2, 20),
    "NIDiasABP": Variable("Diastolic blood pressure, cuff", "8462-4", "mm[Hg]", 5, 200),
    "NIMAP": Variable("Mean blood pressure, cuff", "8478-0", "mm[Hg]", 10, 250),
    "NISysABP": Variable("Systolic blood pressure, cuff", "8480-6", "mm[Hg]", 20, 300),
    "Na": Variable("Sodium", "2951-2", "mmol/L", 90, 200),
    "PaCO2": Variable("Arterial carbon dioxide", "2019-8", "mm[Hg]", 5, 150),
    "PaO2": Variable("Arterial oxygen", "2703-7", "mm[Hg]", 15, 700, True),
    "Platelets": Variable("Platelets", "777-3", "10*3/uL", 1, 2500, True),
    "RespRate": Variable("Respiratory rate", "9279-1", "/min", 2, 100),
    "SaO2": Variable("Arterial oxygen saturation", "2708-6", "%", 20, 100),
    "SysABP": Variable("Systolic blood pressure, invasive", "76215-3", "mm[Hg]", 20, 300),
    "Temp": Variable("Temperature", "8310-5", "Cel", 25, 45),
    "TroponinI": Variable("Troponin I", "10839-9", "ng/mL", 0, 500, True),
    "TroponinT": Variable("Troponin T", "6598-7", "ng/mL", 0, 100, True),
    "Urine": Variable("Urine output", "9187-6", "mL", 0, 5000, True),
    "WBC": Variable("White blood cells", "6690-2", "10*3/uL", 0.05, 300, True),
    "Weight": Variable("Body weight", "29463-7", "kg", 20, 350),
    "pH": Variable("Arterial pH", "2744-1", "[pH]", 6.5, 8),
}


@dataclass(frozen=True)
class IcuSet:
    """4000 stays: (N, 48, 37) hourly means, (N, 5) statics, NaN where not measured; label 1 is death in hospital."""

    values: Floats
    statics: Floats
    death: npt.NDArray[np.int64]
    saps: Floats
    sofa: Floats
    record: npt.NDArray[np.int64]


def load(folder: Path) -> IcuSet:
    """Read set a. -1 means missing in the statics and the scores; values out of `VARIABLES`' ranges are missing."""
    table = pd.read_csv(folder / "physionet2012" / "physionet2012_set_a_long.csv.gz")
    told = pd.read_csv(folder / "physionet2012" / "Outcomes-a.txt").set_index("RecordID").sort_index()
    record = told.index.to_numpy()
    row = pd.Series(np.arange(len(record)), index=record)
    table["row"] = row.reindex(table["record"]).to_numpy()
    names = {name: place for place, name in enumerate(VARIABLES)}
    entry = table[(table["minute"] == 0) & table["param"].isin(STATICS)]
    statics = np.full((len(record), len(STATICS)), np.nan, np.float32)
    statics[entry["row"], entry["param"].map(STATICS.index)] = entry["value"].where(entry["value"] >= 0)
    statics[:, 2] = np.where((statics[:, 2] >= 120) & (statics[:, 2] <= 230), statics[:, 2], np.nan)  # cm
    statics[:, 3] = np.where((statics[:, 3] >= 20) & (statics[:, 3] <= 350), statics[:, 3], np.nan)  # kg
    series = table[table["param"].isin(names)].copy()
    series["low"] = series["param"].map({k: v.low for k, v in VARIABLES.items()})
    series["high"] = series["param"].map({k: v.high for k, v in VARIABLES.items()})
    series = series[(series["value"] >= series["low"]) & (series["value"] <= series["high"])]
    series["hour"] = np.minimum(series["minute"] // 60, HOURS - 1)
    series["place"] = series["param"].map(names)
    mean = series.groupby(["row", "hour", "place"])["value"].mean()
    values = np.full((len(record), HOURS, len(names)), np.nan, np.float32)
    index = mean.index.to_frame().to_numpy(dtype=np.int64)
    values[index[:, 0], index[:, 1], index[:, 2]] = mean.to_numpy()
    score = told[["SAPS-I", "SOFA"]].where(lambda s: s >= 0).to_numpy(np.float32)
    return IcuSet(values, statics, told["In-hospital_death"].to_numpy(np.int64), score[:, 0], score[:, 1], record)


def summaries(data: IcuSet) -> Floats:
    """For the boosting baseline: last, first, mean, lowest, highest and count of every series, and the statics."""
    seen = ~np.isnan(data.values)
    anywhere = seen.any(1)
    at_last = HOURS - 1 - seen[:, ::-1].argmax(1)
    take = np.take_along_axis
    last = take(data.values, at_last[:, None], 1)[:, 0]
    first = take(data.values, seen.argmax(1)[:, None], 1)[:, 0]
    count = seen.sum(1)
    mean = np.where(anywhere, np.nansum(data.values, 1) / np.maximum(count, 1), np.nan)
    low = np.where(anywhere, np.where(seen, data.values, np.inf).min(1), np.nan)
    high = np.where(anywhere, np.where(seen, data.values, -np.inf).max(1), np.nan)
    return np.concatenate([last, first, mean, low, high, count, data.statics], 1).astype(np.float32)
