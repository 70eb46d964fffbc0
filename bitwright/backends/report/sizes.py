"""What each layer of a compressed model takes: bits, bytes, multiplications."""

from dataclasses import dataclass
from math import ceil

from bitwright.backends.coding.forms import Form
from bitwright.backends.coding.sizes import coded_bytes
from bitwright.ir.cost import macs
from bitwright.ir.graph import Graph
from bitwright.passes.compress.choose import Compressed
from bitwright.passes.compress.kinds import Kind, WeightKind, bits_of
from bitwright.passes.compress.plan import Layer, layers_of
from bitwright.passes.compress.recipe import LayerRecipe
from bitwright.passes.weights import Weights

FLOAT_BITS = 32
OUTPUT_BYTES = 4  # a bias, or what stands for it
_BYTE = 8
_SMALL = "small"


@dataclass(frozen=True, slots=True)
class LayerSize:
    """One layer before and after: weights of the original, bytes, multiplications.

    `bytes` are all that the weights take in their form, tables included, and 4 for each output;
    `float_bytes` are 4 for each weight and output of the original. `bits` count a weight of the
    original layer. `noise` is the energy of the output's error over the output's own.
    """

    loc: str
    kind: str
    density: float
    bits: float
    bytes: int
    float_bytes: int
    macs: int
    float_macs: int
    noise: float


def sizes_of(original: Graph, found: Compressed) -> tuple[LayerSize, ...]:
    """Return the size of each layer that was compressed, in execution order."""
    before = {op.loc: op for op in layers_of(original)}
    after = {op.name: op for op in layers_of(found.float_graph)}
    out: list[LayerSize] = []
    for r in found.layers:
        was, op = before[r.loc], after[r.name]
        count = was.inputs[1].type.size
        weights = found.plan.weights.get(r.name)
        held = weight_bytes(op, weights, r.recipe)
        density = r.density * op.inputs[1].type.size / max(count, 1)
        out.append(
            LayerSize(
                r.loc,
                kind_text(r.recipe),
                density,
                held * _BYTE / max(count, 1),
                held + OUTPUT_BYTES * op.inputs[1].shape[0],
                OUTPUT_BYTES * (count + was.inputs[1].shape[0]),
                macs(op),
                macs(was),
                r.noise,
            )
        )
    return tuple(out)


def kind_text(how: LayerRecipe) -> str:
    """Return what a layer's weights became, such as `int:4`, `kmeans:32` or `float`."""
    if how.share is not None:
        return str(how.share)
    return "float" if how.weights is None else str(how.weights)


def weight_bytes(op: Layer, weights: Weights | None, how: LayerRecipe) -> int:
    """Return the bytes of a layer's weights: packed, or in the form that the recipe stores them in."""
    count = op.inputs[1].type.size
    if weights is None:
        return count * FLOAT_BITS // _BYTE
    if how.store in (None, Form.PLAIN.value):
        bits = _BYTE if how.weights is None or how.share is not None else bits_of(how.weights)
        if how.prune is not None and how.weights is not None and how.weights.kind is Kind.BINARY:
            bits = bits_of(WeightKind(Kind.TERNARY))  # zeros make a third value
        return ceil(count * bits / _BYTE)
    if how.store != _SMALL:
        return coded_bytes(weights.codes, str(how.store)).total
    return min(coded_bytes(weights.codes, form).total for form in Form)
