"""RNN, GRU and LSTM over a sequence of fixed length, unrolled into one step after another."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from bitwright.errors import CompileError
from bitwright.frontend.context import Context, Operand, Unavailable
from bitwright.frontend.messages import Refusal, plain, show
from bitwright.frontend.node import Node
from bitwright.ir.graph import Array
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    Concat,
    Function,
    Linear,
    Op,
    Reshape,
    Take,
    Transpose,
    Value,
)

MAX_STEPS = 256
_GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
LAYERS = tuple(_GATES)
_DEFAULTS = {
    "RNN": ("Tanh",),
    "GRU": ("Sigmoid", "Tanh"),
    "LSTM": ("Sigmoid", "Tanh", "Tanh"),
}
_FUNCTIONS = {
    "Sigmoid": Function.SIGMOID,
    "Tanh": Function.TANH,
    "Relu": Function.RELU,
    "Softsign": Function.SOFTSIGN,
    "Softplus": Function.SOFTPLUS,
}
_RANK = 3  # of the sequence: time, batch, features
State = tuple[Value, ...]  # hidden state, and for LSTM the cell's


@dataclass(frozen=True, slots=True)
class _Cell:
    """One direction of a layer: its weights and functions, and a place to put ops."""

    ctx: Context
    node: Node
    hidden: int
    recurrence: Array  # (gates * hidden, hidden)
    bias: Array  # of the recurrence, (gates * hidden,)
    peepholes: Array  # (3, hidden) for the gates i, o, f of an LSTM, else empty
    functions: tuple[Function, ...]

    known: dict[str, Value] = field(default_factory=dict)  # constants, shared by all steps

    def emit(self, op: type[Op], inputs: tuple[Value, ...], part: str, /, **more: Any) -> Value:
        return self.ctx.emit(op, inputs, self.node, part, **more)

    def constant(self, what: str, array: Array) -> Value:
        if what not in self.known:
            self.known[what] = self.ctx.constant(f"{self.node.out}.{what}", array)
        return self.known[what]

    def add(self, a: Value, b: Value, part: str) -> Value:
        return self.emit(Arithmetic, (a, b), part, kind=Arith.ADD)

    def times(self, a: Value, b: Value, part: str) -> Value:
        return self.emit(Arithmetic, (a, b), part, kind=Arith.MUL)

    def apply(self, index: int, x: Value, part: str) -> Value:
        return self.emit(Activation, (x,), part, kind=self.functions[index])

    def gate(self, x: Value, index: int, part: str) -> Value:
        """Return the numbers of one gate of (1, N, gates * hidden)."""
        if x.shape[-1] == self.hidden:
            return x
        at = np.arange(index * self.hidden, (index + 1) * self.hidden)
        return self.emit(Take, (x, self.constant(f"gate{index}", at)), part, axis=2)

    def recur(self, h: Value, gates: slice = slice(None)) -> Value:
        """Return `h @ recurrence.T + bias` for some of the gates."""
        begin, end, _ = gates.indices(_GATES[self.node.op_type])
        rows, name = slice(begin * self.hidden, end * self.hidden), f"{begin}to{end}"
        w = self.constant(f"R{name}", self.recurrence[rows])
        b = self.constant(f"Rb{name}", self.bias[rows])
        return self.emit(Linear, (h, w, b), "recurrence")


def recurrent(ctx: Context, node: Node) -> Operand:
    """Import RNN, GRU or LSTM with constant weights."""
    named = [name for name in node.outputs if name]
    if ctx.batch > 1:
        raise Refusal(
            f"the model fixes a batch of {ctx.batch}, which may be time to a recurrent layer",
            "export the model with a batch of 1, or compile with keep_batch",
        )
    x = _sequence(ctx, node)
    base = replace(node, outputs=(ctx.builder.unique(f"{named[0]}.unrolled"),))
    runs = [_run(ctx, base, x, d, way) for d, way in enumerate(_ways(node))]
    last = node.integer("layout", 0) == 1
    results: list[Operand] = []
    for i, name in enumerate(node.outputs[:3]):
        parts = [run[i] for run in runs if i < len(run)]
        results.append(
            _joined(ctx, replace(node, outputs=(name,)), parts, (i == 0, last))
            if name and parts
            else Unavailable()
        )
    for name, result in zip(node.outputs[1:], results[1:], strict=False):
        if name:
            ctx.env[name] = result
    return results[0]


def _sequence(ctx: Context, node: Node) -> Value:
    """Return the input as (time, batch, features)."""
    x = ctx.real(node, 0)
    if len(x.shape) != _RANK:
        raise CompileError(f"{node.loc}: {node.op_type} reads a tensor of shape {x.shape}")
    if node.integer("layout", 0):
        x = ctx.emit(Transpose, (x,), node, "time_first", perm=(1, 0, 2))
    steps, batch = x.shape[:2]
    if steps > MAX_STEPS:
        raise Refusal(f"it runs over {steps} steps, of which at most {MAX_STEPS} are unrolled")
    lengths = ctx.optional_array(node, 4)
    if lengths is not None and (lengths.shape != (batch,) or (lengths != steps).any()):
        raise Refusal("its sequences are shorter than the input", "give it whole sequences")
    if node.attributes.get("clip") is not None:
        raise Refusal("it clips its gates", "export it without clip")
    if node.integer("input_forget", 0):
        raise Refusal("its forget gate follows from the input gate", "use input_forget = 0")
    return x


def _ways(node: Node) -> list[bool]:
    """Return for each direction whether it runs backward."""
    way = node.text("direction", "forward")
    known = {"forward": [False], "reverse": [True], "bidirectional": [False, True]}
    if way not in known:
        raise CompileError(f"{node.loc}: the direction {show(way)} is unknown")
    return known[way]


def _cell(ctx: Context, node: Node, direction: int) -> tuple[_Cell, Array, Array]:
    """Return a direction's cell, and weights and bias of what it reads from the sequence."""
    w, r = (ctx.array(node, i) for i in (1, 2))
    directions, rows = len(_ways(node)), _GATES[node.op_type]
    hidden = r.shape[-1] if r.ndim == _RANK else 0
    rows *= hidden
    if w.shape[:2] != (directions, rows) or r.shape != (directions, rows, hidden):
        raise CompileError(f"{node.loc}: weights of shape {w.shape} and {r.shape} do not fit")
    given = ctx.optional_array(node, 3)
    bias = np.zeros((directions, 2 * rows), np.float32) if given is None else given
    holes = ctx.optional_array(node, 7) if node.op_type == "LSTM" else None
    holes = np.zeros((directions, 0), np.float32) if holes is None else holes
    if bias.shape != (directions, 2 * rows) or holes.shape[1:] not in {(0,), (3 * hidden,)}:
        raise CompileError(f"{node.loc}: a bias of shape {bias.shape} does not fit {rows} gates")
    cell = _Cell(
        ctx, node, hidden, r[direction], bias[direction, rows:],
        holes[direction].reshape(-1, hidden), _functions(node, direction),
    )  # fmt: skip
    return cell, w[direction], bias[direction, :rows]


