"""What the caller may choose about the Verilog: cycles or folding, weights in ROM, test vectors."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bitwright.backends.coding.forms import Form
from bitwright.backends.edges import Edge, Vectors
from bitwright.errors import CompileError
from bitwright.options import STORES, Fold

SMALL = "small"  # the form of the fewest bits, chosen by layer
IN_ROM = (Form.PLAIN.value, Form.CODEBOOK.value, SMALL)  # forms that mean something in hardware

__all__ = ["IN_ROM", "SMALL", "STORES", "Edge", "Fold", "Vectors", "VerilogOptions"]


@dataclass(frozen=True, slots=True)
class VerilogOptions:
    """Options of the Verilog backend. `cycles` is the greatest number allowed per frame.

    `lanes` are PE and SIMD of some layers, by the layers' names in report.json. `store` is the form
    of integer weights in ROM, for all layers or by layer; forms that are not IN_ROM mean plain.
    """

    cycles: int | None = None
    fold: Fold | None = None
    vectors: Vectors | None = None
    edge: Mapping[str, Edge] = field(default_factory=dict)
    lanes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    store: str | Mapping[str, str] = Form.PLAIN.value

    def __post_init__(self) -> None:
        """Raise CompileError where the choices make no sense."""
        if self.cycles is not None and self.cycles < 1:
            raise CompileError(f"--cycles {self.cycles}: a frame takes at least 1 cycle")
        if self.cycles is not None and self.fold is not None:
            raise CompileError("choose one of --cycles and --fold")
        for form in self.stores:
            if form not in STORES:
                raise CompileError(f"--store {form!r}: choose one of {', '.join(STORES)}")

    @property
    def stores(self) -> tuple[str, ...]:
        """Every form that is asked for."""
        return (self.store,) if isinstance(self.store, str) else tuple(self.store.values())
