"""What an importer works with: the tensors known so far, and the graph that grows."""

from dataclasses import dataclass, replace
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from bitwright.errors import CompileError, VerifyError
from bitwright.frontend.messages import Refusal, plain, show
from bitwright.frontend.node import Node
from bitwright.frontend.tensors import BOOLEAN, Constant, check_size
from bitwright.ir.evaluate import evaluate_constant
from bitwright.ir.graph import Array, Builder, interval_of
from bitwright.ir.ops import (
    Compare,
    Dequantize,
    IntArithmetic,
    Op,
    Order,
    Value,
    Whole,
    build,
)
from bitwright.ir.types import Element, Int, Real, TensorType


@dataclass(frozen=True, slots=True)
class Comparison:
    """`difference >= 0`, or its negation: a bool not computed yet, `kind(*operands)` in full.

    A binarization reads the difference alone; anything else needs the bools themselves.
    """

    difference: Value
    kind: Order
    operands: tuple[Value, Value]
    negated: bool = False  # the difference, against `kind` as well where `flipped`
    flipped: bool = False

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of the bools."""
        return self.difference.shape

    def turned_over(self) -> "Comparison":
        """Return the comparison that holds where this one does not."""
        return replace(self, negated=not self.negated, flipped=not self.flipped)


@dataclass(frozen=True, slots=True)
class Unavailable:
    """A tensor that cannot be read: refused (its reason) or behind a refused node (no reason)."""

    reason: str = ""
    remedy: str = ""


MAX_COMPUTED = 1 << 30
_DEPTH = 8  # steps between a quantized constant and what reads it

Operand = Constant | Value | Comparison | Unavailable


class Behind(Exception):  # noqa: N818 - a signal between importer and loop, never shown
    """The node reads the result of a node that was refused already."""


class Context:
    """Tensors by their ONNX name, and a builder. One importer call adds one node."""

    def __init__(self, opset: int, names: set[str], batch: int, folder: Path) -> None:
        """Start empty; `names` are all tensors of the model, external data lie in `folder`."""
        self.opset = opset
        self.batch = batch  # the size that the model fixes, 1 when it fixes none
        self.folder = folder
        self.computed = 0  # bytes of constants computed so far
        self.whole: set[str] = set()  # tensors of integer type whose values are held as reals
        self.kinds: dict[str, int] = {}  # ONNX types of integer tensors that are computed
        self.builder = Builder(sorted(names))
        self.env: dict[str, Operand] = {}
        self._made: dict[str, Op] = {}
        self._placed: dict[str, Value] = {}

    # -- reading ---------------------------------------------------------------------------------

    def get(self, node: Node, index: int) -> Operand:
        """Return what the node's input `index` is."""
        if not node.has_input(index):
            raise CompileError(f"{node.loc}: {node.op_type} has no input {index}")
        name = node.inputs[index]
        if name not in self.env:
            raise CompileError(f"{node.loc}: reads {show(name)}, which nothing sets before it")
        found = self.env[name]
        if isinstance(found, Unavailable):
            if found.reason:
                raise Refusal(found.reason, found.remedy)
            raise Behind
        return found

    def value(self, node: Node, index: int) -> Value:
        """Return an input as a value, real or integer; constants keep their kind."""
        found = self.get(node, index)
        if isinstance(found, Comparison):
            return self.bools(node.inputs[index], found)
        if isinstance(found, Constant):
            return self.place(node.inputs[index], found)
        if isinstance(found, Unavailable):
            raise Behind
        return found

    def bools(self, name: str, found: Comparison) -> Value:
        """Return a comparison as the integers 0 and 1, computed when they are first read."""
        if name not in self._placed:
            a, b = found.operands
            key = self.builder.unique(f"{name}.holds") if found.flipped else name
            op: Op = build(Compare, (a, b), key, name, kind=found.kind)
            if found.flipped:
                self.builder.add(op)
                one = self.constant(f"{name}.one", 1)
                flip, elem = (op.output, one), Int(0, 1)
                op = build(IntArithmetic, flip, name, name, kind=Whole.XOR, elem=elem)
            self._made[name] = op
            self._placed[name] = self.builder.add(op)
            self.kinds[name] = BOOLEAN
        return self._placed[name]

    def kind_of(self, node: Node, index: int) -> int:
        """Return the ONNX type of an input of integers, 0 where it is not known."""
        found = self.get(node, index)
        if isinstance(found, Constant):
            return found.data_type
        if isinstance(found, Comparison):
            return BOOLEAN
        return self.kinds.get(node.inputs[index], 0)

    def real(self, node: Node, index: int) -> Value:
        """Return an input as a real value; an integer constant becomes codes and a Dequantize."""
        value = self.value(node, index)
        if isinstance(value.elem, Real):
            return value
        if value.name in self.builder.constants:
            return self.dequantized_constant(value, node.inputs[index])
        raise Refusal(
            f"it computes on the integer tensor {show(node.inputs[index])}",
            "insert a Cast to float or a DequantizeLinear before it",
        )

    def codes(self, node: Node, index: int) -> Value:
        """Return an input as an integer value."""
        value = self.value(node, index)
        if isinstance(value.elem, Real):
            raise Refusal(f"its input {show(node.inputs[index])} is real, expected integers")
        return value

    def array(self, node: Node, index: int) -> Array:
        """Return the numbers of an input that has to be constant."""
        found = self.get(node, index)
        if isinstance(found, Constant):
            return found.array
        if isinstance(found, Value):
            folded = self.folded(found)
            if folded is not None:
                return folded
        raise Refusal(
            f"its input {show(node.inputs[index])} is computed at run time, expected a constant",
            "export the model with constant parameters",
        )

    def optional_array(self, node: Node, index: int) -> Array | None:
        """Return the numbers of a constant input, or None when it is left out."""
        return self.array(node, index) if node.has_input(index) else None

    def scalar(self, node: Node, index: int) -> float:
        """Return a constant input of one element."""
        a = self.array(node, index)
        if a.size != 1:
            raise Refusal(f"its input {show(node.inputs[index])} has {a.size} elements, expected 1")
        return float(a.reshape(()))

    def folded(self, value: Value, depth: int = _DEPTH) -> Array | None:
        """Return the numbers of a value that a few steps make of constants, else None."""
        if value.name in self.builder.constants:
            return self.builder.constants[value.name]
        op = self._made.get(value.name)
        if op is None or depth == 0:
            return None
        parts = [self.folded(v, depth - 1) for v in op.inputs]
        known = [p for p in parts if p is not None]
        return evaluate_constant(op, known, np.float32) if len(known) == len(parts) else None

    def producer(self, value: Value) -> Op | None:
        """Return the op that makes a value; None for inputs and constants."""
        return self._made.get(value.name)

    # -- writing ---------------------------------------------------------------------------------

    def constant(self, name: str, array: Any, elem: Element | None = None) -> Value:
        """Add a constant under a free name; reals become float32 and must be finite."""
        a = np.asarray(array)
        if elem is None and a.dtype.kind == "f":
            a = finite(a, show(name)).astype(np.float32)
        return self.builder.constant(name, a, elem)

    def emit(
        self, kind: type[Op], inputs: tuple[Value, ...], node: Node, part: str = "", /, **attrs: Any
    ) -> Value:
        """Add an op. It defines the node's first output, or with `part` a value of its own.

        An op that reads only constants is computed at once; a Dequantize of codes is kept.
        """
        name = self.builder.unique(f"{node.out}.{part}") if part else node.out
        try:
            op = build(kind, inputs, name, node.loc, **attrs)
        except VerifyError as error:
            raise CompileError(plain(str(error), 400)) from error
        self.check_result(node, op.output.shape)
        known = [self.builder.constants.get(v.name) for v in inputs]
        arrays = [k for k in known if k is not None]
        if len(arrays) == len(inputs) and kind is not Dequantize:
            self.account(node, op.output.shape)
            numbers = evaluate_constant(op, arrays, np.float32)
            real = isinstance(op.output.elem, Real)
            self.builder.constants[name] = finite(numbers, show(name)) if real else numbers
        else:
            self.builder.add(op)
            self._made[name] = op
        return op.output

    def account(self, node: Node, shape: tuple[int, ...]) -> None:
        """Count a constant about to be computed; CompileError when it or all are too large."""
        check_size(f"{node.loc}: result", shape, 8)
        self.computed += 8 * prod(shape)
        if self.computed > MAX_COMPUTED:
            raise CompileError(f"{node.loc}: constants computed so far take more than 1 GiB")

    def check_result(self, node: Node, shape: tuple[int, ...]) -> None:
        """Raise CompileError when a result of this shape is too large, or holds nothing."""
        check_size(f"{node.loc}: result", shape)
        if prod(shape) == 0:
            raise CompileError(f"{node.loc}: its result of shape {shape} holds nothing")

    def dequantized_constant(self, codes: Value, name: str) -> Value:
        """Return integer codes as the same numbers, real."""
        key = self.builder.unique(f"{name}.real")
        scale, zero = self.constant(f"{name}.one", np.float32(1)), self.constant(f"{name}.zero", 0)
        op = build(Dequantize, (codes, scale, zero), key, plain(name))
        self._made[key] = op
        return self.builder.add(op)

    def place(self, name: str, found: Constant) -> Value:
        """Return the graph constant of a model tensor, made when it is first read."""
        if name not in self._placed:
            a = found.array
            elem: Element = Real() if found.real else interval_of(a)
            if found.real:
                a = finite(a, show(name))
            self.builder.constants[name] = a if found.real else a.astype(np.int64)
            self._placed[name] = Value(name, TensorType(elem, a.shape))
        return self._placed[name]


def finite(a: Array, what: str) -> Array:
    """Return `a`; CompileError naming the tensor and the count when it holds NaN or infinity."""
    bad = int(a.size - np.isfinite(a).sum())
    if bad:
        raise CompileError(f"tensor {what} holds {bad} values that are NaN or infinite")
    return a


def as_int(elem: Element) -> Int:
    """Return the interval of an integer type."""
    if isinstance(elem, Real):
        raise Refusal("an integer tensor was expected, this one is real")
    return Int(elem.lo, elem.hi)


def per_axis(a: Array, shape: tuple[int, ...], what: str) -> tuple[Array, int]:
    """Return a parameter that broadcasts to `shape` as scalar or vector, and its axis."""
    if a.size == 1:
        return a.reshape(()), -1
    padded = (1,) * (len(shape) - a.ndim) + a.shape
    wide = [i for i, d in enumerate(padded) if d != 1]
    fits = len(padded) == len(shape) and len(wide) == 1 and shape[wide[0]] == prod(padded)
    if not fits:
        raise Refusal(
            f"its {what} of shape {a.shape} is neither one number nor one per channel of {shape}",
            "quantize per tensor or per channel",
        )
    return a.reshape(-1), wide[0]
