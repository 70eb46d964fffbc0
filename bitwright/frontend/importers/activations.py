"""Scalar functions, with the values that ONNX gives to attributes left out."""

from bitwright.frontend.context import Context
from bitwright.frontend.messages import Refusal, plain
from bitwright.frontend.node import Node
from bitwright.ir.ops import Activation, Function, Value

PLAIN = {
    "Relu": Function.RELU,
    "Sigmoid": Function.SIGMOID,
    "Tanh": Function.TANH,
    "HardSwish": Function.HARD_SWISH,
    "Softplus": Function.SOFTPLUS,
    "Softsign": Function.SOFTSIGN,
    "Mish": Function.MISH,
    "Neg": Function.NEG,
    "Abs": Function.ABS,
    "Exp": Function.EXP,
    "Log": Function.LOG,
    "Sqrt": Function.SQRT,
    "Reciprocal": Function.RECIPROCAL,
    "Erf": Function.ERF,
    "Floor": Function.FLOOR,
    "Ceil": Function.CEIL,
    "Round": Function.ROUND,
}
_SELU = (1.67326319217681884765625, 1.05070102214813232421875)
_QUICK = 1.702


def _emit(ctx: Context, node: Node, kind: Function, alpha: float = 0, beta: float = 0) -> Value:
    x = ctx.real(node, 0)
    return ctx.emit(Activation, (x,), node, kind=kind, alpha=float(alpha), beta=float(beta))


def plain_function(ctx: Context, node: Node) -> Value:
    """Import a function without attributes."""
    return _emit(ctx, node, PLAIN[node.op_type])


def leaky_relu(ctx: Context, node: Node) -> Value:
    """Import LeakyRelu."""
    return _emit(ctx, node, Function.LEAKY_RELU, node.real("alpha", 0.01))


def elu(ctx: Context, node: Node) -> Value:
    """Import Elu."""
    return _emit(ctx, node, Function.ELU, node.real("alpha", 1.0))


def selu(ctx: Context, node: Node) -> Value:
    """Import Selu; its gamma is the IR's beta."""
    alpha, gamma = node.real("alpha", _SELU[0]), node.real("gamma", _SELU[1])
    return _emit(ctx, node, Function.SELU, alpha, gamma)


def celu(ctx: Context, node: Node) -> Value:
    """Import Celu."""
    alpha = node.real("alpha", 1.0)
    if alpha == 0:
        raise Refusal("its alpha is 0", "use Relu")
    return _emit(ctx, node, Function.CELU, alpha)


def hard_sigmoid(ctx: Context, node: Node) -> Value:
    """Import HardSigmoid."""
    alpha, beta = node.real("alpha", 0.2), node.real("beta", 0.5)
    return _emit(ctx, node, Function.HARD_SIGMOID, alpha, beta)


def thresholded_relu(ctx: Context, node: Node) -> Value:
    """Import ThresholdedRelu."""
    return _emit(ctx, node, Function.THRESHOLDED_RELU, node.real("alpha", 1.0))


def swish(ctx: Context, node: Node) -> Value:
    """Import Swish."""
    return _emit(ctx, node, Function.SWISH, node.real("alpha", 1.0))


def gelu(ctx: Context, node: Node) -> Value:
    """Import Gelu, exact or by tanh."""
    form = node.text("approximate", "none")
    if form not in {"none", "tanh"}:
        raise Refusal(f"its approximation {plain(form)} is not known", "use none or tanh")
    return _emit(ctx, node, Function.GELU_TANH if form == "tanh" else Function.GELU)


def fast_gelu(ctx: Context, node: Node) -> Value:
    """Import onnxruntime's FastGelu without its optional bias."""
    if node.has_input(1):
        raise Refusal("it adds a bias of its own", "add the bias by an Add node before it")
    return _emit(ctx, node, Function.GELU_TANH)


def quick_gelu(ctx: Context, node: Node) -> Value:
    """Import onnxruntime's QuickGelu."""
    return _emit(ctx, node, Function.SWISH, node.real("alpha", _QUICK))
