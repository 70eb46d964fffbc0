"""Prove that a chain is monotone, op by op. Nothing is bisected unproved."""

import numpy as np

from bitwright.ir.ops import Activation, Arith, Arithmetic, Function, Op, PRelu
from bitwright.passes.chain import Chain

_MONOTONE = {
    Function.RELU, Function.SIGMOID, Function.TANH, Function.HARD_SIGMOID, Function.SOFTPLUS,
    Function.SOFTSIGN, Function.NEG, Function.EXP, Function.LOG, Function.SQRT, Function.ERF,
    Function.FLOOR, Function.CEIL, Function.ROUND,
}  # fmt: skip
_WITH_ALPHA = {Function.LEAKY_RELU, Function.ELU, Function.SELU, Function.CELU}


def is_monotone(chain: Chain) -> bool:
    """Tell whether every op of the chain is monotone in each element, and so is the chain."""
    return all(_op_is_monotone(chain, op) for op in chain.region.ops)


def _op_is_monotone(chain: Chain, op: Op) -> bool:
    if isinstance(op, Activation):
        if op.kind is Function.THRESHOLDED_RELU:
            return op.alpha >= 0
        return op.kind in _MONOTONE or (op.kind in _WITH_ALPHA and op.alpha >= 0)
    if isinstance(op, PRelu):
        return bool((chain.constants[op.inputs[1].name] >= 0).all())
    if isinstance(op, Arithmetic):
        return _arithmetic(chain, op)
    return True  # scales, clips, batch norms, quantizers and index maps are affine or steps


def _arithmetic(chain: Chain, op: Arithmetic) -> bool:
    a, b = (chain.constants.get(v.name) for v in op.inputs)
    if a is None and b is None:
        return False
    if op.kind is Arith.DIV:
        return b is not None  # c / x is not monotone through zero
    if op.kind is Arith.POW:
        odd = b is not None and np.all((b > 0) & (b % 2 == 1))
        return bool(odd)
    return True
