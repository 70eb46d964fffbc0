"""Choose how many outputs (PE) and inputs (SIMD) each layer computes per cycle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod

from bitwright.backends.layers import Layer
from bitwright.backends.verilog.cells import Lanes
from bitwright.backends.verilog.options import Fold, VerilogOptions
from bitwright.errors import CompileError, UnsupportedError
from bitwright.ir.ops import ArgMax, IntLinear, Op

DEFAULT_CYCLES = 1024


@dataclass(frozen=True, slots=True)
class Work:
    """What a layer does in a frame: at each position `rows` results of `columns` elements each."""

    positions: int
    rows: int
    columns: int

    def cycles(self, lanes: Lanes) -> int:
        """Return the busy cycles of a frame."""
        return self.positions * (self.rows // lanes.pe) * (self.columns // lanes.simd)


def work_of(layer: Layer) -> Work:
    """Return the work of a layer; UnsupportedError where an ArgMax is not over the last axis."""
    op = layer.first
    shape = op.inputs[0].shape
    if isinstance(op, IntLinear):
        rows, columns = op.inputs[1].shape
        return Work(prod(shape[:-1]), rows, columns)
    if isinstance(op, ArgMax):
        size = shape[op.axis]
        _check_axis(op, shape)
        return Work(prod(shape) // max(size, 1), 1, size)
    channels = shape[-1] if shape else 1
    return Work(prod(shape) // max(channels, 1), channels, 1)


def _check_axis(op: ArgMax, shape: tuple[int, ...]) -> None:
    if prod(shape[op.axis + 1 :]) != 1:
        raise UnsupportedError(
            f"{op.loc}: the Verilog backend takes an ArgMax over the last axis, this one is over "
            f"axis {op.axis} of {shape}"
        )


def fold_layers(layers: Sequence[Layer], options: VerilogOptions) -> Mapping[str, Lanes]:
    """Return the lanes of each layer by name.

    CompileError when the asked number of cycles cannot be met; it names the layer and the least
    number that can. Without one, 1,024 or the least number that can.
    """
    works = {layer.name: work_of(layer) for layer in layers}
    if options.fold is Fold.MIN:
        return dict.fromkeys(works, Lanes(1, 1))
    if options.fold is Fold.MAX:
        return {name: Lanes(w.rows, w.columns) for name, w in works.items()}
    least = max((w.positions for w in works.values()), default=1)
    if options.cycles is not None and options.cycles < least:
        slowest = next(x for x in layers if works[x.name].positions == least)
        raise CompileError(
            f"{slowest.first.loc}: {options.cycles} cycles a frame cannot be met, this layer "
            f"takes at least {least}; ask for --cycles {least}"
        )
    target = max(options.cycles or DEFAULT_CYCLES, least)
    return {name: cheapest(w, target) for name, w in works.items()}


def cheapest(work: Work, target: int) -> Lanes:
    """Return the lanes with the least PE * SIMD, of these the greatest SIMD, within `target`."""
    fitting = [
        lanes
        for pe in divisors(work.rows)
        for simd in divisors(work.columns)
        if work.cycles(lanes := Lanes(pe, simd)) <= target
    ]
    return min(fitting, key=lambda x: (x.pe * x.simd, -x.simd))


def divisors(n: int) -> list[int]:
    """Return the divisors of n >= 1, ascending."""
    low = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
    return low + [n // d for d in reversed(low) if d * d != n]


def reads_vector(op: Op) -> bool:
    """Tell whether `op` takes SIMD elements per beat; others take PE."""
    return isinstance(op, IntLinear | ArgMax)
