"""What the caller may choose about the Verilog: cycles or folding, test vectors, edge scales."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bitwright.backends.edges import Edge, Vectors
from bitwright.errors import CompileError
from bitwright.options import Fold

__all__ = ["Edge", "Fold", "Vectors", "VerilogOptions"]


@dataclass(frozen=True, slots=True)
class VerilogOptions:
    """Options of the Verilog backend. `cycles` is the greatest number allowed per frame.

    `lanes` are PE and SIMD of some layers, by the layers' names in report.json.
    """

    cycles: int | None = None
    fold: Fold | None = None
    vectors: Vectors | None = None
    edge: Mapping[str, Edge] = field(default_factory=dict)
    lanes: Mapping[str, tuple[int, int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise CompileError where the choices make no sense."""
        if self.cycles is not None and self.cycles < 1:
            raise CompileError(f"--cycles {self.cycles}: a frame takes at least 1 cycle")
        if self.cycles is not None and self.fold is not None:
            raise CompileError("choose one of --cycles and --fold")
