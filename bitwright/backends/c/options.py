"""What the caller may choose about the C: the machine, test vectors, the edges' scales."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bitwright.backends.edges import Edge, Vectors
from bitwright.options import Cpu

__all__ = ["COptions", "Cpu", "Edge", "Vectors"]


@dataclass(frozen=True, slots=True)
class COptions:
    """Options of the C backend."""

    cpu: Cpu = Cpu.GENERIC
    vectors: Vectors | None = None
    edge: Mapping[str, Edge] = field(default_factory=dict)
