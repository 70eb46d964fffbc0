"""The bench that is shipped beside the RTL: ports read from the top, vectors as text."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from bitwright.backends.render import render
from bitwright.backends.verilog.formats import to_beats
from bitwright.backends.verilog.network import Kind, Link, Network, Unit
from bitwright.backends.verilog.options import Vectors
from bitwright.backends.verilog.schedule import Timing
from bitwright.backends.verilog.syntax import Port
from bitwright.backends.verilog.views import EdgeView, TopView
from bitwright.errors import VerifyError
from bitwright.ir.graph import Array

_PATIENCE = 8  # times the unstalled cycles before the bench calls it a deadlock
_PERIOD_NS = 10
_SIDES = (("s_axis", "input"), ("m_axis", "output"))


@dataclass(frozen=True, slots=True)
class BenchView:
    """What the bench knows: stream prefixes with the beats of a frame."""

    top: str
    inputs: tuple[tuple[str, int], ...]
    outputs: tuple[tuple[str, int], ...]
    timeout_us: int


def bench_files(
    network: Network, timing: Timing, top: TopView, ports: tuple[Port, ...], vectors: Vectors
) -> dict[str, bytes]:
    """Return the files of tb/ but its Makefile."""
    check_ports(top, ports)
    frames = next(iter(vectors.inputs.values())).shape[0]
    beats = max(s.beats for s in (*top.inputs, *top.outputs))
    cycles = _PATIENCE * (frames * (timing.interval + beats) + timing.latency)
    view = BenchView(
        top.module,
        tuple((s.prefix, s.beats) for s in top.inputs),
        tuple((s.prefix, s.beats) for s in top.outputs),
        cycles * _PERIOD_NS // 1000 + 1,
    )
    public = f'`verilator_config\npublic_flat_rw -module "{top.module}" -var "*"\n'
    files = {
        "tb/bench.py": render("verilog/bench.py.j2", view).encode(),
        "tb/public.vlt": public.encode(),
    }
    for kind, views, arrays in (
        (Kind.ENTRY, top.inputs, vectors.inputs),
        (Kind.EXIT, top.outputs, vectors.outputs),
    ):
        for unit, edge in zip(network.of_kind(kind), views, strict=True):
            files[f"tb/vectors/{edge.prefix}.txt"] = _lines(unit, arrays, edge)
    return files


def check_ports(top: TopView, ports: tuple[Port, ...]) -> None:
    """Raise VerifyError unless the top has the ports that the streams need, in their widths."""
    found = {p.name: (p.direction, p.width) for p in ports}
    for edges, (_, into) in zip((top.inputs, top.outputs), _SIDES, strict=True):
        back = "output" if into == "input" else "input"
        for s in edges:
            want = {"tdata": (into, s.padded), "tvalid": (into, 1), "tready": (back, 1)}
            for port, expected in {**want, "tlast": (into, 1)}.items():
                name = f"{s.prefix}_{port}"
                if found.get(name) != expected:
                    raise VerifyError(f"port {name} is {found.get(name)}, expected {expected}")


def _lines(unit: Unit, arrays: Mapping[str, Array], edge: EdgeView) -> bytes:
    """Return a hexadecimal number a line: the beats of all frames."""
    link: Link = (unit.outputs or unit.inputs)[0]
    name = unit.value.name if unit.value else unit.name
    if name not in arrays:
        raise VerifyError(f"the vectors have no {name!r}")
    beats = to_beats(link.format, link.lanes, np.asarray(arrays[name]))
    digits = edge.padded // 4
    data = beats[:, ::-1].tobytes().hex()
    lines = [data[at : at + digits] for at in range(0, len(data), digits)]
    return ("\n".join(lines) + "\n").encode()
