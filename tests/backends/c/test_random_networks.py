"""Random stacks of layers: what one kernel writes, the next reads."""

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from bitwright.backends.c import COptions, Cpu
from bitwright.ir.ops import AddInt, Encoding, Lookup, Reshape, Round, Value
from bitwright.ir.types import Int
from tests.backends.c.conftest import differences, write
from tests.backends.c.networks import NARROW, WIDE, Many
from tests.backends.c.test_integer_kernels import POSTS, post

layer = st.tuples(
    st.sampled_from(list(Encoding)), st.integers(1, 70), st.integers(0, POSTS - 2), st.booleans()
)


def shortcut(m: Many, x: Value) -> Value:
    """Append the sum of `x` and a function of it, and a reshape there and back."""
    e = x.type.integer
    table = m.builder.constant("table", m.rng.integers(-8, 8, e.hi - e.lo + 1))
    other = m.builder.op(Lookup, (x, table), "other", "lookup", elem=Int(-8, 7))
    total = m.builder.op(
        AddInt, (x, other), "sum", "add", elem=Int(-8, 7), mul_a=5, mul_b=-3, add=1, shift=2,
        zero=1, rounding=Round.HALF_EVEN,
    )  # fmt: skip
    column = m.builder.op(Reshape, (total,), "column", "column", shape=(x.type.size, 1))
    return m.builder.op(Reshape, (column,), "row", "row", shape=x.shape)


@settings(max_examples=12)
@given(
    elem=st.sampled_from([*NARROW, *WIDE]),
    width=st.integers(1, 70),
    layers=st.lists(layer, min_size=1, max_size=4),
    cpu=st.sampled_from([Cpu.GENERIC, Cpu.CORTEX_M4, Cpu.X86_64]),
    seed=st.integers(0, 1 << 16),
)
def test_a_random_network_equals_numpy(
    elem: Int, width: int, layers: list[tuple[Encoding, int, int, bool]], cpu: Cpu, seed: int
) -> None:
    m = Many(seed, samples=6)
    x = m.input(elem, 1, width)
    for encoding, outputs, k, joined in layers:
        x = post(m, m.linear(x, encoding, outputs, bias=joined), k)
        if joined:
            x = shortcut(m, x)
    m.out(x)
    g = m.graph()
    with tempfile.TemporaryDirectory() as folder:
        tree = write(Path(folder), g, "net", COptions(cpu=cpu))
        assert differences(tree, g, m.data, sanitize=seed % 2 == 0) == []
