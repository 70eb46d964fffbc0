"""Pools, whole-axis reductions, normalizations and resampling."""

from math import inf

from bitwright.backends.onnx.elementwise import unordered
from bitwright.backends.onnx.exporter import Exporter, Laid, channels_first, real_inputs
from bitwright.backends.onnx.layers import window
from bitwright.backends.onnx.writer import FLOAT, Tensor
from bitwright.errors import UnsupportedError
from bitwright.ir.ops import (
    AveragePool,
    LocalResponseNorm,
    MaxPool,
    MinPool,
    Normalize,
    Op,
    Reduce,
    Reduction,
    Resample,
    Window,
)

_REDUCE = {
    Reduction.MEAN: "ReduceMean", Reduction.SUM: "ReduceSum", Reduction.MAX: "ReduceMax",
    Reduction.MIN: "ReduceMin", Reduction.PROD: "ReduceProd", Reduction.L1: "ReduceL1",
    Reduction.L2: "ReduceL2", Reduction.SUM_SQUARE: "ReduceSumSquare",
    Reduction.LOG_SUM: "ReduceLogSum", Reduction.LOG_SUM_EXP: "ReduceLogSumExp",
}  # fmt: skip


def max_pool(e: Exporter, op: MaxPool) -> Laid:
    """Write MaxPool, or GlobalMaxPool for a window over everything."""
    x = Laid(e.first(op.inputs[0]), channels_first(len(op.output.shape)))
    if _whole(op, op.window):
        return e.finish(op, "GlobalMaxPool", [_floats(e, x)], x)
    t, w = _bordered(e, op, _floats(e, x), op.window, -inf)
    return e.finish(op, "MaxPool", [t], x, **window(w, dilations=False))


def min_pool(e: Exporter, op: MinPool) -> Laid:
    """Write a minimum as the negated maximum of the negated operand."""
    x = Laid(e.first(op.inputs[0]), channels_first(len(op.output.shape)))
    t = _floats(e, x)
    t = e.step(op, "Neg", [t], "negated", t.shape)
    t, w = _bordered(e, op, t, op.window, -inf)
    shape = e.result(op, x.perm).shape
    y = e.step(op, "MaxPool", [t], "greatest", shape, **window(w, dilations=False))
    return e.finish(op, "Neg", [y], x)


def average_pool(e: Exporter, op: AveragePool) -> Laid:
    """Write AveragePool, or GlobalAveragePool for a window over everything."""
    real_inputs(op)
    x = Laid(e.first(op.inputs[0]), channels_first(len(op.output.shape)))
    w = op.window
    if set(w.dilations) != {1}:
        raise UnsupportedError(
            f"{op.loc}: AveragePool with dilations {w.dilations} has no form in operator set 14"
        )
    if _whole(op, w):
        return e.finish(op, "GlobalAveragePool", [x.tensor], x)
    counted = op.counted_before, op.counted_after
    if counted == (w.before, w.after) and not _wide(w):
        how = {"count_include_pad": 1} if w.padded else {}
        return e.finish(op, "AveragePool", [x.tensor], x, **how, **window(w, dilations=False))
    t = x.tensor
    if any((*counted[0], *counted[1])):
        t = _padded(e, op, t, counted, 0.0)
    before, after = (
        tuple(p - c for p, c in zip(pads, inside, strict=True))
        for pads, inside in ((w.before, counted[0]), (w.after, counted[1]))
    )
    left = Window(w.kernel, w.strides, before, after, w.dilations)
    if _wide(left):
        raise UnsupportedError(f"{op.loc}: padding {before} and {after} is wider than its kernel")
    return e.finish(op, "AveragePool", [t], x, **window(left, dilations=False))


def _whole(op: Op, w: Window) -> bool:
    return w.kernel == op.inputs[0].shape[1:-1] and not w.padded and set(w.dilations) == {1}


def _wide(w: Window) -> bool:
    """Tell whether the padding holds a whole kernel, which runtimes refuse."""
    pairs = zip((*w.before, *w.after), (*w.kernel, *w.kernel), strict=True)
    return any(p >= k for p, k in pairs)


def _floats(e: Exporter, x: Laid) -> Tensor:
    return e.typed(x.tensor, FLOAT)


