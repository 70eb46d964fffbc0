"""C for microcontrollers: `emit` writes a model as C99 without malloc, globals or float."""

from bitwright.backends.c.emit import emit
from bitwright.backends.c.options import COptions, Cpu, Edge, Vectors

__all__ = ["COptions", "Cpu", "Edge", "Vectors", "emit"]
