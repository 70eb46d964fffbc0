"""The cocotb bench of `run_rtl`: it moves beats and checks the protocol, and judges no value.

The folder named by BITWRIGHT_JOB holds job.json and beats.npz; taken.npz and told.json are written
there. Nothing is done in cycles in which nothing can happen, so that long layers run fast.
"""

import json
import os
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

import cocotb
import numpy as np
from cocotb.clock import Clock
from cocotb.triggers import FallingEdge, First, RisingEdge, Timer
from cocotb.utils import get_sim_time

Dut = Any  # the simulator builds it; its ports are known only at run time
Pause = Callable[[], int]  # cycles to stand still before the next beat
PERIOD_NS = 10
_OFTEN, _SHORT = 0.4, 3  # share of beats with a short pause, its most cycles
_RARELY = 0.02  # share of beats with a long one; more where a frame has few beats

PLACE = Path(os.environ["BITWRIGHT_JOB"])
JOB: dict[str, Any] = json.loads((PLACE / "job.json").read_text())
with np.load(PLACE / "beats.npz") as _beats:
    BEATS = {
        prefix: [int.from_bytes(row.tobytes(), "little") for row in _beats[prefix]]
        for prefix in JOB["inputs"]
    }
_MOVED = max(*map(len, BEATS.values()), JOB["frames"] * max(JOB["outputs"].values()))
CYCLES = 4 * (JOB["frames"] + 4) * (JOB["interval"] + JOB["long_stall"]) + 5 * JOB["latency"]
TIMEOUT_US = (CYCLES + 32 * _MOVED + 10_000) * PERIOD_NS // 1000

# cocotb's decorator, with the types that it lacks
timed = cast("Callable[[Any], Any]", cocotb.test(timeout_time=TIMEOUT_US, timeout_unit="us"))


@dataclass
class Run:
    """What a run moved: beats out by stream, cycles at which frames began and ended."""

    begun: dict[str, int] = field(default_factory=dict)
    taken: dict[str, list[int]] = field(default_factory=dict)
    ended: dict[str, list[int]] = field(default_factory=dict)


@dataclass
class Port:
    """The signals of one stream."""

    data: Any
    valid: Any
    ready: Any
    last: Any


def port(dut: Dut, prefix: str) -> Port:
    """Return the signals of a stream."""
    return Port(*(getattr(dut, f"{prefix}_{p}") for p in ("tdata", "tvalid", "tready", "tlast")))


def cycle() -> int:
    """Return the number of the present cycle."""
    return int(get_sim_time("ns")) // PERIOD_NS


def pauses(wanted: bool, beats_per_frame: int, rng: random.Random) -> Pause:
    """Return how long to stand still before each beat: often briefly, now and then for long."""
    rarely = max(_RARELY, 0.25 / beats_per_frame)

    def pause() -> int:
        draw = rng.random()
        if draw < rarely:
            return rng.randint(1, JOB["long_stall"])
        return rng.randint(1, _SHORT) if draw < rarely + _OFTEN else 0

    return pause if wanted else lambda: 0


async def reset(dut: Dut) -> None:
    """Reset the design with its inputs idle and its outputs refused."""
    dut.rst_n.value = 0
    for prefix in JOB["inputs"]:
        s = port(dut, prefix)
        s.data.value = s.valid.value = s.last.value = 0
    for prefix in JOB["outputs"]:
        port(dut, prefix).ready.value = 0
    for _ in range(3):
        await RisingEdge(dut.clk)
    dut.rst_n.value = 1
    await RisingEdge(dut.clk)
    await RisingEdge(dut.clk)


async def drive(dut: Dut, prefix: str, run: Run, pause: Pause) -> None:
    """Send every beat of a stream; show noise while TVALID is low."""
    s, clock, beats = port(dut, prefix), RisingEdge(dut.clk), JOB["inputs"][prefix]
    ready = RisingEdge(s.ready)
    for index, beat in enumerate(BEATS[prefix]):
        for _ in range(pause()):
            s.valid.value, s.data.value = 0, ~beat & ((1 << len(s.data)) - 1)
            await clock
        s.data.value, s.valid.value = beat, 1
        s.last.value = int((index + 1) % beats == 0)
        await clock
        if not s.ready.value:
            await ready
            await clock
        if index == 0:
            run.begun[prefix] = cycle()
    s.valid.value = 0


