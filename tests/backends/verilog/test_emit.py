import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bitwright.backends.verilog import Edge, Vectors, VerilogOptions, emit
from bitwright.backends.verilog.bench import check_ports
from bitwright.backends.verilog.design import design_of
from bitwright.backends.verilog.library import library, needed
from bitwright.backends.verilog.network import Kind
from bitwright.backends.verilog.syntax import Port, parse_ports
from bitwright.errors import UnsupportedError, VerifyError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import Encoding, Lookup, Permute, Transpose
from bitwright.ir.types import Bipolar, Int, Real
from tests.backends.verilog.bodies import bipolar_mlp, dense, mixed, residual, two_inputs, value
from tests.conftest import Golden
from tests.graphs import samples


def test_a_small_design_looks_as_it_did(golden: Golden) -> None:
    edge = {"x": Edge(np.array([0.5]), np.array([0.0]), "sign of the pixel")}
    files = emit(bipolar_mlp((6, 4, 3)), "Tiny Net", VerilogOptions(cycles=12, edge=edge)).files

    for name in ("rtl/tiny_net_top.v", "rtl/tiny_net_fc.v", "README.md", "tb/bench.py"):
        golden.check(f"verilog/{Path(name).name}", files[name].decode())


def test_the_same_body_gives_the_same_bytes() -> None:
    first, second = (emit(mixed(), "m", VerilogOptions()) for _ in range(2))

    assert first == second
    assert list(first.files) == sorted(first.files)
    assert json.loads(first.files["report.json"]) == first.report


def test_only_the_cells_in_use_are_written_byte_for_byte() -> None:
    files = emit(bipolar_mlp(), "m", VerilogOptions()).files
    cells = {p.split("/")[-1][:-2]: data for p, data in files.items() if p.startswith("rtl/lib/")}

    assert cells == {name: library()[name] for name in cells}
    assert {"bw_mvu", "bw_steps", "bw_argmax", "bw_skid", "bw_rom"} <= cells.keys()
    assert not {"bw_add", "bw_requantize", "bw_lookup"} & cells.keys()


def test_a_cell_brings_what_it_instantiates() -> None:
    assert set(needed(["bw_fork"])) == {"bw_fork", "bw_skid"}
    assert "bw_resize" in needed(["bw_mvu"])
    assert needed(["mine"]) == ()


def test_the_report_tells_the_streams_and_the_layers() -> None:
    edge = {"c": Edge(np.array([0.25]), np.array([2.0]), "a comment")}
    report = emit(two_inputs(), "two", VerilogOptions(cycles=12, edge=edge)).report

    a, c = report["inputs"]
    assert (a["prefix"], a["elements_per_beat"], a["element_bits"]) == ("s_axis_a", 3, 8)
    assert (a["beats_per_frame"], a["tdata_bytes"], a["signed"]) == (2, 3, False)
    assert (c["bipolar"], c["bits_per_beat"], c["tdata_bytes"]) == (True, 1, 1)
    assert c["meaning"] == {"scale": 0.25, "zero": 2.0, "text": "a comment"}
    layer = report["layers"][0]
    assert (layer["kind"], layer["pe"], layer["simd"], layer["sf"], layer["nf"]) == (
        ("shift", 1, 3, 2, 6)
    )
    assert report["multipliers"] == 0
    assert report["interval_cycles"] == layer["cycles"] == 12


def test_multipliers_are_counted() -> None:
    assert emit(bipolar_mlp(), "m", VerilogOptions()).report["multipliers"] == 0
    assert emit(residual(), "m", VerilogOptions(cycles=1000)).report["multipliers"] == 8


