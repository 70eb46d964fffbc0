"""What a user can ask for, checked where it is built."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any

from bitwright.errors import CompileError


class Target(Enum):
    """A language that bitwright writes."""

    C = "c"
    VERILOG = "verilog"


class OutputKind(Enum):
    """What leaves the device: the last integers, the index of the greatest, or the model's own."""

    CODES = "codes"
    ARGMAX = "argmax"
    MODEL = "model"


class Cpu(Enum):
    """The machine that the C is written for; `generic` is any 32-bit core."""

    GENERIC = "generic"
    CORTEX_M0 = "cortex-m0"
    CORTEX_M4 = "cortex-m4"
    CORTEX_M7 = "cortex-m7"
    CORTEX_M55 = "cortex-m55"
    RV32IMC = "rv32imc"
    AVR = "avr"
    X86_64 = "x86-64"

    @property
    def word(self) -> int:
        """Bits of a word of packed values."""
        return 64 if self is Cpu.X86_64 else 32

    @property
    def has_popcount(self) -> bool:
        """Whether the machine counts the ones of a word in one instruction."""
        return self is Cpu.X86_64

    @property
    def has_dsp(self) -> bool:
        """Whether the Arm DSP instructions (USAD8) exist."""
        return self in {Cpu.CORTEX_M4, Cpu.CORTEX_M7, Cpu.CORTEX_M55}


# How the C keeps weights in flash; `small` is by layer the one of the fewest bytes.
STORES = ("plain", "codebook", "sparse", "sparse-codebook", "huffman", "small")


class Fold(Enum):
    """How far a hardware layer is folded: least area, or most speed."""

    MIN = "min"
    MAX = "max"


@dataclass(frozen=True, slots=True)
class CompileOptions:
    """All that `bitwright compile` takes beside the model and the output folder."""

    targets: tuple[Target, ...] = (Target.C, Target.VERILOG)
    output: OutputKind = OutputKind.CODES
    inputs: tuple[str, ...] = ()
    weights: str | None = None
    activations: int | None = None
    scales: str | None = None
    recipe: str | None = None  # a TOML file, or the name of a preset
    calibrate: Path | None = None
    data: Path | None = None
    preprocess: tuple[float, float, float] | None = None
    cpu: Cpu = Cpu.GENERIC
    store: str | None = None  # the form of weights, instead of the recipe's
    cycles: int | None = None
    fps: float | None = None  # frames a second at a clock of `clock` MHz, instead of cycles
    clock: float | None = None
    fold: Fold | None = None
    lanes: Mapping[str, tuple[int, int]] = field(default_factory=dict)  # PE, SIMD by layer
    name: str | None = None
    keep_batch: bool = False  # the batch that the model fixes, instead of 1

    def __post_init__(self) -> None:
        """Raise CompileError where a choice lacks another or excludes it."""
        if (self.fps is None) != (self.clock is None):
            raise CompileError(
                "--fps needs the clock in MHz, --clock the frames a second: give both"
            )
        if self.fps is not None and self.clock is not None and min(self.fps, self.clock) <= 0:
            raise CompileError(f"--fps {self.fps:g} and --clock {self.clock:g} must be positive")
        if self.fps is not None and self.cycles is not None:
            raise CompileError("choose one of --cycles and --fps")
        if self.store is not None and self.store not in STORES:
            raise CompileError(f"--store {self.store!r}: choose one of {', '.join(STORES)}")

    @property
    def frame_cycles(self) -> int | None:
        """The cycles that a frame may take, if any were asked for."""
        if self.fps is None or self.clock is None:
            return self.cycles
        return max(int(self.clock * 1e6 / self.fps), 1)


def folding(choice: Fold | Path | str) -> tuple[Fold | None, dict[str, tuple[int, int]]]:
    """Return what --fold asks for: min or max, or else PE and SIMD by layer from a file."""
    if isinstance(choice, Fold):
        return choice, {}
    if str(choice) in {m.value for m in Fold}:
        return Fold(str(choice)), {}
    return None, read_lanes(Path(choice))


def read_lanes(path: Path) -> dict[str, tuple[int, int]]:
    """Return PE and SIMD by layer from JSON or TOML such as {"conv": {"pe": 4, "simd": 8}}.

    The layers are named as in report.json. CompileError where the file is anything else.
    """
    try:
        text = path.read_text()
        found = tomllib.loads(text) if path.suffix == ".toml" else json.loads(text)
    except (OSError, ValueError) as error:
        raise CompileError(f"--fold {path}: {error}") from None
    lanes: dict[str, tuple[int, int]] = {}
    for name, entry in found.items() if isinstance(found, dict) else [("", None)]:
        values = entry if isinstance(entry, dict) else {}
        pe, simd = values.get("pe"), values.get("simd")
        if type(pe) is not int or type(simd) is not int or min(pe, simd) < 1:
            raise CompileError(
                f"--fold {path}: {name!r} needs whole numbers pe and simd, at least 1"
            )
        lanes[str(name)] = (pe, simd)
    return lanes


def options_from(given: Mapping[str, Any]) -> CompileOptions:
    """Return options from plain values: strings for paths, enums, and targets with commas.

    Raises CompileError on a name or a value that does not exist.
    """
    known = {f.name for f in fields(CompileOptions)}
    wrong = sorted(set(given) - known)
    if wrong:
        raise CompileError(f"no option {wrong[0]!r}; the options are {', '.join(sorted(known))}")
    found = dict(given)
    targets = found.get("targets")
    if isinstance(targets, str):
        found["targets"] = tuple(_member(Target, t.strip()) for t in targets.split(","))
    elif targets is not None:
        found["targets"] = tuple(_member(Target, t) for t in targets)
    if isinstance(found.get("inputs"), str):
        found["inputs"] = (found["inputs"],)
    if found.get("fold") is not None:
        found["fold"], lanes = folding(found["fold"])
        found["lanes"] = {**lanes, **(found.get("lanes") or {})}
    for name, kind in (("output", OutputKind), ("cpu", Cpu)):
        if found.get(name) is not None:
            found[name] = _member(kind, found[name])
    for name in ("calibrate", "data"):
        if found.get(name) is not None:
            found[name] = Path(found[name])
    return CompileOptions(**found)


def _member(kind: type[Enum], value: Any) -> Any:
    if isinstance(value, kind):
        return value
    names = {str(m.value): m for m in kind}
    if value not in names:
        raise CompileError(f"{value!r} is not one of {', '.join(names)}")
    return names[value]
