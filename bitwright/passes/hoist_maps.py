"""Leave index maps at the device's edges to the host: the device reads and writes channels last."""

from dataclasses import replace

from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Op, Permute, Reshape, Transpose, Value
from bitwright.ir.program import Program
from bitwright.passes.dead_code import remove_dead_code

_MAPS = (Reshape, Transpose, Permute)


def hoist_maps(program: Program) -> Program:
    """Move the maps that alone read an input to the head, those that make an output to the tail."""
    while (moved := _from_front(program) or _from_back(program)) is not None:
        program = moved
    return program


def _from_front(program: Program) -> Program | None:
    body = program.body
    readers = body.readers()
    for v in body.inputs:
        after = readers.get(v.name, [])
        leaves = any(o.name == v.name for o in body.outputs)
        if len(after) == 1 and isinstance(after[0], Transpose | Permute) and not leaves:
            return _head_takes(program, v, after[0])
    return None


def _head_takes(program: Program, v: Value, op: Op) -> Program:
    head, body = program.head, program.body
    swap = {v.name: op.output}
    outputs = tuple(swap.get(o.name, o) for o in head.outputs)
    head = Graph(head.name, head.inputs, outputs, (*head.ops, op), _with(head, body, op))
    inputs = tuple(swap.get(i.name, i) for i in body.inputs)
    ops = tuple(o for o in body.ops if o.name != op.name)
    return replace(program, head=head, body=remove_dead_code(replace(body, inputs=inputs, ops=ops)))


def _with(graph: Graph, other: Graph, op: Op) -> dict[str, Array]:
    more = {x.name: other.constants[x.name] for x in op.inputs if x.name in other.constants}
    return {**graph.constants, **more}


def _from_back(program: Program) -> Program | None:
    body = program.body
    producers, readers = body.producers(), body.readers()
    for v in body.outputs:
        op = producers.get(v.name)
        alone = not readers.get(v.name) and sum(o.name == v.name for o in body.outputs) == 1
        if isinstance(op, Transpose | Permute) and alone:
            return _tail_takes(program, v, op)
    return None


def _tail_takes(program: Program, v: Value, op: Op) -> Program:
    body, tail = program.body, program.tail
    source = op.inputs[0]
    if any(o.name == source.name for o in (*body.outputs, *body.inputs)):
        outputs = tuple(o for o in body.outputs if o.name != v.name)
    else:
        outputs = tuple(source if o.name == v.name else o for o in body.outputs)
    names = {i.name for i in tail.inputs} | {o.name for o in outputs}
    inputs = tuple(o for o in outputs if o.name in names)
    tail = Graph(tail.name, inputs, tail.outputs, (op, *tail.ops), _with(tail, body, op))
    ops = tuple(o for o in body.ops if o.name != op.name)
    body = remove_dead_code(replace(body, outputs=outputs, ops=ops))
    return replace(program, body=body, tail=tail)
