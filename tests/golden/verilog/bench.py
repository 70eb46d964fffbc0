"""Bench of tiny_net_top: sends the vectors, frames back to back, and compares what comes out.

Once unstalled and once with random stalls on both ends. Needs cocotb alone: make sim
"""

import random
from pathlib import Path

import cocotb
from cocotb.clock import Clock
from cocotb.triggers import RisingEdge

VECTORS = Path(__file__).parent / "vectors"
INPUTS = {  # stream: beats of a frame
    "s_axis": 3,
}
OUTPUTS = {
    "m_axis": 1,
}


def beats_of(prefix):
    return [int(line, 16) for line in (VECTORS / f"{prefix}.txt").read_text().split()]


async def send(dut, prefix, beats_per_frame, stall, rng):
    data, valid, ready, last = (
        getattr(dut, f"{prefix}_{p}") for p in ("tdata", "tvalid", "tready", "tlast")
    )
    for index, beat in enumerate(beats_of(prefix)):
        while rng.random() < stall:
            await RisingEdge(dut.clk)
        data.value = beat
        last.value = int(index % beats_per_frame == beats_per_frame - 1)
        valid.value = 1
        await RisingEdge(dut.clk)
        while not ready.value:
            await RisingEdge(dut.clk)
        valid.value = 0


async def receive(dut, prefix, beats_per_frame, stall, rng):
    data, valid, ready, last = (
        getattr(dut, f"{prefix}_{p}") for p in ("tdata", "tvalid", "tready", "tlast")
    )
    for index, due in enumerate(beats_of(prefix)):
        taken = False
        while not taken:
            ready.value = int(rng.random() >= stall)
            await RisingEdge(dut.clk)
            taken = bool(valid.value) and bool(ready.value)
        got, end = int(data.value), index % beats_per_frame == beats_per_frame - 1
        assert got == due, f"{prefix} beat {index}: got {got:#x}, expected {due:#x}"
        assert bool(last.value) == end, f"{prefix}_tlast, beat {index}"


async def run(dut, stall):
    rng = random.Random(1)
    Clock(dut.clk, 10, unit="ns").start()
    dut.rst_n.value = 0
    for prefix in INPUTS:
        getattr(dut, f"{prefix}_tdata").value = 0
        getattr(dut, f"{prefix}_tvalid").value = 0
        getattr(dut, f"{prefix}_tlast").value = 0
    for prefix in OUTPUTS:
        getattr(dut, f"{prefix}_tready").value = 0
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst_n.value = 1
    await RisingEdge(dut.clk)
    tasks = [cocotb.start_soon(send(dut, p, n, stall, rng)) for p, n in INPUTS.items()]
    tasks += [cocotb.start_soon(receive(dut, p, n, stall, rng)) for p, n in OUTPUTS.items()]
    for task in tasks:
        await task
    assert not dut.frame_error.value, "frame_error is set"


@cocotb.test(timeout_time=8, timeout_unit="us")
async def unstalled(dut):
    await run(dut, 0.0)


@cocotb.test(timeout_time=8, timeout_unit="us")
async def stalled(dut):
    await run(dut, 0.4)
