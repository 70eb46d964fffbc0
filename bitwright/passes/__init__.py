"""The pipelines, as lists: reading them is reading the compiler."""

from bitwright.passes.absorb_maps import absorb_maps
from bitwright.passes.compress.fold_batch_norm import fold_batch_norm
from bitwright.passes.dead_code import remove_dead_code
from bitwright.passes.fold_constants import fold_constants, real_constants
from bitwright.passes.lift_maps import lift_maps
from bitwright.passes.merge_bias import merge_bias
from bitwright.passes.merge_pad import merge_pad
from bitwright.passes.orient import orient_channels
from bitwright.passes.pipeline import Pass, run
from bitwright.passes.settle import settle
from bitwright.passes.sink_maps import sink_maps
from bitwright.passes.whole_pools import whole_pools

SIMPLIFY: tuple[Pass, ...] = (
    fold_constants,
    sink_maps,
    fold_constants,
    absorb_maps,
    merge_bias,
    remove_dead_code,
    lift_maps,
    merge_pad,
    whole_pools,
    remove_dead_code,
)
FLOAT: tuple[Pass, ...] = (real_constants, fold_batch_norm, remove_dead_code)
QUANTIZED: tuple[Pass, ...] = (lift_maps, settle, remove_dead_code)
INTEGER: tuple[Pass, ...] = (orient_channels, remove_dead_code)

__all__ = ["FLOAT", "INTEGER", "QUANTIZED", "SIMPLIFY", "Pass", "run"]
