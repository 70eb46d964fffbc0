"""Reference model of the matrix-vector unit, and its cases."""

import random
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

from bitwright.backends.verilog import cell_timing as timing
from tests.hdl.cases import extreme
from tests.hdl.streams import Case, pack, write_mem

XNOR, TERNARY, SHIFT, INTEGER, BINARY = range(5)


def ternary(raw: int) -> int:
    return 0 if not raw & 1 else -1 if raw & 2 else 1


def power(raw: int, bits: int) -> int:
    sign = -1 if raw >> (bits - 1) & 1 else 1
    nonzero = raw >> (bits - 2) & 1
    return sign * nonzero << (raw & ((1 << (bits - 2)) - 1))


def signed(raw: int, bits: int) -> int:
    return raw - (1 << bits) if raw >> (bits - 1) else raw


def weight_value(kind: int, bits: int) -> Callable[[int], int]:
    """Return the meaning of a weight's bits."""
    return {
        XNOR: lambda raw: 2 * raw - 1,
        TERNARY: ternary,
        SHIFT: lambda raw: power(raw, bits),
        INTEGER: lambda raw: signed(raw, bits),
        BINARY: lambda raw: 2 * raw - 1,
    }[kind]


def activation(p: dict[str, Any], rng: random.Random) -> int:
    if p["KIND"] == XNOR or p["X_BIPOLAR"]:
        return rng.choice([-1, 1])
    return extreme(p["X_W"], bool(p["X_SIGNED"]), rng)


def encode(p: dict[str, Any], x: int) -> int:
    return int(x > 0) if p["KIND"] == XNOR or p["X_BIPOLAR"] else x


def stored(work: Path, p: dict[str, Any], words: list[list[int]]) -> None:
    """Write the words of `p`'s weights, with VALUES as indices and the table of what they mean."""
    table, bits = list(range(1 << p["W_W"])), p["W_W"]
    if p["VALUES"]:
        table, bits = list(dict.fromkeys(w for word in words for w in word)), index_bits(p)
        table += [table[0]] * (p["VALUES"] - len(table))  # values of which no weight has one
        p["TABLE_FILE"] = write_mem(work / "table.mem", table)
    packed = [pack([table.index(w) for w in word], bits) for word in words]
    p["WEIGHT_FILE"] = write_mem(work / "weight.mem", packed)


def index_bits(p: dict[str, Any]) -> int:
    return max(int(p["VALUES"] - 1).bit_length(), 1)


def choices(p: dict[str, Any], rng: random.Random) -> list[int]:
    """Return the weights that occur: all, or VALUES of them, the least among these."""
    every = range(1 << p["W_W"])
    if not p["VALUES"]:
        return list(every)
    least = 1 << (p["W_W"] - 1)
    return [least, *rng.sample([w for w in every if w != least], p["VALUES"] - 1)]


def mvu(work: Path, kind: int, shape: tuple[int, int, int, int], **overrides: int) -> Case:
    """Return the case of random matrices, one a group; shape is PE, SIMD, SF, NF."""
    rng = random.Random(11)
    pe, simd, sf, nf = shape
    p: dict[str, Any] = {"KIND": kind, "PE": pe, "SIMD": simd, "SF": sf, "NF": nf}
    p |= {"X_W": 1 if kind == XNOR else 4, "X_SIGNED": 1, "X_BIPOLAR": 0, "ADD_STAGES": 3}
    p |= {"W_W": {TERNARY: 2, SHIFT: 4, INTEGER: 4}.get(kind, 1), "ACC_W": 16, "USE_BIAS": 0}
    p |= {"GROUPS": 1, "USE_MASK": 0, "VALUES": 0} | overrides
    rows = p["GROUPS"] * nf * pe
    value = weight_value(kind, p["W_W"])
    of = choices(p, rng)
    raw = [[rng.choice(of) for _ in range(sf * simd)] for _ in range(rows)]
    for row in raw[: pe + 1]:  # most negative and most positive rows
        ends = [(1 << p["W_W"]) - 1, 1 << (p["W_W"] - 1)]
        row[:] = [rng.choice([w for w in ends if w in of])] * len(row)
    bias = [extreme(p["ACC_W"] - 2, True, rng) * p["USE_BIAS"] for _ in range(rows)]
    words = [
        [raw[n * pe + q][f * simd + s] for q in range(pe) for s in range(simd)]
        for n in range(p["GROUPS"] * nf)
        for f in range(sf)
    ]
    stored(work, p, words)
    if p["USE_BIAS"]:
        starts = [pack(bias[i : i + pe], p["ACC_W"]) for i in range(0, rows, pe)]
        p["BIAS_FILE"] = write_mem(work / "bias.mem", starts)

    ins, outs, user, frames = [], [], [], 6
    for _, group in product(range(frames), range(0, rows, nf * pe)):
        x = [activation(p, rng) for _ in range(sf * simd)]
        bits = [encode(p, v) for v in x]
        ins += [pack(bits[i : i + simd], p["X_W"]) for i in range(0, len(x), simd)]
        real = [rng.choice([0, 1, 1]) if p["USE_MASK"] else 1 for _ in range(sf)]
        user += real if p["USE_MASK"] else [rng.getrandbits(1) for _ in real]
        seen = [v * real[i // simd] for i, v in enumerate(x)]
        y = [
            b + sum(value(w) * v for w, v in zip(row, seen, strict=True))
            for b, row in zip(bias[group : group + nf * pe], raw[group:], strict=False)
        ]
        outs += [pack(y[i : i + pe], p["ACC_W"]) for i in range(0, len(y), pe)]
    return Case(
        "bw_mvu",
        p,
        {"s_axis": ins},
        {"m_axis": outs},
        frames,
        p["GROUPS"] * timing.mvu_interval(nf, sf),
        timing.mvu_latency(kind, simd, sf, p["ADD_STAGES"]),
        input_user={"s_axis": user},
    )
