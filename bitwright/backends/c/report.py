"""report.json: what is exactly known of the C, in plain numbers."""

import re
from math import prod
from typing import Any

from bitwright.backends.c.context import Flash
from bitwright.backends.c.options import COptions
from bitwright.backends.c.ports import Port
from bitwright.backends.c.program import CProgram, Line
from bitwright.ir.graph import Graph
from bitwright.ir.ops import Conv, ConvTranspose, IntConv, IntLinear, Linear
from bitwright.ir.types import Real


def report_of(graph: Graph, program: CProgram, options: COptions) -> dict[str, Any]:
    """Return the report: ports with their storage, memory, tables, layers."""
    tables = program.tables.tables
    macs: dict[str, int] = {}
    layers = []
    for line in program.lines:
        entry = _layer(line, program)
        layers.append(entry)
        if entry["macs"]:
            macs[entry["encoding"]] = macs.get(entry["encoding"], 0) + entry["macs"]
    return {
        "target": "c",
        "model": program.model,
        "graph": graph.name,
        "cpu": options.cpu.value,
        "header": f"include/{program.model}.h",
        "sources": [f"src/{program.model}.c", f"src/{program.model}_weights.c"],
        "run": f"{program.model}_run",
        "trace_macro": f"{program.model.upper()}_TRACE",
        "inputs": [_port(p) for p in program.inputs],
        "outputs": [_port(p) for p in program.outputs],
        "arena": {
            "bytes": max(program.plan.bytes, 1),
            "align": 8,
            "used_bytes": program.plan.bytes,
            "lower_bound_bytes": program.plan.bound,
        },
        "flash_table_bytes": sum(t.bytes for t in tables),
        "tables": [
            {"name": t.name, "ctype": t.ctype, "count": t.count, "bytes": t.bytes} for t in tables
        ],
        "macs": macs,
        "layers": layers,
        "trace": _trace(program),
        "tensors": _tensors(graph, program),
    }


def _trace(program: CProgram) -> list[dict[str, Any]]:
    """Return what a traced run tells, in its order: inputs, then layers, each with its tables."""
    tables = [t.name for t in program.tables.tables]
    found: list[dict[str, Any]] = [
        {"name": e.name, "node": "", "reads": [], "tables": [], "stream": {"name": e.value}}
        for e in program.entries
    ]
    for line in program.lines:
        words = set(re.findall(r"\w+", line.call))
        found.append(
            {
                "name": line.layer.name,
                "node": line.layer.note,
                "reads": [v.name for v in line.layer.first.inputs],
                "tables": [name for name in tables if name in words],
                "stream": {"name": line.layer.output.name},
            }
        )
    return found


def _port(p: Port) -> dict[str, Any]:
    return {
        "name": p.name,
        "parameter": p.parameter,
        "ctype": p.ctype,
        "type": str(p.type.elem),
        "shape": list(p.type.shape),
        "storage": p.storage.describe(),
    }


def _layer(line: Line, program: CProgram) -> dict[str, Any]:
    op = line.layer.first
    encoding, macs = "", 0
    if isinstance(op, IntLinear | Linear | Conv | ConvTranspose | IntConv):
        x = op.inputs[0]
        swept = x if isinstance(op, ConvTranspose) else op.output
        filters = 1 if swept is op.output else op.inputs[1].shape[0]
        macs = prod(swept.shape) * filters * prod(op.inputs[1].shape[1:])
        encoding = "real" if isinstance(x.elem, Real) else "integer"
        if isinstance(op, IntLinear | IntConv):
            encoding = f"{x.elem} x {op.encoding.value}"
    return {
        **({"weights": _weights(line.flash)} if line.flash else {}),
        "name": line.layer.name,
        "node": line.layer.note,
        "ops": [type(o).__name__ for o in line.layer.ops],
        "kernel": line.kind,
        "encoding": encoding,
        "macs": macs,
        "output": str(line.layer.output.type),
        "storage": program.layout.storage[line.layer.output.name].describe(),
    }


def _weights(flash: Flash) -> dict[str, Any]:
    """Return how the weights lie in flash; `operations_per_weight` is an estimate for Cortex-M4."""
    return {
        "form": flash.form,
        "flash_bytes": flash.bytes,
        "bits_per_weight": round(8 * flash.bytes / max(flash.weights, 1), 3),
        "decoder": {
            "table_bytes": flash.table_bytes,
            "buffer_bytes": flash.buffer_bytes,
            "operations_per_weight": flash.operations,
        },
    }


def _tensors(graph: Graph, program: CProgram) -> list[dict[str, Any]]:
    """Return what lies in the arena."""
    del graph
    return [
        {"name": p.name, "offset": p.offset, "bytes": p.bytes, "type": p.note}
        for p in program.pointers
    ]
