"""Operators that are known and not handled: the reason, and what would help."""

_CONTROL = (
    "control flow has no fixed schedule in hardware",
    "export the model with a fixed structure",
)
_DYNAMIC = (
    "its scale is computed at run time",
    "quantize statically: onnxruntime.quantization.quantize_static with calibration data",
)
_OPTIMIZED = (
    "onnxruntime's optimizer wrote it",
    "take the model as it was exported, before optimization",
)
_LOWERED = (
    "the convolution around it is spread over several nodes",
    "take the model before its convolutions are lowered, with Conv nodes",
)
_SELECTING = (
    "which elements it selects depends on the data",
    "compute it outside the model",
)

REFUSED: dict[str, tuple[str, str]] = {
    **dict.fromkeys(("If", "Loop", "Scan", "SequenceMap"), _CONTROL),
    **dict.fromkeys(
        ("FusedConv", "NhwcFusedConv", "QLinearReduceMean", "FusedMatMul", "FusedGemm"), _OPTIMIZED
    ),
    **dict.fromkeys(
        ("NonMaxSuppression", "NonZero", "MaxUnpool", "MaxRoiPool", "RoiAlign", "GridSample",
         "GatherElements", "GatherND", "ScatterElements", "ScatterND"),
        _SELECTING,
    ),
    "Im2Col": _LOWERED,
    "DynamicQuantizeLinear": _DYNAMIC,
    "DynamicQuantizeMatMul": _DYNAMIC,
    "MatMulIntegerToFloat": _DYNAMIC,
    "FloatQuant": ("floating-point codes are not integers", "quantize with Quant (integer codes)"),
}  # fmt: skip
