"""What the caller may choose about the C: the machine, test vectors, the edges' scales."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from bitwright.backends.coding import Form
from bitwright.backends.edges import Edge, Vectors
from bitwright.errors import CompileError
from bitwright.options import STORES, Cpu

SMALL = "small"  # the form of the fewest bytes, chosen by layer

__all__ = ["SMALL", "STORES", "COptions", "Cpu", "Edge", "Vectors"]


@dataclass(frozen=True, slots=True)
class COptions:
    """Options of the C backend."""

    cpu: Cpu = Cpu.GENERIC
    vectors: Vectors | None = None
    edge: Mapping[str, Edge] = field(default_factory=dict)
    store: str | Mapping[str, str] = Form.PLAIN.value  # of the weights in flash, or by layer

    def __post_init__(self) -> None:
        """Raise CompileError for a form that does not exist."""
        forms = [self.store] if isinstance(self.store, str) else self.store.values()
        for form in forms:
            if form not in STORES:
                raise CompileError(f"--store {form!r}: choose one of {', '.join(STORES)}")
