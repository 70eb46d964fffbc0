"""Which way a scalar op goes, and with it a chain. Nothing is bisected or reordered unproved."""

import numpy as np

from bitwright.ir.graph import Array, Constants
from bitwright.ir.ops import (
    Activation,
    Arith,
    Arithmetic,
    BatchNorm,
    Clip,
    Dequantize,
    Function,
    Op,
    PRelu,
)
from bitwright.passes.chain import QUANTIZERS, Chain
from bitwright.passes.region import INDEX_MAPS

_RISING = {
    Function.RELU, Function.SIGMOID, Function.TANH, Function.HARD_SIGMOID, Function.SOFTPLUS,
    Function.SOFTSIGN, Function.EXP, Function.ERF, Function.FLOOR, Function.CEIL, Function.ROUND,
}  # fmt: skip
_RISING_WITH_ALPHA = {
    Function.LEAKY_RELU, Function.ELU, Function.SELU, Function.CELU, Function.THRESHOLDED_RELU,
}  # fmt: skip
_SCALED = (Dequantize, BatchNorm, PRelu)  # by their second operand
_RISING_WHERE_DEFINED = {Function.LOG, Function.SQRT}  # elsewhere NaN, which has no place in order


def is_monotone(chain: Chain) -> bool:
    """Tell whether every op of the chain is monotone in each element, and so is the chain."""
    return all(_op_is_monotone(op, chain.constants) for op in chain.region.ops)


def _op_is_monotone(op: Op, constants: Constants) -> bool:
    if isinstance(op, (Dequantize, BatchNorm, *INDEX_MAPS)):
        return True  # affine, whatever the parameters
    if isinstance(op, Activation) and op.kind in _RISING_WHERE_DEFINED:
        return True
    moving = [i for i, v in enumerate(op.inputs) if v.name not in constants]
    return len(moving) == 1 and direction(op, constants, moving[0]) is not None


def rises(op: Op, constants: Constants, operand: int) -> bool:
    """Tell whether `op`, a scalar op or a quantizer, rises with that operand in every channel."""
    found = direction(op, constants, operand)
    return found is not None and bool((found > 0).all())


def direction(op: Op, constants: Constants, operand: int) -> Array | None:
    """Return +1 where `op` never falls with that operand, -1 where it never rises.

    One number, or one for each of the constants that decide. None where it does both, or is not
    defined for all numbers.
    """
    if isinstance(op, (Clip, *QUANTIZERS)):
        return np.array(1)
    if isinstance(op, Activation):
        return _of_activation(op)
    if isinstance(op, Arithmetic):
        return _of_arithmetic(op, constants, operand)
    factor = constants.get(op.inputs[1].name) if isinstance(op, _SCALED) else None
    if factor is None or (isinstance(op, PRelu) and (factor < 0).any()):
        return None
    return _sign_of(factor)


def _of_activation(op: Activation) -> Array | None:
    if op.kind is Function.NEG:
        return np.array(-1)
    rising = op.kind in _RISING or (op.kind in _RISING_WITH_ALPHA and op.alpha >= 0)
    return np.array(1) if rising else None


def _of_arithmetic(op: Arithmetic, constants: Constants, operand: int) -> Array | None:
    if op.kind in {Arith.ADD, Arith.MIN, Arith.MAX}:
        return np.array(1)
    if op.kind is Arith.SUB:
        return np.array(-1 if operand else 1)
    other = constants.get(op.inputs[1 - operand].name)
    if other is None or (operand and op.kind is not Arith.MUL):
        return None  # c / x is not monotone through zero
    if op.kind is Arith.POW:
        return np.array(1) if ((other > 0) & (other % 2 == 1)).all() else None
    return _sign_of(other)


def _sign_of(a: Array) -> Array:
    return np.where(a.reshape(-1) < 0, -1, 1)
