"""What a stream bench is told: beats in, beats due, and the cycles that they may take."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """One design under test; a stream is named by its port prefix, such as s_axis."""

    top: str
    parameters: dict[str, int | str]  # a string is a Verilog literal, quotes included
    inputs: dict[str, list[int]]  # beats of all frames, each one number
    outputs: dict[str, list[int]]
    frames: int = 1
    interval: int | None = None  # cycles between the last beats of frames, unstalled
    latency: int | None = None  # cycles from input beat 0 to output beat 0, unstalled
    input_last: dict[str, list[int]] = field(default_factory=dict)  # TLAST of each beat
    output_last: dict[str, list[int]] = field(default_factory=dict)
    input_user: dict[str, list[int]] = field(default_factory=dict)  # TUSER of each beat
    output_user: dict[str, list[int]] = field(default_factory=dict)
    flags: dict[str, int] = field(default_factory=dict)  # other outputs, as they end
    timeout: int = 200_000  # cycles that one test may take

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def load(path: Path) -> "Case":
        return Case(**json.loads(path.read_text()))


@dataclass(frozen=True)
class Measured:
    """Cycles that an unstalled run took, as seen at the ports."""

    latency: int  # from the first input handshake to the first output handshake
    frame: int  # from the first input handshake to the last one of the first output frame
    gaps: list[int]  # between the last beats of following frames, all outputs

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    @staticmethod
    def load(path: Path) -> "Measured":
        return Measured(**json.loads(path.read_text()))


def pack(elements: Sequence[int], width: int) -> int:
    """Join elements into a beat, the first in the low bits, each modulo 2**width."""
    beat = 0
    for place, element in enumerate(elements):
        beat |= (int(element) & ((1 << width) - 1)) << (place * width)
    return beat


def unpack(beat: int, count: int, width: int, signed: bool = True) -> list[int]:
    """Split a beat into its elements, the lowest first."""
    mask = (1 << width) - 1
    raw = [(beat >> (place * width)) & mask for place in range(count)]
    return [r - (1 << width) if signed and r >> (width - 1) else r for r in raw]


def write_mem(path: Path, words: Sequence[int]) -> str:
    """Write a $readmemh file and return its name as a Verilog string."""
    path.write_text("".join(f"{word:x}\n" for word in words))
    return f'"{path}"'