def test_hostile_names_stay_outside() -> None:
    b, rng = Builder(['x"; endmodule /*']), np.random.default_rng(0)
    x = value('x"; endmodule /*', Bipolar(), 1, 4)
    y = dense(b, rng, x, 3, Encoding.BIPOLAR)
    op = replace(b.ops[0], loc='*/ `include "/etc/passwd"\n$finish; ../../bw_mvu', output=y)
    graph = replace(b.graph("module", [x], [y]), ops=(op,))

    files = emit(graph, "bw\n`define x", VerilogOptions()).files

    for path, data in files.items():
        assert ".." not in path
        if path.endswith(".v") and not path.startswith("rtl/lib/"):
            text = data.decode()
            assert len(parse_ports(text)) == 1
            assert "`include" not in text
            assert "`define x" not in text
            assert "$finish" not in text


def test_a_layer_called_like_a_cell_gets_another_name() -> None:
    b, rng = Builder(["x"]), np.random.default_rng(0)
    x = value("x", Bipolar(), 1, 4)
    y = dense(b, rng, x, 3, Encoding.BIPOLAR)
    graph = replace(b.graph("g", [x], [y]), ops=(replace(b.ops[0], loc="mvu"),))

    files = emit(graph, "bw", VerilogOptions()).files

    assert "rtl/bw_mvu_2.v" in files


def test_given_vectors_become_text() -> None:
    body = bipolar_mlp()
    x = samples(body, 40)

    files = emit(body, "m", VerilogOptions(vectors=Vectors(x, evaluate(body, x)))).files

    top = files["tb/vectors/m_axis.txt"].decode().split()
    assert [int(line, 16) for line in top] == evaluate(body, x)["top"][:16].reshape(-1).tolist()


def permuted(*, near_linear: bool) -> Graph:
    b, rng = Builder(["x"]), np.random.default_rng(0)
    x = value("x", Int(-8, 7), 2, 3)
    y = b.op(Transpose, (x,), "t", "turned", perm=(1, 0))
    order = b.constant("order", np.arange(6)[::-1])
    y = b.op(Permute, (y, order), "p", "mirrored", shape=(1, 6))
    if near_linear:
        return b.graph("p", [x], [dense(b, rng, y, 2, Encoding.TERNARY)])
    table = b.constant("table", np.arange(16))
    return b.graph("p", [x], [b.op(Lookup, (y, table), "l", "lut", elem=Int(0, 15))])


def test_a_permutation_before_a_layer_moves_its_columns() -> None:
    body = permuted(near_linear=True)

    flat = design_of(body, "p", VerilogOptions()).network

    weight = flat.units[1].cells[0].code
    assert weight is not None
    order = [5, 2, 4, 1, 3, 0]  # of x.flat, as the layer saw it
    w = body.constants["fc.w"]
    want = np.zeros_like(w)
    want[:, order] = w
    np.testing.assert_array_equal(weight.raw, (want != 0) + 2 * (want < 0))


def test_another_permutation_goes_through_a_memory_once() -> None:
    network = design_of(permuted(near_linear=False), "p", VerilogOptions()).network

    cells = [cell for unit in network.of_kind(Kind.LAYER) for cell in unit.cells]
    assert [cell.module for cell in cells] == ["bw_reorder", "bw_lookup"]
    assert cells[0].roms[0].content.split() == [b"5", b"2", b"4", b"1", b"3", b"0"]


def test_what_is_no_integer_graph_is_refused() -> None:
    x = value("x", Real(), 1, 3)

    with pytest.raises(UnsupportedError, match="'x' is real"):
        emit(Graph("g", (x,), (x,), ()), "g", VerilogOptions())


def test_an_input_that_nothing_reads_is_refused() -> None:
    body = bipolar_mlp()
    extra = replace(body, inputs=(*body.inputs, value("y", Bipolar(), 1, 3)))

    with pytest.raises(UnsupportedError, match="'y' is read by nothing"):
        emit(extra, "g", VerilogOptions())


def test_a_top_without_a_port_is_found() -> None:
    top = design_of(bipolar_mlp(), "m", VerilogOptions()).top

    with pytest.raises(VerifyError, match="s_axis_tdata"):
        check_ports(top, (Port("clk", "input", 1),))
