"""What both backends are told of the device's edges: scales for the reader, golden samples."""

from collections.abc import Mapping
from dataclasses import dataclass

from bitwright.ir.graph import Array


@dataclass(frozen=True, slots=True)
class Edge:
    """What the codes of one input or output mean: real = scale * (code - zero), and in words.

    Scale and zero are None where no straight line leads from codes to reals.
    """

    scale: Array | None
    zero: Array | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Vectors:
    """Golden samples: arrays of shape (samples, *shape) by tensor name."""

    inputs: Mapping[str, Array]
    outputs: Mapping[str, Array]
