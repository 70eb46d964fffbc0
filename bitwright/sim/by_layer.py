"""A quantized model against onnxruntime, layer by layer: each layer is fed onnxruntime's own codes.

Two float32 programs differ where a value lies so close to the edge between two codes that its last
bits decide. Such a tie is told from an error by computation: the uncertainty of a float32 sum is a
share of the sum of its magnitudes, which is evaluated beside the values.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from bitwright.ir.evaluate import evaluate, evaluate_op
from bitwright.ir.evaluate.real import along
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    AveragePool,
    BatchNorm,
    Binarize,
    Clip,
    Concat,
    Conv,
    ConvTranspose,
    CountThresholds,
    Dequantize,
    Linear,
    MaxPool,
    Op,
    Pad,
    Permute,
    PRelu,
    Quantize,
    Reduce,
    Reshape,
    Rounding,
    Take,
    Transpose,
    Value,
)
from bitwright.ir.types import Real
from bitwright.passes.chain import QUANTIZERS
from bitwright.sim.outcome import Outcome, Status
from bitwright.sim.reference import run_onnx
from bitwright.sim.tolerance import relative_errors

_SHARE = 2.0**-22  # of the sum of magnitudes: what float32 sums of any order may be off by
_SHARE_64 = 2.0**-44  # the same for float64
_OUTPUT = 1e-5
_SAME = 1e-9  # of the greatest output: both sides are float64
_ALIKE = (Reshape, Transpose, Permute, Take, Pad, Concat, MaxPool, AveragePool, Reduce)
_DOTS = (Linear, Conv, ConvTranspose)
_WHOLE = {Rounding.FLOOR, Rounding.CEIL, Rounding.UP, Rounding.DOWN}
_SUFFIX = ".codes"


def compare_by_layer(raw: Graph, model: Path, inputs: Mapping[str, Array]) -> Outcome:
    """Compare each quantizer of `raw`, the graph as imported, with the tensor of its name.

    `inputs` are the model's own (samples, *shape). Codes may differ at ties alone; the outputs, fed
    onnxruntime's codes, within 1e-5 of their greatest value.
    """
    names = [n for op in raw.ops if isinstance(op, QUANTIZERS) for n in _names(op)]
    seen = run_onnx(model, inputs, names)
    return compare_codes(raw, inputs, lambda op: _reference(raw, op, seen), seen, "imported graph")


def compare_codes(
    graph: Graph,
    inputs: Mapping[str, Array],
    reference: Callable[[Op], Array | None],
    outputs: Mapping[str, Array],
    whose: str,
) -> Outcome:
    """Compare each quantizer of `graph` with onnxruntime's codes, then feed it these.

    `reference` returns the codes (samples, *shape) of a quantizer, None where they cannot be seen.
    Codes may differ at ties alone; the outputs within 1e-5 of their greatest value. `whose` is what
    a message calls the graph.
    """
    walk = _Walk(graph, inputs)
    values = ties = layers = 0
    for op in graph.ops:
        walk.step(op)
        found = reference(op) if isinstance(op, QUANTIZERS) else None
        if found is None:
            continue
        y = walk.known[op.name]
        want = found.reshape(y.shape)
        differ = y != want
        wrong = differ & ~(walk.near(op) & (np.abs(y - want) <= _step(op)))
        if wrong.any():
            return Outcome(Status.FAIL, values, _describe(op, (y, want), wrong, whose))
        values, ties, layers = values + y.size, ties + int(differ.sum()), layers + 1
        walk.known[op.name] = np.broadcast_to(want, y.shape)
    worst = 0.0
    for v in graph.outputs:
        error = float(relative_errors(walk.value(v.name), outputs[v.name]).max(initial=0))
        values, worst = values + outputs[v.name].size, max(worst, error)
        if error > _OUTPUT:
            return Outcome(
                Status.FAIL, values, f"{v.name!r} is off by {error:.2e} of its greatest value"
            )
    detail = f"{layers} layers, {ties} ties; outputs within {worst:.1e}"
    return Outcome(Status.PASS, values, detail)


def wrong_simplification(
    raw: Graph, raw_inputs: Mapping[str, Array], simple: Graph, inputs: Mapping[str, Array]
) -> str | None:
    """Return a sentence where the simplified graph gives other outputs than the imported one.

    Both are computed in float64. A sample in which some value lies at a tie says nothing: another
    order of summation may decide it.
    """
    walk = _Walk(raw, raw_inputs, np.float64, _SHARE_64)
    tied = np.zeros(walk.samples, bool)
    for op in raw.ops:
        walk.step(op)
        if isinstance(op, QUANTIZERS) and op.name in walk.known:
            tied |= walk.near(op).reshape(walk.samples, -1).any(axis=1)
    got = evaluate(simple, inputs)
    for v in raw.outputs:
        error = relative_errors(got[v.name], walk.value(v.name)).reshape(walk.samples, -1)
        bad = (error.max(axis=1, initial=0) > _SAME) & ~tied
        if bad.any():
            first = int(np.argmax(bad))
            return f"simplified, the graph gives another {v.name!r} for sample {first}"
    return None


def _step(op: Op) -> int:
    return 2 if isinstance(op, Binarize) else 1


def _names(op: Op) -> tuple[str, ...]:
    """Return the tensors of the model that may hold the codes, or what they stand for."""
    return (op.name, op.name.removesuffix(_SUFFIX)) if op.name.endswith(_SUFFIX) else (op.name,)


def _reference(raw: Graph, op: Op, seen: Mapping[str, Array]) -> Array | None:
    """Return onnxruntime's codes for a quantizer; None where it has no tensor of that name."""
    if op.name in seen:
        return np.rint(seen[op.name]).astype(np.int64)
    outer = op.name.removesuffix(_SUFFIX)
    reader = next((o for o in raw.ops if o.name == outer and isinstance(o, Dequantize)), None)
    if reader is None or outer not in seen or reader.inputs[0].name != op.name:
        return None
    scale, zero = (along(reader, raw.constant(v), reader.axis) for v in reader.inputs[1:])
    return np.asarray(np.rint(seen[outer].astype(np.float64) / scale + zero)).astype(np.int64)


