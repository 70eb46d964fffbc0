"""Reference models of the library cells, and the cases that their benches run."""

import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bitwright.backends.verilog import cell_timing as timing
from tests.hdl.streams import Case, pack, unpack, write_mem


def extreme(width: int, signed: bool, rng: random.Random) -> int:
    """Return a value of so many bits, often the least or the greatest."""
    low, high = (-(1 << (width - 1)), (1 << (width - 1)) - 1) if signed else (0, (1 << width) - 1)
    return rng.choice([low, high, rng.randint(low, high), rng.randint(low, high)])


def beats_of(rng: random.Random, count: int, lanes: int, width: int) -> list[int]:
    return [pack([extreme(width, True, rng) for _ in range(lanes)], width) for _ in range(count)]


def round_clamp(t: int, p: dict[str, Any]) -> int:
    """y = clamp(round(t / 2**SHIFT) + ZERO, LO, HI), as in bw_round_clamp."""
    shift, low, high = int(p["SHIFT"]), int(p["LO"]), int(p["HI"])
    if p["ROUND"] and shift:
        t += (1 << (shift - 1)) - 1 + ((t >> shift) & 1)
    return min(max((t >> shift) + int(p["ZERO"]), low), high)


def plain(top: str, parameters: dict[str, int | str], width: int, latency: int = 1) -> Case:
    """Return a case of a cell that passes its beats on."""
    beats = beats_of(random.Random(1), 60, 1, width)
    return Case(top, parameters, {"s_axis": beats}, {"m_axis": beats}, 60, 1, latency)


def skid(w: int) -> Case:
    return plain("bw_skid", {"W": w}, w)


def fifo(w: int, depth: int) -> Case:
    beats = beats_of(random.Random(depth), max(60, 3 * depth), 1, w)
    return Case(
        "bw_fifo",
        {"W": w, "DEPTH": depth},
        {"s_axis": beats},
        {"m_axis": beats},
        len(beats),
        1 if depth > 1 else 2,
        timing.FIFO,
        flags={"count": 0},
    )


def fork(w: int) -> Case:
    beats = beats_of(random.Random(3), 60, 1, w)
    outs = {"m0_axis": beats, "m1_axis": beats}
    return Case("bw_fork", {"W": w}, {"s_axis": beats}, outs, 60, 1, timing.FORK)


def frame_in(w: int, beats: int, wrong: bool) -> Case:
    data = beats_of(random.Random(4), 6 * beats, 1, w)
    last = [int(i % beats == beats - 1) for i in range(len(data))]
    if wrong:
        last[-1] = 0
    return Case(
        "bw_frame_in",
        {"W": w, "BEATS": beats},
        {"s_axis": data},
        {"m_axis": data},
        6,
        beats,
        timing.FRAME_IN,
        input_last={"s_axis": last},
        flags={"frame_error": int(wrong)},
    )


def frame_out(w: int, beats: int) -> Case:
    data = beats_of(random.Random(4), 6 * beats, 1, w)
    last = [int(i % beats == beats - 1) for i in range(len(data))]
    return Case(
        "bw_frame_out",
        {"W": w, "BEATS": beats},
        {"s_axis": data},
        {"m_axis": data},
        6,
        beats,
        timing.FRAME_OUT,
        output_last={"m_axis": last},
    )


def width(w_elem: int, n_in: int, n_out: int) -> Case:
    rng = random.Random(5)
    wide, frames = max(n_in, n_out), 12
    elements = [extreme(w_elem, True, rng) for _ in range(wide * frames)]

    def beats(n: int) -> list[int]:
        return [pack(elements[i : i + n], w_elem) for i in range(0, len(elements), n)]

    return Case(
        "bw_width",
        {"W_ELEM": w_elem, "N_IN": n_in, "N_OUT": n_out},
        {"s_axis": beats(n_in)},
        {"m_axis": beats(n_out)},
        frames,
        wide // min(n_in, n_out),
        timing.width_latency(n_in, n_out),
    )


def lookup(work: Path, pe: int, in_w: int, out_w: int) -> Case:
    rng = random.Random(6)
    table = [rng.getrandbits(out_w) for _ in range(1 << in_w)]
    beats = beats_of(rng, 40, pe, in_w)
    due = [pack([table[x] for x in unpack(b, pe, in_w, signed=False)], out_w) for b in beats]
    parameters: dict[str, int | str] = {"PE": pe, "IN_W": in_w, "OUT_W": out_w}
    parameters["TABLE_FILE"] = write_mem(work / "table.mem", table)
    return Case("bw_lookup", parameters, {"s_axis": beats}, {"m_axis": due}, 40, 1, timing.LOOKUP)


