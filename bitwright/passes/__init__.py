"""The pipelines, as lists: reading them is reading the compiler."""

from bitwright.passes.dead_code import remove_dead_code
from bitwright.passes.fold_constants import fold_constants
from bitwright.passes.merge_bias import merge_bias
from bitwright.passes.orient import orient_channels
from bitwright.passes.pipeline import Pass, run

SIMPLIFY: tuple[Pass, ...] = (fold_constants, merge_bias, remove_dead_code)
INTEGER: tuple[Pass, ...] = (orient_channels, remove_dead_code)

__all__ = ["INTEGER", "SIMPLIFY", "Pass", "run"]
