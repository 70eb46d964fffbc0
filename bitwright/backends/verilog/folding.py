"""Choose how many outputs (PE) and inputs (SIMD) each layer computes per cycle."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import gcd, prod

from bitwright.backends.layers import Layer
from bitwright.backends.verilog.cell import Lanes
from bitwright.backends.verilog.cells import run_of
from bitwright.backends.verilog.moves import order_of, pixel_order, run_length
from bitwright.backends.verilog.options import Fold, VerilogOptions
from bitwright.backends.verilog.product_cells import factors_of
from bitwright.backends.verilog.sum_cells import has_window, is_depthwise, is_whole, leaves_whole
from bitwright.errors import CompileError, UnsupportedError
from bitwright.ir.cost import macs
from bitwright.ir.graph import Graph
from bitwright.ir.ops import (
    ArgMax,
    Concat,
    IntConv,
    IntLinear,
    MaxPool,
    MinPool,
    MulInt,
    Op,
    Permute,
    SumPool,
    Take,
)

DEFAULT_CYCLES = 1024
PARALLEL = 512  # multiply-accumulates a cycle that a large convolutional network is folded to


@dataclass(frozen=True, slots=True)
class Work:
    """What a layer does in a frame: at each position `rows` results of `columns` elements each.

    PE is one of `pes`, by default any divisor of the rows, SIMD one of `simds`, by default any of
    the columns. `entering` elements come in, SIMD a beat when `by_vector`, else PE. A SIMD above
    `pixel`, unless that is 0, takes whole windows, of which a pixel comes in at a time.
    """

    positions: int
    rows: int
    columns: int
    pes: tuple[int, ...] = ()
    simds: tuple[int, ...] = ()
    entering: int = 0
    by_vector: bool = False
    pixel: int = 0

    def cycles(self, lanes: Lanes) -> int:
        """Return the busy cycles of a frame."""
        busy = self.positions * (self.rows // lanes.pe) * (self.columns // lanes.simd)
        width = min(lanes.simd, self.pixel or lanes.simd) if self.by_vector else lanes.pe
        return max(busy, self.entering // width)

    @property
    def choices(self) -> tuple[list[int], list[int]]:
        """Return every PE and every SIMD, ascending."""
        return (
            list(self.pes) or divisors(self.rows),
            list(self.simds) or divisors(self.columns),
        )

    @property
    def widest(self) -> Lanes:
        """Return the most lanes."""
        pes, simds = self.choices
        return Lanes(pes[-1], simds[-1])


def work_of(layer: Layer, graph: Graph) -> Work:
    """Return the work of a layer; UnsupportedError where an ArgMax is not over the last axis."""
    op = layer.first
    shape = (factors_of(op).a if isinstance(op, MulInt) else op.inputs[0]).shape
    size, channels = prod(shape), shape[-1] if shape else 1
    if isinstance(op, IntLinear):
        rows, columns = op.inputs[1].shape
        return Work(prod(shape[:-1]), rows, columns, entering=size, by_vector=True)
    if isinstance(op, IntConv | SumPool | MaxPool | MinPool):
        return _window_work(op, size)
    if isinstance(op, ArgMax):
        _check_axis(op, shape)
        length = shape[op.axis]
        return Work(size // max(length, 1), 1, length, entering=size, by_vector=True)
    if isinstance(op, Concat):
        runs = [run_of(v.shape, op.axis) for v in op.inputs]
        outer = prod(op.output.shape[: op.axis])
        return Work(outer, sum(runs), 1, pes=tuple(divisors(gcd(*runs))))
    if isinstance(op, Take | Permute):
        return _move_work(op, graph)
    return Work(size // max(channels, 1), channels, 1)


def _window_work(op: IntConv | SumPool | MaxPool | MinPool, size: int) -> Work:
    positions, taps = prod(op.output.shape[:-1]), op.window.taps
    if not isinstance(op, IntConv):
        channels = op.output.shape[-1]
        beats = positions * taps if has_window(op) else size // max(channels, 1)
        return Work(beats, channels, 1, entering=size)
    outputs, *kernel, within = op.inputs[1].shape
    if is_depthwise(op):
        return Work(positions * prod(kernel), outputs, 1, entering=size)
    columns = prod(kernel) * within
    simds = divisors(within)
    if leaves_whole(op):
        simds += [d for d in divisors(columns) if d > within]
    return Work(
        positions * op.groups,
        outputs // op.groups,
        columns,
        simds=tuple(simds),
        entering=size,
        by_vector=True,
        pixel=op.inputs[0].shape[-1],
    )


def _move_work(op: Take | Permute, graph: Graph) -> Work:
    size, channels = op.inputs[0].type.size, op.inputs[0].shape[-1]
    pixel = pixel_order(op, graph)
    if pixel is not None:
        wide = (len(pixel),), (channels,)
        return Work(size // channels, len(pixel), channels, *wide, by_vector=True)
    order = order_of(op, graph)
    return Work(1, order.size, 1, pes=tuple(divisors(run_length(order, size))), entering=size)


def _check_axis(op: ArgMax, shape: tuple[int, ...]) -> None:
    if prod(shape[op.axis + 1 :]) != 1:
        raise UnsupportedError(
            f"{op.loc}: the Verilog backend takes an ArgMax over the last axis, this one is over "
            f"axis {op.axis} of {shape}"
        )


def fold_layers(
    layers: Sequence[Layer], graph: Graph, options: VerilogOptions
) -> Mapping[str, Lanes]:
    """Return the lanes of each layer by name.

    CompileError when the asked number of cycles cannot be met; it names the layer and the least
    number that can. Without one: 1,024, more where a convolutional network would compute more
    than PARALLEL products a cycle, or the least number that can.
    """
    works = {layer.name: work_of(layer, graph) for layer in layers}
    if options.fold is Fold.MIN:
        return {name: Lanes(w.choices[0][0], w.choices[1][0]) for name, w in works.items()}
    if options.fold is Fold.MAX:
        return {name: w.widest for name, w in works.items()}
    given = _given(layers, works, options.lanes)
    least = {name: w.cycles(w.widest) for name, w in works.items() if name not in given}
    slowest = max(least.values(), default=1)
    if options.cycles is not None and options.cycles < slowest:
        layer = next(x for x in layers if least.get(x.name) == slowest)
        raise CompileError(
            f"{layer.first.loc}: {options.cycles} cycles a frame cannot be met, this layer "
            f"takes at least {slowest}; ask for --cycles {slowest}"
        )
    target = options.cycles or max(_default(layers), slowest)
    return {name: given.get(name) or cheapest(w, target) for name, w in works.items()}


def _default(layers: Sequence[Layer]) -> int:
    """Return the cycles that are aimed at when none are asked for."""
    if not any(isinstance(layer.first, IntConv) for layer in layers):
        return DEFAULT_CYCLES
    return max(DEFAULT_CYCLES, sum(macs(layer.first) for layer in layers) // PARALLEL)


def _given(
    layers: Sequence[Layer], works: Mapping[str, Work], wanted: Mapping[str, tuple[int, int]]
) -> dict[str, Lanes]:
    """Return the lanes that the user chose; CompileError where they fit no layer."""
    for name, (pe, simd) in wanted.items():
        if name not in works:
            raise CompileError(
                f"the folding names a layer {name!r}; the layers are {', '.join(works)}"
            )
        pes, simds = works[name].choices
        for what, number, fitting in (("PE", pe, pes), ("SIMD", simd, simds)):
            if number not in fitting:
                loc = next(x.first.loc for x in layers if x.name == name)
                listed = ", ".join(map(str, fitting))
                raise CompileError(f"{loc}: {what} {number} does not fit, choose of {listed}")
    return {name: Lanes(pe, simd) for name, (pe, simd) in wanted.items()}


def cheapest(work: Work, target: int) -> Lanes:
    """Return the lanes with the least PE * SIMD, of these the greatest SIMD, within `target`.

    Whole windows are taken only where pixels are not enough.
    """
    pes, simds = work.choices
    fitting = [
        lanes for pe in pes for simd in simds if work.cycles(lanes := Lanes(pe, simd)) <= target
    ]
    pixels = [x for x in fitting if x.simd <= (work.pixel or x.simd)]
    return min(pixels or fitting, key=lambda x: (x.pe * x.simd, -x.simd))


def divisors(n: int) -> list[int]:
    """Return the divisors of n >= 1, ascending."""
    low = [d for d in range(1, int(n**0.5) + 1) if n % d == 0]
    return low + [n // d for d in reversed(low) if d * d != n]


def lanes_in(op: Op, graph: Graph, lanes: Lanes) -> int:
    """Return the elements that a layer's first op takes per beat."""
    if isinstance(op, IntConv) and is_depthwise(op):
        return lanes.pe
    if isinstance(op, IntConv) and is_whole(op, lanes.simd):
        return op.inputs[0].shape[-1]
    if isinstance(op, Take | Permute) and pixel_order(op, graph) is None:
        return lanes.pe
    vector = isinstance(op, IntLinear | IntConv | ArgMax | Take | Permute)
    return lanes.simd if vector else lanes.pe
