"""The bytes of a layer's weights in each form, by what they hold."""

import numpy as np

from bitwright.backends.coding.forms import Form, encode
from bitwright.backends.coding.rows import Breakdown
from bitwright.errors import CompileError
from bitwright.ir.graph import Array

__all__ = ["Breakdown", "coded_bytes"]


def coded_bytes(codes: Array, form: Form | str) -> Breakdown:
    """Return the bytes of integer weights (O, ...), one row an output, stored as `form`.

    What the C holds in flash for a layer whose inputs are read once; a convolution joins rows in
    blocks and takes a few bytes less. CompileError when the form cannot hold these weights.
    """
    rows = codes.reshape(codes.shape[0], -1).astype(np.int64)
    coded = encode(rows.reshape(-1), np.full(rows.shape[0], rows.shape[1]), Form(form))
    if coded is None:
        raise CompileError(f"weights of this range cannot be stored as {Form(form).value}")
    return coded.parts
