"""Weights coded in flash: each form gives numpy's bits, and the report its bytes."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.backends.c import COptions, Cpu, emit
from bitwright.backends.c.options import SMALL, STORES
from bitwright.backends.coding import Form, coded_bytes
from bitwright.errors import CompileError
from bitwright.ir.graph import Graph
from bitwright.ir.ops import Round
from bitwright.ir.types import Bipolar
from bitwright.options import CompileOptions
from tests.backends.c.coded import KINDS, Odd, convolutions, linears
from tests.backends.c.conftest import Writer, differences, write
from tests.backends.c.networks import S8, S16, U8, B, Many, N
from tests.backends.c.spatial import Shape, conv

CODED = [s for s in STORES if s != "plain"]


def stores(report: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    return {x["name"]: x["weights"] for x in report["layers"] if "weights" in x}


def fully_connected(kind: str = "pruned", outputs: int = 60, inputs: int = 400) -> Graph:
    m = Odd(5, kind=kind)
    m.out(m.requantize(m.linear(m.input(S8, 1, inputs), N, outputs), Round.FLOOR, 16))
    return m.graph()


@pytest.mark.parametrize("store", [s for s in CODED if s != "small"])
@pytest.mark.parametrize("make", [linears, convolutions])
def test_every_form_gives_the_bits_of_numpy(
    tree: Writer, store: str, make: Callable[[], Many]
) -> None:
    m = make()
    g = m.graph()
    folder = tree(g, options=COptions(store=store))
    assert differences(folder, g, m.data, sanitize=True) == []


@pytest.mark.parametrize(
    ("cpu", "compiler"), [(Cpu.X86_64, "gcc"), (Cpu.CORTEX_M4, "clang"), (Cpu.GENERIC, "g++")]
)
@pytest.mark.parametrize("store", ["huffman", "sparse-codebook"])
def test_other_words_and_compilers(tree: Writer, cpu: Cpu, compiler: str, store: str) -> None:
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is missing: apt-get install {compiler}")
    m = convolutions()
    g = m.graph()
    folder = tree(g, options=COptions(cpu=cpu, store=store))
    assert differences(folder, g, m.data, compiler=compiler) == []


@settings(max_examples=15)
@given(
    kind=st.sampled_from(KINDS),
    elem=st.sampled_from([S8, U8, S16, Bipolar()]),
    sizes=st.tuples(st.integers(1, 90), st.integers(1, 40)),
    spatial=st.booleans(),
    store=st.sampled_from(CODED),
    cpu=st.sampled_from([Cpu.GENERIC, Cpu.CORTEX_M4, Cpu.X86_64]),
    seed=st.integers(0, 1 << 16),
)
def test_a_random_layer_equals_numpy(  # noqa: PLR0913, PLR0917  # one parameter a choice
    kind: str, elem: Any, sizes: tuple[int, int], spatial: bool, store: str, cpu: Cpu, seed: int
) -> None:
    m = Odd(seed, samples=4, kind=kind)
    inputs, outputs = sizes
    if spatial:
        m.out(conv(m, m.input(elem, 1, 3, 4, inputs), N, outputs, Shape(3, 1, (1, 1))))
    else:
        m.out(m.sign(m.linear(m.input(elem, 1, inputs), N, outputs)))
    g = m.graph()
    with tempfile.TemporaryDirectory() as folder:
        tree = write(Path(folder), g, "net", COptions(cpu=cpu, store=store))
        assert differences(tree, g, m.data, sanitize=True) == []


@pytest.mark.parametrize("old", ["at++;", "bit += ", "count > 0u", "next[0]", "gap_more++"])
def test_a_broken_decoder_is_noticed(tree: Writer, old: str) -> None:
    m = Odd(6)
    m.out(m.linear(m.input(S8, 1, 200), N, 12))
    g = m.graph()
    folder = tree(g, options=COptions(store="huffman"))
    path = folder / "src" / "net_kernels.h"
    text = path.read_text()
    assert old in text
    new = {"at++;": "at += 2u;", "bit += ": "bit += 0u * ", "count > 0u": "count > 1u",
           "next[0]": "next[1]", "gap_more++": "gap_more += 2u"}[old]  # fmt: skip
    path.write_text(text.replace(old, new))
    try:
        found = differences(folder, g, m.data)
    except Exception as error:  # noqa: BLE001  # a decoder that runs away may crash
        found = [str(error)]
    assert found != []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("form", [f for f in Form if f is not Form.PLAIN])
def test_the_report_counts_the_bytes_of_the_tables(kind: str, form: Form) -> None:
    m = Odd(5, kind=kind)
    m.out(m.linear(m.input(S8, 1, 301), N, 17))
    g = m.graph()
    report = emit(g, "net", COptions(store=form.value)).report
    (weights,) = stores(report).values()
    w = next(a for a in g.constants.values() if a.shape == (17, 301))

    assert weights["form"] == form.value
    assert weights["flash_bytes"] == coded_bytes(w.astype(np.int64), form).total
    written = max(report["flash_table_bytes"], 1)  # an empty array is no C: it has one byte
    assert weights["flash_bytes"] in {written, written - 1 if kind == "all zero" else written}
    assert weights["bits_per_weight"] == round(8 * weights["flash_bytes"] / w.size, 3)


def test_small_is_the_smallest_of_all_and_leaves_tiny_layers_plain() -> None:
    for kind in ("pruned", "shared", "all values", "wide"):
        g = fully_connected(kind)
        sizes = {}
        for store in STORES:
            (weights,) = stores(emit(g, "net", COptions(store=store)).report).values()
            sizes[store] = weights["flash_bytes"]
        assert sizes["small"] == min(sizes.values()), kind
    (tiny,) = stores(
        emit(fully_connected("shared", 3, 9), "net", COptions(store="small")).report
    ).values()
    assert tiny["form"] == "plain"


def test_pruned_weights_take_less_flash() -> None:
    plain, small = (
        emit(fully_connected(), "net", COptions(store=s)).report["flash_table_bytes"]
        for s in ("plain", "small")
    )
    assert small < plain / 4


def test_a_convolution_decodes_a_block_of_rows_into_the_arena() -> None:
    m = Odd(8, kind="shared")
    m.out(m.sign(conv(m, m.input(S8, 1, 6, 6, 5), N, 35, Shape(3, 1, (1, 1)))))
    g = m.graph()
    plain, coded = (emit(g, "net", COptions(store=s)).report for s in ("plain", "codebook"))
    (weights,) = stores(coded).values()

    assert weights["decoder"]["buffer_bytes"] == 4 * 45
    assert coded["arena"]["used_bytes"] == plain["arena"]["used_bytes"] + 184  # 8 bytes aligned
    assert [t["bytes"] for t in coded["tensors"] if t["type"] == "decoded weights"] == [180]


def test_the_buffer_shares_memory_with_what_lives_at_other_times() -> None:
    m = Odd(9, kind="shared")
    x = conv(m, m.input(S8, 1, 12, 12, 4), N, 8, Shape(3, 1, (1, 1)))
    wide = m.requantize(x, Round.FLOOR, 16)
    m.out(conv(m, conv_small(m, wide), N, 3, Shape(3)))
    report = emit(m.graph(), "net", COptions(store="codebook")).report
    assert report["arena"]["used_bytes"] == report["arena"]["lower_bound_bytes"]


def conv_small(m: Odd, x: Any) -> Any:
    return m.requantize(conv(m, x, N, 2, Shape(3, 3)), Round.FLOOR, 16)


def test_sparse_rows_are_multiplied_on_the_way_and_dense_ones_decoded_once() -> None:
    kinds = {}
    for kind in ("few", "all values"):
        m = Odd(10, kind=kind)
        m.out(conv(m, m.input(S8, 1, 8, 8, 16), N, 8, Shape(3, 1, (1, 1))))
        (layer,) = emit(m.graph(), "net", COptions(store="sparse")).report["layers"]
        kinds[kind] = layer["kernel"]
    assert "on the way" in kinds["few"]
    assert "decoded in blocks" in kinds["all values"]


def test_forms_by_layer() -> None:
    m = Odd(11)
    x = m.input(S8, 1, 90)
    hidden = m.requantize(m.linear(x, N, 30), Round.FLOOR, 16)
    m.out(m.linear(hidden, N, 40))
    g = m.graph()
    names = list(stores(emit(g, "net").report))
    chosen = stores(emit(g, "net", COptions(store={names[1]: "huffman"})).report)

    assert [chosen[n]["form"] for n in names] == ["plain", "huffman"]
    with pytest.raises(CompileError, match="names the layer 'nothing'; there are linear"):
        emit(g, "net", COptions(store={"nothing": "huffman"}))


def test_bits_and_depthwise_layers_stay_plain() -> None:
    m = Odd(12)
    m.out(m.linear(m.input(Bipolar(), 1, 64), B, 9))
    m.out(conv(m, m.input(S8, 1, 5, 5, 6), N, 6, Shape(3, groups=6)))
    report = emit(m.graph(), "net", COptions(store="huffman")).report
    found = list(stores(report).values())

    assert [w["form"] for w in found] == ["plain", "plain"]
    assert sum(w["flash_bytes"] for w in found) == report["flash_table_bytes"]


def test_every_form_can_be_chosen() -> None:
    assert set(STORES) == {f.value for f in Form} | {SMALL}


def test_a_form_that_does_not_exist_is_refused() -> None:
    with pytest.raises(CompileError, match="--store 'zip': choose one of plain, codebook"):
        CompileOptions(store="zip")
    wrong: tuple[str | dict[str, str], ...] = ("zip", {"linear": "zip"})
    for store in wrong:
        with pytest.raises(CompileError, match="--store 'zip': choose one of plain, codebook"):
            COptions(store=store)
