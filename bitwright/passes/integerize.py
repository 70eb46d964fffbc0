"""Split a quantized model into host and device, and turn the device's part into integers.

One walk in execution order. Every dot product becomes an IntLinear, every quantizer the integer
function of the codes or accumulators that it depends on; what lies before the first quantizer and
after the last stays real and belongs to the host.
"""

from dataclasses import dataclass, field, replace

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Builder, Constants, Graph
from bitwright.ir.ops import (
    ArgMax,
    Arith,
    Arithmetic,
    AveragePool,
    Compare,
    Concat,
    Conv,
    IntArithmetic,
    Linear,
    MaxPool,
    MinPool,
    Op,
    Pad,
    Permute,
    Quantize,
    Reshape,
    Select,
    Softmax,
    Take,
    TopK,
    Value,
)
from bitwright.ir.ops.base import rebuilt
from bitwright.ir.program import Program
from bitwright.ir.types import Bipolar, Integral, is_integral
from bitwright.passes.add_int import fold_add
from bitwright.passes.chain import QUANTIZERS, Chain, check_scalar
from bitwright.passes.dead_code import remove_dead_code
from bitwright.passes.fold import Place, emit_function
from bitwright.passes.lower_linear import Line, Lowered, input_line, lower_dot
from bitwright.passes.lower_pool import lower_average, lower_extreme
from bitwright.passes.lower_product import lower_product
from bitwright.passes.lower_sum import lower_sum
from bitwright.passes.positions import sample
from bitwright.passes.region import INDEX_MAPS, Region, cut
from bitwright.passes.step_function import Lattice, StepFunction, find_steps, per_channel

_HOSTS = (IntArithmetic, Compare, Select, TopK)  # of integers, yet never the device's
_MANY = 1 << 12  # codes beyond which an identity is not looked for


class NothingQuantizedError(CompileError):
    """No layer of the model reads codes, so none of it can become integers."""

    def __init__(self) -> None:
        """State the two ways out."""
        super().__init__(
            "nothing of this model is quantized; choose --weights and --activations with "
            "--calibrate data.npz, or compile it as float with --target c --output model"
        )


@dataclass
class _Walk:
    """What is known half-way through the walk; names are those of the real graph."""

    graph: Graph
    body: Builder
    codes: dict[str, Value] = field(default_factory=dict)  # integer values of the body
    lattice: dict[str, Lattice] = field(default_factory=dict)  # by name in the body
    real: dict[str, Op] = field(default_factory=dict)  # real ops, Linear replaced by its meaning
    heads: dict[str, Op] = field(default_factory=dict)  # quantizers that the host computes first
    inputs: list[Value] = field(default_factory=list)  # inputs of the body
    needed: frozenset[str] = frozenset()  # what some layer or quantizer depends on

    @property
    def constants(self) -> Constants:
        """Constants of both graphs."""
        return {**self.graph.constants, **self.body.constants}

    def cut(self, target: Value) -> Region:
        """Return the real ops behind `target`, reading values of the body."""
        return cut((target,), self.real, self.constants)


def integerize(graph: Graph) -> Program:
    """Return the program of a quantized model; CompileError names the layer that has no integers."""
    coded = {op.name for op in graph.ops if isinstance(op, QUANTIZERS)}
    taken = {*graph.values(), *graph.constants} - coded  # folded quantizers keep their names
    walk = _Walk(graph, Builder(sorted(taken)), needed=_needed(graph))
    for v in graph.inputs:
        if is_integral(v.elem):
            _enter(walk, v)
    for op in graph.ops:
        _step(walk, op)
    return _program(walk)


def _needed(graph: Graph) -> frozenset[str]:
    """Return the names of what must be integers, for a layer or a quantizer comes after it."""
    found: set[str] = set()
    for op in reversed(graph.ops):
        if isinstance(op, (*QUANTIZERS, Linear, Conv)) or op.name in found:
            found |= {v.name for v in op.inputs}
    return frozenset(found)


def _step(walk: _Walk, op: Op) -> None:
    if isinstance(op, QUANTIZERS):
        _fold(walk, op)
    elif isinstance(op, Linear | Conv):
        _lower(walk, op)
    elif isinstance(op, Arithmetic) and op.kind is Arith.MUL and _of_two(walk, op):
        _multiply(walk, op)
    elif isinstance(op, AveragePool | MaxPool | MinPool) and _behind_codes(walk, op):
        _pool(walk, op)
    elif is_integral(op.output.elem) and op.inputs[0].name in walk.codes:
        _copy(walk, op)
    else:
        walk.real[op.name] = _reading(walk, op)


def _reading(walk: _Walk, op: Op) -> Op:
    """Return `op` with the integer values it reads replaced by those of the body."""
    return replace(op, inputs=tuple(walk.codes.get(v.name, v) for v in op.inputs))


