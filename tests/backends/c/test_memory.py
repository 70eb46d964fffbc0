"""The arena: nothing overlaps that lives at once, and the plan is near its lower bound."""

import time

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bitwright.backends.c.memory import ALIGN, Buffer, Plan, plan_memory

spans = st.tuples(st.integers(1, 4000), st.integers(0, 30), st.integers(0, 6))


def planned(sizes: list[tuple[int, int, int]]) -> tuple[list[Buffer], Plan]:
    buffers = [Buffer(f"b{i}", n, at, at + life) for i, (n, at, life) in enumerate(sizes)]
    return buffers, plan_memory(buffers)


@given(st.lists(spans, max_size=25))
def test_buffers_in_use_at_once_do_not_overlap(sizes: list[tuple[int, int, int]]) -> None:
    buffers, plan = planned(sizes)

    for i, a in enumerate(buffers):
        start = plan.offsets[a.name]
        assert start % ALIGN == 0
        assert start + a.bytes <= plan.bytes
        for b in buffers[i + 1 :]:
            other = plan.offsets[b.name]
            apart = start + a.bytes <= other or other + b.bytes <= start
            assert apart or not a.meets(b)
    assert plan.bytes >= plan.bound


@given(st.lists(st.integers(1, 4000), min_size=1, max_size=40))
def test_a_chain_of_layers_reaches_the_bound(sizes: list[int]) -> None:
    _, plan = planned([(n, i, 1) for i, n in enumerate(sizes)])

    assert plan.bytes == plan.bound


@given(st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 3)), min_size=1, max_size=15))
def test_short_branches_stay_within_five_percent(sizes: list[tuple[int, int]]) -> None:
    _, plan = planned([(n, i, life) for i, (n, life) in enumerate(sizes)])

    assert plan.bytes <= 1.05 * plan.bound


def test_many_branches_are_planned_near_the_bound_in_little_time() -> None:
    rng = np.random.default_rng(4)
    lives = rng.choice([1, 1, 1, 2, 3, 9], 150)
    sizes = [
        (int(n), i, int(k))
        for i, (n, k) in enumerate(zip(rng.integers(1, 4000, 150), lives, strict=True))
    ]
    start = time.process_time()
    _, plan = planned(sizes)

    assert plan.bytes <= 1.05 * plan.bound
    assert time.process_time() - start < 2


def test_the_plan_is_the_same_every_time() -> None:
    sizes = [(100 + 37 * i % 900, i % 9, i % 5) for i in range(30)]

    assert planned(sizes)[1] == planned(sizes)[1]


def test_no_buffers_need_no_arena() -> None:
    assert plan_memory([]).bytes == 0
