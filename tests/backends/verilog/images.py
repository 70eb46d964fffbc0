"""Small convolutional integer bodies for the Verilog tests."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import (
    AddInt,
    Concat,
    Encoding,
    IntConv,
    MaxPool,
    MinPool,
    MulInt,
    Requantize,
    Reshape,
    Round,
    Steps,
    SumPool,
    Take,
    Transpose,
    Value,
)
from bitwright.ir.ops.window import Window
from bitwright.ir.types import Bipolar, Int, Ternary
from tests.backends.verilog.bodies import Rng, argmax, dense, lookup, requantize, sign, steps, value

INT8 = Int(-128, 127)


def window(
    kernel: tuple[int, ...],
    *,
    strides: tuple[int, ...] = (),
    pads: tuple[int, ...] = (),
    dilations: tuple[int, ...] = (),
) -> Window:
    """Return a window; pads are those before all axes, then those after."""
    ones, rank = (1,) * len(kernel), len(kernel)
    pads = pads or (0,) * (2 * rank)
    return Window(kernel, strides or ones, pads[:rank], pads[rank:], dilations or ones)


SAME = window((3, 3), pads=(1, 1, 1, 1))


@dataclass(frozen=True)
class Filters:
    """What a convolution has beside its operand."""

    outputs: int
    encoding: Encoding
    window: Window
    groups: int = 1
    pad: int = 0
    bias: bool = False
    values: tuple[int, ...] = ()  # of weights, where not those of the encoding


def conv(b: Builder, rng: Rng, x: Value, f: Filters) -> Value:
    """Append an IntConv with an interval that holds its sums."""
    choices = [*f.values] or {
        Encoding.BIPOLAR: [-1, 1],
        Encoding.TERNARY: [-1, 0, 1],
        Encoding.POWER_OF_TWO: [-4, -2, -1, 0, 1, 2, 4],
        Encoding.INTEGER: list(range(-8, 8)),
    }[f.encoding]
    shape = (f.outputs, *f.window.kernel, x.shape[-1] // f.groups)
    w = rng.choice(choices, shape).astype(np.int64)
    if f.outputs > 3:  # kernels of extremes beside others
        w[0], w[-1] = choices[0], choices[-1]
    offset = rng.integers(-9, 10, f.outputs) if f.bias else np.zeros(f.outputs, np.int64)
    source = x.type.integer
    lo, hi = min(source.lo, f.pad), max(source.hi, f.pad)
    flat = w.reshape(f.outputs, -1)
    low = np.minimum(flat * lo, flat * hi).sum(axis=1) + offset
    high = np.maximum(flat * lo, flat * hi).sum(axis=1) + offset
    name = b.unique("conv")
    operands: tuple[Value, ...] = (x, b.constant(f"{name}.w", w))
    if f.bias:
        operands += (b.constant(f"{name}.b", offset),)
    elem = Int(int(low.min()), int(high.max()))
    how = {"window": f.window, "groups": f.groups, "encoding": f.encoding, "pad": f.pad}
    return b.op(IntConv, operands, f"{name}.acc", name, elem=elem, **how)


def sum_pool(b: Builder, x: Value, how: Window) -> Value:
    source = x.type.integer
    n = how.taps
    elem = Int(min(source.lo * n, source.lo), max(source.hi * n, source.hi))
    return b.op(SumPool, (x,), "sum", "avgpool", window=how, elem=elem)


def classed_steps(b: Builder, rng: Rng, x: Value, classes: tuple[tuple[int, ...], ...]) -> Value:
    """Append sign thresholds that differ by border class and channel."""
    count = int(np.prod([max(axis) + 1 for axis in classes]))
    t = rng.integers(-6, 7, (count * x.shape[-1], 1))
    operands = (x, b.constant("t", t), b.constant("c", np.array([[-1, 1]])))
    return b.op(Steps, operands, "act", "act", elem=Bipolar(), classes=classes)


def classed_requantize(
    b: Builder, rng: Rng, x: Value, classes: tuple[tuple[int, ...], ...]
) -> Value:
    """Append a Requantize whose factors differ by border class, its addends by channel too."""
    count = int(np.prod([max(axis) + 1 for axis in classes]))
    c = x.shape[-1]
    mul = np.repeat(rng.integers(20, 90, count), c)
    operands = (x, b.constant("mul", mul), b.constant("add", rng.integers(-99, 99, count * c)))
    how = {"shift": 8, "zero": 0, "rounding": Round.HALF_EVEN, "elem": INT8, "classes": classes}
    return b.op(Requantize, operands, "rq", "rq", **how)


def dense_conv() -> Graph:
    """Return int8 convolutions: padded by a zero point, strided, 1x1, flattened."""
    b, rng = Builder(["x"]), np.random.default_rng(1)
    x = value("x", INT8, 1, 7, 5, 3)
    y = conv(
        b,
        rng,
        x,
        Filters(4, Encoding.INTEGER, SAME, pad=-7, bias=True),
    )
    y = requantize(b, rng, y, INT8)
    y = conv(
        b,
        rng,
        y,
        Filters(6, Encoding.INTEGER, window((3, 2), strides=(2, 2), pads=(0, 1, 1, 0)), pad=1),
    )
    y = requantize(b, rng, y, Int(0, 15))
    y = conv(b, rng, y, Filters(5, Encoding.INTEGER, window((1, 1)), bias=True))
    y = requantize(b, rng, y, INT8)
    y = b.op(Reshape, (y,), "flat", "flat", shape=(1, y.type.size))
    y = dense(b, rng, y, 4, Encoding.INTEGER)
    return b.graph("dense conv", [x], [y, argmax(b, y)])


def binary_conv() -> Graph:
    """Return a binary network padded by nothing, -1 and +1, its thresholds by border class."""
    b, rng = Builder(["x"]), np.random.default_rng(2)
    x = value("x", Bipolar(), 1, 5, 6, 4)
    y = conv(b, rng, x, Filters(6, Encoding.BIPOLAR, SAME))
    y = classed_steps(b, rng, y, ((0, 1, 1, 1, 2), (0, 1, 1, 1, 1, 2)))
    y = conv(
        b,
        rng,
        y,
        Filters(4, Encoding.BIPOLAR, window((3, 3), pads=(2, 1, 1, 0), dilations=(2, 1)), pad=-1),
    )
    y = b.op(MaxPool, (sign(b, rng, y),), "pool", "pool", window=window((2, 2), strides=(2, 2)))
    y = conv(b, rng, y, Filters(3, Encoding.TERNARY, window((2, 2), pads=(1, 0, 0, 1)), bias=True))
    y = conv_again(b, rng, steps(b, rng, y, [-1, 0, 1], Ternary()))
    return b.graph("binary conv", [x], [y])


def conv_again(b: Builder, rng: Rng, y: Value) -> Value:
    """Append a convolution over all that is left."""
    return conv(b, rng, y, Filters(5, Encoding.POWER_OF_TWO, window(y.shape[1:3])))


def separable() -> Graph:
    """Return depthwise and grouped layers with a shuffle between them, and pools with borders."""
    b, rng = Builder(["x"]), np.random.default_rng(3)
    x = value("x", Int(0, 15), 1, 6, 7, 6)
    y = conv(
        b,
        rng,
        x,
        Filters(6, Encoding.INTEGER, SAME, groups=6, bias=True),
    )
    y = requantize(b, rng, y, INT8)
    y = conv(b, rng, y, Filters(9, Encoding.TERNARY, window((2, 3), pads=(1, 1, 0, 1)), groups=3))
    y = requantize(b, rng, y, Int(0, 31))
    y = b.op(Reshape, (y,), "split", "shuffle", shape=(*y.shape[:-1], 3, 3))
    y = b.op(Transpose, (y,), "turned", "shuffle", perm=(0, 1, 2, 4, 3))
    y = b.op(Reshape, (y,), "joined", "shuffle", shape=(*y.shape[:3], 9))
    pool = window((3, 3), strides=(2, 2), pads=(1, 1, 1, 1))
    most = b.op(MaxPool, (y,), "most", "most", window=pool)
    total = sum_pool(b, y, pool)
    total = classed_requantize(b, rng, total, ((0, 1, 2), (0, 1, 1, 2)))
    y = b.op(Concat, (most, total), "both", "concat", axis=3)
    return b.graph("separable", [x], [sum_pool(b, y, window(y.shape[1:3]))])


def residual_conv() -> Graph:
    """Return a residual block, a join of three and a slice of channels; two outputs."""
    b, rng = Builder(["x"]), np.random.default_rng(4)
    x = value("x", INT8, 1, 6, 5, 4)
    y = requantize(b, rng, conv(b, rng, x, Filters(4, Encoding.INTEGER, SAME, bias=True)), INT8)
    y = requantize(b, rng, conv(b, rng, y, Filters(4, Encoding.INTEGER, SAME)), INT8)
    how = {"mul_a": 3, "mul_b": 2, "add": 1, "shift": 2, "zero": 0, "rounding": Round.HALF_EVEN}
    total = b.op(AddInt, (y, x), "total", "add", elem=INT8, **how)
    less = b.op(MinPool, (total,), "least", "least", window=SAME)
    narrow = steps(b, rng, total, [0, 1, 2], Int(0, 2))
    y = b.op(Concat, (less, narrow, x), "all", "concat", axis=3)
    index = b.constant("index", np.array([11, 0, 5, 4, 3]))
    y = b.op(Take, (y, index), "taken", "slice", axis=3)
    y = requantize(
        b, rng, conv(b, rng, y, Filters(3, Encoding.INTEGER, window((2, 2), strides=(2, 1)))), INT8
    )
    return b.graph("residual conv", [x], [y, total])


def in_time() -> Graph:
    """Return a 1-D network with one channel, and one pixel at its end."""
    b, rng = Builder(["x"]), np.random.default_rng(5)
    x = value("x", Int(0, 255), 1, 11, 1)
    first = window((4,), strides=(2,), pads=(1, 2))
    y = sign(b, rng, conv(b, rng, x, Filters(3, Encoding.BIPOLAR, first, bias=True)))
    y = conv(b, rng, y, Filters(2, Encoding.BIPOLAR, window((3,), pads=(1, 1)), pad=1))
    split = Filters(2, Encoding.INTEGER, window((2,), dilations=(2,)), groups=2)
    sums = conv(b, rng, sign(b, rng, y), split)
    y = b.op(MaxPool, (sums,), "pool", "pool", window=window((sums.shape[1],)))
    y = conv(b, rng, y, Filters(1, Encoding.INTEGER, window((1,))))
    return b.graph("in time", [x], [y, sums])


def moved() -> Graph:
    """Return rows turned into columns, a crop, and pixels taken twice."""
    b, rng = Builder(["x"]), np.random.default_rng(6)
    x = value("x", Int(-8, 7), 1, 4, 3, 2)
    y = b.op(Transpose, (x,), "turned", "turned", perm=(0, 2, 1, 3))
    y = steps(b, rng, y, [0, 1, 2, 3], Int(0, 3))
    twice = b.constant("twice", np.array([0, 0, 1, 1, 2, 2]))
    y = b.op(Take, (y, twice), "large", "resize", axis=1)
    inner = b.constant("inner", np.array([1, 2]))
    y = b.op(Take, (y, inner), "crop", "crop", axis=2)
    return b.graph("moved", [x], [conv(b, rng, y, Filters(2, Encoding.TERNARY, window((2, 2))))])


def product(b: Builder, one: Value, other: Value, zeros: tuple[int, int] = (0, 0)) -> Value:
    """Append a MulInt with the interval of its products."""
    ends = [
        [v.type.integer.lo - zero, v.type.integer.hi - zero]
        for v, zero in zip((one, other), zeros, strict=True)
    ]
    every = [p * q for p in ends[0] for q in ends[1]]
    elem = Int(min(every), max(every))
    name = b.unique("mul")
    operands = (one, other)
    return b.op(MulInt, operands, name, name, elem=elem, zero_a=zeros[0], zero_b=zeros[1])


def gated() -> Graph:
    """Return x times a function of x, then a gate for each channel, and a mask of two bits."""
    b, rng = Builder(["x"]), np.random.default_rng(7)
    x = value("x", INT8, 1, 5, 4, 6)
    y = requantize(b, rng, conv(b, rng, x, Filters(6, Encoding.INTEGER, SAME)), INT8)
    y = requantize(b, rng, product(b, y, lookup(b, rng, y, Int(0, 255)), (-5, 7)), INT8)
    squeezed = requantize(b, rng, sum_pool(b, y, window((5, 4))), INT8)
    gate = conv(b, rng, squeezed, Filters(6, Encoding.INTEGER, window((1, 1)), bias=True))
    gate = requantize(b, rng, gate, Int(0, 15))
    y = requantize(b, rng, product(b, gate, y, (3, -1)), INT8)
    signs = sign(b, rng, y)
    return b.graph("gated", [x], [product(b, signs, x)])


BODIES: dict[str, Callable[[], Graph]] = {
    f.__name__: f
    for f in (dense_conv, binary_conv, separable, residual_conv, in_time, moved, gated)
}
