"""Weights as indices into a table: the same weights in fewer bits, and the same design otherwise."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.backends.verilog import Fold, VerilogOptions, emit
from bitwright.backends.verilog.formats import bits_of, from_bits
from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import Encoding, Reshape
from bitwright.ir.types import Int
from bitwright.sim.rtl import RtlOptions, Simulator, Stalls
from bitwright.sim.toolchain import find_verilator
from tests.backends.verilog.bodies import dense, design, requantize, value
from tests.backends.verilog.conftest import MakeRig
from tests.backends.verilog.images import INT8, SAME, Filters, conv, window
from tests.backends.verilog.test_rtl import assert_cycles, assert_equal

ICARUS = Simulator.ICARUS
needs_icarus = pytest.mark.skipif(not shutil.which("iverilog"), reason="iverilog is missing")
COUNTS = (1, 2, 3, 4, 5, 16, 17, 256)
MEANS = (-91, -52, -23, -4, 0, 17, 48, 102)  # as k-means with 8 means leaves
PE, SIMD = 2, 3
CODEBOOK = VerilogOptions(store="codebook")


def spread(count: int, bits: int = 12) -> tuple[int, ...]:
    """Return distinct values of `bits` bits, a least one among them."""
    rng = np.random.default_rng(count)
    most = 1 << (bits - 1)
    others = rng.choice(np.arange(2 - most, most), count - 1, replace=False)
    return (1 - most, *(int(n) for n in others))


def pixels(values: tuple[int, ...], groups: int = 1) -> Graph:
    """Return one convolution of 1x1 in two pixels, 64 weights of each value at least."""
    b, rng = Builder(["x"]), np.random.default_rng(0)
    channels, outputs = 6 * groups, 48 if len(values) > 99 else 16
    x = value("x", Int(-4, 3), 1, 2, 1, channels)
    how = Filters(outputs * groups, Encoding.INTEGER, window((1, 1)), groups, values=values)
    y = conv(b, rng, x, how)
    w = b.constants["conv.w"]
    w.reshape(-1)[: len(values)] = values
    return b.graph("pixels", [x], [y])


def network() -> Graph:
    """Return whole windows, depthwise, groups, pixels and a dense layer, all of eight means."""
    b, rng = Builder(["x"]), np.random.default_rng(3)
    x = value("x", Int(0, 15), 1, 5, 6, 2)
    shape = {"encoding": Encoding.INTEGER, "values": MEANS}
    y: Any = x
    for how in (
        Filters(6, window=SAME, pad=2, bias=True, **shape),  # type: ignore[arg-type]
        Filters(6, window=SAME, groups=6, bias=True, **shape),  # type: ignore[arg-type]
        Filters(4, window=window((3, 2), strides=(2, 2)), groups=2, **shape),  # type: ignore[arg-type]
        Filters(8, window=window((1, 1)), **shape),  # type: ignore[arg-type]
    ):
        y = requantize(b, rng, conv(b, rng, y, how), INT8)
    y = b.op(Reshape, (y,), "flat", "flat", shape=(1, y.type.size))
    y = dense(b, rng, y, 5, Encoding.INTEGER, bias=True)
    return b.graph("shared", [x], [y])


FOLDED = VerilogOptions(cycles=300, lanes={"conv": (3, 6)}, store="codebook")


def words(files: Mapping[str, bytes], name: str, bits: int, width: int) -> Array:
    """Return the elements of `bits` bits in words of `width` bits."""
    lines = [int(line, 16) for line in files[f"rtl/mem/{name}.mem"].split()]
    rows = [
        [line >> (i * bits) & ((1 << bits) - 1) for i in range(width // bits)] for line in lines
    ]
    return np.array(rows, np.int64)


def weights_in(files: Mapping[str, bytes], layer: dict[str, Any]) -> Array:
    """Return the raw weights (words, lanes) of a layer, through its table if it has one."""
    name, lanes = layer["name"], layer["weight_store"]["tables"]
    width = layer["memories"][f"{name}_weight.mem"]["bits"]
    if not lanes:
        return words(files, f"{name}_weight", 1, width)
    table = layer["memories"][f"{name}_codebook.mem"]
    values = words(files, f"{name}_codebook", table["bits"], table["bits"])[:, 0]
    assert values.size == table["words"] == np.unique(values).size
    raw = values[words(files, f"{name}_weight", width // lanes, width)]
    return bits_of(raw.astype(np.uint64), table["bits"]).reshape(raw.shape[0], -1)


@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("groups", [1, 3])
def test_indices_and_table_make_the_plain_memory(count: int, groups: int) -> None:
    body = pixels(spread(count), groups)
    lanes = {"conv": (PE, SIMD)}
    plain = emit(body, "m", VerilogOptions(lanes=lanes))
    coded = emit(body, "m", VerilogOptions(lanes=lanes, store="codebook"))

    (one,), (other,) = plain.report["layers"], coded.report["layers"]
    np.testing.assert_array_equal(weights_in(coded.files, other), weights_in(plain.files, one))
    index = max((count - 1).bit_length(), 1)
    size = body.constants["conv.w"].size
    assert other["weight_store"] == {
        "form": "codebook",
        "plain_bits": 12 * size,
        "rom_bits": index * size,
        "values": count,
        "tables": PE * SIMD,
        "table_bits": 12 * count * PE * SIMD,
    }
    assert coded.report["weight_rom_bits"] == index * size
    for key in ("cycles", "latency_cycles", "weight_bits", "kind", "accumulator_bits"):
        assert one[key] == other[key]
    for key in ("interval_cycles", "latency_cycles", "multipliers"):
        assert plain.report[key] == coded.report[key]


@given(st.integers(1, 4), st.integers(1, 64), st.data())
def test_bits_and_back(rows: int, width: int, data: st.DataObject) -> None:
    ends = st.integers(0, (1 << width) - 1)
    raw = np.array(data.draw(st.lists(ends, min_size=rows, max_size=rows)), np.uint64)
    np.testing.assert_array_equal(from_bits(bits_of(raw, width)), raw)


def test_other_files_are_those_of_the_plain_design() -> None:
    plain, coded = (emit(network(), "m", VerilogOptions(store=s)) for s in ("plain", "codebook"))
    layers = [x["name"] for x in coded.report["layers"] if x["weight_store"]]
    tables = {f"rtl/mem/{n}_codebook.mem" for n in layers if n != "fc"}
    differ = {p for p, data in plain.files.items() if coded.files[p] != data}

    assert coded.files.keys() - plain.files.keys() == tables | {"rtl/mem/fc_codebook.mem"}
    assert {p.removesuffix("_weight.mem") for p in differ if p.endswith(".mem")} == {
        f"rtl/mem/{n}" for n in layers
    }
    assert "rtl/m_top.v" not in differ
    assert "Weights are indices into 8 values." in coded.files["rtl/m_conv.v"].decode()
    assert ".VALUES(8)" in coded.files["rtl/m_conv.v"].decode()
    assert "VALUES" not in plain.files["rtl/m_conv.v"].decode()
    assert "as indices into shared values" in coded.files["README.md"].decode()


def form_of(body: Graph, options: VerilogOptions) -> str:
    (layer,) = emit(body, "m", options).report["layers"]
    return str(layer["weight_store"]["form"])


def test_no_table_where_its_indices_are_no_shorter_or_its_values_too_many() -> None:
    assert form_of(pixels(tuple(range(-8, 8))), CODEBOOK) == "plain"
    assert form_of(pixels(tuple(range(-8, 0))), CODEBOOK) == "codebook"
    assert form_of(pixels(spread(257)), CODEBOOK) == "plain"


def test_small_counts_the_tables_of_all_lanes() -> None:
    body = pixels(spread(4))  # words of 12 bits a lane become 2; a table has 48

    few, many = (VerilogOptions(store="small", lanes={"conv": (pe, 6)}) for pe in (4, 2))
    assert form_of(body, few) == "plain"  # 4 words
    assert form_of(body, many) == "codebook"  # 8 words
    assert form_of(body, VerilogOptions(store="codebook", fold=Fold.MAX)) == "codebook"


def test_a_form_by_layer() -> None:
    report = emit(
        network(), "m", VerilogOptions(store={"conv_1": "codebook", "fc": "huffman"})
    ).report
    forms = {x["name"]: x["weight_store"]["form"] for x in report["layers"] if x["weight_store"]}

    assert {n for n, form in forms.items() if form == "codebook"} == {"conv_1"}
    assert report["notes"] == [
        "--store huffman: a form for flash, in the C alone; the Verilog stores plain weights"
    ]


def test_wrong_forms_and_layers_are_named() -> None:
    with pytest.raises(CompileError, match="--store 'tree': choose one of plain, codebook"):
        VerilogOptions(store={"conv": "tree"})
    with pytest.raises(CompileError, match="names the layer 'conf'; there are conv"):
        emit(pixels(MEANS), "m", VerilogOptions(store={"conf": "codebook"}))


def test_verilator_gives_the_same_bits_under_any_stall(rig: MakeRig) -> None:
    made = rig(network(), FOLDED)
    want = made.expected()
    layers = {x["name"]: x for x in made.report["layers"]}

    free = made.run()

    assert_equal(free, want)
    assert_cycles(made, free)
    for seed, stalls in enumerate((Stalls.SOURCE, Stalls.SINK, Stalls.BOTH)):
        options = RtlOptions(stalls, seed=seed + 2, reset_midframe=stalls is Stalls.BOTH)
        assert_equal(made.run(options), want)
    convs = [name for name in layers if name.startswith("conv")]
    assert [layers[name]["weight_store"]["values"] for name in convs] == [8] * 4
    assert "bw_window_full" in layers["conv"]["cells"]
    assert "bw_depthwise" in layers["conv_1"]["cells"]


@needs_icarus
@pytest.mark.parametrize(("count", "fold"), list(product(COUNTS, Fold)))
def test_icarus_finds_no_x_whatever_the_table(count: int, fold: Fold, rig: MakeRig) -> None:
    few = 5 if count < 99 else 1
    made = rig(pixels(spread(count)), VerilogOptions(fold=fold, store="codebook"), frames=few)

    got = made.run(RtlOptions(Stalls.BOTH, simulator=ICARUS))

    assert_equal(got, made.expected())


@needs_icarus
def test_a_changed_value_is_seen(rig: MakeRig) -> None:
    made = rig(pixels(MEANS), CODEBOOK)
    table = made.folder / "rtl" / "mem" / "conv_codebook.mem"
    lines = table.read_text().split()
    lines[3] = f"{(int(lines[3], 16) + 1) & 0xFF:02x}"
    table.write_text("\n".join(lines) + "\n")

    got = made.run(RtlOptions(simulator=ICARUS))

    assert any((got.outputs[n] != a).any() for n, a in made.expected().items())


def test_lint_finds_nothing(tmp_path: Path) -> None:
    verilator = find_verilator()
    for i, body in enumerate((network(), pixels(spread(1)), pixels(spread(17), 3))):
        folder = design(body, tmp_path / str(i), CODEBOOK) / "rtl"
        top = next(folder.glob("*_top.v"))
        command = [str(verilator.executable), "--lint-only", "-Wall", "--top-module", top.stem]
        done = subprocess.run(
            [*command, *(str(p) for p in sorted(folder.rglob("*.v")))],
            env=verilator.env,
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads((folder.parent / "report.json").read_text())["weight_table_bits"] > 0
