"""A real chain between two integer tensors, evaluated on the integers themselves.

The chain is never rewritten by algebra: it is computed in float64, in the model's order, by the
same code that defines every op. Where a value comes within 1e-9 of a step's edge and the chain is
rational, exact fractions decide.
"""

from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from math import ceil, floor

import numpy as np

from bitwright.errors import CompileError, VerifyError
from bitwright.ir.evaluate import evaluate_op
from bitwright.ir.evaluate.real import along, round_real
from bitwright.ir.graph import Array, Constants
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    BatchNorm,
    Binarize,
    Clip,
    CountThresholds,
    Dequantize,
    Function,
    Op,
    PRelu,
    Quantize,
    Rounding,
    Sign,
    Value,
)
from bitwright.ir.types import Integral
from bitwright.passes.region import INDEX_MAPS, Region

QUANTIZERS = (Quantize, Binarize, Sign, CountThresholds)
SCALAR = (Arithmetic, Activation, PRelu, Clip, BatchNorm, Dequantize)
_NEAR = 1e-9
_RATIONAL_ACTIVATIONS = {Function.RELU, Function.NEG, Function.ABS, Function.LEAKY_RELU}
_IRRATIONAL_ARITH = {Arith.POW}


@dataclass(frozen=True)
class Chain:
    """Scalar ops and index maps from integer leaves to a quantizer (or to a real value)."""

    region: Region
    constants: Constants
    target: Value

    @property
    def last(self) -> Op:
        """The op that ends the chain."""
        return self.region.ops[-1]

    @property
    def leaf(self) -> Value:
        """The one integer value that the chain reads."""
        if len(self.region.leaves) != 1:
            names = ", ".join(repr(v.name) for v in self.region.leaves)
            raise CompileError(f"{self.last.loc}: joins {names}, one integer input was expected")
        return self.region.leaves[0]

    @cached_property
    def order(self) -> Array:
        """For each element of the result, the flat position in the leaf that it comes from."""
        size = self.leaf.type.size
        positions = np.arange(size).reshape(1, *self.leaf.shape)
        known = {self.leaf.name: positions}
        for op in self.region.ops:
            sources = [known[v.name].reshape(-1) for v in op.inputs if v.name in known]
            if not sources:  # an op on constants
                continue
            if isinstance(op, INDEX_MAPS):
                args = [known.get(v.name, self.constants.get(v.name)) for v in op.inputs]
                known[op.name] = evaluate_op(op, args, known)
            elif any(not np.array_equal(s, sources[0]) for s in sources):
                raise CompileError(
                    f"{op.loc}: {type(op).__name__} joins different elements of {self.leaf.name!r}"
                    " between two quantizers, which bitwright cannot fold"
                )
            elif op.output.type.size != size:
                raise CompileError(
                    f"{op.loc}: {type(op).__name__} changes the number of elements between two "
                    "quantizers, which bitwright cannot fold"
                )
            else:
                known[op.name] = sources[0].reshape(1, *op.output.shape)
        return known[self.last.name].reshape(-1)

    def values(self, a: Array, dtype: type = np.float64) -> Array:
        """Return what the quantizer sees (or the chain's real result) for codes `a`.

        `a` has shape (samples, *leaf shape) and the result (samples, *target shape): codes that a
        Quantize would round, or the signed distance to the edge for a sign.
        """
        body = self.region.ops[:-1] if isinstance(self.last, QUANTIZERS) else self.region.ops
        known: dict[str, Array] = {self.leaf.name: a}
        constants = self.cast_constants(dtype)
        for op in body:
            args = [known.get(v.name, constants.get(v.name)) for v in op.inputs]
            y = evaluate_op(op, args, known)
            known[op.name] = np.broadcast_to(y, (a.shape[0], *op.output.shape))
        x = known[self.last.inputs[0].name if isinstance(self.last, QUANTIZERS) else self.last.name]
        if isinstance(self.last, Quantize):
            scale, zero = (constants[v.name] for v in self.last.inputs[1:])
            axis = self.last.axis
            with np.errstate(all="ignore"):
                x = x / along(self.last, scale, axis)
                x = x if self.last.zero_after else x + along(self.last, zero, axis)
        return x

    def cast_constants(self, dtype: type) -> dict[str, Array]:
        """Return the constants that the chain reads, in the number type of an evaluation."""
        read = {v.name: op for op in self.region.ops for v in op.inputs if v.name in self.constants}
        return {
            n: self.constants[n] if isinstance(op, INDEX_MAPS) else _cast(self.constants[n], dtype)
            for n, op in sorted(read.items())
        }

    @cached_property
    def offset(self) -> Array:
        """What a Quantize adds after rounding, one integer per element of the result."""
        op = self.last
        if not isinstance(op, Quantize) or not op.zero_after:
            return np.zeros(self.target.shape, np.int64)
        zero = along(op, self.constants[op.inputs[2].name], op.axis)
        return np.broadcast_to(np.rint(zero).astype(np.int64), self.target.shape)

    def codes(self, a: Array, *, ordered: bool = False) -> Array:
        """Return the quantizer's codes for leaf codes `a`, ties decided exactly where possible.

        `ordered` promises that the codes of each element only rise or only fall along axis 0, so
        that the two ends of a run of ties decide for the run.
        """
        v = self.values(a)
        if np.isnan(v).any():
            raise CompileError(f"{self.last.loc}: the chain in front of it computes NaN")
        y = self.decide(v)
        if self.rational:
            near = self.near(v)
            if near.any() and ordered:
                y, near = self._settle_runs(a, y, near)
            if near.any():
                y = self._settle(a, y, near)
        return y

    @cached_property
    def rational(self) -> bool:
        """Whether every op is exact in fractions."""
        return all(_is_rational(op) for op in self.region.ops)

    def decide(self, v: Array) -> Array:
        """Return the codes that float64 arithmetic gives for `v` (see `values`)."""
        op = self.last
        if isinstance(op, Quantize):
            z = self.offset
            clamped = np.clip(v, op.elem.lo - z, op.elem.hi - z)
            return np.asarray(round_real(clamped, op.rounding).astype(np.int64) + z)
        if isinstance(op, Binarize):
            return np.where(v >= 0, 1, -1)
        if isinstance(op, Sign):
            return np.sign(v).astype(np.int64)
        if isinstance(op, CountThresholds):
            return evaluate_op(op, [v, self.constants[op.inputs[1].name]], {op.inputs[0].name: v})
        raise VerifyError(f"{op.loc}: {type(op).__name__} is no quantizer")

    def near(self, v: Array) -> Array:
        """Tell which of `v` lie so close to an edge that float64 cannot decide."""
        with np.errstate(invalid="ignore"):  # an infinite value is near no edge
            return self._near(v)

    def _near(self, v: Array) -> Array:
        op = self.last
        if isinstance(op, Quantize):
            whole = op.rounding in {Rounding.FLOOR, Rounding.CEIL, Rounding.UP, Rounding.DOWN}
            edge = np.rint(v) if whole else np.floor(v) + 0.5
            inside = (v > op.elem.lo - self.offset - 1) & (v < op.elem.hi - self.offset + 1)
            return np.asarray((np.abs(v - edge) < _NEAR * np.maximum(1, np.abs(v))) & inside)
        if isinstance(op, CountThresholds):
            t = self.constants[op.inputs[1].name]
            moved = np.moveaxis(v, op.axis + 1, -1)[..., None]
            close = (np.abs(moved - t) < _NEAR * np.maximum(1, np.abs(moved))).any(axis=-1)
            return np.asarray(np.moveaxis(close, -1, op.axis + 1))
        return np.asarray(np.abs(v) < _NEAR)

    def _settle_runs(self, a: Array, y: Array, near: Array) -> tuple[Array, Array]:
        """Recompute the ends of runs along axis 0, fill those that agree; return what is left."""
        edge = np.zeros_like(near[:1])
        first = near & ~np.concatenate([edge, near[:-1]])
        last = near & ~np.concatenate([near[1:], edge])
        y = self._settle(a, y, first | last)
        place = np.arange(near.shape[0]).reshape(-1, *(1,) * (near.ndim - 1))
        start = np.maximum.accumulate(np.where(first, place, 0), axis=0)
        end = np.where(last, place, near.shape[0] - 1)[::-1]
        end = np.minimum.accumulate(end, axis=0)[::-1]
        code = np.take_along_axis(y, start, 0)
        agree = near & (code == np.take_along_axis(y, end, 0))
        return np.where(agree, code, y), near & ~agree & ~first & ~last

    def _settle(self, a: Array, y: Array, near: Array) -> Array:
        """Recompute the elements in `near` in fractions."""
        samples, elements = np.nonzero(near.reshape(near.shape[0], -1))
        slot = np.zeros(elements.size, np.int64)  # the how-manieth near sample of its element
        seen: dict[int, int] = {}
        for i, e in enumerate(elements.tolist()):
            slot[i] = seen.get(e, 0)
            seen[e] = int(slot[i]) + 1
        flat = a.reshape(a.shape[0], -1)
        packed = np.repeat(flat[:1], max(seen.values()), axis=0).astype(object)
        source = self.order[elements]
        packed[slot, source] = flat[samples, source]
        exact = self.values(packed.reshape(-1, *self.leaf.shape), object)
        decided = np.array(y).reshape(y.shape[0], -1)
        picked = exact.reshape(exact.shape[0], -1)[slot, elements]
        decided[samples, elements] = [
            self.exact_code(v, int(e)) for v, e in zip(picked, elements, strict=True)
        ]
        return decided.reshape(y.shape)

    def exact_code(self, v: Fraction, element: int) -> int:
        """Return the code of the exact value `v` of one element."""
        op = self.last
        if isinstance(op, Quantize):
            code = round_fraction(v, op.rounding) + int(self.offset.reshape(-1)[element])
            return min(max(code, op.elem.lo), op.elem.hi)
        if isinstance(op, Binarize):
            return 1 if v >= 0 else -1
        if isinstance(op, Sign):
            return (v > 0) - (v < 0)
        thresholds = self.constants[op.inputs[1].name]
        channel = np.unravel_index(element, op.output.shape)[op.axis]  # type: ignore[attr-defined]
        row = thresholds[channel if thresholds.shape[0] > 1 else 0]
        return sum(v >= float(t) for t in row)

    @property
    def elem(self) -> Integral:
        """The element type that the quantizer declares."""
        return self.target.type.integer