def _enter(walk: _Walk, value: Value) -> None:
    """Make `value` an input of the device."""
    walk.inputs.append(value)
    walk.codes[value.name] = value


def _behind_codes(walk: _Walk, op: Op) -> bool:
    """Tell whether a real op reads one tensor of integers of the device, through real ops."""
    if is_integral(op.output.elem):
        return False
    leaves = walk.cut(op.inputs[0]).leaves
    return len(leaves) == 1 and is_integral(leaves[0].elem)


def _copy(walk: _Walk, op: Op) -> None:
    """Keep an index map, a pool, a join or an ArgMax of integers."""
    inputs = tuple(walk.codes.get(v.name, v) for v in op.inputs)
    for v in inputs:
        if v.name in walk.graph.constants:
            walk.body.keep(walk.graph, v)
    if not isinstance(op, (*INDEX_MAPS, ArgMax, MaxPool, MinPool, Concat, Pad, Take)):
        raise CompileError(f"{op.loc}: {type(op).__name__} of integers is not supported here")
    walk.codes[op.name] = walk.body.add(rebuilt(op, inputs, op.name))


def _source(walk: _Walk, line: Line, constants: Constants) -> Value:
    """Return the codes of `line` in the order in which the layer reads them."""
    x = line.source
    real_graph = replace(walk.graph, constants=constants)
    for move in line.moves:
        for v in move.inputs[1:]:
            walk.body.keep(real_graph, v)
        attrs = {f: getattr(move, f) for f in ("perm", "shape", "axis") if hasattr(move, f)}
        x = walk.body.op(type(move), (x, *move.inputs[1:]), f"{move.name}:codes", move.loc, **attrs)
    return x


def _line(walk: _Walk, op: Op, which: int = 0) -> tuple[Line, Value]:
    """Return how an input of `op` follows from codes, and these in the order in which it reads them."""
    constants = walk.constants
    line = input_line(op, walk.real, replace(walk.graph, constants=constants), which)
    return line, _source(walk, line, constants)


def _record(walk: _Walk, lowered: Lowered) -> None:
    """Let what follows read an accumulator by its meaning."""
    walk.lattice[lowered.acc.name] = lowered.lattice
    walk.real.update({o.name: o for o in lowered.meaning})


def _lower(walk: _Walk, op: Linear | Conv) -> None:
    line, x = _line(walk, op)
    _record(walk, lower_dot(walk.body, op, walk.graph, line, x))


def _of_two(walk: _Walk, op: Op) -> bool:
    """Tell whether `op` joins two different tensors of integers."""
    sides = [walk.cut(v).leaves for v in op.inputs]
    alone = all(len(s) == 1 and is_integral(s[0].elem) for s in sides)
    return alone and sides[0][0].name != sides[1][0].name


def _multiply(walk: _Walk, op: Arithmetic) -> None:
    (first, a), (second, b) = _line(walk, op, 0), _line(walk, op, 1)
    _record(walk, lower_product(walk.body, op, (first, second), (a, b)))


def _fold_sum(walk: _Walk, op: Op, region: Region) -> None:
    """Turn a quantizer behind a sum into one AddInt, or into a sum on a common grid and a function."""
    try:
        walk.codes[op.name] = fold_add(walk.body, region, walk.constants, op)
    except CompileError:
        if not _sum_on_grid(walk, region):
            raise
        _fold(walk, op)


def _sum_on_grid(walk: _Walk, region: Region) -> bool:
    """Lower the sum that joins the two tensors of `region`; tell whether that was possible."""
    for op in region.ops:
        kinds = isinstance(op, Arithmetic) and op.kind in {Arith.ADD, Arith.SUB}
        if not kinds or not isinstance(op, Arithmetic) or not _of_two(walk, op):
            continue
        (first, a), (second, b) = _line(walk, op, 0), _line(walk, op, 1)
        lowered = lower_sum(walk.body, op, (first, second), (a, b))
        if lowered is not None:
            _record(walk, lowered)
        return lowered is not None
    return False


def _pool(walk: _Walk, op: AveragePool | MaxPool | MinPool) -> None:
    """Turn a pool of reals into one of integers; one at the model's end may be the host's."""
    try:
        lowered = _lowered_pool(walk, op)
    except CompileError:
        if op.name in walk.needed:
            raise
        walk.real[op.name] = _reading(walk, op)
        return
    _record(walk, lowered)


def _lowered_pool(walk: _Walk, op: AveragePool | MaxPool | MinPool) -> Lowered:
    if not isinstance(op, AveragePool):
        return lower_extreme(walk.body, op, walk.real, walk.constants, walk.lattice)
    return lower_average(walk.body, op, *_line(walk, op))