def argmax(pe: int, beats: int, w: int, signed: bool) -> Case:
    rng, frames = random.Random(7), 12
    ins, outs = [], []
    for _ in range(frames):
        vector = [extreme(w, signed, rng) for _ in range(pe * beats)]
        ins += [pack(vector[i : i + pe], w) for i in range(0, len(vector), pe)]
        outs.append(vector.index(max(vector)))
    return Case(
        "bw_argmax",
        {"PE": pe, "BEATS": beats, "W": w, "X_SIGNED": int(signed), "IDX_W": 7},
        {"s_axis": ins},
        {"m_axis": outs},
        frames,
        beats,
        timing.argmax_latency(pe, beats),
    )


def classes(work: Path, p: dict[str, Any], rng: random.Random) -> list[int]:
    """Return the row of parameters of each beat of a frame, and write the classes of its pixels."""
    if p.setdefault("CLASSES", 1) == 1:
        return list(range(p["NF"]))
    pixels = [rng.randrange(p["CLASSES"]) for _ in range(p["POSITIONS"])]
    p["CLASS_FILE"] = write_mem(work / "class.mem", pixels)
    return [pixel * p["NF"] + nf for pixel in pixels for nf in range(p["NF"])]


def requantize_factor(mul: int, p: dict[str, Any]) -> int:
    """Return the number that the ROM's `mul` stands for."""
    if p["USE_MUL"] != 2:
        return mul if p["USE_MUL"] else 1
    exponent_bits = p["MUL_W"] - 2
    code = mul % (1 << p["MUL_W"])
    nonzero, negative = code >> exponent_bits & 1, code >> (exponent_bits + 1)
    magnitude: int = nonzero << code % (1 << exponent_bits)
    return -magnitude if negative else magnitude


