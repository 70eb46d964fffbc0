"""Which function imports which ONNX operator; reading this table is reading what is supported."""

from collections.abc import Callable

from bitwright.frontend.context import Context, Operand
from bitwright.frontend.importers import (
    activations,
    arithmetic,
    blocks,
    channels_last,
    convolutions,
    heads,
    integers,
    linear,
    norms,
    pads,
    pieces,
    pools,
    qdq,
    qlinear,
    qlinear_spatial,
    qonnx,
    recurrent,
    reductions,
    resize,
    shapes,
    signs,
)
from bitwright.frontend.importers.refused import REFUSED
from bitwright.frontend.messages import Refusal, plain, show
from bitwright.frontend.node import Node

Importer = Callable[[Context, Node], Operand]

QONNX_DOMAINS = frozenset({"onnx.brevitas", "finn.custom_op.general", "qonnx.custom_op.general"})
QONNX_LAST = "qonnx.custom_op.channels_last"
MICROSOFT = "com.microsoft"

STANDARD: dict[str, Importer] = {
    # dot products
    "MatMul": linear.matmul,
    "Gemm": linear.gemm,
    "BatchNormalization": linear.batch_norm,
    **dict.fromkeys(recurrent.LAYERS, recurrent.recurrent),
    # windows
    "Conv": convolutions.conv,
    "ConvTranspose": convolutions.conv_transpose,
    "MaxPool": pools.max_pool,
    "AveragePool": pools.average_pool,
    "LpPool": pools.lp_pool,
    "GlobalMaxPool": pools.global_max_pool,
    "GlobalAveragePool": pools.global_average_pool,
    "GlobalLpPool": pools.global_lp_pool,
    # over whole axes
    **dict.fromkeys(reductions.KINDS, reductions.reduce),
    "InstanceNormalization": norms.instance_norm,
    "LayerNormalization": norms.layer_norm,
    "GroupNormalization": norms.group_norm,
    "MeanVarianceNormalization": norms.mean_variance_norm,
    "LpNormalization": norms.lp_norm,
    "LRN": norms.local_response_norm,
    # element by element, two operands or more
    "Add": arithmetic.binary,
    "Sub": arithmetic.binary,
    "Mul": arithmetic.binary,
    "Div": arithmetic.binary,
    "Pow": arithmetic.power,
    "Min": arithmetic.variadic,
    "Max": arithmetic.variadic,
    "Sum": arithmetic.variadic,
    "Mean": reductions.mean,
    "PRelu": arithmetic.prelu,
    "Clip": arithmetic.clip,
    # scalar functions
    **dict.fromkeys(activations.PLAIN, activations.plain_function),
    "LeakyRelu": activations.leaky_relu,
    "Elu": activations.elu,
    "Selu": activations.selu,
    "Celu": activations.celu,
    "HardSigmoid": activations.hard_sigmoid,
    "ThresholdedRelu": activations.thresholded_relu,
    "Swish": activations.swish,
    "Gelu": activations.gelu,
    # signs, comparisons, logic
    "Sign": signs.sign,
    "GreaterOrEqual": signs.comparison,
    "Greater": signs.comparison,
    "LessOrEqual": signs.comparison,
    "Less": signs.comparison,
    "Equal": integers.equal,
    "Not": integers.negation,
    "And": integers.logic,
    "Or": integers.logic,
    "Xor": integers.logic,
    "BitwiseAnd": integers.logic,
    "BitwiseOr": integers.logic,
    "BitwiseXor": integers.logic,
    "BitwiseNot": integers.bitwise_not,
    "BitShift": integers.bit_shift,
    "Where": signs.where,
    # what ends a classifier
    "Softmax": heads.softmax,
    "LogSoftmax": heads.softmax,
    "ArgMax": heads.arg_max,
    "ArgMin": heads.arg_max,
    "TopK": heads.top_k,
    # joining, cutting, repeating
    "Concat": pieces.concat,
    "Split": pieces.split,
    "Slice": pieces.slice_,
    "Gather": pieces.gather,
    "Tile": pieces.tile,
    "Expand": pieces.expand,
    "Pad": pads.pad,
    "DepthToSpace": blocks.depth_to_space,
    "SpaceToDepth": blocks.space_to_depth,
    "Resize": resize.resize,
    "Upsample": resize.upsample,
    # shapes
    "Shape": shapes.shape,
    "Size": shapes.size,
    "Reshape": shapes.reshape,
    "Flatten": shapes.flatten,
    "Squeeze": shapes.squeeze,
    "Unsqueeze": shapes.unsqueeze,
    "Transpose": shapes.transpose,
    "Identity": shapes.identity,
    "Dropout": shapes.dropout,
    "Cast": shapes.cast,
    "CastLike": shapes.cast_like,
    **dict.fromkeys(shapes.CONSTANT_ONLY, shapes.constant_only),
    # quantization
    "QuantizeLinear": qdq.quantize_linear,
    "DequantizeLinear": qdq.dequantize_linear,
    "QLinearMatMul": qlinear.matmul,
    "MatMulInteger": qlinear.matmul_integer,
    "QLinearConv": qlinear_spatial.conv,
    "ConvInteger": qlinear_spatial.conv_integer,
}

