"""Small real graphs for tests: quantized layers as exporters write them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    BatchNorm,
    Binarize,
    Conv,
    Dequantize,
    Function,
    Linear,
    Quantize,
    Rounding,
    Sign,
    Value,
    Window,
)
from bitwright.ir.types import Bipolar, Element, Int, Real, TensorType, Ternary


@dataclass(frozen=True)
class LayerSpec:
    """One layer: kind of weights, batch norm, activation, and the quantizer at its end."""

    outputs: int
    weights: str = "bipolar"  # bipolar, ternary, pow2, int8
    batch_norm: bool = True
    relu: bool = False
    quantizer: str = "bipolar"  # bipolar, sign, u2, s4, s8, none
    bias: str = "none"  # none, real, grid
    corner: str = ""  # zero row, plus, minus (all weights), gamma 0


@dataclass(frozen=True)
class ConvSpec(LayerSpec):
    """A convolution of channels-last data; numbers along the spatial axes, one for each.

    A bias may also be `own`: integers with a scale that is not the accumulator's.
    """

    kernel: tuple[int, ...] = (3, 3)
    strides: tuple[int, ...] = ()
    dilations: tuple[int, ...] = ()
    before: tuple[int, ...] = ()
    after: tuple[int, ...] = ()
    groups: int = 1

    @property
    def window(self) -> Window:
        """The window, what is not given being the usual."""
        ones, zeros = (1,) * len(self.kernel), (0,) * len(self.kernel)
        return Window(
            self.kernel, self.strides or ones, self.before or zeros, self.after or zeros,
            self.dilations or ones,
        )  # fmt: skip


_LEVELS = {
    "bipolar": [-1, 1],
    "ternary": [-1, 0, 1],
    "pow2": [-4, -2, -1, 0, 1, 2, 4],
    "int4": list(range(-7, 8)),
    "int8": list(range(-128, 128)),
}


def draw_weights(rng: np.random.Generator, kind: str, shape: tuple[int, ...]) -> Array:
    return rng.choice(_LEVELS[kind], shape).astype(np.int64)


def cornered(codes: Array, spec: LayerSpec) -> Array:
    """Return weights with the extreme that `spec` asks for, where their kind has it."""
    if spec.corner == "zero row" and spec.weights != "bipolar":
        codes[-1] = 0
    if spec.corner in {"plus", "minus"}:
        codes[:] = codes.max() if spec.corner == "plus" else codes.min()
    return codes


_QUANTIZED: dict[str, Int] = {"u2": Int(0, 3), "s4": Int(-8, 7), "s8": Int(-128, 127)}


def quantize(b: Builder, x: Value, kind: str, name: str, scale: float = 0.5) -> Value:
    """Append a quantizer and its Dequantize."""
    one, zero = (
        b.constant(f"{name}.one", np.array([1.0])),
        b.constant(f"{name}.zero", np.array([0.0])),
    )
    if kind == "bipolar":
        return b.op(Dequantize, (b.op(Binarize, (x,), f"{name}.q", name), one, zero), name, name)
    if kind == "sign":
        return b.op(Dequantize, (b.op(Sign, (x,), f"{name}.q", name), one, zero), name, name)
    s = b.constant(f"{name}.scale", np.array([np.float32(scale)], np.float64))
    z = b.constant(f"{name}.z", np.array([3.0 if kind == "s8" else 0.0]))
    q = b.op(
        Quantize, (x, s, z), f"{name}.q", name, elem=_QUANTIZED[kind], rounding=Rounding.HALF_EVEN
    )
    return b.op(Dequantize, (q, s, z), name, name)


def linear(b: Builder, rng: np.random.Generator, x: Value, spec: LayerSpec, name: str) -> Value:
    """Append one layer of `spec`, quantizer included."""
    w = _weights(b, rng, spec, (spec.outputs, x.shape[-1]), name)
    operands: tuple[Value, ...] = (x, w)
    if spec.bias != "none":
        operands = (x, w, b.constant(f"{name}.b", rng.normal(0, 1, spec.outputs)))
    y = b.op(Linear, operands, f"{name}.mm", name)
    return _finished(b, rng, y, spec, name)


def conv(b: Builder, rng: np.random.Generator, x: Value, spec: ConvSpec, name: str) -> Value:
    """Append a convolution of `spec` over channels-last data, quantizer included."""
    shape = (spec.outputs, *spec.kernel, x.shape[-1] // spec.groups)
    w = _weights(b, rng, spec, shape, name)
    b.constants[f"{name}.ws"] = on_grid(b.constants[f"{name}.ws"])
    bias = _bias(b, rng, x, spec, name)
    y = b.op(Conv, (x, w, *bias), f"{name}.conv", name, window=spec.window, groups=spec.groups)
    return _finished(b, rng, y, spec, name)


def on_grid(scale: Array) -> Array:
    """Return scales of few bits, so that float64 sums exactly and a tie is the same tie everywhere."""
    return np.asarray(np.ceil(scale * 1024) / 1024)


def _weights(
    b: Builder, rng: np.random.Generator, spec: LayerSpec, shape: tuple[int, ...], name: str
) -> Value:
    drawn = draw_weights(rng, spec.weights, shape)
    codes = b.constant(f"{name}.w", cornered(drawn, spec))
    scale = b.constant(
        f"{name}.ws", rng.uniform(0.01, 0.1, spec.outputs).astype(np.float32).astype(np.float64)
    )
    zero = b.constant(f"{name}.wz", np.array([0.0]))
    return b.op(Dequantize, (codes, scale, zero), f"{name}.wr", name, axis=0)


def _bias(
    b: Builder, rng: np.random.Generator, x: Value, spec: LayerSpec, name: str
) -> tuple[Value, ...]:
    """Return the bias: reals, or integers on the accumulator's grid or on another."""
    if spec.bias == "none":
        return ()
    if spec.bias == "real":
        return (b.constant(f"{name}.b", rng.normal(0, 1, spec.outputs)),)
    scale = np.array([0.03125])
    if spec.bias == "grid":
        source = next(op for op in b.ops if op.name == x.name)
        scale = b.constants[f"{name}.ws"] * b.constants[source.inputs[1].name]
    codes = b.constant(f"{name}.b", rng.integers(-50, 51, spec.outputs))
    parameters = b.constant(f"{name}.bs", scale), b.constant(f"{name}.bz", np.array([0.0]))
    return (b.op(Dequantize, (codes, *parameters), f"{name}.br", name, axis=0),)


