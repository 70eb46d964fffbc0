"""Reference models of the cells beside the window in a convolutional network, and their cases."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bitwright.backends.verilog import cell_timing as timing
from tests.hdl.cases import beats_of, extreme
from tests.hdl.cases_mvu import (
    INTEGER,
    SHIFT,
    TERNARY,
    XNOR,
    activation,
    choices,
    encode,
    stored,
    weight_value,
)
from tests.hdl.streams import Case, pack, unpack, write_mem

MAX, MIN, SUM = range(3)
FRAMES = 6


def marks(rng: random.Random, masked: bool, count: int) -> tuple[list[int], list[int]]:
    """Return which beats count, and TUSER: noise when it is not looked at."""
    noise = [rng.choice([0, 1, 1]) for _ in range(count)]
    return (noise if masked else [1] * count), noise


def depthwise(work: Path, kind: int, shape: tuple[int, int, int], **overrides: int) -> Case:
    """Return the case of random kernels; shape is PE, KK, NB."""
    rng = random.Random(13)
    pe, kk, nb = shape
    p: dict[str, Any] = {"KIND": kind, "PE": pe, "KK": kk, "NB": nb}
    p |= {"X_W": 1 if kind == XNOR else 4, "X_SIGNED": 1, "X_BIPOLAR": 0, "ACC_W": 16}
    p |= {"W_W": {TERNARY: 2, SHIFT: 4, INTEGER: 4}.get(kind, 1), "USE_BIAS": 0, "USE_MASK": 0}
    p |= {"VALUES": 0} | overrides
    value = weight_value(kind, p["W_W"])
    of = choices(p, rng)
    words = [[rng.choice(of) for _ in range(pe)] for _ in range(nb * kk)]
    bias = [extreme(p["ACC_W"] - 2, True, rng) * p["USE_BIAS"] for _ in range(nb * pe)]
    stored(work, p, words)
    if p["USE_BIAS"]:
        rows = [pack(bias[i : i + pe], p["ACC_W"]) for i in range(0, nb * pe, pe)]
        p["BIAS_FILE"] = write_mem(work / "bias.mem", rows)
    counts, user = marks(rng, bool(p["USE_MASK"]), FRAMES * nb * kk)
    ins, outs = [], []
    for block in range(FRAMES * nb):
        sums = bias[block % nb * pe :][:pe]
        for tap in range(kk):
            x = [activation(p, rng) for _ in range(pe)]
            ins.append(pack([encode(p, v) for v in x], p["X_W"]))
            w = words[block % nb * kk + tap]
            real = counts[block * kk + tap]
            sums = [s + real * v * value(r) for s, v, r in zip(sums, x, w, strict=True)]
        outs.append(pack(sums, p["ACC_W"]))
    return Case(
        "bw_depthwise",
        p,
        {"s_axis": ins},
        {"m_axis": outs},
        FRAMES,
        nb * kk,
        timing.depthwise_latency(kk),
        input_user={"s_axis": user},
    )


def pool(mode: int, shape: tuple[int, int, int], **overrides: int) -> Case:
    """Return the case of a pool; shape is PE, KK, BLOCKS."""
    rng = random.Random(14)
    pe, kk, blocks = shape
    p: dict[str, Any] = {"MODE": mode, "PE": pe, "KK": kk, "BLOCKS": blocks, "X_W": 4}
    p |= {"X_SIGNED": 1, "X_BIPOLAR": 0, "USE_MASK": 0} | overrides
    p.setdefault("OUT_W", 9 if mode == SUM else p["X_W"])
    signed, bits = bool(p["X_SIGNED"]) and not p["X_BIPOLAR"], p["X_W"]
    least, most = (-(1 << (bits - 1)), (1 << (bits - 1)) - 1) if signed else (0, (1 << bits) - 1)
    start = (least, most, 0)[mode]
    join: Callable[[int, int], int] = (max, min, int.__add__)[mode]
    counts, user = marks(rng, bool(p["USE_MASK"]), FRAMES * kk * blocks)
    ins = [pack([extreme(bits, signed, rng) for _ in range(pe)], bits) for _ in user]
    outs = []
    for first in range(0, len(ins), kk * blocks):
        for block in range(blocks):
            result = [start] * pe
            for beat in range(first + block, first + kk * blocks, blocks):
                x = unpack(ins[beat], pe, bits, signed)
                if mode == SUM and p["X_BIPOLAR"]:
                    x = [2 * v - 1 for v in x]
                if counts[beat]:
                    result = [join(a, b) for a, b in zip(result, x, strict=True)]
            outs.append(pack(result, p["OUT_W"]))
    return Case(
        "bw_pool",
        p,
        {"s_axis": ins},
        {"m_axis": outs},
        FRAMES,
        kk * blocks,
        timing.pool_latency(kk, blocks),
        input_user={"s_axis": user},
    )


def concat(w: int, b0: int, b1: int) -> Case:
    """Return the case of two streams; the second's first beat moves B0 cycles after the first's."""
    rng, pixels = random.Random(15), 20
    first, second = (beats_of(rng, pixels * n, 1, w) for n in (b0, b1))
    outs = []
    for pixel in range(pixels):
        outs += first[pixel * b0 :][:b0] + second[pixel * b1 :][:b1]
    return Case(
        "bw_concat",
        {"W": w, "B0": b0, "B1": b1},
        {"s0_axis": first, "s1_axis": second},
        {"m_axis": outs},
        pixels,
        b0 + b1,
        timing.CONCAT - b0,
    )


def reorder(work: Path, w: int, n_in: int, n_out: int) -> Case:
    rng = random.Random(16)
    index = [rng.choice([0, n_in - 1, rng.randrange(n_in)]) for _ in range(n_out)]
    if n_in == n_out:
        index = rng.sample(range(n_in), n_in)
    ins = beats_of(rng, FRAMES * n_in, 1, w)
    outs = [ins[frame * n_in + i] for frame in range(FRAMES) for i in index]
    return Case(
        "bw_reorder",
        {
            "W": w,
            "N_IN": n_in,
            "N_OUT": n_out,
            "INDEX_FILE": write_mem(work / "index.mem", index),
        },
        {"s_axis": ins},
        {"m_axis": outs},
        FRAMES,
        timing.reorder_interval(n_in, n_out),
        timing.reorder_latency(n_in),
    )