async def collect(dut: Dut, prefix: str, run: Run, pause: Pause) -> None:
    """Take every beat of a stream; see that a shown beat stays until it is taken."""
    s, clock, beats = port(dut, prefix), RisingEdge(dut.clk), JOB["outputs"][prefix]
    valid = RisingEdge(s.valid)
    taken = run.taken.setdefault(prefix, [])
    ended = run.ended.setdefault(prefix, [])
    while len(taken) < JOB["frames"] * beats:
        shown = await _stand(s, clock, pause(), f"{prefix} beat {len(taken)}")
        s.ready.value = 1
        await clock
        if not s.valid.value:
            assert shown is None, f"{prefix}: beat {len(taken)} went before it was taken"
            await valid
            await clock
        got, last = int(s.data.value), bool(s.last.value)
        assert shown in (None, got), f"{prefix}: beat {len(taken)} changed before it was taken"
        taken.append(got)
        assert last == (len(taken) % beats == 0), f"{prefix}_tlast is {last}, beat {len(taken)}"
        if last:
            ended.append(cycle())


async def _stand(s: Port, clock: RisingEdge, cycles: int, what: str) -> int | None:
    """Refuse beats for some cycles and return the one that is shown, when one is."""
    shown = None
    if cycles:
        s.ready.value = 0
    for _ in range(cycles):
        await clock
        if s.valid.value:
            seen = int(s.data.value)
            assert shown in (None, seen), f"{what} changed while it waited"
            shown = seen
        else:
            assert shown is None, f"{what} went while it waited"
    return shown


async def tap(dut: Dut, wires: str, beats: list[int]) -> None:
    """Keep the beats of a stream inside the design; at the falling edge all its wires stand."""
    data, valid, ready = (getattr(dut, f"{wires}_{p}") for p in ("tdata", "tvalid", "tready"))
    clock = FallingEdge(dut.clk)
    while True:
        await clock
        if valid.value and ready.value:
            beats.append(int(data.value))


def begin(dut: Dut, run: Run, rng: random.Random) -> list[Any]:
    """Start a source and a sink for every stream."""
    tasks = []
    for prefix, beats in JOB["inputs"].items():
        pause = pauses(JOB["source_stalls"], beats, rng)
        tasks.append(cocotb.start_soon(drive(dut, prefix, run, pause)))
    for prefix, beats in JOB["outputs"].items():
        pause = pauses(JOB["sink_stalls"], beats, rng)
        tasks.append(cocotb.start_soon(collect(dut, prefix, run, pause)))
    return tasks


async def break_off(dut: Dut, rng: random.Random) -> None:
    """Send other frames and reset amid them."""
    tasks = begin(dut, Run(), rng)
    await Timer(rng.randint(1, JOB["latency"] + JOB["interval"]) * PERIOD_NS, unit="ns")
    for task in tasks:
        task.cancel()
    await RisingEdge(dut.clk)
    await reset(dut)


@timed
async def frames_pass(dut: Dut) -> None:
    """Move all frames, then see that no further beat comes."""
    rng = random.Random(JOB["seed"])
    Clock(dut.clk, PERIOD_NS, unit="ns").start()
    await reset(dut)
    if JOB["reset_midframe"]:
        for _ in range(2):
            await break_off(dut, rng)
    run = Run()
    taps: dict[str, list[int]] = {wires: [] for wires in JOB["taps"]}
    for wires, beats in taps.items():
        cocotb.start_soon(tap(dut, wires, beats))
    for task in begin(dut, run, rng):
        await task
    quiet = Timer((JOB["latency"] + 8) * PERIOD_NS, unit="ns")
    await RisingEdge(dut.clk)
    more = [RisingEdge(port(dut, prefix).valid) for prefix in JOB["outputs"]]
    assert await First(quiet, *more) is quiet, "a beat too many"
    arrays = {p: octets(beats, JOB["output_bytes"][p]) for p, beats in run.taken.items()}
    arrays |= {f"tap:{w}": octets(beats, JOB["taps"][w]) for w, beats in taps.items()}
    np.savez(PLACE / "taken.npz", **arrays)
    told = {"begun": run.begun, "ended": run.ended, "frame_error": int(dut.frame_error.value)}
    told |= {"taps": bool(taps), "trace": traced(dut)}
    (PLACE / "told.json").write_text(json.dumps(told))


def octets(beats: list[int], width: int) -> Any:
    """Return beats as rows of bytes, the lowest first."""
    rows = [list(beat.to_bytes(width, "little")) for beat in beats]
    return np.array(rows, np.uint8).reshape(-1, width)


def traced(dut: Dut) -> list[int]:
    """Return the CRCs of the last frame, none without TRACE."""
    if not JOB["trace"]:
        assert not dut.trace_valid.value, "trace_valid is set without TRACE"
        return []
    assert dut.trace_valid.value, "the CRCs are not all of one frame"
    crcs = int(dut.trace_crc.value)
    return [crcs >> (32 * i) & 0xFFFFFFFF for i in range(JOB["trace"])]
