"""Bench for anything between AXI4-Streams: the right beats, in order, under any stall pattern.

The case is a JSON file named by BITWRIGHT_CASE; the cycles go to measured.json beside it.
An X on a valid beat fails (Icarus shows it).
"""

import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, cast

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge
from cocotb.utils import get_sim_time

from tests.hdl.streams import Case, Measured

Dut = Any  # the simulator builds it; its ports are known only at run time
Stall = Callable[[bool], bool]  # told whether the sink saw a beat; True: do nothing this cycle
Marks = dict[str, list[int]]  # a bit for each beat, by stream
PERIOD_NS = 10

FILE = Path(os.environ["BITWRIGHT_CASE"])
CASE = Case.load(FILE)

# cocotb's decorators, with the types that they lack
bench = cast(
    "Callable[[Any], Any]", cocotb.test(timeout_time=CASE.timeout * PERIOD_NS, timeout_unit="ns")
)
each_stall = cast(
    "Callable[[Any], Any]",
    cocotb.parametrize(stalls=[(0.5, 0.0), (0.0, 0.5), (0.4, 0.4), (0.1, 0.9)]),
)


@dataclass
class Run:
    """Beats that a run moved: the cycle of each handshake by stream."""

    sent: dict[str, list[int]] = field(default_factory=dict)
    taken: dict[str, list[int]] = field(default_factory=dict)


def cycle() -> int:
    return int(get_sim_time("ns")) // PERIOD_NS


def never(_: bool) -> bool:
    return False


def sometimes(probability: float, rng: random.Random) -> Stall:
    return lambda _: rng.random() < probability


def until_valid(seen: bool) -> bool:
    """Stall a sink until it sees a beat: TVALID must not wait for TREADY."""
    return not seen


def beside(dut: Dut, prefix: str, last: Marks, user: Marks) -> list[tuple[Any, list[int]]]:
    """Return the ports beside a stream's data that the case names, and their values by beat."""
    marks = {"tlast": last.get(prefix), "tuser": user.get(prefix)}
    return [(getattr(dut, f"{prefix}_{p}"), m) for p, m in marks.items() if m is not None]


async def reset(dut: Dut) -> None:
    dut.rst_n.value = 0
    for prefix in CASE.inputs:
        getattr(dut, f"{prefix}_tvalid").value = 0
        getattr(dut, f"{prefix}_tdata").value = 0
        for port, _ in beside(dut, prefix, CASE.input_last, CASE.input_user):
            port.value = 0
    for prefix in CASE.outputs:
        getattr(dut, f"{prefix}_tready").value = 0
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst_n.value = 1
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)
    for name in CASE.flags:
        assert not getattr(dut, name).value, f"{name} after reset"


async def drive(dut: Dut, prefix: str, run: Run, stall: Stall, rng: random.Random) -> None:
    """Send every beat of a stream; show noise while TVALID is low."""
    data, valid, ready = (getattr(dut, f"{prefix}_{p}") for p in ("tdata", "tvalid", "tready"))
    marks = beside(dut, prefix, CASE.input_last, CASE.input_user)
    stamps = run.sent.setdefault(prefix, [])
    width = len(data)
    for index, beat in enumerate(CASE.inputs[prefix]):
        while stall(False):
            await RisingEdge(dut.clk)
        data.value, valid.value = beat, 1
        for port, mark in marks:
            port.value = mark[index]
        await RisingEdge(dut.clk)
        while not ready.value:
            await RisingEdge(dut.clk)
        stamps.append(cycle())
        data.value, valid.value = rng.getrandbits(width), 0
        for port, _ in marks:
            port.value = rng.getrandbits(1)


async def collect(dut: Dut, prefix: str, run: Run, stall: Stall) -> None:
    """Take every beat of a stream and compare it; see that a shown beat stays until taken."""
    data, valid, ready = (getattr(dut, f"{prefix}_{p}") for p in ("tdata", "tvalid", "tready"))
    marks = beside(dut, prefix, CASE.output_last, CASE.output_user)
    stamps = run.taken.setdefault(prefix, [])
    shown = False
    want = CASE.outputs[prefix]
    while len(stamps) < len(want):
        taking = not stall(shown)
        ready.value = int(taking)
        await RisingEdge(dut.clk)
        seen = bool(valid.value)
        assert seen or not shown, f"{prefix}_tvalid fell before beat {len(stamps)} was taken"
        if seen:
            got, due = int(data.value), want[len(stamps)]
            assert got == due, f"{prefix} beat {len(stamps)}: {got:#x}, not {due:#x}"
            for port, mark in marks:
                assert int(port.value) == mark[len(stamps)], f"{prefix} marks, beat {len(stamps)}"
            if taking:
                stamps.append(cycle())
        shown = seen and not taking
    ready.value = 1


async def exchange(dut: Dut, source: Stall, sink: Stall) -> Run:
    """Move all beats of the case, then see that no more come."""
    rng = random.Random(cocotb.RANDOM_SEED)
    run = Run()
    sources = [cocotb.start_soon(drive(dut, p, run, source, rng)) for p in CASE.inputs]
    sinks = [cocotb.start_soon(collect(dut, p, run, sink)) for p in CASE.outputs]
    for task in [*sources, *sinks]:
        await task
    for _ in range(8 + (CASE.latency or 0)):
        await RisingEdge(dut.clk)
        for prefix in CASE.outputs:
            assert not getattr(dut, f"{prefix}_tvalid").value, f"{prefix}: a beat too many"
    for name, value in CASE.flags.items():
        assert int(getattr(dut, name).value) == value, name
    return run


async def start(dut: Dut) -> random.Random:
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    await reset(dut)
    return random.Random(cocotb.RANDOM_SEED)


@bench
async def keeps_its_cycles(dut: Dut) -> None:
    """Unstalled: right beats, and the latency and interval that the model says."""
    await start(dut)

    run = await exchange(dut, never, never)

    begun = max(sent[0] for sent in run.sent.values())
    gaps, firsts, frames = [], [], []
    for taken in run.taken.values():
        ends = taken[len(taken) // CASE.frames - 1 :: len(taken) // CASE.frames]
        gaps += [b - a for a, b in pairwise(ends)]
        firsts.append(taken[0] - begun)
        frames.append(ends[0] - begun)
    measured = Measured(max(firsts), max(frames), gaps)
    measured.save(FILE.with_name("measured.json"))
    assert CASE.interval is None or set(gaps) <= {CASE.interval}, measured
    assert CASE.latency is None or set(firsts) == {CASE.latency}, measured


@bench
@each_stall
async def survives_stalls(dut: Dut, stalls: tuple[float, float]) -> None:
    rng = await start(dut)

    await exchange(dut, sometimes(stalls[0], rng), sometimes(stalls[1], rng))


@bench
async def offers_without_being_asked(dut: Dut) -> None:
    """TVALID comes before TREADY."""
    await start(dut)

    await exchange(dut, never, until_valid)


@bench
async def restarts_in_mid_frame(dut: Dut) -> None:
    """Reset at any moment, and again: afterwards all is as from the start."""
    rng = await start(dut)

    for _ in range(3):
        run = Run()
        tasks = [cocotb.start_soon(drive(dut, p, run, never, rng)) for p in CASE.inputs]
        sink = sometimes(0.3, rng)
        tasks += [cocotb.start_soon(collect(dut, p, run, sink)) for p in CASE.outputs]
        for _ in range(rng.randrange(1, 30)):
            await RisingEdge(dut.clk)
        for task in tasks:
            task.cancel()
        await reset(dut)
    await exchange(dut, sometimes(0.2, rng), sometimes(0.2, rng))
