"""Run a generated design in Verilator under cocotb and bring back what came out, and when."""

import contextlib
import fcntl
import hashlib
import importlib.util
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np

from bitwright.backends.verilog.formats import Format, from_beats, to_beats
from bitwright.errors import CompileError, MissingToolError, VerifyError
from bitwright.ir.graph import Array
from bitwright.sim.toolchain import environment, find_verilator

_VERILATOR_ARGS = (
    *("-O3", "--x-initial", "unique", "--x-assign", "unique", "--no-timing"),
    "--no-public-flat-rw",  # cocotb makes every signal public, which keeps all of them
)
_TAIL = 4000  # characters of a log that an error quotes
_LONG = 512  # cycles of the longest stall


class Stalls(Enum):
    """Which ends of the design pause at random."""

    NONE = "none"
    SOURCE = "source"
    SINK = "sink"
    BOTH = "both"


class Simulator(Enum):
    """What runs the design: Verilator is fast; Icarus builds at once and shows an X on a beat."""

    VERILATOR = "verilator"
    ICARUS = "icarus"


@dataclass(frozen=True, slots=True)
class RtlOptions:
    """How a design is run. With `reset_midframe` it is reset amid other frames first.

    `taps` brings back what every layer gave, `trace` builds with TRACE and brings back its CRCs.
    """

    stalls: Stalls = Stalls.NONE
    seed: int = 1
    reset_midframe: bool = False
    simulator: Simulator = Simulator.VERILATOR
    taps: bool = False
    trace: bool = False


@dataclass(frozen=True, slots=True)
class RtlResult:
    """What came out of the design, and when.

    `outputs` are int64 arrays (samples, *shape) by tensor name. `gaps` are the cycles between the
    last beats of frames that follow one another, the larger where there are several outputs;
    `latency` runs from the first beat in to the last beat out of the first frame. `taps` are, by
    layer, arrays as the outputs; `trace` is by layer the CRC-32 of the last frame.
    """

    outputs: Mapping[str, Array]
    gaps: tuple[int, ...]
    latency: int
    frame_error: bool
    taps: Mapping[str, Array] = field(default_factory=dict)
    trace: Mapping[str, int] = field(default_factory=dict)

    @property
    def interval(self) -> int | None:
        """The cycles of a frame once the design is full: the last gap; None of a single frame."""
        return self.gaps[-1] if self.gaps else None


def run_rtl(
    folder: Path,
    inputs: Mapping[str, Array],
    *,
    work: Path,
    stalls: Stalls = Stalls.NONE,
    seed: int = 1,
    reset_midframe: bool = False,
) -> RtlResult:
    """Send `inputs`, arrays (samples, *shape) by tensor name, back to back through the design.

    `folder` holds report.json and rtl/; see RtlOptions for the rest, and `run_design` for what is
    kept in `work` and what is raised.
    """
    options = RtlOptions(stalls, seed, reset_midframe)
    return run_design(folder, inputs, work=work, options=options)


def run_design(
    folder: Path, inputs: Mapping[str, Array], *, work: Path, options: RtlOptions
) -> RtlResult:
    """Send `inputs`, arrays (samples, *shape) by tensor name, through the design of `folder`.

    What is built is kept in `work` and used again while the Verilog stays the same; its memory
    files are read at each run. Raises MissingToolError without the simulator, cocotb or a C++
    compiler, and VerifyError, quoting the log, when the design breaks the protocol or hangs.
    """
    report = json.loads((folder / "report.json").read_text())
    work.mkdir(parents=True, exist_ok=True)
    tools = _tools(options.simulator)
    with tempfile.TemporaryDirectory(dir=work.absolute(), prefix="run-") as scratch:
        place = Path(scratch)
        _write_job(report, inputs, place, options)
        binary = _build(folder / "rtl", report["top"], work, tools, trace=options.trace)
        _simulate(folder / "rtl", report["top"], binary, (place, tools, options.seed))
        return _read_back(report, place)


