"""Convolutional bodies become cells: what is refused, how it is folded, what stands in the files."""

from dataclasses import replace

import numpy as np
import pytest

from bitwright.backends.verilog import Fold, VerilogOptions, emit
from bitwright.backends.verilog.design import design_of, network_of
from bitwright.backends.verilog.network import Kind
from bitwright.backends.verilog.syntax import parse_ports
from bitwright.errors import CompileError, UnsupportedError
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import Encoding, MaxPool, Pad
from bitwright.ir.types import Bipolar, Int
from tests.backends.verilog.bodies import value
from tests.backends.verilog.images import BODIES, SAME, Filters, conv, window

INT8 = Int(-128, 127)


def one(filters: Filters, *shape: int, elem: Int | Bipolar = INT8) -> Graph:
    """Return a body of one convolution."""
    b, rng = Builder(["x"]), np.random.default_rng(0)
    x = value("x", elem, *shape)
    return b.graph("one", [x], [conv(b, rng, x, filters)])


def cells(body: Graph, options: VerilogOptions | None = None) -> list[list[str]]:
    network = network_of(body, options or VerilogOptions())
    return [[cell.module for cell in unit.cells] for unit in network.of_kind(Kind.LAYER)]


@pytest.mark.parametrize(
    ("filters", "shape", "want"),
    [
        (Filters(4, Encoding.INTEGER, SAME), (1, 5, 5, 2), ["bw_window", "bw_mvu"]),
        (Filters(4, Encoding.INTEGER, window((1, 1))), (1, 5, 5, 2), ["bw_mvu"]),
        (
            Filters(4, Encoding.INTEGER, window((1, 1), strides=(2, 2))),
            (1, 5, 5, 2),
            ["bw_window", "bw_mvu"],
        ),
        (Filters(4, Encoding.INTEGER, window((5, 5))), (1, 5, 5, 2), ["bw_mvu"]),
        (Filters(4, Encoding.INTEGER, SAME, groups=4), (1, 5, 5, 4), ["bw_window", "bw_depthwise"]),
        (Filters(8, Encoding.INTEGER, SAME, groups=4), (1, 5, 5, 4), ["bw_window", "bw_mvu"]),
        (Filters(2, Encoding.INTEGER, window((1, 1)), groups=2), (1, 5, 5, 4), ["bw_mvu"]),
    ],
)
def test_a_convolution_has_the_cells_that_it_needs(
    filters: Filters, shape: tuple[int, ...], want: list[str]
) -> None:
    assert cells(one(filters, *shape)) == [want]


def test_a_pool_over_the_whole_image_has_no_window() -> None:
    assert cells(BODIES["separable"]())[-1] == ["bw_pool"]


def parameters(body: Graph, module: str) -> dict[str, str]:
    network = network_of(body, VerilogOptions())
    found = [c for u in network.of_kind(Kind.LAYER) for c in u.cells if c.module == module]
    return dict(found[0].parameters)


def test_bipolar_taps_outside_are_masked_and_others_read_a_code() -> None:
    left_out = one(Filters(2, Encoding.BIPOLAR, SAME), 1, 4, 4, 2, elem=Bipolar())
    minus = one(Filters(2, Encoding.BIPOLAR, SAME, pad=-1), 1, 4, 4, 2, elem=Bipolar())
    code = one(Filters(2, Encoding.INTEGER, SAME, pad=-3), 1, 4, 4, 2)

    assert parameters(left_out, "bw_mvu")["USE_MASK"] == "1"
    assert "USE_MASK" not in parameters(minus, "bw_mvu")
    assert parameters(minus, "bw_window")["PAD_VALUE"] == "0"
    assert parameters(code, "bw_window")["PAD_VALUE"] == str(-3 & 0xFF)


def test_a_padded_code_that_the_input_cannot_hold_makes_it_wider() -> None:
    body = one(Filters(2, Encoding.INTEGER, SAME, pad=-3), 1, 4, 4, 2, elem=Int(0, 15))

    assert parameters(body, "bw_window")["W_ELEM"] == "5"
    assert parameters(body, "bw_mvu")["X_SIGNED"] == "1"


