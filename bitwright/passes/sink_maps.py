"""Push transposes and reshapes down, below the ops that do not care, until they cancel.

Spatial ops read and write channels last; ONNX's operators channels first. The importers put a
transpose before and after each; here those of neighbours meet and vanish.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np

from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    Activation,
    AddInt,
    ArgMax,
    Arithmetic,
    BatchNorm,
    Binarize,
    Clip,
    Concat,
    CountThresholds,
    Dequantize,
    Linear,
    Normalize,
    Op,
    Pad,
    PRelu,
    Quantize,
    Reduce,
    Resample,
    Reshape,
    Sign,
    Softmax,
    Take,
    Transpose,
    Value,
    build,
)
from bitwright.ir.ops.base import rebuilt
from bitwright.ir.types import TensorType
from bitwright.passes.map_chain import Moved, as_take, emit, inverse, reshaped, transposed, unmoved
from bitwright.passes.parameters import BY_AXIS, spread

_SCALAR = (Activation, Clip, Binarize, Sign)
_BY_AXIS = (*BY_AXIS, CountThresholds)
_ALONG = (Concat, Take, Resample, ArgMax, Softmax)
_KEEPING_AXES = (*_SCALAR, *_BY_AXIS, Arithmetic, PRelu, AddInt, Pad, Concat, Take, Resample)
_LEAST_RANK = 3
_MANY = 1 << 24  # elements beyond which an order is not written out


@dataclass
class _Sinking:
    """The new graph, and the values of the old one that are other values in another order."""

    graph: Graph
    b: Builder
    moved: dict[str, Moved] = field(default_factory=dict)
    ready: dict[str, Value] = field(default_factory=dict)  # moved values computed after all
    outputs: set[str] = field(default_factory=set)
    known: dict[tuple[object, ...], Value] = field(default_factory=dict)  # transposes made so far

    def of(self, v: Value) -> Moved:
        """Return where the elements of `v` come from."""
        return self.moved.get(v.name) or unmoved(v)

    def plain(self, v: Value, loc: str) -> Value:
        """Return `v` as ONNX orders it, computing it where it is still to be moved."""
        if v.name not in self.moved:
            return v
        if v.name not in self.ready:
            self.ready[v.name] = self.compute(self.moved[v.name], f"{v.name}:moved", loc)
        return self.ready[v.name]

    def compute(self, x: Moved, name: str, loc: str) -> Value:
        """Return the value of `x`; the same permutation of one value is computed once."""
        key = (x.source.name, x.perm)
        if x.perm is None:
            return emit(self.b, x, name, loc)
        if key not in self.known:
            self.known[key] = emit(self.b, x, name, loc)
        return self.known[key]

    def constant(self, v: Value, array: Array) -> Value:
        """Add another form of the constant `v`."""
        name = self.b.unique(f"{v.name}:moved")
        self.b.constants[name] = array
        return Value(name, TensorType(v.elem, array.shape))


def sink_maps(graph: Graph) -> Graph:
    """Return `graph` with as few transposes as pushing them down leaves."""
    b = Builder([*graph.values(), *graph.constants])
    b.constants = dict(graph.constants)
    s = _Sinking(graph, b, outputs={v.name for v in graph.outputs})
    for v, loc in _channels_first(graph).items():
        _enter(s, v, loc)
    for op in graph.ops:
        _step(s, op)
    for v in graph.outputs:
        if v.name in s.moved:
            _deliver(s, v)
    return replace(graph, ops=tuple(b.ops), constants=b.constants)


def _channels_first(graph: Graph) -> dict[Value, str]:
    """Return the inputs that some node reads channels last, and the node."""
    found: dict[Value, str] = {}
    for v in graph.inputs:
        reached, shuffled = {v.name}, set[str]()
        for op in graph.ops:
            names = {x.name for x in op.inputs}
            if names & reached and isinstance(op, Transpose) and op.perm == _to_last(len(op.perm)):
                found.setdefault(v, op.loc)
            if names & reached and isinstance(op, _KEEPING_AXES):
                reached.add(op.name)
            if names & (reached | shuffled) and isinstance(op, Reshape | Transpose):
                back = isinstance(op, Reshape) and op.shape == v.shape
                (reached if back else shuffled).add(op.name)
    return {v: loc for v, loc in found.items() if v not in graph.outputs}


def _to_last(rank: int) -> tuple[int, ...]:
    return (0, *range(2, rank), 1) if rank >= _LEAST_RANK else ()


def _enter(s: _Sinking, v: Value, loc: str) -> None:
    """Read the input channels last; whatever reads it as it came reads it transposed back."""
    perm = _to_last(len(v.shape))
    x = s.b.op(Transpose, (v,), f"{v.name}:last", loc, perm=perm)
    s.moved[v.name] = transposed(unmoved(x), inverse(perm))


def _deliver(s: _Sinking, v: Value) -> None:
    """Compute the output `v` under its own name."""
    loc = s.graph.producers()[v.name].loc
    x = s.moved[v.name]
    result = emit(s.b, x, v.name, loc)
    if result.name != v.name:  # nothing is left to do, or the name was taken
        last = s.b.ops[-1] if s.b.ops else None
        if last and last.name == result.name and result.name.startswith(v.name):
            s.b.ops[-1] = replace(last, output=v)
        else:
            s.b.ops.append(build(Reshape, (result,), v.name, loc, shape=v.shape))


def _step(s: _Sinking, op: Op) -> None:
    x = s.of(op.inputs[0])
    constant = s.graph.is_constant(op.inputs[0])
    if isinstance(op, Transpose | Reshape) and op.output.type.size <= _MANY and not constant:
        moved = transposed(x, op.perm) if isinstance(op, Transpose) else reshaped(x, op.shape)
        s.moved[op.name] = _shuffled(s, op, moved)
        return
    rule = _rule(s, op)
    below = rule(s, op) if rule else None
    if below is None:
        inputs = tuple(s.plain(v, op.loc) for v in op.inputs)
        s.b.add(replace(op, inputs=inputs))


def _shuffled(s: _Sinking, op: Op, x: Moved) -> Moved:
    """Compute a shuffle along one axis at once, so that only a permutation of axes moves on."""
    found = as_take(x) if x.perm is None and x.source.type.size else None
    if found is None:
        return x
    axis, indices, perm = found
    source = x.source
    if not np.array_equal(indices, np.arange(source.shape[axis])):
        places = s.b.constant(f"{op.name}:indices", indices)
        source = s.b.op(Take, (source, places), f"{op.name}:taken", op.loc, axis=axis)
    return transposed(unmoved(source), perm)


def _rule(s: _Sinking, op: Op) -> Callable[[_Sinking, Op], bool | None] | None:
    if not any(v.name in s.moved for v in op.inputs):
        return None
    if isinstance(op, _SCALAR) or (isinstance(op, _BY_AXIS) and _one_parameter(op)):
        return _any_map
    if isinstance(op, Arithmetic | PRelu | AddInt):
        return _elementwise
    kinds: list[tuple[tuple[type[Op], ...], Callable[[_Sinking, Op], bool | None]]] = [
        (_BY_AXIS, _by_axis), (_ALONG, _along), ((Pad,), _pad), ((Reduce, Normalize), _axes),
        ((Linear,), _linear),
    ]  # fmt: skip
    return next((rule for types, rule in kinds if isinstance(op, types)), None)


def _one_parameter(op: Op) -> bool:
    if isinstance(op, CountThresholds):
        return op.inputs[1].shape[0] == 1
    return all(v.type.size == 1 for v in op.inputs[1:])


def _emit(s: _Sinking, op: Op, x: Moved, inputs: tuple[Value, ...], **attrs: object) -> bool:
    """Append `op` on other operands; its old result is the new one in the order of `x`."""
    hidden = op.name in s.outputs
    name = s.b.unique(f"{op.name}:inner") if hidden else op.name
    result = s.b.add(rebuilt(op, inputs, name, **attrs))
    same = x.perm is not None and list(x.perm) == sorted(x.perm)
    if same and not hidden:
        return True
    s.moved[op.name] = replace(x, source=result)
    return True


def _any_map(s: _Sinking, op: Op) -> bool:
    """Move an op on single elements, all treated alike, above any map."""
    x = s.of(op.inputs[0])
    attrs = {"axis": -1} if isinstance(op, Quantize | Dequantize) else {}
    if isinstance(op, BatchNorm | CountThresholds):
        attrs = {"axis": len(x.source.shape) - 1}
        if isinstance(op, BatchNorm) and x.source.shape[-1:] != (1,):
            return _by_axis(s, op) or False
    return _emit(s, op, x, (x.source, *op.inputs[1:]), **attrs)


def _result(
    s: _Sinking, op: Op, perm: tuple[int, ...], inputs: tuple[Value, ...], **attrs: object
) -> bool:
    """Append `op` on transposed operands; its old result is `perm` of the new one."""
    source = rebuilt(op, inputs, op.name, **attrs).output
    return _emit(s, op, transposed(unmoved(source), perm), inputs, **attrs)


def _by_axis(s: _Sinking, op: Op) -> bool | None:
    x = s.of(op.inputs[0])
    if x.perm is None:
        return None
    axis = x.perm[op.axis % len(x.perm)]  # type: ignore[attr-defined]
    return _result(s, op, x.perm, (x.source, *op.inputs[1:]), axis=axis)


def _along(s: _Sinking, op: Op) -> bool | None:
    many = isinstance(op, Concat)
    values = op.inputs if many else op.inputs[:1]
    perm = _common(s, values)
    if perm is None:
        return None
    data = tuple(_in_order(s, v, perm, op.loc) for v in values)
    attrs: dict[str, object] = {"axis": perm[op.axis]}  # type: ignore[attr-defined]
    if isinstance(op, Softmax):
        if op.end - op.axis != 1:
            return None
        attrs["end"] = perm[op.axis] + 1
    return _result(s, op, perm, (*data, *op.inputs[len(values) :]), **attrs)


def _common(s: _Sinking, values: tuple[Value, ...]) -> tuple[int, ...] | None:
    """Return the permutation of the first moved operand; None when one is more than transposed."""
    rank = len(values[0].shape)
    found = None
    for v in values:
        x = s.of(v)
        if v.name in s.moved and x.perm is None:
            return None
        if v.name in s.moved and found is None and len(v.shape) == rank:
            found = x.perm
    return found


def _in_order(s: _Sinking, v: Value, perm: tuple[int, ...], loc: str) -> Value:
    """Return the value whose axes, permuted by `perm`, are those of `v`."""
    back = inverse(perm)
    if s.graph.is_constant(v):
        return s.constant(v, s.graph.constant(v).transpose(back))
    return s.compute(transposed(s.of(v), back), f"{v.name}:moved", loc)


def _elementwise(s: _Sinking, op: Op) -> bool | None:
    """Move an op on operands that broadcast above the permutation that the first of them has."""
    x = next(s.of(v) for v in op.inputs if v.name in s.moved)
    rank = len(op.output.shape)
    scalars = all(
        v.name in s.moved or (s.graph.is_constant(v) and v.type.size == 1) for v in op.inputs
    )
    alone = sum(v.name in s.moved for v in op.inputs) == 1
    if scalars and alone and x.shape == op.output.shape and not isinstance(op, PRelu):
        one = tuple(x.source if v.name in s.moved else _scalar(s, v) for v in op.inputs)
        return _emit(s, op, x, one)
    if x.perm is None or len(x.perm) != rank:
        return None
    data = []
    for v in op.inputs:
        if s.graph.is_constant(v):
            wide = spread(op, s.graph.constant(v))
            data.append(s.constant(v, wide.transpose(inverse(x.perm))))
        elif len(v.shape) != rank or s.of(v).perm is None:
            return None
        else:
            data.append(_in_order(s, v, x.perm, op.loc))
    return _result(s, op, x.perm, tuple(data))


def _scalar(s: _Sinking, v: Value) -> Value:
    return v if not v.shape else s.constant(v, s.graph.constant(v).reshape(()))


def _pad(s: _Sinking, op: Op) -> bool | None:
    x = s.of(op.inputs[0])
    if x.perm is None or not isinstance(op, Pad):
        return None
    back = inverse(x.perm)
    before, after = (tuple(e[i] for i in back) for e in (op.before, op.after))
    return _result(s, op, x.perm, (x.source,), before=before, after=after)


def _axes(s: _Sinking, op: Op) -> bool | None:
    x = s.of(op.inputs[0])
    if x.perm is None or not isinstance(op, Reduce | Normalize):
        return None
    axes = tuple(sorted(x.perm[a] for a in op.axes))
    perm = x.perm
    if isinstance(op, Reduce) and not op.keep:
        left = [p for p in x.perm if p not in axes]
        perm = tuple(int(i) for i in np.argsort(np.argsort(left))) if left else ()
    return _result(s, op, perm, (x.source, *op.inputs[1:]), axes=axes)


def _linear(s: _Sinking, op: Op) -> bool | None:
    """Move a fully connected layer above a permutation that leaves the last axis in place."""
    x = s.of(op.inputs[0])
    if x.perm is None or not x.perm or x.perm[-1] != len(x.perm) - 1:
        return None
    return _result(s, op, x.perm, (x.source, *op.inputs[1:]))
