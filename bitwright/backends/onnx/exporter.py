"""What is written so far, and in which layout each value lies in the file.

The IR has channels last, ONNX has them first. A transpose of the IR writes no node: it only tells
how a tensor of the file lies. An operator that wants another layout has its operand transposed.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bitwright.backends.onnx.writer import FLOAT, Shape, Tensor, Writer
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import (
    Binarize,
    Conv,
    ConvTranspose,
    CountThresholds,
    Dequantize,
    Linear,
    Op,
    Permute,
    Quantize,
    Reshape,
    Sign,
    Take,
    Transpose,
    Value,
)
from bitwright.ir.ops.base import channel_shape
from bitwright.ir.types import Real

_RANKS: tuple[tuple[type[Op], ...], ...] = (
    (Linear, Conv, ConvTranspose),
    (),
    (Dequantize,),
    (Reshape, Transpose, Permute, Take, Quantize, Binarize, Sign, CountThresholds),
)  # which of the ops made of one node is named after it


@dataclass(frozen=True, slots=True, eq=False)
class Laid:
    """A value in the file: axis i of the tensor is axis `perm[i]` of the value.

    With `order`, element i of the tensor's last axis is element `order[i]` of the value's: what a
    flattened image is, channels first, where the IR flattens it channels last. Its perm is that of
    an unmoved tensor.
    """

    tensor: Tensor
    perm: tuple[int, ...]
    order: Array | None = None


@dataclass(frozen=True, slots=True)
class Codes:
    """Constant codes with scale and zero point, scalar or along `axis`."""

    codes: Array
    scale: Array
    zero: Array
    axis: int


def unmoved(rank: int) -> tuple[int, ...]:
    """Return the permutation that moves no axis."""
    return tuple(range(rank))


def channels_first(rank: int) -> tuple[int, ...]:
    """Return where the axes (N, C, *S) lie in (N, *S, C)."""
    return (0, rank - 1, *range(1, rank - 1)) if rank > 1 else unmoved(rank)


class Exporter:
    """The file under construction; what an emitter of one op reads and calls."""

    def __init__(self, graph: Graph, *, standard: bool) -> None:
        """Start with the graph's inputs written."""
        self.graph, self.standard = graph, standard
        self.producers, self.readers = graph.producers(), graph.readers()
        self.w = Writer([*graph.values()])
        self.known: dict[str, Laid] = {}
        self._owners = _owners(self)
        self._moved: dict[tuple[str, tuple[int, ...], bytes], Tensor] = {}
        self._fixed: dict[tuple[str, tuple[int, ...], bytes], Tensor] = {}

    # -- constants ---------------------------------------------------------------------------------

    def is_fixed(self, v: Value) -> bool:
        """Tell whether `v` is a constant, or the reals of constant codes."""
        return self.graph.is_constant(v) or self.coded(v) is not None

    def coded(self, v: Value) -> Codes | None:
        """Return the codes behind a constant that is stored as codes, else None."""
        op = self.producers.get(v.name)
        if not isinstance(op, Dequantize) or not all(map(self.graph.is_constant, op.inputs)):
            return None
        codes, scale, zero = (self.graph.constant(x) for x in op.inputs)
        return Codes(codes, np.asarray(scale, np.float32), zero, op.axis % max(codes.ndim, 1))

    def array(self, v: Value) -> Array:
        """Return the numbers of a constant that is no data: indices, thresholds, parameters."""
        if self.graph.is_constant(v):
            return self.graph.constant(v)
        found = self.coded(v)
        if found is None:
            raise UnsupportedError(
                f"{v.name!r} is computed at run time; the export needs a constant"
            )
        return real_numbers(found)

    def fixed(
        self, v: Value, perm: tuple[int, ...], order: Array | None = None, loc: str = ""
    ) -> Tensor:
        """Return a constant, given as many axes as `perm` has, in this layout."""
        key = (v.name, perm, b"" if order is None else order.tobytes())
        if key not in self._fixed:
            self._fixed[key] = self._constant(v, perm, order, loc)
        return self._fixed[key]

    def _constant(self, v: Value, perm: tuple[int, ...], order: Array | None, loc: str) -> Tensor:
        from bitwright.backends.onnx.weights import quantized_constant  # noqa: PLC0415

        found = self.coded(v)
        if found is None:
            return self.w.constant(v.name, _moved(self.graph.constant(v), perm, order))
        added = len(perm) - found.codes.ndim
        codes = _moved(found.codes, perm, order)
        axis = perm.index(found.axis + added)
        if order is not None and axis == len(perm) - 1 and found.scale.size > 1:
            raise UnsupportedError(f"{loc}: the scale of {v.name!r} varies along a flattened axis")
        return quantized_constant(self, replace(found, codes=codes, axis=axis), v.name, loc)

    def channel(self, a: Array, axis: int, like: Laid, name: str, dtype: Any = None) -> Tensor:
        """Return parameters of a value's axis, shaped to broadcast in the layout of `like`."""
        a = np.asarray(a, dtype or np.float32)
        if a.size == 1:
            return self.w.constant(name, a.reshape(()))
        rank = len(like.perm)
        wide = a.reshape(channel_shape(a.size, axis, rank))
        return self.w.constant(name, _moved(wide, like.perm, like.order))

    # -- values ------------------------------------------------------------------------------------

    def laid(self, v: Value) -> Laid:
        """Return how `v` lies in the file; codes that only now turn out to be needed are written."""
        from bitwright.backends.onnx.quantizers import codes_of  # noqa: PLC0415

        if v.name not in self.known:
            if self.is_fixed(v):
                return Laid(self.fixed(v, unmoved(len(v.shape))), unmoved(len(v.shape)))
            self.known[v.name] = codes_of(self, self.producers[v.name])
        return self.known[v.name]

    def at(self, v: Value, perm: tuple[int, ...], order: Array | None = None) -> Tensor:
        """Return `v` in this layout, moved where it lies in another."""
        if self.is_fixed(v):
            return self.fixed(v, perm, order)
        found = self.laid(v)
        if _same(found.order, order):
            return self._transposed(found.tensor, found.perm, perm, v.name)
        places = np.arange(v.shape[-1]) if order is None else order
        back = places if found.order is None else np.argsort(found.order)[places]
        key = (found.tensor.name, perm, back.tobytes())
        if key not in self._moved:
            indices = self.w.constant(f"{v.name}/order", back.astype(np.int64))
            made = self.tensor(f"{v.name}/ordered", found.tensor.shape, found.tensor.type)
            axis = len(v.shape) - 1
            self.w.op("Gather", [found.tensor, indices], made, f"{v.name}/order", axis=axis)
            self._moved[key] = made
        return self._transposed(self._moved[key], unmoved(len(perm)), perm, v.name)

    def plain(self, v: Value) -> Tensor:
        """Return `v` as the IR lays it out."""
        return self.at(v, unmoved(len(v.shape)))

    def first(self, v: Value) -> Tensor:
        """Return `v` with its channels, the IR's last axis, second."""
        return self.at(v, channels_first(len(v.shape)))

    def _transposed(
        self, t: Tensor, have: tuple[int, ...], want: tuple[int, ...], name: str
    ) -> Tensor:
        if have == want:
            return t
        perm = tuple(have.index(a) for a in want)
        key = (t.name, perm, b"")
        if key not in self._moved:
            made = self.tensor(f"{name}/turned", tuple(t.shape[i] for i in perm), t.type)
            if [i for i in perm if t.shape[i] != 1] == sorted(i for i in perm if t.shape[i] != 1):
                shape = self.w.integers(f"{made.name}/shape", made.shape)
                self.w.op("Reshape", [t, shape], made, made.name)
            else:
                self.w.op("Transpose", [t], made, made.name, perm=list(perm))
            self._moved[key] = made
        return self._moved[key]

    # -- nodes -------------------------------------------------------------------------------------

    def tensor(self, name: str, shape: Shape, kind: int = FLOAT) -> Tensor:
        """Return a new tensor named like `name`."""
        return Tensor(self.w.unique(name), shape, kind)

    def result(self, op: Op, perm: tuple[int, ...], kind: int = FLOAT) -> Tensor:
        """Return the tensor of an op's result in this layout, under the name of its value."""
        return Tensor(op.name, tuple(op.output.shape[i] for i in perm), kind)

    def step(
        self, op: Op, kind: str, inputs: list[Tensor | None], part: str, shape: Shape, **how: Any
    ) -> Tensor:
        """Append a node whose result is not yet that of `op`; `how` may hold type and domain."""
        made = self.tensor(f"{op.name}/{part}", shape, how.pop("type", FLOAT))
        return self.w.op(kind, inputs, made, f"{op.loc}/{part}", **how)

    def finish(
        self, op: Op, kind: str, inputs: list[Tensor | None], like: Laid, **how: Any
    ) -> Laid:
        """Append the node whose result, in the layout of `like`, is that of `op`."""
        made = self.result(op, like.perm, how.pop("type", FLOAT))
        name = op.loc if self._owners.get(op.loc, op.name) == op.name else f"{op.loc}/{kind}"
        return replace(like, tensor=self.w.op(kind, inputs, made, name, **how))

    def typed(self, t: Tensor, kind: int) -> Tensor:
        """Return a tensor cast to an element type."""
        if t.type == kind:
            return t
        key = (t.name, (kind,), b"cast")
        if key not in self._moved:
            made = self.tensor(f"{t.name}/cast", t.shape, kind)
            self._moved[key] = self.w.op("Cast", [t], made, made.name, to=kind)
        return self._moved[key]

    def scalar(self, op: Op, number: float, part: str) -> Tensor:
        """Return a float constant without axes."""
        return self.w.constant(f"{op.name}/{part}", np.array(number, np.float32))


