"""The end of the import: outputs get their own names, what nothing reads goes."""

from dataclasses import replace

from bitwright.errors import CompileError
from bitwright.frontend.context import Comparison, Context, Unavailable
from bitwright.frontend.messages import show
from bitwright.frontend.node import Node
from bitwright.frontend.tensors import Constant
from bitwright.ir.graph import Graph
from bitwright.ir.ops import Op, Reshape, Value


def finish(ctx: Context, name: str, inputs: list[Value], outputs: list[str]) -> Graph:
    """Return the graph of what was imported."""
    values = [_output(ctx, o) for o in outputs]
    renamed = _renamings(ctx, values, outputs)
    final = [
        _named(ctx, v, o, renamed.get(v.name) == o) for v, o in zip(values, outputs, strict=True)
    ]
    ops = [_rename(op, renamed) for op in ctx.builder.ops]
    kept = _live(ops, final)
    read = {v.name for op in kept for v in op.inputs} | {v.name for v in final}
    constants = {n: a for n, a in ctx.builder.constants.items() if n in read}
    return Graph(name, tuple(inputs), tuple(final), tuple(kept), constants)


def _output(ctx: Context, name: str) -> Value:
    if name not in ctx.env:
        raise CompileError(f"the model's output {show(name)} is never set")
    found = ctx.env[name]
    if isinstance(found, Comparison):
        return ctx.bools(name, found)
    if isinstance(found, Unavailable):
        raise CompileError(f"the model's output {show(name)} cannot be computed: {found.reason}")
    if isinstance(found, Constant):
        if not found.array.size:
            raise CompileError(f"the model's output {show(name)} holds nothing")
        return ctx.place(name, found)
    return found


def _renamings(ctx: Context, values: list[Value], outputs: list[str]) -> dict[str, str]:
    """Map the name of an op's result to the output it is known as outside."""
    out: dict[str, str] = {}
    for v, name in zip(values, outputs, strict=True):
        if v.name != name and ctx.producer(v) and v.name not in outputs:
            out.setdefault(v.name, name)
    return out


def _named(ctx: Context, value: Value, name: str, renamed: bool) -> Value:
    """Return the output under its name; a second name for one value is a Reshape to its shape."""
    if value.name == name or renamed:
        return replace(value, name=name)
    node = Node("Identity", "", name, (), (name,), {})
    op = Reshape(inputs=(value,), output=replace(value, name=name), loc=node.loc, shape=value.shape)
    return ctx.builder.add(op)


def _rename(op: Op, names: dict[str, str]) -> Op:
    inputs = tuple(replace(v, name=names.get(v.name, v.name)) for v in op.inputs)
    output = replace(op.output, name=names.get(op.name, op.name))
    return replace(op, inputs=inputs, output=output)


def _live(ops: list[Op], outputs: list[Value]) -> list[Op]:
    """Return the ops that the outputs need, in order."""
    needed = {v.name for v in outputs}
    kept: list[Op] = []
    for op in reversed(ops):
        if op.name in needed:
            kept.append(op)
            needed |= {v.name for v in op.inputs}
    return kept[::-1]