def _finished(b: Builder, rng: np.random.Generator, y: Value, spec: LayerSpec, name: str) -> Value:
    """Append what follows the dot product: batch norm, activation, quantizer."""
    if spec.batch_norm:
        normal = {p: rng.normal(0, 1, spec.outputs) for p in "gbm"}
        if spec.corner == "gamma 0":
            normal["g"][0] = 0.0
        gamma, beta, mean = (b.constant(f"{name}.{p}", a) for p, a in normal.items())
        var = b.constant(f"{name}.v", rng.uniform(0.1, 2, spec.outputs))
        operands = (y, gamma, beta, mean, var)
        y = b.op(BatchNorm, operands, f"{name}.bn", name, epsilon=1e-5, axis=len(y.shape) - 1)
    if spec.relu:
        y = b.op(Activation, (y,), f"{name}.relu", name, kind=Function.RELU)
    return y if spec.quantizer == "none" else quantize(b, y, spec.quantizer, f"{name}.act")


def mlp(
    layers: Sequence[LayerSpec], *, inputs: int = 7, x: Element | None = None, seed: int = 0
) -> Graph:
    """Return a stack of layers over `inputs` codes of type `x` (bipolar unless given)."""
    rng, b = np.random.default_rng(seed), Builder(["x"])
    entry = Value("x", TensorType(x or Bipolar(), (1, inputs)))
    s, z = b.constant("x.s", np.array([0.25])), b.constant("x.z", np.array([0.0]))
    y = b.op(Dequantize, (entry, s, z), "x.real", "input")
    for i, spec in enumerate(layers):
        y = linear(b, rng, y, spec, f"fc{i}")
    return b.graph("mlp", [entry], [y])


def samples(graph: Graph, count: int, seed: int = 1) -> dict[str, Array]:
    """Return random inputs, the first two all least and all greatest."""
    rng = np.random.default_rng(seed)
    out: dict[str, Array] = {}
    for v in graph.inputs:
        shape = (count, *v.shape)
        if isinstance(v.elem, Real):
            out[v.name] = rng.normal(0, 1, shape)
            continue
        levels = {Bipolar: [-1, 1], Ternary: [-1, 0, 1]}.get(type(v.elem))
        drawn = rng.integers(v.elem.lo, v.elem.hi + 1, shape)
        a = rng.choice(levels, shape) if levels else drawn
        a[:1], a[1:2] = v.elem.lo, v.elem.hi
        out[v.name] = a
    return out


def add_two(scales: tuple[float, float, float] = (0.1, 0.23, 0.31)) -> Graph:
    """Return the quantized sum of two int8 inputs."""
    b = Builder(["a", "c"])
    zero = b.constant("zero", np.array([0.0]))
    sa, sc, sy = (b.constant(f"s{i}", np.array([s], np.float32)) for i, s in enumerate(scales))
    a, c = (Value(n, TensorType(Int(-128, 127), (1, 5))) for n in "ac")
    ra = b.op(Dequantize, (a, sa, zero), "ra", "a")
    rc = b.op(Dequantize, (c, sc, zero), "rc", "c")
    total = b.op(Arithmetic, (ra, rc), "sum", "add", kind=Arith.ADD)
    q = b.op(Quantize, (total, sy, zero), "q", "add", elem=Int(-128, 127))
    return b.graph("add", [a, c], [q])