def _owners(e: Exporter) -> dict[str, str]:
    """Return, for each node of the user's model, the op that is to be called like it."""
    best: dict[str, tuple[int, str]] = {}
    for op in e.graph.ops:
        if e.is_fixed(op.output):
            continue
        rank = next((i for i, kinds in enumerate(_RANKS) if isinstance(op, kinds)), 1)
        if op.loc not in best or rank < best[op.loc][0]:
            best[op.loc] = (rank, op.name)
    return {loc: name for loc, (_, name) in best.items()}


def real_numbers(c: Codes) -> Array:
    """Return, as float32, the reals that constant codes stand for."""
    scale, zero = (
        p.reshape(channel_shape(p.size, c.axis, c.codes.ndim)) for p in (c.scale, c.zero)
    )
    return np.asarray((c.codes - zero).astype(np.float32) * scale)


def real_inputs(op: Op) -> None:
    """Raise UnsupportedError where an op that is exported for reals reads integers."""
    for v in op.inputs[:1]:
        if not isinstance(v.elem, Real):
            raise UnsupportedError(
                f"{op.loc}: {type(op).__name__} of integers has no ONNX form here"
            )


def _moved(a: Array, perm: tuple[int, ...], order: Array | None) -> Array:
    wide = a.reshape((1,) * (len(perm) - a.ndim) + a.shape)
    if order is not None and wide.shape[-1] > 1:
        wide = np.take(wide, order, axis=-1)
    return wide.transpose(perm)


def _same(a: Array | None, b: Array | None) -> bool:
    return (a is None) == (b is None) and (a is None or b is None or np.array_equal(a, b))
