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
from tests.backends.verilog.images import BODIES, SAME, Filters, conv, product, window

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
    body = one(Filters(4, Encoding.INTEGER, SAME), 1, 5, 5, 17)

    with pytest.raises(CompileError, match=r"conv: 224 cycles .* at least 225"):
        design_of(body, "m", VerilogOptions(cycles=224))
    assert design_of(body, "m", VerilogOptions(cycles=225)).sizing.timing.interval == 225


@pytest.mark.parametrize(
    ("cycles", "want", "lanes"),
    [
        (225, ["bw_window", "bw_mvu"], (4, 2)),  # pixels are enough
        (224, ["bw_window_full", "bw_width", "bw_mvu"], (1, 9)),
        (25, ["bw_window_full", "bw_mvu"], (4, 18)),
    ],
)
def test_whole_windows_leave_where_a_tap_a_cycle_is_too_slow(
    cycles: int, want: list[str], lanes: tuple[int, int]
) -> None:
    body = one(Filters(4, Encoding.INTEGER, SAME, pad=-3), 1, 5, 5, 2)
    options = VerilogOptions(cycles=cycles)

    main = network_of(body, options).of_kind(Kind.LAYER)[0].main

    assert cells(body, options) == [want]
    assert (main.leaves, main.enters) == lanes
    assert design_of(body, "m", options).sizing.timing.interval <= cycles


@pytest.mark.parametrize(
    ("filters", "channels", "elem"),
    [
        (Filters(4, Encoding.INTEGER, SAME), 17, INT8),  # a wide pixel
        (Filters(4, Encoding.INTEGER, SAME, groups=2), 4, INT8),
        (Filters(4, Encoding.BIPOLAR, SAME), 2, Bipolar()),  # a mask
        (Filters(4, Encoding.INTEGER, window((3, 3), pads=(1, 1, 4, 1))), 2, INT8),  # too high
    ],
)
def test_other_windows_leave_tap_by_tap(
    filters: Filters, channels: int, elem: Int | Bipolar
) -> None:
    body = one(filters, 1, 5, 5, channels, elem=elem)

    assert cells(body, VerilogOptions(fold=Fold.MAX)) == [["bw_window", "bw_mvu"]]


def test_the_rings_of_a_whole_window_are_counted_row_by_row() -> None:
    body = one(Filters(4, Encoding.INTEGER, SAME), 1, 5, 5, 2)

    layer = emit(body, "g", VerilogOptions(fold=Fold.MAX)).report["layers"][0]

    depth = layer["ring_depth"]
    assert layer["ring_bits"] == 16 * (depth + depth - 5 + max(depth - 10, 1))


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


def two(first: tuple[int, ...], second: tuple[int, ...], elem: Int) -> Graph:
    """Return a body of one product."""
    b = Builder(["x", "z"])
    x, z = value("x", elem, *first), value("z", INT8, *second)
    return b.graph("two", [x, z], [product(b, x, z)])


@pytest.mark.parametrize(
    ("first", "second", "repeat"),
    [
        ((1, 4, 5, 6), (1, 4, 5, 6), 1),
        ((1, 4, 5, 6), (1, 1, 1, 6), 20),
        ((1, 1, 1, 6), (1, 4, 5, 6), 20),
        ((2, 4, 5, 6), (2, 1, 1, 6), 20),
        ((2, 4, 5, 6), (2, 4, 1, 6), 5),
        ((1, 8), (1, 8), 1),
    ],
)
def test_the_smaller_factor_is_kept_for_the_pixels_of_the_other(
    first: tuple[int, ...], second: tuple[int, ...], repeat: int
) -> None:
    body = two(first, second, INT8)

    assert parameters(body, "bw_mul")["REPEAT"] == str(repeat)
    assert emit(body, "g", VerilogOptions()).report["multipliers"] == 1


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ((1, 4, 5, 6), (1, 4, 5, 1)),
        ((1, 4, 1, 6), (1, 1, 5, 6)),
        ((1, 4, 5, 6), (1, 1, 5, 6)),
        ((2, 4, 5, 6), (1, 4, 5, 6)),
    ],
)
def test_other_broadcasts_are_refused(first: tuple[int, ...], second: tuple[int, ...]) -> None:
    with pytest.raises(UnsupportedError, match=r"mul: a product of .* one pixel of all channels"):
        emit(two(first, second, INT8), "g", VerilogOptions())


def test_a_factor_of_two_bits_needs_no_multiplier() -> None:
    report = emit(two((1, 4, 4, 2), (1, 4, 4, 2), Int(-2, 1)), "g", VerilogOptions()).report

    assert report["multipliers"] == 0


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
