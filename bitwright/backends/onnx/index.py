"""Index maps: most only change how a tensor lies, the rest become Reshape, Slice, Gather, Pad, Concat."""

from math import prod

import numpy as np

from bitwright.backends.onnx.elementwise import unordered
from bitwright.backends.onnx.exporter import Exporter, Laid, unmoved
from bitwright.backends.onnx.writer import FLOAT, Tensor
from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    Activation,
    Arithmetic,
    BatchNorm,
    Binarize,
    Clip,
    Concat,
    CountThresholds,
    Dequantize,
    Linear,
    Op,
    Pad,
    Permute,
    Quantize,
    Reshape,
    Sign,
    Take,
    Transpose,
    Value,
)

_MATRIX = 2
_PASSING = (
    Activation, Arithmetic, BatchNorm, Binarize, Clip, Concat, CountThresholds, Dequantize,
    Quantize, Sign,
)  # fmt: skip


def transpose(e: Exporter, op: Transpose) -> Laid:
    """Write nothing: the tensor stays, read as lying in another layout."""
    x = unordered(e, op.inputs[0])
    back = [op.perm.index(a) for a in range(len(op.perm))]
    return Laid(x.tensor, tuple(back[a] for a in x.perm))


def reshape(e: Exporter, op: Reshape) -> Laid:
    """Write Flatten where a fully connected layer will take the elements in any order, else Reshape."""
    v = op.inputs[0]
    if not e.is_fixed(v) and _flattens(op) and e.laid(v).order is None and _any_order(e, op.output):
        x = e.laid(v)
        if x.perm[0] == 0:
            order = _order(v.shape, x.perm)
            plain = np.array_equal(order, np.arange(order.size))
            like = Laid(x.tensor, unmoved(_MATRIX), None if plain else order)
            return e.finish(op, "Flatten", [x.tensor], like, type=x.tensor.type, axis=1)
    x = e.laid(v)
    perm = _kept(v.shape, op.shape, x.perm) if x.order is None else None
    t = x.tensor if perm is not None else e.plain(v)
    like = Laid(t, perm or unmoved(len(op.shape)))
    shape = e.result(op, like.perm).shape
    if len(shape) == _MATRIX and shape[0] == t.shape[0] and len(t.shape) > 1:
        return e.finish(op, "Flatten", [t], like, type=t.type, axis=1)
    wanted = e.w.integers(f"{op.name}/shape", shape)
    return e.finish(op, "Reshape", [t, wanted], like, type=t.type)


def _kept(
    old: tuple[int, ...], new: tuple[int, ...], perm: tuple[int, ...]
) -> tuple[int, ...] | None:
    """Return how the reshaped tensor lies when axes that are joined or split lie together; else None.

    Old and new axes fall into blocks of as many elements; a reshape of the tensor as it lies does
    the same to each block when its old axes follow one another there.
    """
    if prod(old) == 0:
        return None if perm != unmoved(len(old)) else unmoved(len(new))
    blocks = _blocks(old, new)
    place = {a: n for n, (axes, _) in enumerate(blocks) for a in axes}
    wide = [a for a in perm if old[a] != 1]
    order = list(dict.fromkeys(place[a] for a in wide))
    together = [a for n in order for a in blocks[n][0] if old[a] != 1]
    if together != wide:
        return None
    order += [n for n in range(len(blocks)) if n not in order]
    made = [a for n in order for a in blocks[n][1]]
    natural = sorted(made)
    same = [a for a in made if new[a] != 1] == [a for a in natural if new[a] != 1]
    return tuple(natural if same else made)


def _blocks(old: tuple[int, ...], new: tuple[int, ...]) -> list[tuple[list[int], list[int]]]:
    """Return the smallest runs of old and of new axes that hold as many elements."""
    out: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        axes: tuple[list[int], list[int]] = ([], [])
        sizes = [1, 1]
        while not (axes[0] or axes[1]) or sizes[0] != sizes[1]:
            if (sizes[0] <= sizes[1] and i < len(old)) or j == len(new):
                axes[0].append(i)
                sizes[0], i = sizes[0] * old[i], i + 1
            else:
                axes[1].append(j)
                sizes[1], j = sizes[1] * new[j], j + 1
        out.append(axes)
    return out


def _flattens(op: Reshape) -> bool:
    x = op.inputs[0].shape
    return len(x) > _MATRIX and op.shape == (x[0], prod(x[1:]))


def _order(shape: tuple[int, ...], perm: tuple[int, ...]) -> Array:
    """Return which element of the flattened value each element of the flattened tensor is."""
    places = np.arange(prod(shape[1:])).reshape(shape[1:])
    return np.asarray(places.transpose([a - 1 for a in perm[1:]]).reshape(-1))


