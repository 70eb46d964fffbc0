"""How the weights of a layer are coded for flash: exact byte layouts in numpy, and their sizes."""

from bitwright.backends.coding.forms import Form, encode
from bitwright.backends.coding.sizes import Breakdown, coded_bytes

__all__ = ["Breakdown", "Form", "coded_bytes", "encode"]
