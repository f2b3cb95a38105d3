"""Makes the graph that the tutorial takes for somebody else's: scikit-learn's logistic regression by skl2onnx.

    python deploy/models/example/make_vendor_model.py deploy/models/example

Needs scikit-learn and skl2onnx, which dxgate does not. Trained on one half of the Wisconsin diagnostic data (WDBC,
569 fine-needle aspirates; Street et al. 1993; UCI, CC BY 4.0, as delivered with scikit-learn); the other half is the
CSV on which the tutorial measures it. Nothing in the graph is of our making: no metadata, no map, no missing values.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from skl2onnx import to_onnx
from sklearn.datasets import load_breast_cancer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

MEANS = 10  # the first ten of thirty: the mean of each measure over a sample's nuclei


def main(folder: Path) -> None:
    data = load_breast_cancer()
    values, benign = data.data[:, :MEANS].astype(np.float32), data.target == 1
    order = np.random.default_rng(7).permutation(len(values))
    train, test = order[: len(order) // 2], order[len(order) // 2 :]
    made = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)).fit(values[train], ~benign[train])
    graph = to_onnx(made, values[:1], target_opset=17, options={"zipmap": False})
    (folder / "vendor.onnx").write_bytes(graph.SerializeToString())
    names = [name.removeprefix("mean ").replace(" ", "_") for name in data.feature_names[:MEANS]]
    with (folder / "cases.csv").open("w", newline="") as lines:
        table = csv.writer(lines, lineterminator="\n")
        table.writerow(["label", "group", *names])
        for row in test:
            label = "benign" if benign[row] else "malignant"
            table.writerow([label, f"sample-{row}", *(f"{value:.6g}" for value in values[row])])


if __name__ == "__main__":
    main(Path(sys.argv[1]))
