"""Lower the product of two quantized tensors to integers and what they mean."""

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Builder
from bitwright.ir.ops import Arithmetic, Dequantize, MulInt, Value, build
from bitwright.ir.types import Int
from bitwright.passes.lower_linear import Line, Lowered
from bitwright.passes.step_function import Lattice


def lower_product(
    b: Builder, op: Arithmetic, lines: tuple[Line, Line], codes: tuple[Value, Value]
) -> Lowered:
    """Append the MulInt of `op` over two tensors of codes, and return what its products mean."""
    for line in lines:
        if line.zero != round(line.zero):
            raise CompileError(
                f"{op.loc}: the zero point of {line.source.name!r} is no integer; a product of two "
                "tensors needs integer zero points"
            )
    zeros = tuple(int(line.zero) for line in lines)
    wide = tuple(_ranked(v, len(op.output.shape), op.loc) for v in codes)
    ends = [
        (v.type.integer.lo - z, v.type.integer.hi - z) for v, z in zip(wide, zeros, strict=True)
    ]
    products = [p * q for p in ends[0] for q in ends[1]]
    elem = Int(min(products), max(products))
    acc = b.op(MulInt, wide, f"{op.name}:acc", op.loc, elem=elem, zero_a=zeros[0], zero_b=zeros[1])
    channels = acc.shape[-1] if acc.shape else 1
    one = np.ones(channels, np.int64)
    scale = b.constant(f"{op.name}:scale", np.array([lines[0].scale * lines[1].scale]))
    zero = b.constant(f"{op.name}:zero", np.zeros(1))
    meaning = build(Dequantize, (acc, scale, zero), op.name, op.loc, axis=-1)
    return Lowered(acc, Lattice(one * elem.lo, one * elem.hi, one), (meaning,))


def _ranked(v: Value, rank: int, loc: str) -> Value:
    """Return `v` with as many axes as the product, which has to hold a batch axis of its own."""
    if len(v.shape) == rank:
        return v
    raise CompileError(
        f"{loc}: a product of tensors with {len(v.shape)} and {rank} axes is not folded; "
        "give both the same number of axes"
    )