def _functions(node: Node, direction: int) -> tuple[Function, ...]:
    default = _DEFAULTS[node.op_type]
    given = node.attributes.get("activations")
    names = [plain(s) for s in given.strings] if given is not None else []
    names = names[direction * len(default) :][: len(default)] or list(default)
    unknown = [n for n in names if n not in _FUNCTIONS]
    if unknown or len(names) != len(default):
        what = show((unknown or names)[0])
        raise Refusal(f"its activation {what} is not handled", f"use {', '.join(_FUNCTIONS)}")
    return tuple(_FUNCTIONS[n] for n in names)


def _run(ctx: Context, node: Node, x: Value, direction: int, backward: bool) -> State:
    """Emit one direction; return all hidden states (T, N, H) and the last state, each (1, N, H)."""
    cell, w, bias = _cell(ctx, node, direction)
    operands = x, cell.constant("W", w), cell.constant("Wb", bias)
    read = cell.emit(Linear, operands, "input")
    state = _start(cell, x, direction)
    step = _STEPS[node.op_type]
    times = range(x.shape[0])
    hidden: list[Value] = []
    for t in reversed(times) if backward else times:
        at = cell.constant(f"at{t}", np.array([t]))
        now = read if x.shape[0] == 1 else cell.emit(Take, (read, at), f"step{t}", axis=0)
        state = step(cell, now, state)
        hidden.append(state[0])
    every = hidden[::-1] if backward else hidden
    states = cell.emit(Concat, tuple(every), "states", axis=0) if len(every) > 1 else every[0]
    return (states, *state)


