"""Turn a float model into a quantized one: weights by kind, activations by calibration."""

from bitwright.passes.compress.choose import compress
from bitwright.passes.compress.kinds import Kind, WeightKind, parse_weights
from bitwright.passes.compress.recipe import Recipe

__all__ = ["Kind", "Recipe", "WeightKind", "compress", "parse_weights"]
