"""report.json: streams, layers, cycles and widths as plain numbers."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from math import prod
from typing import Any

import numpy as np

from bitwright.backends.trace import input_names
from bitwright.backends.verilog.cell import Cell, Pipeline
from bitwright.backends.verilog.design import Design
from bitwright.backends.verilog.fifos import Sizing
from bitwright.backends.verilog.flow import flow_of, results, soonest
from bitwright.backends.verilog.network import Kind, Link, Network, Unit
from bitwright.backends.verilog.options import IN_ROM, VerilogOptions
from bitwright.backends.verilog.product_cells import multipliers_of
from bitwright.backends.verilog.schedule import slowest_cycles, unit_cycles
from bitwright.backends.verilog.shared_weights import StoredBits, stored_bits
from bitwright.backends.verilog.views import EdgeView, rom_file
from bitwright.backends.verilog.window_timing import FullWindow
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Value

_LISTED = 64  # scales longer than this are summarized


def report_of(design: Design, body: Graph, options: VerilogOptions) -> dict[str, Any]:
    """Return the report of a design."""
    network, sizing = design.network, design.sizing
    layers = network.of_kind(Kind.LAYER)
    slowest = max(network.units, key=unit_cycles)
    stored = [found for unit in layers if (found := _stored(unit))]
    return {
        "target": "verilog",
        "model": design.model,
        "graph": body.name,
        "top": design.modules.top,
        "interval_cycles": sizing.timing.interval,
        "latency_cycles": sizing.timing.latency,
        "slowest_unit": slowest.name,
        "slowest_unit_cycles": slowest_cycles(network),
        "slowest_unit_busy": round(slowest_cycles(network) / sizing.timing.interval, 4),
        "weight_bits": sum(_weight_bits(unit) for unit in layers),
        "weight_rom_bits": sum(found.rom_bits for found in stored),
        "weight_table_bits": sum(found.table_bits for found in stored),
        "ring_bits": sum(_ring_bits(unit, sizing.rings) for unit in layers),
        "ram_bits": sum(cell.ram_bits for unit in layers for cell in unit.cells),
        "fifo_bits": sum(f["bits"] for f in _fifos(network, sizing)),
        "multipliers": sum(_multipliers(cell) for unit in layers for cell in unit.cells),
        "inputs": _edges(network, design.top.inputs, Kind.ENTRY, options),
        "outputs": _edges(network, design.top.outputs, Kind.EXIT, options),
        "layers": [_layer(unit, design) for unit in layers],
        "fifos": _fifos(network, sizing),
        "trace": _trace(network),
        "notes": _notes(options),
    }


def to_json(report: dict[str, Any]) -> bytes:
    """Return the report as a file with sorted keys."""
    return (json.dumps(report, indent=2, sort_keys=True) + "\n").encode()


def _notes(options: VerilogOptions) -> list[str]:
    """Return what the user may not expect of the options."""
    return [
        f"--store {form}: a form for flash, in the C alone; the Verilog stores plain weights"
        for form in dict.fromkeys(options.stores)
        if form not in IN_ROM
    ]


def _trace(network: Network) -> list[dict[str, Any]]:
    """Return the streams that are traced: number i has bits 32 i to 32 i + 31 of trace_crc.

    `wires` names the stream inside the top.
    """
    names = input_names([u.value for u in network.of_kind(Kind.ENTRY) if u.value])
    found: list[dict[str, Any]] = []
    for unit in network.traced:
        value = unit.layer.output if unit.layer else unit.value
        reads = [] if unit.layer is None else [v.name for v in unit.layer.first.inputs]
        if value is None:
            continue
        found.append(
            {
                "name": unit.name if unit.layer else names[len(found)],
                "node": unit.layer.note if unit.layer else "",
                "reads": reads,
                "tables": [rom_file(unit, rom) for cell in unit.cells for rom in cell.roms],
                "stream": _stream(value, unit.outputs[0], unit.outputs[0].name),
            }
        )
    return found


def _edges(
    network: Network, views: tuple[EdgeView, ...], kind: Kind, options: VerilogOptions
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    for unit, view in zip(network.of_kind(kind), views, strict=True):
        link = (unit.outputs or unit.inputs)[0]
        value = unit.value
        if value is None:
            continue
        entry = _stream(value, link, view.prefix)
        if value.name in options.edge:
            edge = options.edge[value.name]
            meaning: dict[str, Any] = {"text": edge.text}
            if edge.scale is not None and edge.zero is not None:
                meaning |= {"scale": _numbers(edge.scale), "zero": _numbers(edge.zero)}
            entry["meaning"] = meaning
        found.append(entry)
    return found


def _stream(value: Value, link: Link, prefix: str) -> dict[str, Any]:
    """Return what a stream carries; its wires are `prefix`_tdata and so on."""
    return {
        "name": value.name,
        "prefix": prefix,
        "type": str(value.elem),
        "shape": list(value.shape),
        "order": "row-major, last axis fastest",
        "elements_per_beat": link.lanes,
        "element_bits": link.format.bits,
        "signed": link.format.signed,
        "bipolar": link.format.bipolar,
        "beats_per_frame": link.beats,
        "bits_per_beat": link.bits,
        "tdata_bytes": -(-link.bits // 8),
    }


def _numbers(values: Array) -> Any:
    """Return one number when all are equal, else all of them or their ends."""
    flat = np.asarray(values, np.float64).reshape(-1)
    if flat.size and (flat == flat[0]).all():
        return float(flat[0])
    if flat.size <= _LISTED:
        return [float(v) for v in flat]
    return {"least": float(flat.min()), "greatest": float(flat.max()), "count": int(flat.size)}


def _layer(unit: Unit, design: Design) -> dict[str, Any]:
    cell = unit.main
    schedule = cell.schedule
    vector = schedule if isinstance(schedule, Pipeline) else Pipeline(1, 1, 0)
    depths, rings = design.sizing.depths, design.sizing.rings
    stored = _stored(unit)
    return {
        "name": unit.name,
        "module": design.modules.layers[unit.name],
        "node": unit.layer.note if unit.layer else "",
        "cells": [c.module for c in unit.cells],
        "kind": _kind(cell),
        "pe": cell.leaves,
        "simd": cell.enters if cell.module in _VECTORS else 1,
        "sf": vector.gather,
        "nf": vector.passes,
        "input_bits": [f.bits for f in cell.takes],
        "accumulator_bits": cell.gives.bits if cell.code else None,
        "output_bits": unit.cells[-1].gives.bits,
        "cycles": unit_cycles(unit),
        "latency_cycles": _latency(unit),
        "weight_bits": _weight_bits(unit),
        "weight_store": asdict(stored) if stored else None,
        "ram_bits": sum(c.ram_bits for c in unit.cells),
        "ring_depth": rings.get(unit.name, 0),
        "ring_bits": _ring_bits(unit, rings),
        "fifo_depth": [depths.get(link.name, 0) for link in unit.inputs],
        "memories": {
            rom_file(unit, rom): {"words": rom.words, "bits": rom.bits, "role": rom.role}
            for c in unit.cells
            for rom in c.roms
        },
    }


_VECTORS = {"bw_mvu", "bw_argmax", "bw_skid"}  # take SIMD elements a beat, others PE


def _kind(cell: Cell) -> str:
    """Return what a layer does: the kind of its products, or its main cell."""
    if cell.module == "bw_depthwise" and cell.code:
        return f"depthwise {cell.code.name}"
    return (
        cell.code.name if cell.code else cell.module.removeprefix("bw_").replace("skid", "wiring")
    )


def _ring_bits(unit: Unit, rings: Mapping[str, int]) -> int:
    depth, ring = rings.get(unit.name, 0), unit.ring
    if isinstance(ring, FullWindow):  # one ring for each row of the kernel
        step = ring.down.dilation * ring.across.size
        depth = sum(max(depth - k * step, 1) for k in range(ring.down.kernel))
    return depth * unit.cells[0].enters * unit.cells[0].takes[0].bits


def _latency(unit: Unit) -> int:
    """Return the cycles from the first beat in to the first beat out, unstalled."""
    flow = flow_of(unit)
    arrivals = tuple(np.arange(link.beats, dtype=np.float64) for link in unit.inputs)
    return int(results(flow, soonest(flow, arrivals))[0])


def _stored(unit: Unit) -> StoredBits | None:
    return next((found for cell in unit.cells if (found := stored_bits(cell))), None)


def _weight_bits(unit: Unit) -> int:
    codes = [cell.code for cell in unit.cells if cell.code]
    return sum(prod(code.raw.shape) * code.bits for code in codes)


def _multipliers(cell: Cell) -> int:
    """Return the multipliers that a cell asks of synthesis."""
    values = dict(cell.parameters)
    if cell.code:
        plain = cell.code.name == "integer" and values["X_BIPOLAR"] == "0"
        inputs = cell.enters if cell.module == "bw_mvu" else 1
        return cell.leaves * inputs if plain else 0
    if cell.module == "bw_requantize":
        return cell.leaves * int(values["USE_MUL"] == "1")
    if cell.module == "bw_mul":
        return multipliers_of(cell)
    if cell.module == "bw_add":
        factors = (int(values[n].replace("64'sd", "")) for n in ("MUL_A", "MUL_B"))
        return cell.leaves * sum(abs(m) & (abs(m) - 1) != 0 for m in factors if m)
    return 0


def _fifos(network: Network, sizing: Sizing) -> list[dict[str, Any]]:
    links = {link.name: link for link in network.links}
    return [
        {
            "stream": name,
            "depth": depth,
            "width": links[name].bits,
            "bits": depth * links[name].bits,
        }
        for name, depth in sorted(sizing.depths.items())
    ]
