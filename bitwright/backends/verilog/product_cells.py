"""The cell of a product of two streams, and which of its operands serves several pixels."""

from dataclasses import dataclass
from math import prod

from bitwright.backends.verilog import cell_timing as timing
from bitwright.backends.verilog.cell import Cell, Join, Lanes, check_word, text
from bitwright.backends.verilog.formats import Format, accumulator_of, signed_bits
from bitwright.errors import UnsupportedError
from bitwright.ir.ops import MulInt, Value

_FEW = 2  # bits of a factor that needs no multiplier


@dataclass(frozen=True, slots=True)
class Factors:
    """The operands of a product as the cell takes them: `repeat` pixels of a meet one of b."""

    a: Value
    b: Value
    zero_a: int
    zero_b: int
    repeat: int


def factors_of(op: MulInt) -> Factors:
    """Return the operands of `op`, the one of fewer pixels second.

    UnsupportedError unless one has the shape of the result, and the other this shape or one pixel
    for all those along the last spatial axes.
    """
    a, b = op.inputs
    for x, y, zeros in ((a, b, (op.zero_a, op.zero_b)), (b, a, (op.zero_b, op.zero_a))):
        repeat = _repeat(op.output.shape, x.shape, y.shape)
        if repeat:
            return Factors(x, y, *zeros, repeat)
    raise UnsupportedError(
        f"{op.loc}: a product of {a.shape} and {b.shape}, the Verilog backend takes equal shapes or "
        "one pixel of all channels for a whole image; expand the smaller operand"
    )


def _repeat(result: tuple[int, ...], a: tuple[int, ...], b: tuple[int, ...]) -> int:
    """Return how many pixels of `a` meet one of `b`, 0 where the cell cannot do it."""
    b = (1,) * (len(result) - len(b)) + b
    if prod(a) != prod(result) or (b and b[-1] != result[-1]):
        return 0
    pixels = result[:-1]
    same = next((i for i, n in enumerate(pixels) if b[i] != n), len(pixels))
    return prod(pixels[same:]) if all(n == 1 for n in b[same:-1]) else 0


def product_cell(op: MulInt, formats: tuple[Format, ...], lanes: Lanes) -> Cell:
    """Return the cell of a product; `formats` are those of the factors in their order."""
    a, b = (f.as_signed if f.bipolar else f for f in formats)
    factors, gives = factors_of(op), accumulator_of(op.elem)
    check_word(op, factors.zero_a, factors.zero_b)
    beats = op.output.shape[-1] // lanes.pe if factors.repeat > 1 else 1
    parameters = text(
        N=lanes.pe,
        A_W=a.bits,
        A_SIGNED=int(a.signed),
        B_W=b.bits,
        B_SIGNED=int(b.signed),
        ZERO_A=factors.zero_a,
        ZERO_B=factors.zero_b,
        OUT_W=gives.bits,
        REPEAT=factors.repeat,
        BEATS=beats,
    )
    schedule = Join(timing.mul_latency(factors.repeat) - 2, factors.repeat, beats)
    return Cell("bw_mul", parameters, (a, b), gives, lanes.pe, lanes.pe, schedule)


def multipliers_of(cell: Cell) -> int:
    """Return the multipliers of a bw_mul: none where a factor has two bits."""
    values = dict(cell.parameters)
    zeros = int(values["ZERO_A"]), int(values["ZERO_B"])
    widths = [_difference_bits(f, zero) for f, zero in zip(cell.takes, zeros, strict=True)]
    return cell.leaves if min(widths) > _FEW else 0


def _difference_bits(x: Format, zero: int) -> int:
    """Return the bits of two's complement that hold every code of `x` less `zero`."""
    low = -(1 << (x.bits - 1)) if x.signed else 0
    return signed_bits(low - zero, low - zero + (1 << x.bits) - 1)