QONNX: dict[str, Importer] = {
    "Quant": qonnx.quant,
    "IntQuant": qonnx.quant,
    "BipolarQuant": qonnx.bipolar_quant,
    "MultiThreshold": qonnx.multi_threshold,
    "Trunc": qonnx.trunc,
    "QuantAvgPool2d": channels_last.quantized_average_pool,
    "MaxPoolNHWC": channels_last.max_pool,
}

CHANNELS_LAST: dict[str, Importer] = {
    "Conv": channels_last.conv,
    "MaxPool": channels_last.max_pool,
    "BatchNormalization": channels_last.batch_norm,
}

CONTRIBUTED: dict[str, Importer] = {
    "QuantizeLinear": qdq.quantize_linear,
    "DequantizeLinear": qdq.dequantize_linear,
    "QGemm": qlinear.gemm,
    "QLinearAdd": qlinear.binary,
    "QLinearMul": qlinear.binary,
    "QLinearSigmoid": qlinear.sigmoid,
    "QLinearLeakyRelu": qlinear.leaky_relu,
    "QLinearSoftmax": qlinear.softmax,
    "QLinearConv": qlinear_spatial.conv,
    "QLinearAveragePool": qlinear_spatial.average_pool,
    "QLinearGlobalAveragePool": qlinear_spatial.global_average_pool,
    "QLinearConcat": qlinear_spatial.concat,
    "NhwcMaxPool": channels_last.max_pool,
    "Gelu": activations.gelu,
    "FastGelu": activations.fast_gelu,
    "QuickGelu": activations.quick_gelu,
}


def find_importer(node: Node, functions: set[tuple[str, str]]) -> Importer:
    """Return the function that imports a node; Refusal when there is none."""
    if not node.outputs or not node.outputs[0]:
        if len([o for o in node.outputs if o]) == 0:
            raise Refusal("it sets no output")
        if node.op_type not in {"TopK", "Split", *recurrent.LAYERS}:
            raise Refusal("its first output has no name")
    table = _table(node.domain)
    if node.op_type in table:
        return table[node.op_type]
    if (node.domain, node.op_type) in functions:
        raise Refusal("it calls a function of the model", "inline it with onnx.inliner")
    if node.op_type in QONNX and node.domain == "":
        return QONNX[node.op_type]
    if node.op_type in REFUSED:
        raise Refusal(*REFUSED[node.op_type])
    known = node.domain in {"", MICROSOFT, QONNX_LAST} or node.domain in QONNX_DOMAINS
    where = "" if known else f" of domain {show(node.domain)}"
    raise Refusal(f"the operator {plain(node.op_type)}{where} is not known to bitwright")


def _table(domain: str) -> dict[str, Importer]:
    if domain == "":
        return STANDARD
    if domain in QONNX_DOMAINS:
        return QONNX
    return {MICROSOFT: CONTRIBUTED, QONNX_LAST: CHANNELS_LAST}.get(domain, {})
