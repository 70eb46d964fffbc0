"""What a library cell is: parameters, memories, the formats it takes and gives, when it moves."""

from dataclasses import dataclass

import numpy as np

from bitwright.backends.verilog.formats import Format, hex_words
from bitwright.backends.verilog.weights import WeightCode
from bitwright.backends.verilog.window_timing import FullWindow, Window
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Array
from bitwright.ir.ops import Op

RING = "RING"  # parameter of a layer's module: the beats that its window holds
_WORD = (-(1 << 31), (1 << 31) - 1)


@dataclass(frozen=True, slots=True)
class Lanes:
    """How an op is folded: SIMD elements enter and PE leave per beat."""

    pe: int
    simd: int


@dataclass(frozen=True, slots=True)
class Pipeline:
    """`gather` beats make a vector, read in `passes`, out `delay` later.

    `delay` counts the registers before the output slice. With `blocks`, so many vectors come beat
    by beat in turn, and their results leave in turn with their last beats.
    """

    gather: int
    passes: int
    delay: int
    blocks: int = 1


@dataclass(frozen=True, slots=True)
class Join:
    """A beat of each of two operands, through a slice each, makes one, out `delay` later.

    The second operand's pixels of `beats` beats each meet `repeat` pixels of the first.
    """

    delay: int
    repeat: int = 1
    beats: int = 1


@dataclass(frozen=True, slots=True)
class Turns:
    """So many beats of the first operand, then of the second, and so on, through a slice."""

    beats: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Sliding:
    """A window over an image; its ring is sized with the FIFOs."""

    window: Window | FullWindow


@dataclass(frozen=True, slots=True)
class Split:
    """A beat becomes `ratio` beats, the first a cycle later."""

    ratio: int


@dataclass(frozen=True, slots=True)
class Slice:
    """A register slice."""


@dataclass(frozen=True, slots=True)
class Frames:
    """A frame of `beats_in` beats is held, then `beats_out` leave while the next one comes in."""

    beats_in: int
    beats_out: int


Schedule = Pipeline | Join | Turns | Sliding | Split | Slice | Frames


@dataclass(frozen=True, slots=True)
class Rom:
    """A $readmemh file: its role in the file's name, the parameter that names it, its words."""

    role: str
    parameter: str
    words: int
    bits: int
    packed: bytes  # word after word in whole bytes, lowest bit first

    @property
    def array(self) -> Array:
        """The words as (words, bits) of 0 and 1, lowest bit first."""
        data = np.frombuffer(self.packed, np.uint8).reshape(self.words, -1)
        return np.unpackbits(data, axis=1, bitorder="little", count=self.bits)

    @property
    def content(self) -> bytes:
        """The text of the file."""
        return hex_words(self.array)


@dataclass(frozen=True, slots=True)
class Cell:
    """One instance: parameters as Verilog text, the formats it takes and gives.

    `enters` and `leaves` are the elements of its beats. `order` is the element of the input beat
    in each place of what the cell gets. `user` tells that its output has a TUSER.
    """

    module: str
    parameters: tuple[tuple[str, str], ...]
    takes: tuple[Format, ...]
    gives: Format
    enters: int
    leaves: int
    schedule: Schedule
    roms: tuple[Rom, ...] = ()
    code: WeightCode | None = None
    order: tuple[int, ...] = ()
    user: bool = False

    @property
    def ram_bits(self) -> int:
        """Bits of memory that is written at run time, a window's ring and a FIFO left out."""
        values = dict(self.parameters)
        schedule = self.schedule
        if isinstance(schedule, Frames):
            return 2 * schedule.beats_in * self.enters * self.takes[0].bits
        if isinstance(schedule, Join):
            kept = schedule.beats if schedule.repeat > 1 and schedule.beats > 1 else 0
            return kept * self.enters * self.takes[1].bits
        if isinstance(schedule, Pipeline) and schedule.blocks > 1:
            return schedule.blocks * self.leaves * self.gives.bits
        if self.module == "bw_mvu" and isinstance(schedule, Pipeline) and schedule.passes > 1:
            beat = self.enters * self.takes[0].bits + int(values.get("USE_MASK", "0"))
            return schedule.gather * beat if schedule.gather > 1 else 0
        return 0


def rom(role: str, parameter: str, bits: Array) -> Rom:
    """Return the memory of (words, bits) of 0 and 1, lowest bit first."""
    packed = np.packbits(bits, axis=1, bitorder="little").tobytes()
    return Rom(role, parameter, bits.shape[0], bits.shape[1], packed)


def text(**parameters: int | str) -> tuple[tuple[str, str], ...]:
    """Return parameters as Verilog text."""
    return tuple((name, str(value)) for name, value in parameters.items())


def check_word(op: Op, *values: int) -> None:
    """Raise UnsupportedError unless the values fit into parameters of 32 bits."""
    for value in values:
        if not _WORD[0] <= value <= _WORD[1]:
            raise UnsupportedError(f"{op.loc}: {value} needs more than the 32 bits of the hardware")
