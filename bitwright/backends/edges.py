"""What both backends are told of the device's edges: scales for the reader, golden samples."""

from collections.abc import Mapping
from dataclasses import dataclass

from bitwright.ir.graph import Array


@dataclass(frozen=True, slots=True)
class Edge:
    """What the codes of one input or output mean: real = scale * (code - zero)."""

    scale: Array
    zero: Array
    text: str = ""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Golden samples: arrays of shape (samples, *shape) by tensor name."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
