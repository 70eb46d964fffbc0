"""Small integer bodies for the Verilog tests, and designs made of them."""

from pathlib import Path

import numpy as np

from bitwright.backends.artifact import Artifact
from bitwright.backends.verilog import VerilogOptions, emit
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    AddInt,
    ArgMax,
    Encoding,
    IntLinear,
    Lookup,
    Permute,
    Requantize,
    Reshape,
    Round,
    Steps,
    Value,
)
from bitwright.ir.types import Bipolar, Element, Int, Integral, TensorType

Rng = np.random.Generator


def value(name: str, elem: Element, *shape: int) -> Value:
    return Value(name, TensorType(elem, shape))


def weights(rng: Rng, encoding: Encoding, shape: tuple[int, int]) -> Array:
    choices = {
        Encoding.BIPOLAR: [-1, 1],
        Encoding.TERNARY: [-1, 0, 1],
        Encoding.POWER_OF_TWO: [-8, -4, -2, -1, 0, 1, 2, 4, 8],
        Encoding.INTEGER: list(range(-128, 128)),
    }
    w = rng.choice(choices[encoding], shape)
    w[0] = choices[encoding][0]  # rows of extremes
    w[-1] = choices[encoding][-1]
    return w.astype(np.int64)


def dense(
    b: Builder, rng: Rng, x: Value, outputs: int, encoding: Encoding, *, bias: bool = False
) -> Value:
    """Append an IntLinear with its exact interval."""
    name = b.unique("fc")
    w = weights(rng, encoding, (outputs, x.shape[-1]))
    offset = rng.integers(-3, 4, outputs) if bias else np.zeros(outputs, np.int64)
    elem = x.type.integer
    lo = np.minimum(w * elem.lo, w * elem.hi).sum(axis=1) + offset
    hi = np.maximum(w * elem.lo, w * elem.hi).sum(axis=1) + offset
    operands: tuple[Value, ...] = (x, b.constant(f"{name}.w", w))
    if bias:
        operands += (b.constant(f"{name}.b", offset),)
    interval = Int(int(lo.min()), int(hi.max()))
    return b.op(IntLinear, operands, f"{name}.acc", name, encoding=encoding, elem=interval)


def steps(b: Builder, rng: Rng, x: Value, codes: list[int], elem: Integral) -> Value:
    """Append Steps with thresholds of every sort, never and always among them."""
    source = x.type.integer
    width = source.hi - source.lo
    middle, spread = (source.lo + source.hi) / 2, min(width / 9, width**0.5 / 2)
    near = rng.normal(middle, spread, (x.shape[-1], 99))
    t = np.clip(np.rint(near[:, : len(codes) - 1]), source.lo, source.hi + 1).astype(np.int64)
    if x.shape[-1] > 6:
        t[0], t[-1] = source.lo, source.hi + 1
    operands = (x, b.constant("t", np.sort(t, axis=1)), b.constant("c", np.array([codes])))
    return b.op(Steps, operands, "act", "act", elem=elem)


def sign(b: Builder, rng: Rng, x: Value) -> Value:
    return steps(b, rng, x, [-1, 1], Bipolar())


