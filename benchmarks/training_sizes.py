"""The bytes of a LeNet's weights after each stage of Deep Compression."""

from pathlib import Path

import numpy as np

from bitwright.backends.coding.gaps import relative
from bitwright.backends.coding.sizes import coded_bytes
from bitwright.backends.coding.stream import count_bytes
from bitwright.compiler import load
from bitwright.ir.graph import Array, Graph
from bitwright.options import CompileOptions
from bitwright.passes.compress.plan import float_weights, layers_of
from bitwright.passes.weights import weights_of

REAL = 4  # bytes of a float32, and of a bias whatever form the weights have
MOST_GAP_BITS = 10


def plain_bytes(graph: Graph) -> int:
    """Return the float32 bytes of all weights and biases."""
    return REAL * sum(v.type.size for op in layers_of(graph) for v in op.inputs[1:])


def bias_bytes(graph: Graph) -> int:
    """Return the bytes of all biases."""
    return REAL * sum(v.type.size for op in layers_of(graph) for v in op.inputs[2:])


def kept(graph: Graph) -> dict[str, float]:
    """Return the percentage of nonzero weights by layer, and of all of them."""
    masks = {op.name: float_weights(graph, op) != 0 for op in layers_of(graph)}
    found = {name: 100 * float(np.mean(mask)) for name, mask in masks.items()}
    whole = sum(mask.size for mask in masks.values())
    return found | {"all": 100 * float(sum(mask.sum() for mask in masks.values())) / whole}


def pruned_bytes(graph: Graph) -> int:
    """Return the bytes of float32 nonzeros, the gaps before them, counts of rows, and biases.

    Gaps take the bits that give the fewest bytes, as Deep Compression has them before it shares.
    """
    return bias_bytes(graph) + sum(_real_rows(float_weights(graph, op)) for op in layers_of(graph))


def _real_rows(w: Array) -> int:
    sizes = np.full(w.shape[0], w[0].size)
    mask = (w.reshape(-1) != 0).astype(np.int64)
    found = []
    for bits in range(1, MOST_GAP_BITS + 1):
        entries = relative(mask, sizes, bits).segments
        gaps = int((-(-entries * bits // 8)).sum())
        found.append(gaps + int(entries.sum()) * REAL + entries.size * count_bytes(entries))
    return min(found)


def stored_bytes(graph: Graph, form: str) -> int:
    """Return all bytes of the integer weights stored as `form`, and of the biases."""
    coded = [coded_bytes(weights_of(graph, op).codes, form) for op in layers_of(graph)]
    return bias_bytes(graph) + sum(parts.total for parts in coded)


def open_graph(path: Path) -> Graph:
    """Return the graph of an ONNX file, simplified."""
    return load(path, CompileOptions())