def _describe(op: Op, both: tuple[Array, Array], wrong: Array, whose: str) -> str:
    got, want = both
    at = tuple(int(i) for i in np.argwhere(wrong)[0])
    return (
        f"layer {op.loc!r}: sample {at[0]}, index {list(at[1:])}: {whose} {got[at]}, "
        f"onnxruntime {want[at]}, and no tie ({int(wrong.sum())} of {got.size} values differ)"
    )


class _Walk:
    """Values, and beside each real one the sum of the magnitudes that made it.

    `share` of that sum is what a value may be off by in `dtype`.
    """

    def __init__(
        self,
        graph: Graph,
        inputs: Mapping[str, Array],
        dtype: type = np.float32,
        share: float = _SHARE,
    ) -> None:
        """Start with the inputs."""
        self.graph, self.dtype, self.share = graph, dtype, share
        self.fixed: dict[str, Array] = dict(graph.constants)
        self.known: dict[str, Array] = {}
        for v in graph.inputs:
            kind = dtype if isinstance(v.elem, Real) else np.int64
            self.known[v.name] = np.asarray(inputs[v.name]).astype(kind).reshape(-1, *v.shape)
        self.size: dict[str, Array] = {
            n: np.abs(a.astype(np.float64)) for n, a in self.known.items()
        }
        self.samples = next(iter(self.known.values())).shape[0] if self.known else 1

    def step(self, op: Op) -> None:
        """Compute an op and its magnitude; what constants alone decide has no axis of samples."""
        if all(v.name not in self.known for v in op.inputs):
            part = Graph("constant", (), (op.output,), (op,), self.fixed)
            a = evaluate(part, {}, dtype=self.dtype)[op.name]
            self.fixed[op.name] = np.asarray(a).reshape(op.output.shape)
            return
        args = [
            self.known[v.name] if v.name in self.known else self._constant(v) for v in op.inputs
        ]
        y = evaluate_op(op, [*args], self.known)
        self.known[op.name] = y = np.broadcast_to(y, (self.samples, *op.output.shape))
        with np.errstate(all="ignore"):
            self.size[op.name] = np.maximum(self._magnitude(op), np.abs(y.astype(np.float64)))

    def value(self, name: str) -> Array:
        """Return a value of the graph, constants included."""
        return self.known[name] if name in self.known else self.fixed[name]

    def near(self, op: Op) -> Array:
        """Tell where a quantizer's operand lies within float32's reach of an edge."""
        x = self.known[op.inputs[0].name].astype(np.float64)
        reach = self.share * self.size[op.inputs[0].name]
        if isinstance(op, Quantize):
            scale, zero = (
                along(op, self.fixed[v.name].astype(np.float64), op.axis) for v in op.inputs[1:]
            )
            v = x / scale + (0 if op.zero_after else zero)
            slack = reach / np.abs(scale) + self.share * np.abs(v)
            edge = np.rint(v) if op.rounding in _WHOLE else np.floor(v) + 0.5
            return np.asarray(np.abs(v - edge) <= slack)
        if isinstance(op, CountThresholds):
            moved = np.moveaxis(x, op.axis + 1, -1)[..., None]
            gap = np.abs(moved - self.fixed[op.inputs[1].name]).min(axis=-1, initial=np.inf)
            return np.asarray(np.moveaxis(gap, -1, op.axis + 1) <= reach)
        return np.asarray(np.abs(x) <= reach)

    def _constant(self, v: Value) -> Array:
        a = self.fixed[v.name]
        return a.astype(self.dtype) if isinstance(v.elem, Real) else a

    def _of(self, name: str) -> Array:
        """Return the magnitude of a value or a constant."""
        if name in self.size:
            return self.size[name]
        return np.abs(self.fixed[name].astype(np.float64))

    def _magnitude(self, op: Op) -> Array:
        sizes = [self._of(v.name) for v in op.inputs]
        if isinstance(op, _DOTS):
            both: list[Array | None] = [*sizes]
            return evaluate_op(op, both, {op.inputs[0].name: sizes[0]})
        if isinstance(op, _ALIKE):
            fixed = [
                a if v.name in self.size else self.fixed[v.name]
                for v, a in zip(op.inputs, sizes, strict=True)
            ]
            same = replace(op, value=abs(op.value)) if isinstance(op, Pad) else op
            return evaluate_op(same, [*fixed], self.known)
        if isinstance(op, Arithmetic):
            return self._arithmetic(op, sizes)
        if isinstance(op, BatchNorm):
            gamma, beta, mean, var = (along(op, s, op.axis) for s in sizes[1:])
            return np.asarray((sizes[0] + mean) * gamma / np.sqrt(var + op.epsilon) + beta)
        if isinstance(op, Activation | Clip | PRelu):
            return sizes[0]
        return np.zeros((1,) * (len(op.output.shape) + 1))

    def _arithmetic(self, op: Arithmetic, sizes: list[Array]) -> Array:
        args: list[Array | None] = list(sizes)
        kinds = {Arith.SUB: Arith.ADD, Arith.MIN: Arith.MAX}
        return evaluate_op(replace(op, kind=kinds.get(op.kind, op.kind)), args, self.known)