def _start(cell: _Cell, x: Value, direction: int) -> State:
    """Return the state before the first step: zeros where it is not given."""
    node, shape = cell.node, (1, x.shape[1], cell.hidden)
    found = []
    for index in (5, 6) if node.op_type == "LSTM" else (5,):
        if not node.has_input(index):
            found.append(cell.constant("zeros", np.zeros(shape, np.float32)))
            continue
        h = cell.ctx.real(node, index)
        axis = 1 if node.integer("layout", 0) else 0
        if h.type.size != len(_ways(node)) * x.shape[1] * cell.hidden:
            raise CompileError(f"{node.loc}: an initial state of shape {h.shape} does not fit")
        if h.shape[axis] > 1:
            at = cell.constant("direction", np.array([direction]))
            h = cell.emit(Take, (h, at), "initial", axis=axis)
        found.append(cell.emit(Reshape, (h,), "start", shape=shape) if h.shape != shape else h)
    return tuple(found)


def _plain_step(cell: _Cell, x: Value, state: State) -> State:
    return (cell.apply(0, cell.add(x, cell.recur(state[0]), "sum"), "h"),)


def _gru_step(cell: _Cell, x: Value, state: State) -> State:
    (h,) = state
    both = cell.recur(h, slice(0, 2))
    z, r = (
        cell.apply(0, cell.add(cell.gate(x, i, "x"), cell.gate(both, i, "r"), "sum"), "gate")
        for i in (0, 1)
    )
    if cell.node.integer("linear_before_reset", 0):
        inner = cell.times(r, cell.recur(h, slice(2, 3)), "reset")
    else:
        inner = cell.recur(cell.times(r, h, "reset"), slice(2, 3))
    new = cell.apply(1, cell.add(cell.gate(x, 2, "x"), inner, "sum"), "new")
    kept = cell.times(z, cell.emit(Arithmetic, (h, new), "change", kind=Arith.SUB), "kept")
    return (cell.add(new, kept, "h"),)


def _lstm_step(cell: _Cell, x: Value, state: State) -> State:
    h, c = state
    total = cell.add(x, cell.recur(h), "sum")

    def gate(index: int, seen: Value) -> Value:
        v = cell.gate(total, index, "part")
        if cell.peepholes.size:
            hole = cell.constant(f"P{index}", cell.peepholes[index])
            v = cell.add(v, cell.times(hole, seen, "peephole"), "seen")
        return cell.apply(0, v, "gate")

    i, f = gate(0, c), gate(2, c)
    new = cell.apply(1, cell.gate(total, 3, "part"), "new")
    c = cell.add(cell.times(f, c, "kept"), cell.times(i, new, "written"), "c")
    return cell.times(gate(1, c), cell.apply(2, c, "shown"), "h"), c


_STEPS: dict[str, Callable[[_Cell, Value, State], State]] = {
    "RNN": _plain_step,
    "GRU": _gru_step,
    "LSTM": _lstm_step,
}


def _joined(ctx: Context, node: Node, parts: list[Value], how: tuple[bool, bool]) -> Value:
    """Return an output of all directions: every step's states, or a last one; batch first or not."""
    every, batch_first = how
    if every:
        lone = [(v.shape[0], 1, *v.shape[1:]) for v in parts]
        parts = [
            ctx.emit(Reshape, (v,), node, "way", shape=s) for v, s in zip(parts, lone, strict=True)
        ]
    y = (
        parts[0]
        if len(parts) == 1
        else ctx.emit(Concat, tuple(parts), node, "ways", axis=int(every))
    )
    if batch_first:
        return ctx.emit(Transpose, (y,), node, perm=(2, 0, 1, 3) if every else (1, 0, 2))
    return ctx.emit(Reshape, (y,), node, shape=y.shape)
