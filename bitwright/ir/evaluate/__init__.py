"""What every operation computes, in numpy: the one meaning that backends must reproduce."""

from bitwright.ir.evaluate.graph import evaluate, evaluate_constant, evaluate_op

__all__ = ["evaluate", "evaluate_constant", "evaluate_op"]
