"""Training of the packs under `models/packs`: data, split, fit, evaluate, export.

Nothing here runs in a gateway. torch, scikit-learn, onnx and matplotlib are named in
`requirements/train.txt` and are no dependency of dxgate.
"""