def round_fraction(v: Fraction, rounding: Rounding) -> int:
    """Round an exact fraction to an integer in one of QONNX's modes."""
    sign = -1 if v < 0 else 1
    half = Fraction(1, 2)
    table = {
        Rounding.HALF_EVEN: lambda: round(v),
        Rounding.FLOOR: lambda: floor(v),
        Rounding.CEIL: lambda: ceil(v),
        Rounding.UP: lambda: sign * ceil(abs(v)),
        Rounding.DOWN: lambda: sign * floor(abs(v)),
        Rounding.HALF_UP: lambda: sign * floor(abs(v) + half),
        Rounding.HALF_DOWN: lambda: sign * ceil(abs(v) - half),
    }
    return int(table[rounding]())


_to_fraction = np.vectorize(lambda x: Fraction(float(x)), otypes=[object])


def _cast(c: Array, dtype: type) -> Array:
    if dtype is object:
        finite = c.size and np.isfinite(c.astype(np.float64)).all()
        return np.asarray(_to_fraction(c)) if finite else c.astype(object)
    return c.astype(dtype)


def _is_rational(op: Op) -> bool:
    if isinstance(op, Arithmetic):
        return op.kind not in _IRRATIONAL_ARITH
    if isinstance(op, Activation):
        return op.kind in _RATIONAL_ACTIVATIONS
    return isinstance(op, INDEX_MAPS + QUANTIZERS + (Dequantize, Clip, PRelu))


def check_scalar(chain: Chain) -> None:
    """Raise CompileError where the chain holds an op that is no function of one element."""
    for op in chain.region.ops:
        if not isinstance(op, SCALAR + INDEX_MAPS + QUANTIZERS):
            raise CompileError(
                f"{op.loc}: {type(op).__name__} lies between quantizers and is no function of one "
                "element; quantize its input, or move it behind the last layer"
            )
