"""The rows of combinations.py: which steps each takes, their recipes, and the bytes of a result."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bitwright.backends.coding.forms import Form
from bitwright.backends.coding.sizes import coded_bytes
from bitwright.ir.cost import macs
from bitwright.ir.graph import Graph
from bitwright.passes.compress.kinds import Kind, WeightKind, bits_of, quantize_weights
from bitwright.passes.compress.plan import float_weights, layers_of
from bitwright.passes.compress.prune import keep_greatest
from bitwright.passes.weights import weights_of

Array = NDArray[Any]

BYTE = 8
OUTPUT_BYTES = 4  # a bias, or what stands for it
POINTWISE = "pointwise"
PRUNED = (POINTWISE, "fc")


@dataclass(frozen=True)
class Row:
    """One subset of the three steps; `density` is the share of weights that pruning keeps."""

    density: float
    binarize: bool
    distill: bool

    @property
    def prune(self) -> bool:
        """Whether weights are pruned."""
        return self.density < 1

    @property
    def name(self) -> str:
        """The steps in their order, `none` where there are none."""
        steps = {"prune": self.prune, "binarize": self.binarize, "distill": self.distill}
        return " + ".join(n for n, taken in steps.items() if taken) or "none"

    @property
    def key(self) -> str:
        """What names its files."""
        share = f"-{self.density:g}" if self.prune else ""
        return self.name.replace(" + ", "-") + share


DENSITY, SPARSER = 0.2, 0.1
ROWS = tuple(Row(p, b, d) for p, b, d in product((1.0, DENSITY), (False, True), (False, True)))
FURTHER = tuple(Row(SPARSER, b, d) for b, d in product((False, True), (False, True)))


@dataclass(frozen=True)
class Effort:
    """What every row is given: training samples, and the epochs of both stages."""

    samples: int = 16000
    first: int = 3
    second: int = 2


def first_recipe(row: Row, effort: Effort) -> str:
    """Return the recipe of the first stage: float weights, gradually pruned or only trained on."""
    text = f"""weights = "float"
activations = "float"
[train]
inner = "float"
edge = "float"
inner_activations = "none"
edge_activations = "none"
distill = "none"
epochs = {effort.first}
"""
    if not row.prune:
        return text
    rules = (f'[[layer]]\nmatch = "*{part}*"\nsparsity = {1 - row.density:g}\n' for part in PRUNED)
    return text + f"prune_over = {effort.first - 1}\n" + "".join(rules)


def second_recipe(row: Row, effort: Effort) -> str:
    """Return the recipe of the second stage: every tensor 8 bits, pointwise weights one where asked."""
    loss = "hinton" if row.distill else "none"
    text = f"""weights = "int:8"
[train]
inner = "int:8"
edge = "int:8"
inner_activations = "lsq:8"
edge_activations = "fixed:8"
distill = "{loss}"
temperature = 4.0
label_share = 0.5
epochs = {effort.second}
keep_zeros = {str(row.prune).lower()}
"""
    return text + (f'[[layer]]\nmatch = "*{POINTWISE}*"\ntrain = "bwn"\n' if row.binarize else "")


@dataclass(frozen=True)
class Held:
    """The codes of a layer and what they take, packed alone or in the form of the fewest bytes."""

    loc: str
    codes: Array
    macs: int

    @cached_property
    def levels(self) -> frozenset[int]:
        """The values that occur."""
        return frozenset(int(v) for v in np.unique(self.codes))

    @property
    def adds(self) -> bool:
        """Whether the weights are signs, or signs and zeros."""
        return self.levels <= {-1, 0, 1}

    @property
    def packed(self) -> int:
        """Bytes with 1, 1.6 or 8 bits for each weight, zeros among them."""
        kind = WeightKind(Kind.INT, BYTE)
        if self.adds:
            kind = WeightKind(Kind.TERNARY if 0 in self.levels else Kind.BINARY)
        return ceil(self.codes.size * bits_of(kind) / BYTE)

    @cached_property
    def least(self) -> tuple[int, str]:
        """The fewest bytes and the form that has them."""
        found = [(coded_bytes(self.codes, form).total, form.value) for form in Form]
        return min([(self.packed, "packed"), *found])

    @property
    def work(self) -> int:
        """Multiplications, or additions where the weights are signs, that are left without zeros."""
        return round(self.macs * float(np.mean(self.codes != 0)))


def held_by(graph: Graph) -> Iterator[Held]:
    """Yield the codes of each layer of a quantized graph."""
    for op in layers_of(graph):
        yield Held(op.loc, weights_of(graph, op).codes, macs(op))


def sizes(graph: Graph) -> dict[str, Any]:
    """Return the bytes of a quantized graph, the forms of its pointwise layers and its work."""
    layers = list(held_by(graph))
    inner = [x for x in layers if POINTWISE in x.loc]
    outputs = sum(x.codes.shape[0] for x in layers)
    return {
        "packed": sum(x.packed for x in layers),
        "least": sum(x.least[0] for x in layers),
        "outputs": OUTPUT_BYTES * outputs,
        "weights": sum(x.codes.size for x in layers),
        "pointwise": sum(x.least[0] for x in inner),
        "pointwise_weights": sum(x.codes.size for x in inner),
        "forms": [x.least[1] for x in inner],
        "density": float(np.mean(np.concatenate([x.codes.reshape(-1) != 0 for x in inner]))),
        "multiplications": sum(x.work for x in layers if not x.adds),
        "additions": sum(x.work for x in layers if x.adds),
    }


def pointwise_bytes(graph: Graph, density: float) -> tuple[int, int]:
    """Return the fewest bytes of a float graph's pointwise layers at a density: as int8, as signs.

    The greatest magnitudes stay; nothing is trained.
    """
    shared = signed = 0
    for op in layers_of(graph):
        if POINTWISE not in op.loc:
            continue
        w = float_weights(graph, op)
        kept = w * keep_greatest(np.abs(w), density)
        codes = quantize_weights(kept, WeightKind(Kind.INT, BYTE)).codes
        shared += Held(op.loc, codes, 0).least[0]
        signed += Held(op.loc, np.sign(kept).astype(np.int64), 0).least[0]
    return shared, signed
