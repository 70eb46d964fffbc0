"""Integer graphs as Verilog: a streaming dataflow design, one unit a layer."""

from bitwright.backends.verilog.emit import emit
from bitwright.backends.verilog.options import Edge, Fold, Vectors, VerilogOptions

__all__ = ["Edge", "Fold", "Vectors", "VerilogOptions", "emit"]