def requantize(work: Path, pe: int, nf: int, **overrides: int) -> Case:
    rng = random.Random(8)
    p: dict[str, Any] = {"PE": pe, "NF": nf, "ACC_W": 12, "MUL_W": 8, "ADD_W": 16, "SHIFT": 9}
    p |= {"ROUND": 1, "ZERO": 3, "LO": -128, "HI": 127, "OUT_W": 8, "USE_MUL": 1} | overrides
    row_of = classes(work, p, rng)
    channels = p["CLASSES"] * nf * pe
    mul = [extreme(p["MUL_W"], True, rng) for _ in range(channels)]
    add = [extreme(p["ADD_W"], True, rng) for _ in range(channels)]
    pairs = [
        pack([m], p["MUL_W"]) | pack([a], p["ADD_W"]) << p["MUL_W"]
        for m, a in zip(mul, add, strict=True)
    ]
    words = [pack(pairs[i : i + pe], p["MUL_W"] + p["ADD_W"]) for i in range(0, channels, pe)]
    frames = max(8, 100 // len(row_of))
    factors = [requantize_factor(m, p) for m in mul]
    ins = beats_of(rng, frames * len(row_of), pe, p["ACC_W"])
    outs = []
    for beat, row in zip(ins, row_of * frames, strict=True):
        codes = []
        for c, x in enumerate(unpack(beat, pe, p["ACC_W"]), row * pe):
            codes.append(round_clamp(x * factors[c] + add[c], p))
        outs.append(pack(codes, p["OUT_W"]))
    p["PARAM_FILE"] = write_mem(work / "param.mem", words)
    latency = timing.requantize_latency(bool(p["USE_MUL"]), p["CLASSES"])
    interval = len(row_of)
    return Case("bw_requantize", p, {"s_axis": ins}, {"m_axis": outs}, frames, interval, latency)


def add(n: int, mul_a: int, mul_b: int, constant: int, **overrides: int) -> Case:
    rng = random.Random(9)
    p: dict[str, Any] = {"N": n, "A_W": 8, "A_SIGNED": 1, "B_W": 5, "B_SIGNED": 0}
    p |= {"T_W": 48, "SHIFT": 4, "ROUND": 1, "ZERO": -7, "LO": -128, "HI": 127, "OUT_W": 8}
    p |= overrides
    count = 40
    a = beats_of(rng, count, n, p["A_W"])
    b = beats_of(rng, count, n, p["B_W"])
    outs = []
    for beat_a, beat_b in zip(a, b, strict=True):
        pairs = zip(
            unpack(beat_a, n, p["A_W"], bool(p["A_SIGNED"])),
            unpack(beat_b, n, p["B_W"], bool(p["B_SIGNED"])),
            strict=True,
        )
        codes = [round_clamp(x * mul_a + y * mul_b + constant, p) for x, y in pairs]
        outs.append(pack(codes, p["OUT_W"]))
    for name, value in (("MUL_A", mul_a), ("MUL_B", mul_b), ("ADD", constant)):
        p[name] = f"64'sh{value & (2**64 - 1):x}"
    return Case("bw_add", p, {"s0_axis": a, "s1_axis": b}, {"m_axis": outs}, count, 1, timing.ADD)


def mul(n: int, **overrides: int) -> Case:
    """Return the case of products; under REPEAT a frame is that many pixels of BEATS beats."""
    rng = random.Random(18)
    p: dict[str, Any] = {"N": n, "A_W": 8, "A_SIGNED": 1, "B_W": 5, "B_SIGNED": 0, "ZERO_A": 0}
    p |= {"ZERO_B": 0, "OUT_W": 20, "REPEAT": 1, "BEATS": 1} | overrides
    repeat, beats = p["REPEAT"], p["BEATS"]
    frames = max(4, 40 // (repeat * beats))
    a, b = (
        [
            pack([extreme(p[f"{x}_W"], bool(p[f"{x}_SIGNED"]), rng) for _ in range(n)], p[f"{x}_W"])
            for _ in range(count)
        ]
        for x, count in (("A", frames * repeat * beats), ("B", frames * beats))
    )
    outs = []
    for index, beat in enumerate(a):
        frame, place = index // (repeat * beats), index % beats
        x = unpack(beat, n, p["A_W"], bool(p["A_SIGNED"]))
        y = unpack(b[frame * beats + place], n, p["B_W"], bool(p["B_SIGNED"]))
        products = [(v - p["ZERO_A"]) * (w - p["ZERO_B"]) for v, w in zip(x, y, strict=True)]
        outs.append(pack(products, p["OUT_W"]))
    return Case(
        "bw_mul",
        p,
        {"s0_axis": a, "s1_axis": b},
        {"m_axis": outs},
        frames,
        repeat * beats,
        timing.mul_latency(repeat),
    )


def steps(work: Path, pe: int, nf: int, t: int, table: bool, **overrides: int) -> Case:
    rng = random.Random(10)
    p: dict[str, Any] = {"PE": pe, "NF": nf, "T": t, "ACC_W": 8, "OUT_BASE": 0}
    p |= {"OUT_W": max(t.bit_length(), 1), "TABLE": int(table)} | overrides
    row_of = classes(work, p, rng)
    channels = p["CLASSES"] * nf * pe
    acc_w, out_w = p["ACC_W"], p["OUT_W"]
    top = 1 << (acc_w - 1)
    levels = [sorted(rng.randint(-top, top) for _ in range(t)) for _ in range(channels)]
    codes = [[rng.getrandbits(out_w) for _ in range(t + 1)] for _ in range(channels)]

    def words(rows: Sequence[Sequence[int]], bits: int) -> list[int]:
        flat = [[v for row in rows[i : i + pe] for v in row] for i in range(0, channels, pe)]
        return [pack(row, bits) for row in flat]

    ins, outs = beats_of(rng, 8 * len(row_of), pe, acc_w), []
    for beat, row in zip(ins, row_of * 8, strict=True):
        lanes = []
        for c, x in enumerate(unpack(beat, pe, acc_w), row * pe):
            reached = sum(x >= level for level in levels[c])
            lanes.append(codes[c][reached] if table else p["OUT_BASE"] + reached)
        outs.append(pack(lanes, out_w))
    p["THRESH_FILE"] = write_mem(work / "thresh.mem", words(levels, acc_w + 1))
    if table:
        p["TABLE_FILE"] = write_mem(work / "table.mem", words(codes, out_w))
    latency = timing.steps_latency(t, table, p["CLASSES"])
    return Case("bw_steps", p, {"s_axis": ins}, {"m_axis": outs}, 8, len(row_of), latency)