def _fold(walk: _Walk, op: Op) -> None:
    """Turn a quantizer and the chain before it into integers, or give it to the host."""
    quantizer = _reading(walk, op)
    region = cut((op.output,), {**walk.real, op.name: quantizer}, walk.constants)
    if all(not is_integral(v.elem) for v in region.leaves):
        walk.heads[op.name] = quantizer
        _enter(walk, op.output)
    elif any(isinstance(o, Softmax) for o in region.ops):
        walk.real[op.name] = quantizer  # belongs to the host's tail
    elif len(region.leaves) == 2:  # noqa: PLR2004
        _fold_sum(walk, op, region)
    else:
        chain = Chain(region, walk.constants, op.output)
        check_scalar(chain)
        walk.codes[op.name] = fold_chain(walk.body, chain, walk.lattice.get(chain.leaf.name))


def fold_chain(b: Builder, chain: Chain, lattice: Lattice | None) -> Value:
    """Append the integer form of `chain` and the index maps it held; return the result."""
    leaf, op = chain.leaf, chain.last
    channels = leaf.shape[-1] if leaf.shape else 1
    sampled = sample(chain)
    size = sampled.chain.leaf.type.size
    steps = find_steps(sampled.chain, _per_element(lattice, leaf.type.integer, size))
    steps = per_channel(steps, channels)
    if is_identity(steps, leaf.type.integer) and op.output.shape == leaf.shape:
        return leaf
    if sampled.chain is not chain:
        classes = sampled.classes if steps.channels > channels else ()
        return emit_function(b, leaf, steps, Place(op.name, op.loc, _zero_point(chain), classes))
    x, shape = leaf, leaf.shape
    if steps.channels not in (1, channels):
        x = b.op(Reshape, (x,), f"{op.name}:flat", op.loc, shape=(1, size))
        shape = x.shape
    moved = not np.array_equal(chain.order, np.arange(size))
    reshaped = op.output.shape != shape
    name = f"{op.name}:codes" if moved or reshaped else op.name
    y = emit_function(b, x, steps, Place(name, op.loc, _zero_point(chain)))
    if moved:
        order = b.constant(f"{op.name}:order", chain.order)
        y = b.op(Permute, (y, order), op.name, op.loc, shape=op.output.shape)
    elif reshaped:
        y = b.op(Reshape, (y,), op.name, op.loc, shape=op.output.shape)
    return y


def is_identity(steps: StepFunction, elem: Integral) -> bool:
    """Tell whether every integer that `elem` holds becomes itself."""
    if isinstance(elem, Bipolar) or elem.hi - elem.lo > _MANY or steps.channels != 1:
        return False
    n = int(steps.count[0])
    whole = int(steps.lattice.lo[0]) == elem.lo and int(steps.lattice.hi[0]) == elem.hi
    return (
        whole
        and n == elem.hi - elem.lo
        and np.array_equal(steps.codes[0, : n + 1], np.arange(elem.lo, elem.hi + 1))
    )


def _zero_point(chain: Chain) -> int:
    """Return what is added after rounding; a zero point inside it is part of the function."""
    op = chain.last
    if not isinstance(op, Quantize) or not op.zero_after:
        return 0
    zero = chain.constants[op.inputs[2].name]
    return round(float(zero.flat[0])) if zero.size == 1 else 0


def _per_element(lattice: Lattice | None, elem: Integral, size: int) -> Lattice:
    if lattice is None:
        one = np.ones(size, np.int64)
        step = 2 if isinstance(elem, Bipolar) else 1
        return Lattice(one * elem.lo, one * elem.hi, one * step)
    repeat = size // lattice.lo.size
    return Lattice(*(np.tile(a, repeat) for a in (lattice.lo, lattice.hi, lattice.step)))


def _program(walk: _Walk) -> Program:
    graph, constants = walk.graph, walk.constants
    outputs = _body_outputs(walk)
    if not walk.body.ops:
        raise NothingQuantizedError
    reals = {**walk.real, **walk.heads}
    head = cut(walk.inputs, reals, constants).graph(walk.inputs, constants, "head")
    head = replace(head, inputs=tuple(graph.inputs))
    body = remove_dead_code(walk.body.graph(graph.name, walk.inputs, outputs))
    results = [walk.codes.get(v.name, v) for v in graph.outputs]
    tail = cut(results, walk.real, constants).graph(results, constants, "tail")
    return Program(graph.name, head, body, replace(tail, inputs=tuple(outputs)))


def _body_outputs(walk: _Walk) -> list[Value]:
    """Return the integer values that the host's tail reads, in a fixed order."""
    found: dict[str, Value] = {}
    for v in walk.graph.outputs:
        for leaf in walk.cut(walk.codes.get(v.name, v)).leaves:
            if not is_integral(leaf.elem):
                raise CompileError(f"output {v.name!r} depends on the unquantized {leaf.name!r}")
            found[leaf.name] = leaf
    return list(found.values())