def _any_order(e: Exporter, v: Value) -> bool:
    """Tell whether all that is made of a flat value ends in layers whose columns can be permuted."""
    outputs = {o.name for o in e.graph.outputs}
    seen, reached = {v.name}, [v.name]
    for name in reached:  # which grows
        if name in outputs:
            return False
        for op in e.readers.get(name, []):
            if isinstance(op, Linear):
                if not _columns(e, op):
                    return False
            elif not isinstance(op, _PASSING):
                return False
            elif op.name not in seen:
                seen.add(op.name)
                reached.append(op.name)
    return True


def _columns(e: Exporter, op: Linear) -> bool:
    """Tell whether the scales of a weight leave its columns free."""
    found = e.coded(op.inputs[1])
    return found is None or max(found.scale.size, found.zero.size) == 1 or found.axis == 0


def take(e: Exporter, op: Take) -> Laid:
    """Write Slice where the indices run in even steps, else Gather."""
    x = e.laid(op.inputs[0])
    if op.axis == len(op.output.shape) - 1:
        x = unordered(e, op.inputs[0])
    indices = e.array(op.inputs[1]).astype(np.int64)
    axis = x.perm.index(op.axis)
    steps = np.diff(indices)
    if indices.size and (steps == steps[:1]).all() and (steps > 0).all():
        step = int(steps[0]) if steps.size else 1
        numbers = (int(indices[0]), int(indices[-1]) + 1, axis, step)
        parts = zip(("starts", "ends", "axes", "steps"), numbers, strict=True)
        given: list[Tensor | None] = [e.w.integers(f"{op.name}/{n}", [i]) for n, i in parts]
        return e.finish(op, "Slice", [x.tensor, *given], x, type=x.tensor.type)
    places = e.w.constant(op.inputs[1].name, indices)
    return e.finish(op, "Gather", [x.tensor, places], x, type=x.tensor.type, axis=axis)


def permute(e: Exporter, op: Permute) -> Laid:
    """Write Gather on the flattened tensor."""
    t = e.plain(op.inputs[0])
    size = (prod(t.shape),)
    minus = e.w.integers(f"{op.name}/flat", [-1])
    t = e.step(op, "Reshape", [t, minus], "flattened", size, type=t.type)
    order = e.w.constant(f"{op.name}/order", e.array(op.inputs[1]).reshape(-1).astype(np.int64))
    t = e.step(op, "Gather", [t, order], "moved", size, type=t.type, axis=0)
    shape = e.w.integers(f"{op.name}/shape", op.shape)
    return e.finish(op, "Reshape", [t, shape], Laid(t, unmoved(len(op.shape))), type=t.type)


def pad(e: Exporter, op: Pad) -> Laid:
    """Write Pad."""
    x = e.laid(op.inputs[0])
    if x.order is not None and (op.before[-1] or op.after[-1]):
        x = unordered(e, op.inputs[0])
    t = e.typed(x.tensor, FLOAT)
    ends = [side[a] for side in (op.before, op.after) for a in x.perm]
    given: list[Tensor | None] = [t, e.w.integers(f"{op.name}/pads", ends)]
    return e.finish(op, "Pad", [*given, e.scalar(op, op.value, "value")], x)


def concat(e: Exporter, op: Concat) -> Laid:
    """Write Concat in the layout of the first computed operand."""
    rank = len(op.output.shape)
    lead = next((v for v in op.inputs if not e.is_fixed(v)), op.inputs[0])
    perm = e.laid(lead).perm
    order = None
    if any(_ordered(e, v) for v in op.inputs):
        perm = unmoved(rank)
        order = _joined(e, op) if op.axis == rank - 1 else None
    orders = [
        e.laid(v).order if order is not None and not e.is_fixed(v) else None for v in op.inputs
    ]
    tensors = [e.at(v, perm, o) for v, o in zip(op.inputs, orders, strict=True)]
    types = {t.type for t in tensors}
    kind = types.pop() if len(types) == 1 else FLOAT
    inputs: list[Tensor | None] = [e.typed(t, kind) for t in tensors]
    like = Laid(tensors[0], perm, order)
    return e.finish(op, "Concat", inputs, like, type=kind, axis=perm.index(op.axis))


def _ordered(e: Exporter, v: Value) -> bool:
    return not e.is_fixed(v) and e.laid(v).order is not None


def _joined(e: Exporter, op: Op) -> Array:
    """Return the order of flat tensors one after another."""
    parts, start = [], 0
    for v in op.inputs:
        order = None if e.is_fixed(v) else e.laid(v).order
        parts.append(start + (np.arange(v.shape[-1]) if order is None else order))
        start += v.shape[-1]
    return np.concatenate(parts)
