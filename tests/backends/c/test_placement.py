"""Tensors that live inside others: in place, and in the result of a Concat."""

import json

import numpy as np

from bitwright.backends.c import emit
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Graph
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    Concat,
    Conv,
    Function,
    Value,
    plain_window,
)
from bitwright.sim.host_c import trace_c
from tests.backends.c.conftest import Writer
from tests.backends.c.reals import Reals, wrong

RELU = {"kind": Function.RELU}


def pointwise(m: Reals, x: Value, filters: int) -> Value:
    operands = (x, m.floats(filters, 1, 1, x.shape[-1]))
    return m.builder.op(Conv, operands, "conv", "conv", window=plain_window((1, 1)))


def fire(m: Reals, x: Value, squeeze: int, expand: int) -> Value:
    """Return SqueezeNet's module: two expansions of one tensor, joined along the channels."""
    b = m.builder
    s = b.op(Activation, (pointwise(m, x, squeeze),), "s", "squeeze", **RELU)
    parts = [b.op(Activation, (pointwise(m, s, expand),), "e", "expand", **RELU) for _ in range(2)]
    return b.op(Concat, tuple(parts), "joined", "joined", axis=3)


def arena(graph: Graph) -> dict[str, int]:
    return dict(emit(graph, "net").report["arena"])


def test_operands_of_a_concat_are_written_into_it() -> None:
    m = Reals()
    y = fire(m, m.real(1, 8, 8, 4), 2, 8)
    m.out(pointwise(m, y, 1))
    report = emit(m.graph(), "net").report

    assert [e["kernel"] for e in report["layers"]].count(
        "joined where its operands were written"
    ) == 1
    assert report["arena"]["used_bytes"] == 8 * 8 * 4 * (2 + 16)


def test_a_tensor_that_others_read_too_is_copied_into_a_concat() -> None:
    m = Reals()
    x = m.real(1, 8, 8, 4)
    a, b = pointwise(m, x, 3), pointwise(m, x, 5)
    y = m.builder.op(Concat, (a, b), "joined", "joined", axis=3)
    m.out(m.builder.op(Activation, (a,), "again", "again", **RELU))
    m.out(y)
    kernels = [e["kernel"] for e in emit(m.graph(), "net").report["layers"]]

    assert "concat" in kernels


def test_a_sum_overwrites_what_nothing_reads_later() -> None:
    m = Reals()
    x = m.real(1, 8, 8, 4)
    a = pointwise(m, x, 4)
    y = m.builder.op(Arithmetic, (a, x), "sum", "sum", kind=Arith.ADD)
    y = m.builder.op(Activation, (y,), "relu", "relu", **RELU)
    m.out(pointwise(m, y, 2))

    assert arena(m.graph())["used_bytes"] == 8 * 8 * 4 * 4


def test_a_concat_that_widens_the_arena_is_a_copy() -> None:
    """Two early parts of a large join would hold its memory while a larger tensor lives."""
    m = Reals()
    b = m.builder
    early = pointwise(m, m.real(1, 8, 8, 4), 1)
    large = pointwise(m, pointwise(m, m.real(1, 8, 8, 4), 64), 1)
    others = [pointwise(m, m.real(1, 8, 8, 4), 15) for _ in range(2)]
    m.out(pointwise(m, b.op(Concat, (early, large, *others), "j", "j", axis=3), 1))
    sizes = arena(m.graph())

    assert sizes["used_bytes"] <= 1.05 * sizes["lower_bound_bytes"]
    assert sizes["used_bytes"] == 8 * 8 * 4 * 66


def test_a_trace_shows_rows_that_lie_apart(tree: Writer) -> None:
    m = Reals(3, samples=2)
    y = fire(m, fire(m, m.real(1, 5, 4, 3), 2, 3), 3, 5)
    m.out(pointwise(m, y, 2))
    g = m.graph()
    seen = {}
    want = evaluate(g, m.data, dtype=np.float32, tap=lambda op, y: seen.update({op.name: y}))
    folder = tree(g)
    got, trace = trace_c(folder, m.data, work=folder / "work")

    assert wrong(g, want, got) == []
    report = json.loads((folder / "report.json").read_text())
    streams = {e["stream"]["name"]: e["name"] for e in report["trace"]}
    for op in g.ops:
        if op.loc in {"expand", "joined"}:
            values = trace.values[1][streams[op.name]].astype(np.int32).view(np.float32)
            np.testing.assert_allclose(values, seen[op.name][1].reshape(-1), rtol=1e-5, atol=1e-6)
