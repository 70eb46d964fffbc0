"""Operators that are known and not handled: the reason, and what would help."""

_CONVOLUTION = (
    "no convolutions and pools yet",
    "planned for the next release",
)
_CONTROL = (
    "control flow has no fixed schedule in hardware",
    "export the model with a fixed structure",
)
_REDUCTION = ("reductions are not handled yet", "compute it outside the model")
_RECURRENT = ("recurrent layers are not handled", "unroll it into MatMul and Add on export")
_JOIN = ("joining and cutting tensors at run time is not handled yet", "")
_DYNAMIC = (
    "its scale is computed at run time",
    "quantize statically: onnxruntime.quantization.quantize_static with calibration data",
)

REFUSED: dict[str, tuple[str, str]] = {
    **dict.fromkeys(
        (
            "Conv", "ConvTranspose", "ConvInteger", "QLinearConv", "DepthToSpace", "SpaceToDepth",
            "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool", "LpPool",
            "QLinearAveragePool", "QLinearGlobalAveragePool", "QuantAvgPool2d", "Pad", "Resize",
            "Upsample", "Im2Col", "MaxPoolNHWC",
        ),
        _CONVOLUTION,
    ),
    **dict.fromkeys(("If", "Loop", "Scan", "SequenceMap"), _CONTROL),
    **dict.fromkeys(
        (
            "ReduceMean", "ReduceSum", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceL1",
            "ReduceL2", "ReduceLogSum", "ReduceLogSumExp", "ReduceSumSquare", "Mean",
            "LayerNormalization", "InstanceNormalization", "GroupNormalization",
            "LpNormalization", "ArgMin",
        ),
        _REDUCTION,
    ),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), _RECURRENT),
    **dict.fromkeys(("Split", "QLinearConcat"), _JOIN),
    "DynamicQuantizeLinear": _DYNAMIC,
    "DynamicQuantizeMatMul": _DYNAMIC,
    "MatMulIntegerToFloat": _DYNAMIC,
    "FloatQuant": ("floating-point codes are not integers", "quantize with Quant (integer codes)"),
}  # fmt: skip