@dataclass(frozen=True, slots=True)
class _Tools:
    """A simulator that is there: its name and version, how it is called, its environment."""

    simulator: Simulator
    identity: str
    build_args: tuple[str, ...]
    env: Mapping[str, str]


def _tools(simulator: Simulator) -> _Tools:
    if importlib.util.find_spec("cocotb") is None:
        raise MissingToolError(
            'cocotb is missing; install it with: pip install "bitwright[verify]"'
        )
    if simulator is Simulator.ICARUS:
        if shutil.which("iverilog") is None:
            raise MissingToolError("iverilog is missing; install it with: apt install iverilog")
        return _Tools(simulator, "icarus", ("-g2005",), {})
    for tool in ("make", os.environ.get("CXX", "g++")):
        if shutil.which(tool) is None:
            raise MissingToolError(f"{tool} is missing: Verilator needs it to build a design")
    found = find_verilator()
    return _Tools(simulator, f"{found.executable} {found.version}", _VERILATOR_ARGS, found.env)


def _build(rtl: Path, top: str, work: Path, tools: _Tools, *, trace: bool) -> Path:
    """Build the design unless that was done before, and return the build's folder."""
    sources = sorted(rtl.rglob("*.v"))
    parameters = {"TRACE": 1} if trace else {}
    digest = hashlib.sha256(f"{tools.identity} {tools.build_args} {parameters}".encode())
    for path in sources:
        digest.update(f"\0{path.relative_to(rtl).as_posix()}\0".encode() + path.read_bytes())
    place = work.absolute() / f"rtl-{digest.hexdigest()[:16]}"
    place.mkdir(parents=True, exist_ok=True)
    with _locked(place / "lock"):
        if not (place / "built").is_file():
            _compile([p.absolute() for p in sources], top, place, (tools, parameters))
            (place / "built").touch()
    return place


def _compile(
    sources: list[Path], top: str, place: Path, how: tuple[_Tools, dict[str, int]]
) -> None:
    from cocotb_tools.runner import get_runner  # noqa: PLC0415  # an extra

    tools, parameters = how
    log = place / "build.log"
    if tools.simulator is Simulator.VERILATOR:
        public = place / "public.vlt"  # what the bench sees: the ports and streams of the top
        public.write_text(f'`verilator_config\npublic_flat_rw -module "{top}" -var "*"\n')
        sources = [public, *sources]
    with environment(tools.env):
        try:
            get_runner(tools.simulator.value).build(
                sources=sources,
                hdl_toplevel=top,
                parameters=parameters,
                build_args=list(tools.build_args),
                build_dir=place,
                always=True,
                timescale=("1ns", "1ps"),
                log_file=log,
            )
        except (SystemExit, Exception) as error:  # the runner raises what it likes
            raise VerifyError(
                f"{tools.simulator.value} cannot build {top}: {_end_of(log)}"
            ) from error


def _simulate(rtl: Path, top: str, binary: Path, how: tuple[Path, _Tools, int]) -> None:
    from cocotb_tools.runner import get_results, get_runner  # noqa: PLC0415  # an extra

    place, tools, seed = how
    log = place / "sim.log"
    seeded = [f"+verilator+seed+{seed}"] if tools.simulator is Simulator.VERILATOR else []
    with environment({"BITWRIGHT_JOB": str(place)}):
        try:
            results = get_runner(tools.simulator.value).test(
                hdl_toplevel=top,
                hdl_toplevel_lang="verilog",
                test_module="bitwright.sim.bench_stream",
                build_dir=binary,
                test_dir=rtl.absolute(),
                results_xml=str(place / "results.xml"),
                seed=seed,
                plusargs=seeded,
                log_file=log,
            )
            count, failed = get_results(results)
        except (SystemExit, Exception) as error:  # the runner raises what it likes
            raise VerifyError(f"{top}: the bench failed: {_end_of(log)}") from error
    if failed or not count:
        raise VerifyError(f"{top}: the bench failed: {_end_of(log)}")


