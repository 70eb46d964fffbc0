"""From an ONNX file to the real graph: shapes fixed, constants folded, refusals told at once."""

from bitwright.frontend.load import load_model

__all__ = ["load_model"]
