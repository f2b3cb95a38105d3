"""Bringing a model of somebody else: from an ONNX file to a signed pack that a worker serves."""