def _bordered(e: Exporter, op: Op, t: Tensor, w: Window, value: float) -> tuple[Tensor, Window]:
    """Return the operand padded by hand where the operator refuses such padding."""
    if not _wide(w):
        return t, w
    zeros = (0,) * w.rank
    t = _padded(e, op, t, (w.before, w.after), value)
    return t, Window(w.kernel, w.strides, zeros, zeros, w.dilations)


def _padded(
    e: Exporter, op: Op, t: Tensor, pads: tuple[tuple[int, ...], tuple[int, ...]], value: float
) -> Tensor:
    before, after = pads
    ends = e.w.integers(f"{op.name}/pads", [0, 0, *before, 0, 0, *after])
    grown = (b + a for b, a in zip(before, after, strict=True))
    shape = (*t.shape[:2], *(d + g for d, g in zip(t.shape[2:], grown, strict=True)))
    return e.step(op, "Pad", [t, ends, e.scalar(op, value, "border")], "padded", shape)


def reduce(e: Exporter, op: Reduce) -> Laid:
    """Write a reduction; axes that vanish leave the others in the order they lie in."""
    real_inputs(op)
    x = unordered(e, op.inputs[0])
    axes = sorted(x.perm.index(a) for a in op.axes)
    perm = x.perm
    if not op.keep:
        left = [a for a in x.perm if a not in op.axes]
        perm = tuple(sorted(left).index(a) for a in left)
    inputs: list[Tensor | None] = [x.tensor]
    how: dict[str, object] = {"axes": axes}
    if op.kind is Reduction.SUM:
        inputs.append(e.w.integers(f"{op.name}/axes", axes))
        how = {}
    if not op.axes:
        return e.finish(op, "Identity", inputs[:1], x)
    return e.finish(
        op, _REDUCE[op.kind], inputs, Laid(x.tensor, perm), keepdims=int(op.keep), **how
    )


def normalize(e: Exporter, op: Normalize) -> Laid:
    """Write the formula: a standard MeanVarianceNormalization fixes its epsilon."""
    x = unordered(e, op.inputs[0])
    axes = sorted(x.perm.index(a) for a in op.axes)
    shape = x.tensor.shape
    small = tuple(1 if i in axes else d for i, d in enumerate(shape))
    mean = e.step(op, "ReduceMean", [x.tensor], "mean", small, axes=axes, keepdims=1)
    centred = e.step(op, "Sub", [x.tensor, mean], "centred", shape)
    square = e.step(op, "Mul", [centred, centred], "square", shape)
    var = e.step(op, "ReduceMean", [square], "variance", small, axes=axes, keepdims=1)
    safe = e.step(op, "Add", [var, e.scalar(op, op.epsilon, "epsilon")], "safe", small)
    return e.finish(op, "Div", [centred, e.step(op, "Sqrt", [safe], "deviation", small)], x)


def local_response_norm(e: Exporter, op: LocalResponseNorm) -> Laid:
    """Write LRN."""
    x = Laid(e.first(op.inputs[0]), channels_first(len(op.output.shape)))
    how = {"size": op.size, "alpha": op.alpha, "beta": op.beta, "bias": op.bias}
    return e.finish(op, "LRN", [x.tensor], x, **how)


def resample(e: Exporter, op: Resample) -> Laid:
    """Write an interpolation as a weighted sum of gathered elements, a term for each tap."""
    x = unordered(e, op.inputs[0])
    positions, weights = (e.array(v) for v in op.inputs[1:])
    axis = x.perm.index(op.axis)
    shape = e.result(op, x.perm).shape
    spread = (-1, *(1,) * (len(shape) - axis - 1))
    total: Tensor | None = None
    for t in range(positions.shape[1]):
        indices = e.w.integers(f"{op.name}/positions{t}", positions[:, t].tolist())
        part = e.step(op, "Gather", [x.tensor, indices], f"tap{t}", shape, axis=axis)
        share = e.w.constant(f"{op.name}/weights{t}", weights[:, t].reshape(spread))
        if t == positions.shape[1] - 1 and total is None:
            return e.finish(op, "Mul", [part, share], x)
        term = e.step(op, "Mul", [part, share], f"term{t}", shape)
        if t == positions.shape[1] - 1:
            return e.finish(op, "Add", [total, term], x)
        total = term if total is None else e.step(op, "Add", [total, term], f"sum{t}", shape)
    raise UnsupportedError(f"{op.loc}: it adds nothing")