def _write_job(
    report: Mapping[str, Any],
    inputs: Mapping[str, Array],
    place: Path,
    options: RtlOptions,
) -> None:
    """Write what the bench reads: job.json, and the beats of each input in beats.npz."""
    beats: dict[str, Any] = {}
    frames = set[int]()
    for s in report["inputs"]:
        if s["name"] not in inputs:
            raise CompileError(f"the data has no array named {s['name']!r}")
        values = np.asarray(inputs[s["name"]])
        if list(values.shape[1:]) != s["shape"]:
            raise CompileError(f"{s['name']!r} is {values.shape[1:]}, expected {s['shape']}")
        if not values.size:
            raise CompileError(f"{s['name']!r} has no samples, at least 1 is expected")
        frames.add(values.shape[0])
        beats[s["prefix"]] = to_beats(_format(s), s["elements_per_beat"], values)
    if len(frames) != 1:
        raise CompileError(f"the inputs hold {sorted(frames)} samples, expected one number")
    traced = report["trace"]
    job = {
        "inputs": {s["prefix"]: s["beats_per_frame"] for s in report["inputs"]},
        "outputs": {s["prefix"]: s["beats_per_frame"] for s in report["outputs"]},
        "output_bytes": {s["prefix"]: s["tdata_bytes"] for s in report["outputs"]},
        "frames": frames.pop(),
        "source_stalls": options.stalls in {Stalls.SOURCE, Stalls.BOTH},
        "sink_stalls": options.stalls in {Stalls.SINK, Stalls.BOTH},
        "long_stall": max(2, min(report["interval_cycles"], _LONG)),
        "interval": report["interval_cycles"],
        "latency": report["latency_cycles"],
        "reset_midframe": options.reset_midframe,
        "seed": options.seed,
        "taps": {t["stream"]["prefix"]: t["stream"]["tdata_bytes"] for t in traced}
        if options.taps
        else {},
        "trace": len(traced) if options.trace else 0,
    }
    (place / "job.json").write_text(json.dumps(job))
    np.savez(place / "beats.npz", **beats)


def _read_back(report: Mapping[str, Any], place: Path) -> RtlResult:
    told = json.loads((place / "told.json").read_text())
    outputs = {}
    with np.load(place / "taken.npz") as taken:
        for s in report["outputs"]:
            beats = taken[s["prefix"]]
            shape = tuple(s["shape"])
            outputs[s["name"]] = from_beats(_format(s), s["elements_per_beat"], beats, shape)
        taps = {t["name"]: _tap(t["stream"], taken) for t in report["trace"] if told["taps"]}
    ends = np.array(list(told["ended"].values()))
    gaps = tuple(int(g) for g in np.diff(ends, axis=1).max(axis=0))
    begun = min(told["begun"].values())
    crcs = {t["name"]: crc for t, crc in zip(report["trace"], told["trace"], strict=False)}
    latency, error = int(ends[:, 0].max()) - begun, bool(told["frame_error"])
    return RtlResult(outputs, gaps, latency, error, taps, crcs)


def _tap(s: Mapping[str, Any], taken: Mapping[str, Array]) -> Array:
    """Return the frames that a layer completed."""
    beats = taken[f"tap:{s['prefix']}"]
    whole = len(beats) - len(beats) % s["beats_per_frame"]
    return from_beats(_format(s), s["elements_per_beat"], beats[:whole], tuple(s["shape"]))


def _format(stream: Mapping[str, Any]) -> Format:
    return Format(stream["element_bits"], stream["signed"], stream["bipolar"])


def _end_of(log: Path) -> str:
    return log.read_text(errors="replace")[-_TAIL:] if log.is_file() else "there is no log"


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keep parallel runs from building one design at once."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
