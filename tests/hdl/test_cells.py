"""Every library cell against its reference model: streams x stalls, and its cycles."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.hdl import cases as c
from tests.hdl import cases_conv as v
from tests.hdl import cases_mvu as m
from tests.hdl.cases_window import SHAPES, window
from tests.hdl.run_case import run_case
from tests.hdl.streams import Case

Make = Callable[[Path], Case]

EVERYWHERE: dict[str, Make] = {  # a few for each simulator
    "skid": lambda _: c.skid(5),
    "fifo_2": lambda _: c.fifo(7, 2),
    "fifo_5": lambda _: c.fifo(7, 5),
    "fork": lambda _: c.fork(3),
    "widen": lambda _: c.width(3, 2, 6),
    "narrow": lambda _: c.width(3, 6, 2),
    "frame_in_wrong": lambda _: c.frame_in(4, 5, wrong=True),
    "frame_out": lambda _: c.frame_out(4, 5),
    "lookup": lambda w: c.lookup(w, 2, 5, 9),
    "argmax": lambda _: c.argmax(5, 3, 4, signed=True),
    "requantize": lambda w: c.requantize(w, 2, 3, SHIFT=12),
    "requantize_shift": lambda w: c.requantize(w, 2, 3, USE_MUL=0, SHIFT=2, ACC_W=8, ADD_W=6),
    "add": lambda _: c.add(2, 37, -5, -1000),
    "add_wide": lambda _: c.add(1, 3_000_000_019, -(1 << 33), 1 << 40, SHIFT=30),
    "mul": lambda _: c.mul(2, ZERO_A=-3, ZERO_B=7),
    "mul_repeat": lambda _: c.mul(2, REPEAT=5, BEATS=3, ZERO_B=31),
    "steps": lambda w: c.steps(w, 2, 3, 15, table=False, OUT_BASE=-8, OUT_W=5),
    "steps_many": lambda w: c.steps(w, 2, 9, 20, table=True),
    "xnor": lambda w: m.mvu(w, m.XNOR, (3, 33, 2, 3), USE_BIAS=1),
    "ternary": lambda w: m.mvu(w, m.TERNARY, (2, 7, 3, 2), X_SIGNED=0, USE_BIAS=1),
    "shift": lambda w: m.mvu(w, m.SHIFT, (2, 5, 2, 2), X_W=8, ACC_W=24),
    "integer": lambda w: m.mvu(w, m.INTEGER, (2, 9, 2, 3), X_W=8, W_W=8, ACC_W=24, USE_BIAS=1),
    "binary": lambda w: m.mvu(w, m.BINARY, (2, 5, 2, 2), X_W=8),
    "xnor_groups": lambda w: m.mvu(w, m.XNOR, (2, 5, 3, 2), GROUPS=3, USE_MASK=1, USE_BIAS=1),
    "steps_classes": lambda w: c.steps(w, 2, 3, 7, table=True, CLASSES=3, POSITIONS=10),
    "shared": lambda w: m.mvu(w, m.INTEGER, (2, 5, 2, 3), W_W=8, ACC_W=20, VALUES=5, USE_BIAS=1),
    "window": lambda _: window(SHAPES["same"]),
    "depthwise": lambda w: v.depthwise(w, m.INTEGER, (2, 9, 3), USE_BIAS=1),
    "depthwise_shared": lambda w: v.depthwise(w, m.INTEGER, (2, 9, 3), W_W=7, VALUES=8),
    "depthwise_xnor": lambda w: v.depthwise(w, m.XNOR, (3, 5, 2), USE_MASK=1),
    "pool_max": lambda _: v.pool(v.MAX, (2, 4, 1), USE_MASK=1),
    "pool_sum_pixels": lambda _: v.pool(v.SUM, (2, 5, 3)),
    "concat": lambda _: v.concat(5, 3, 2),
    "reorder": lambda w: v.reorder(w, 5, 12, 12),
}
ONE = (1, 1, 1, 1)
ICARUS_ONLY: dict[str, Make] = {  # the corners: sizes of one, every mode
    "skid_1": lambda _: c.skid(1),
    "fifo_1": lambda _: c.fifo(1, 1),
    "fifo_3": lambda _: c.fifo(70, 3),
    "fifo_33": lambda _: c.fifo(4, 33),
    "fifo_150": lambda _: c.fifo(4, 150),
    "fork_1": lambda _: c.fork(1),
    "width_same": lambda _: c.width(1, 1, 1),
    "width_widen_2": lambda _: c.width(1, 1, 2),
    "width_narrow_2": lambda _: c.width(1, 2, 1),
    "width_narrow_7": lambda _: c.width(5, 7, 1),
    "frame_in_1": lambda _: c.frame_in(1, 1, wrong=False),
    "frame_in_4": lambda _: c.frame_in(9, 4, wrong=False),
    "frame_out_1": lambda _: c.frame_out(1, 1),
    "lookup_1": lambda w: c.lookup(w, 1, 1, 1),
    "argmax_1": lambda _: c.argmax(1, 1, 1, signed=True),
    "argmax_beat": lambda _: c.argmax(6, 1, 3, signed=False),
    "argmax_lane": lambda _: c.argmax(1, 10, 8, signed=False),
    "requantize_pow2": lambda w: c.requantize(w, 2, 3, USE_MUL=2, MUL_W=5, SHIFT=6),
    "requantize_pow2_0": lambda w: c.requantize(w, 1, 2, USE_MUL=2, MUL_W=2, SHIFT=3, ROUND=0),
    "requantize_1": lambda w: c.requantize(w, 1, 1),
    "requantize_floor": lambda w: c.requantize(w, 1, 2, ROUND=0, ZERO=0),
    "requantize_0": lambda w: c.requantize(w, 1, 2, SHIFT=0),
    "requantize_half": lambda w: c.requantize(w, 1, 4, SHIFT=1, ADD_W=20),
    "requantize_far": lambda w: c.requantize(w, 2, 2, SHIFT=62),
    "requantize_edge": lambda w: c.requantize(w, 1, 2, SHIFT=20),
    "requantize_unsigned": lambda w: c.requantize(w, 1, 2, LO=0, HI=15, OUT_W=4, ZERO=0),
    "requantize_wide": lambda w: c.requantize(
        w, 1, 2, SHIFT=3, ADD_W=40, LO=-(2**31), HI=2**31 - 1, OUT_W=32
    ),
    "add_plain": lambda _: c.add(1, 1, 1, 0, SHIFT=0, ROUND=0, ZERO=0, T_W=10),
    "add_floor": lambda _: c.add(3, -8, 16, 3, ROUND=0, B_SIGNED=1, A_SIGNED=0),
    "add_minus_one": lambda _: c.add(1, -1, 3, 0, SHIFT=1),
    "add_zero": lambda _: c.add(1, 0, -1, 5, SHIFT=2),
    "mul_plain": lambda _: c.mul(3),
    "mul_signed": lambda _: c.mul(1, A_SIGNED=0, ZERO_A=128, B_W=8, B_SIGNED=1, ZERO_B=-128),
    "mul_narrow": lambda _: c.mul(1, OUT_W=5),
    "mul_wide": lambda _: c.mul(1, A_W=30, B_W=32, B_SIGNED=1, ZERO_B=2**31 - 1, OUT_W=64),
    "mul_far_zero": lambda _: c.mul(1, ZERO_A=300, ZERO_B=-(2**31), OUT_W=50),
    "mul_sign": lambda _: c.mul(2, A_W=2, B_W=2, B_SIGNED=1, OUT_W=3),
    "mul_sign_a": lambda _: c.mul(2, A_W=2, ZERO_B=-1),
    "mul_sign_b": lambda _: c.mul(2, B_W=2, B_SIGNED=1, ZERO_A=-1),
    "mul_bit": lambda _: c.mul(2, A_W=1, A_SIGNED=0, ZERO_A=1),
    "mul_bit_b": lambda _: c.mul(2, B_W=1, ZERO_B=0),
    "mul_bit_b_1": lambda _: c.mul(2, B_W=1, ZERO_B=1, A_W=3),
    "mul_repeat_2": lambda _: c.mul(1, REPEAT=2, BEATS=1, ZERO_A=5),
    "mul_repeat_pair": lambda _: c.mul(1, REPEAT=2, BEATS=2),
    "mul_repeat_held": lambda _: c.mul(3, REPEAT=9, BEATS=1),
    "mul_repeat_many": lambda _: c.mul(1, REPEAT=3, BEATS=16),
    "mul_one_position": lambda _: c.mul(1, REPEAT=1, BEATS=4),
    "steps_1": lambda w: c.steps(w, 1, 1, 1, table=False),
    "steps_1_bit": lambda w: c.steps(w, 1, 2, 1, table=False, ACC_W=1),
    "steps_1_many": lambda w: c.steps(w, 1, 33, 1, table=False),
    "steps_1_table": lambda w: c.steps(w, 2, 1, 1, table=True),
    "steps_2": lambda w: c.steps(w, 1, 3, 2, table=False),
    "steps_table": lambda w: c.steps(w, 2, 3, 6, table=True, OUT_W=8),
    "steps_100": lambda w: c.steps(w, 1, 1, 100, table=False, ACC_W=12, OUT_W=8, OUT_BASE=-128),
    "steps_255": lambda w: c.steps(w, 1, 2, 255, table=False, ACC_W=12, OUT_W=9),
    "xnor_1": lambda w: m.mvu(w, m.XNOR, ONE),
    "xnor_1_bias": lambda w: m.mvu(w, m.XNOR, ONE, USE_BIAS=1, ADD_STAGES=1),
    "xnor_5": lambda w: m.mvu(w, m.XNOR, (1, 5, 1, 4), ADD_STAGES=2, ACC_W=6),
    "xnor_64": lambda w: m.mvu(w, m.XNOR, (2, 64, 3, 1), ADD_STAGES=1, USE_BIAS=1),
    "xnor_68": lambda w: m.mvu(w, m.XNOR, (1, 68, 1, 2)),
    "ternary_1": lambda w: m.mvu(w, m.TERNARY, ONE),
    "ternary_bipolar": lambda w: m.mvu(w, m.TERNARY, (3, 5, 2, 2), X_W=1, X_BIPOLAR=1),
    "ternary_replay": lambda w: m.mvu(w, m.TERNARY, (1, 4, 1, 3)),
    "shift_1": lambda w: m.mvu(w, m.SHIFT, ONE, W_W=2, USE_BIAS=1),
    "shift_bipolar": lambda w: m.mvu(w, m.SHIFT, (2, 3, 2, 2), X_W=1, X_BIPOLAR=1, W_W=5),
    "shift_unsigned": lambda w: m.mvu(w, m.SHIFT, (1, 4, 2, 1), X_SIGNED=0, W_W=3),
    "integer_1": lambda w: m.mvu(w, m.INTEGER, ONE, W_W=1),
    "integer_bipolar": lambda w: m.mvu(w, m.INTEGER, (2, 3, 2, 2), X_W=1, X_BIPOLAR=1),
    "integer_unsigned": lambda w: m.mvu(w, m.INTEGER, (2, 8, 1, 2), X_SIGNED=0, ADD_STAGES=1),
    "integer_narrow": lambda w: m.mvu(w, m.INTEGER, (1, 6, 3, 1), X_W=8, W_W=8, ACC_W=10),
    "binary_1": lambda w: m.mvu(w, m.BINARY, ONE, X_SIGNED=0),
    "binary_bipolar": lambda w: m.mvu(w, m.BINARY, (2, 7, 2, 2), X_W=1, X_BIPOLAR=1, USE_BIAS=1),
    "binary_unsigned": lambda w: m.mvu(w, m.BINARY, (2, 33, 1, 2), X_SIGNED=0, USE_BIAS=1),
}
ICARUS_ONLY |= {  # weights as indices into a table
    "shared_1": lambda w: m.mvu(w, m.INTEGER, ONE, W_W=5, VALUES=1),
    "shared_one_value": lambda w: m.mvu(w, m.INTEGER, (2, 3, 2, 2), W_W=5, VALUES=1),
    "shared_2": lambda w: m.mvu(w, m.INTEGER, (3, 4, 2, 1), W_W=3, VALUES=2, USE_BIAS=1),
    "shared_3": lambda w: m.mvu(w, m.INTEGER, (1, 4, 3, 2), W_W=9, ACC_W=20, VALUES=3),
    "shared_16": lambda w: m.mvu(w, m.INTEGER, (2, 8, 1, 2), W_W=8, ACC_W=20, VALUES=16),
    "shared_256": lambda w: m.mvu(w, m.INTEGER, (4, 8, 3, 3), W_W=12, ACC_W=24, VALUES=256),
    "shared_groups": lambda w: m.mvu(
        w, m.INTEGER, (2, 3, 2, 2), X_W=1, X_BIPOLAR=1, GROUPS=3, USE_MASK=1, W_W=6, VALUES=4
    ),
    "shared_shift": lambda w: m.mvu(w, m.SHIFT, (2, 5, 2, 2), W_W=5, ACC_W=24, VALUES=7),
    "depthwise_shared_1": lambda w: v.depthwise(w, m.INTEGER, ONE[:3], W_W=8, VALUES=1),
    "depthwise_shared_17": lambda w: v.depthwise(
        w, m.INTEGER, (3, 5, 2), W_W=8, ACC_W=20, VALUES=17, USE_MASK=1, USE_BIAS=1
    ),
}
ICARUS_ONLY |= {  # groups, masks, classes of pixels
    "xnor_mask_1": lambda w: m.mvu(w, m.XNOR, ONE, USE_MASK=1, USE_BIAS=1, ADD_STAGES=1),
    "xnor_mask_even": lambda w: m.mvu(w, m.XNOR, (1, 64, 3, 1), USE_MASK=1),
    "xnor_mask_tight": lambda w: m.mvu(w, m.XNOR, (2, 3, 4, 1), USE_MASK=1, ACC_W=5),
    "xnor_mask_lanes": lambda w: m.mvu(w, m.XNOR, (3, 7, 1, 2), USE_MASK=1, GROUPS=2),
    "ternary_mask": lambda w: m.mvu(
        w, m.TERNARY, (2, 5, 3, 2), X_W=1, X_BIPOLAR=1, USE_MASK=1, GROUPS=2, USE_BIAS=1
    ),
    "binary_mask": lambda w: m.mvu(w, m.BINARY, (1, 3, 2, 1), X_W=1, X_BIPOLAR=1, USE_MASK=1),
    "integer_groups": lambda w: m.mvu(w, m.INTEGER, (1, 4, 3, 1), GROUPS=4, USE_BIAS=1),
    "shift_groups": lambda w: m.mvu(w, m.SHIFT, (2, 3, 1, 1), GROUPS=5, USE_BIAS=1),
    "steps_classes_fixed": lambda w: c.steps(w, 2, 2, 3, table=False, CLASSES=2, POSITIONS=5),
    "steps_classes_1": lambda w: c.steps(w, 1, 1, 1, table=False, CLASSES=9, POSITIONS=12),
    "requantize_classes": lambda w: c.requantize(w, 2, 3, CLASSES=5, POSITIONS=7),
    "requantize_classes_1": lambda w: c.requantize(w, 1, 1, CLASSES=2, POSITIONS=1, USE_MUL=0),
}
ICARUS_ONLY |= {  # cells beside the window
    "depthwise_1": lambda w: v.depthwise(w, m.INTEGER, ONE[:3], X_W=8, W_W=8),
    "depthwise_ternary": lambda w: v.depthwise(w, m.TERNARY, (1, 3, 2), X_SIGNED=0, USE_BIAS=1),
    "depthwise_shift": lambda w: v.depthwise(w, m.SHIFT, (2, 4, 1), USE_MASK=1, USE_BIAS=1),
    "depthwise_binary": lambda w: v.depthwise(w, m.BINARY, (2, 1, 3)),
    "depthwise_bipolar": lambda w: v.depthwise(
        w, m.TERNARY, (2, 3, 3), X_W=1, X_BIPOLAR=1, USE_MASK=1
    ),
    "depthwise_xnor_1": lambda w: v.depthwise(w, m.XNOR, (1, 9, 1), ACC_W=5, USE_BIAS=1),
    "depthwise_narrow": lambda w: v.depthwise(w, m.INTEGER, (1, 9, 2), X_W=8, W_W=8, ACC_W=10),
    "pool_1": lambda _: v.pool(v.MAX, ONE[:3]),
    "pool_min": lambda _: v.pool(v.MIN, (3, 3, 1), USE_MASK=1),
    "pool_min_unsigned": lambda _: v.pool(v.MIN, (1, 4, 1), X_SIGNED=0, USE_MASK=1),
    "pool_max_unsigned": lambda _: v.pool(v.MAX, (2, 3, 2), X_SIGNED=0, USE_MASK=1),
    "pool_max_bipolar": lambda _: v.pool(v.MAX, (5, 2, 1), X_W=1, X_BIPOLAR=1, USE_MASK=1),
    "pool_min_bipolar": lambda _: v.pool(v.MIN, (5, 2, 1), X_W=1, X_BIPOLAR=1),
    "pool_sum": lambda _: v.pool(v.SUM, (2, 9, 1), USE_MASK=1),
    "pool_sum_unsigned": lambda _: v.pool(v.SUM, (1, 7, 2), X_SIGNED=0, USE_MASK=1),
    "pool_sum_bipolar": lambda _: v.pool(v.SUM, (3, 6, 1), X_W=1, X_BIPOLAR=1, USE_MASK=1),
    "pool_sum_1": lambda _: v.pool(v.SUM, (1, 1, 4), OUT_W=2),
    "pool_max_pixels": lambda _: v.pool(v.MAX, (2, 6, 5), USE_MASK=1),
    "pool_one_pixel": lambda _: v.pool(v.SUM, (2, 1, 3)),
    "concat_1": lambda _: v.concat(1, 1, 1),
    "concat_1_4": lambda _: v.concat(8, 1, 4),
    "reorder_1": lambda w: v.reorder(w, 1, 1, 1),
    "reorder_2": lambda w: v.reorder(w, 4, 2, 2),
    "reorder_crop": lambda w: v.reorder(w, 3, 13, 5),
    "reorder_crop_1": lambda w: v.reorder(w, 3, 7, 6),
    "reorder_to_1": lambda w: v.reorder(w, 3, 7, 1),
    "reorder_repeat": lambda w: v.reorder(w, 3, 5, 14),
    "reorder_one_beat": lambda w: v.reorder(w, 3, 1, 4),
}


@pytest.mark.parametrize("name", EVERYWHERE)
def test_verilator(name: str, tmp_path: Path) -> None:
    run_case(EVERYWHERE[name](tmp_path), tmp_path, "verilator")


@pytest.mark.parametrize("name", EVERYWHERE | ICARUS_ONLY)
def test_icarus(name: str, tmp_path: Path) -> None:
    run_case((EVERYWHERE | ICARUS_ONLY)[name](tmp_path), tmp_path, "icarus")
