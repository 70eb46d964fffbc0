from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bitwright.errors import VerifyError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import ALL_OPS, Arith, Arithmetic, Clip
from bitwright.ir.storage import graph_files, npz_bytes, read_graph, read_npz
from bitwright.ir.text import parse_element, read_text, write_text
from bitwright.ir.types import Bipolar, Int, Real, Ternary
from tests.ir.samples import every_op, value

HOSTILE = [
    '"',
    "\\",
    "a\nb",
    "\r\n\u2028\x85",
    '"} @ "',
    ') {} @ "x"',
    "ü🚀",
    'output "x"',
    "\x00",
    "",
]


def same(a: Graph, b: Graph) -> bool:
    """Tell whether two graphs are equal, constants included."""
    arrays = all(np.array_equal(a.constants[n], b.constants[n]) for n in a.constants)
    return (
        arrays
        and set(a.constants) == set(b.constants)
        and replace(a, constants={}) == replace(b, constants={})
    )


def test_the_sample_holds_every_op() -> None:
    graph = every_op()
    graph.verify()
    assert {type(op) for op in graph.ops} == set(ALL_OPS)


@pytest.mark.parametrize("name", HOSTILE)
def test_text_and_back(name: str) -> None:
    graph = every_op(name)
    graph.verify()
    text = write_text(graph)
    again = read_text(text, graph.constants)
    assert same(graph, again)
    assert write_text(again) == text
    assert text.isascii()


@given(name=st.text(st.characters(exclude_categories=["Cs"]), max_size=12))
def test_any_name_comes_back(name: str) -> None:
    graph = every_op(name)
    files = graph_files(graph, "g")
    assert same(graph, read_graph(files["g.txt"], files["g.npz"]))


def test_infinite_bounds_come_back() -> None:
    b = Builder(["x"])
    x = value("x", Real(), 2)
    graph = b.graph("g", [x], [b.op(Clip, (x,), "y", "clip")])
    assert same(graph, read_text(write_text(graph), {}))


def test_files_are_the_same_bytes_each_time() -> None:
    graph = every_op()
    mixed = replace(graph, constants=dict(reversed(list(graph.constants.items()))))
    assert graph_files(graph, "g") == graph_files(mixed, "g")


def test_a_scalar_constant_stays_a_scalar() -> None:
    b = Builder(["x"])
    x = value("x", Real(), 1, 3)
    y = b.op(Arithmetic, (x, b.constant("two", np.array(2.0))), "y", "mul", kind=Arith.MUL)
    graph = b.graph("g", [x], [y])
    files = graph_files(graph, "g")
    again = read_graph(files["g.txt"], files["g.npz"])
    again.verify()
    assert again.constants["two"].shape == ()
    assert evaluate(again, {"x": np.ones((1, 1, 3))})["y"].tolist() == [[[2, 2, 2]]]


def test_a_constant_may_be_an_output() -> None:
    b = Builder()
    graph = b.graph("g", [], [b.constant("c", np.array([1.0, 2.0]))])
    files = graph_files(graph, "g")
    assert same(graph, read_graph(files["g.txt"], files["g.npz"]))


def test_arrays_keep_type_and_order() -> None:
    arrays: dict[str, Array] = {
        "b": np.arange(6, dtype=np.int8).reshape(2, 3).T,
        "a": np.array(1.5, np.float32),
        "e": np.zeros((0, 2)),
    }
    again = read_npz(npz_bytes(arrays))
    assert list(again) == sorted(arrays)
    for n, a in arrays.items():
        assert again[n].dtype == a.dtype
        np.testing.assert_array_equal(again[n], a)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1"),
        ("output x", "line 1"),
        ('graph "g"\nnonsense', "line 2 .* not understood"),
        ('graph "g"\noutput "y"', "reads 'y' before it is set"),
        ('graph "g"\n"y": real(1) = Binarize("x") {} @ "n"', "reads 'x' before it is set"),
        ('graph "g"\ninput "x": real(1)\n"y": real(1) = Magic("x") {} @ "n"', "Magic is no oper"),
    ],
)
def test_a_damaged_text_is_named(text: str, message: str) -> None:
    with pytest.raises(VerifyError, match=message):
        read_text(text, {})


def test_element_types() -> None:
    for elem in (Real(), Bipolar(), Ternary(), Int(-3, 2**40)):
        assert parse_element(str(elem)) == elem
    with pytest.raises(VerifyError, match="'int' is no element type"):
        parse_element("int")