def test_the_least_cycles_are_named_with_their_layer() -> None:
    body = one(Filters(4, Encoding.INTEGER, SAME), 1, 5, 5, 2)

    with pytest.raises(CompileError, match=r"conv: 224 cycles .* at least 225"):
        design_of(body, "m", VerilogOptions(cycles=224))
    assert design_of(body, "m", VerilogOptions(cycles=225)).sizing.timing.interval == 225


def test_a_stride_makes_the_input_the_busier_side() -> None:
    wide = Filters(2, Encoding.INTEGER, window((1, 1), strides=(4, 4)))

    least = design_of(one(wide, 1, 16, 16, 2), "m", VerilogOptions(fold=Fold.MAX))

    assert least.sizing.timing.interval == 256


def test_large_networks_compute_some_hundred_products_a_cycle() -> None:
    body = one(Filters(128, Encoding.INTEGER, SAME), 1, 16, 16, 64)

    network = network_of(body, VerilogOptions())

    main = network.of_kind(Kind.LAYER)[0].main
    assert 256 <= main.enters * main.leaves <= 1024


def test_lanes_can_be_chosen_by_layer() -> None:
    body = one(Filters(4, Encoding.INTEGER, SAME), 1, 5, 5, 6)

    main = network_of(body, VerilogOptions(lanes={"conv": (2, 3)})).of_kind(Kind.LAYER)[0].main

    assert (main.leaves, main.enters) == (2, 3)
    with pytest.raises(CompileError, match=r"conv: SIMD 4 does not fit, choose of 1, 2, 3, 6"):
        network_of(body, VerilogOptions(lanes={"conv": (2, 4)}))
    with pytest.raises(CompileError, match=r"names a layer 'cnov'; the layers are conv"):
        network_of(body, VerilogOptions(lanes={"cnov": (2, 3)}))


def test_what_has_no_unit_is_refused() -> None:
    b, rng = Builder(["x"]), np.random.default_rng(0)
    x = value("x", INT8, 1, 4, 4, 2)
    y = b.op(Pad, (x,), "padded", "margin", before=(0, 1, 1, 0), after=(0, 0, 0, 0))
    y = b.op(MaxPool, (y,), "pool", "pool", window=window((2, 2)))
    with pytest.raises(UnsupportedError, match="margin: the Verilog backend has no unit for Pad"):
        emit(b.graph("g", [x], [y]), "g", VerilogOptions())

    b = Builder(["x"])
    x = value("x", INT8, 1, 4, 4, 4, 2)
    y = conv(b, rng, x, Filters(2, Encoding.INTEGER, window((2, 2, 2))))
    with pytest.raises(UnsupportedError, match="conv: 3 spatial axes"):
        emit(b.graph("g", [x], [y]), "g", VerilogOptions())


@pytest.mark.parametrize("name", BODIES)
def test_every_file_parses_and_the_report_counts(name: str) -> None:
    artifact = emit(BODIES[name](), name, VerilogOptions())

    for path, data in artifact.files.items():
        if path.endswith(".v") and "/lib/" not in path:
            assert parse_ports(data.decode())
    report = artifact.report
    assert report["ring_bits"] == sum(layer["ring_bits"] for layer in report["layers"])
    assert all(
        layer["ring_depth"] > 0 for layer in report["layers"] if "bw_window" in layer["cells"]
    )
    assert report["weight_bits"] > 0


def test_a_constant_operand_of_a_concatenation_is_refused() -> None:
    body = BODIES["residual_conv"]()
    index = next(i for i, op in enumerate(body.ops) if type(op).__name__ == "Concat")
    op = body.ops[index]
    fixed = value("fixed", op.inputs[1].type.integer, *op.inputs[1].shape)
    ops = list(body.ops)
    ops[index] = replace(op, inputs=(op.inputs[0], fixed, op.inputs[2]))
    constants = {**body.constants, "fixed": np.zeros(fixed.shape, np.int64)}

    with pytest.raises(UnsupportedError, match=r"concat: .* no constant operand"):
        emit(replace(body, ops=tuple(ops), constants=constants), "g", VerilogOptions())
