"""Fold a sum of two quantized tensors and its quantizer into one AddInt with one rounding."""

from itertools import product

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.evaluate import evaluate_op
from bitwright.ir.evaluate.integer import shift_round
from bitwright.ir.graph import Array, Builder, Constants
from bitwright.ir.ops import AddInt, Exactness, Op, Quantize, Round, Value
from bitwright.ir.types import Bipolar, Int, TensorType, is_integral
from bitwright.passes.chain import SCALAR, Chain
from bitwright.passes.region import Region

_MAX_PAIRS = 1 << 20
_MAX_SHIFT = 40


def fold_add(b: Builder, region: Region, constants: Constants, op: Op) -> Value:
    """Append the AddInt for `region`, whose two leaves meet in an Add; CompileError if none fits."""
    left, right = region.leaves
    if left.shape != right.shape or left.shape != op.output.shape:
        raise CompileError(
            f"{op.loc}: joins {left.name!r} {left.shape} and {right.name!r} {right.shape}; only a "
            "sum of equal shapes before a quantizer can be folded"
        )
    if not isinstance(op, Quantize):
        raise CompileError(
            f"{op.loc}: a sum of {left.name!r} and {right.name!r} goes into a {type(op).__name__}, "
            "which is not folded; quantize the sum first"
        )
    for v in (left, right):
        if not is_integral(v.elem):
            raise CompileError(
                f"{op.loc}: adds {v.name!r}, which is not quantized; give its codes with --input "
                f"{v.name}=int8:<scale>, or quantize with --calibrate data.npz"
            )
    p, q = _pairs(op, left, right)
    sums, codes = _evaluate(region, constants, op, {left.name: p, right.name: q})
    zero = round(float(constants[op.inputs[2].name].flat[0])) if op.zero_after else 0
    clamp = Int(int(codes.min()), int(codes.max()))
    slopes = _slopes(p, q, sums, (codes > clamp.lo) & (codes < clamp.hi))
    found = _search((p, q, codes), slopes, clamp, zero)
    if found is None:
        raise CompileError(
            f"{op.loc}: the scales of {left.name!r} and {right.name!r} cannot be aligned exactly; "
            "give both inputs of the sum one scale, or fewer bits"
        )
    return b.op(AddInt, (left, right), op.name, op.loc, elem=clamp, zero=zero, **found)


def _pairs(op: Op, left: Value, right: Value) -> tuple[Array, Array]:
    a, c = (
        np.arange(v.type.integer.lo, v.type.integer.hi + 1, 2 if isinstance(v.elem, Bipolar) else 1)
        for v in (left, right)
    )
    if a.size * c.size > _MAX_PAIRS:
        raise CompileError(
            f"{op.loc}: a sum of {a.size} by {c.size} values has more than {_MAX_PAIRS} pairs; "
            "quantize both inputs of the sum to 10 bits or fewer"
        )
    p, q = np.meshgrid(a, c, indexing="ij")
    return p.reshape(-1), q.reshape(-1)


def _evaluate(
    region: Region, constants: Constants, op: Quantize, leaves: dict[str, Array]
) -> tuple[Array, Array]:
    """Return the real sum (in codes) and the code of every pair, ties decided exactly.

    All parameters must be one for the whole tensor.
    """
    one = Value(op.name, TensorType(op.elem, (1,) * len(op.output.shape)))
    chain = Chain(region, constants, one)
    v = _sums(chain, op, leaves, np.float64)
    y = chain.decide(v).reshape(-1)
    near = np.nonzero(chain.near(v).reshape(-1))[0] if chain.rational else np.array([], np.int64)
    if near.size:
        exact = _sums(chain, op, {n: a[near].astype(object) for n, a in leaves.items()}, object)
        y[near] = [chain.exact_code(f, 0) for f in exact.reshape(-1)]
    return v.reshape(-1), y


def _sums(chain: Chain, op: Quantize, leaves: dict[str, Array], dtype: type) -> Array:
    """Return what the quantizer rounds, for each pair, in float64 or in fractions."""
    known = {n: a.reshape(-1, *chain.target.shape) for n, a in leaves.items()}
    fixed = chain.cast_constants(dtype)
    for step in chain.region.ops:
        if not isinstance(step, (*SCALAR, Quantize)):
            raise CompileError(f"{step.loc}: {type(step).__name__} cannot be folded into a sum")
        for v in step.inputs:
            if v.name in fixed and v.type.size != 1:
                raise CompileError(f"{step.loc}: a sum with one factor per channel is not folded")
        if step.name != op.name:
            args = [known.get(v.name, fixed.get(v.name)) for v in step.inputs]
            known[step.name] = evaluate_op(step, args, known)
    x, scale, zero = known[op.inputs[0].name], *(fixed[v.name].flat[0] for v in op.inputs[1:])
    return np.asarray(x / scale if op.zero_after else x / scale + zero)


def _search(
    pairs: tuple[Array, Array, Array], slopes: tuple[float, float], clamp: Int, zero: int
) -> dict[str, object] | None:
    """Return the attributes of an exact AddInt with the least shift, or None."""
    p, q, codes = pairs
    for shift, rounding in product(range(_MAX_SHIFT + 1), (Round.FLOOR, Round.HALF_EVEN)):
        if rounding is Round.HALF_EVEN and shift == 0:
            continue
        for found in _candidates(slopes, shift):
            add = _addend(p * found[0] + q * found[1], codes - zero, clamp, zero, (shift, rounding))
            if add is None:
                continue
            t = p * found[0] + q * found[1] + add
            y = np.clip(shift_round(t, shift, rounding) + zero, clamp.lo, clamp.hi)
            if np.array_equal(y, codes):
                return {
                    "mul_a": found[0], "mul_b": found[1], "add": add, "shift": shift,
                    "rounding": rounding, "exactness": Exactness(0, 0, codes.size),
                }  # fmt: skip
    return None


def _slopes(p: Array, q: Array, sums: Array, inside: Array) -> tuple[float, float]:
    """Return codes per step of each input, from the sums that do not saturate."""
    if inside.sum() < 3:  # noqa: PLR2004
        inside = np.ones_like(inside)
    columns = np.stack([p[inside], q[inside], np.ones(int(inside.sum()))], axis=1)
    solution = np.linalg.lstsq(columns, sums[inside], rcond=None)[0]
    return float(solution[0]), float(solution[1])


def _candidates(slopes: tuple[float, float], shift: int) -> list[tuple[int, int]]:
    a, b = ([int(np.floor(s * 2**shift)) + d for d in (0, 1)] for s in slopes)
    return list(product(a, b))


def _addend(t: Array, codes: Array, clamp: Int, zero: int, form: tuple[int, Round]) -> int | None:
    """Return the middle of the interval of addends that give these codes, or None."""
    shift, rounding = form
    half = 1 << (shift - 1) if rounding is Round.HALF_EVEN else 0
    odd = (codes & 1) if half else 0
    next_odd = ((codes + 1) & 1) if half else 0
    low = (codes << shift) - half + odd - t
    high = ((codes + 1) << shift) - half + next_odd - 1 - t
    lows, highs = low[codes + zero > clamp.lo], high[codes + zero < clamp.hi]
    least = int(lows.max()) if lows.size else int(highs.min()) if highs.size else 0
    most = int(highs.min()) if highs.size else least
    return least + (most - least) // 2 if least <= most else None