def requantize(b: Builder, rng: Rng, x: Value, elem: Int, **attrs: object) -> Value:
    """Append Requantize with a factor of either sign per channel, ties included."""
    c, source = x.shape[-1], x.type.integer
    shift = max((max(-source.lo, source.hi) * 96 // (8 * elem.hi)).bit_length(), 6)
    mul = rng.choice([-96, -32, 1, 32, 96, 13], c)
    add = rng.choice([0, 32, -32, 5, -1000], c)
    how = {"shift": shift, "zero": 1, "rounding": Round.HALF_EVEN, "elem": elem, **attrs}
    operands = (x, b.constant("mul", mul), b.constant("add", add))
    return b.op(Requantize, operands, "rq", "rq", **how)


def argmax(b: Builder, x: Value) -> Value:
    return b.op(ArgMax, (x,), "top", "argmax", axis=len(x.shape) - 1)


def lookup(b: Builder, rng: Rng, x: Value, elem: Int) -> Value:
    source = x.type.integer
    table = rng.integers(elem.lo, elem.hi + 1, source.hi - source.lo + 1)
    return b.op(Lookup, (x, b.constant("table", table)), "lut", "lut", elem=elem)


def bipolar_mlp(sizes: tuple[int, ...] = (15, 9, 7, 5)) -> Graph:
    """Return a binary network of odd sizes with ArgMax at its end."""
    b, rng = Builder(["x"]), np.random.default_rng(0)
    x = y = value("x", Bipolar(), 1, sizes[0])
    for n in sizes[1:-1]:
        y = sign(b, rng, dense(b, rng, y, n, Encoding.BIPOLAR))
    y = argmax(b, dense(b, rng, y, sizes[-1], Encoding.BIPOLAR, bias=True))
    return b.graph("bipolar mlp", [x], [y])


def residual(rounding: Round = Round.HALF_EVEN) -> Graph:
    """Return int8 layers with a shortcut round two of them, forked again at the output."""
    b, rng = Builder(["x"]), np.random.default_rng(1)
    x, int8 = value("x", Int(-128, 127), 1, 12), Int(-128, 127)
    y = requantize(b, rng, dense(b, rng, x, 8, Encoding.INTEGER), int8)
    z = requantize(b, rng, dense(b, rng, y, 6, Encoding.INTEGER, bias=True), Int(0, 15))
    z = requantize(b, rng, dense(b, rng, z, 8, Encoding.INTEGER), int8, rounding=Round.FLOOR)
    how = {"mul_a": 3, "mul_b": -5, "add": 7, "shift": 2, "zero": -1, "rounding": rounding}
    total = b.op(AddInt, (y, z), "sum", "add", elem=int8, **how)
    return b.graph("residual", [x], [total, argmax(b, total)])


def mixed() -> Graph:
    """Return ternary, power-of-two and binary weights over narrow codes, and every other op."""
    b, rng = Builder(["x"]), np.random.default_rng(2)
    x = value("x", Int(0, 3), 2, 3, 4)
    y = lookup(b, rng, x, Int(-5, 5))
    y = steps(b, rng, y, [-2, -1, 0, 1], Int(-2, 1))
    y = steps(b, rng, dense(b, rng, y, 6, Encoding.TERNARY, bias=True), [0, 3, 1], Int(0, 3))
    order = np.random.default_rng(3).permutation(36)
    y = b.op(Permute, (y, b.constant("order", order)), "moved", "moved", shape=(4, 9))
    y = b.op(Reshape, (y,), "flat", "flat", shape=(1, 36))
    y = steps(b, rng, dense(b, rng, y, 9, Encoding.POWER_OF_TWO), [0, 1, 2, 3, 4, 5, 6], Int(0, 6))
    y = sign(b, rng, dense(b, rng, y, 5, Encoding.BIPOLAR))
    y = dense(b, rng, y, 4, Encoding.TERNARY)
    return b.graph("mixed", [x], [y])


def single() -> Graph:
    """Return the smallest body: one input, one weight, one output."""
    b, rng = Builder(["x"]), np.random.default_rng(4)
    x = value("x", Bipolar(), 1, 1)
    return b.graph("single", [x], [dense(b, rng, x, 1, Encoding.BIPOLAR)])


def two_inputs() -> Graph:
    """Return the sum of two inputs, one through a layer, both unsigned or bipolar."""
    b, rng = Builder(["a", "c"]), np.random.default_rng(5)
    a, c = value("a", Int(0, 255), 1, 6), value("c", Bipolar(), 1, 6)
    y = dense(b, rng, a, 6, Encoding.POWER_OF_TWO)
    how = {"mul_a": 4, "mul_b": -1, "add": 0, "shift": 1, "zero": 0, "rounding": Round.FLOOR}
    total = b.op(AddInt, (y, c), "sum", "add", elem=Int(-40, 1000), **how)
    return b.graph("two inputs", [a, c], [total])


def write(artifact: Artifact, folder: Path) -> Path:
    for path, data in artifact.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def design(body: Graph, folder: Path, options: VerilogOptions | None = None) -> Path:
    return write(emit(body, body.name, options or VerilogOptions()), folder)
