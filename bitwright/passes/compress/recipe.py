"""What a recipe says: defaults for every layer, rules by pattern, and the model's activations."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from enum import Enum
from fnmatch import fnmatchcase
from typing import Any

from bitwright.errors import CompileError
from bitwright.passes.compress.kinds import Kind, WeightKind
from bitwright.passes.compress.plan import Layer
from bitwright.passes.compress.prune import Pruning
from bitwright.passes.compress.ranges import RangeMethod
from bitwright.passes.compress.share import Sharing

EDGE_BITS = 8
EDGE_POW2_BITS = 5  # magnitudes 2^0 to 2^7
STEPS_BITS = 4  # codes up to this width are thresholds, whose scales cost nothing
BINARY = 1


class Solver(Enum):
    """How weights become codes once their grid is chosen."""

    NEAREST = "nearest"
    SECOND_ORDER = "second-order"  # fixed order, one Cholesky factor of the layer's Hessian
    EXACT = "exact"  # greedy by row, for small layers


class Refit(Enum):
    """What is fitted again on the samples after a layer's weights were replaced."""

    NONE = "none"
    BIAS = "bias"  # the mean of each output
    SCALE = "scale"  # the scale of each output by least squares, then its mean
    MOMENTS = "moments"  # mean and deviation of each output: re-estimation of a folded batch norm


@dataclass(frozen=True, slots=True)
class LayerRecipe:
    """How one layer is compressed, in this order: channels, prune, weights or share, refit, store."""

    weights: WeightKind | None = None  # None keeps floats
    solver: Solver = Solver.NEAREST
    refit: Refit = Refit.NONE
    prune: Pruning | None = None
    share: Sharing | None = None
    channels: float = 1.0  # the share of output channels that stay
    activations: int | None = None  # bits of what the layer reads
    store: str | None = None  # form in flash, for C
    train: str | None = None  # how `finetune` quantizes the weights, such as ttq
    train_inputs: str | None = None  # and what the layer reads, such as binary
    sparsity: float | None = None  # share of zeros that `finetune` prunes to

    def __post_init__(self) -> None:
        """Reject shares and widths that mean nothing."""
        if not 0 < self.channels <= 1:
            raise CompileError(f"channels = {self.channels:g}: give a share above 0, at most 1")
        if self.activations is not None and not 1 <= self.activations <= EDGE_BITS:
            raise CompileError(f"activations = {self.activations}: bits must be 1 to {EDGE_BITS}")


@dataclass(frozen=True, slots=True)
class Rule:
    """What layers whose name fits the glob pattern `match` do differently; names are LayerRecipe's."""

    match: str
    choices: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to compress a model: `weights` of the inner layers, those of the edges, activation bits.

    `pow2_scales` keeps the whole design free of multipliers; `compared` says that the device also
    compares the last layer's outputs, whose scales then count as well. `base` holds what all layers
    share beside their weights; `rules` apply in order, later ones over earlier ones.
    """

    weights: WeightKind | None
    activations: int | None = 8  # None leaves them real
    pow2_scales: bool = False
    compared: bool = False
    edges: WeightKind | None = None  # None chooses by `pow2_scales`
    base: LayerRecipe = LayerRecipe()
    rules: tuple[Rule, ...] = ()
    ranges: RangeMethod | None = None
    equalize: bool = False
    train: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Reject widths that are not offered."""
        if self.activations is not None and not 1 <= self.activations <= EDGE_BITS:
            raise CompileError(f"--activations {self.activations}: bits must be 1 to {EDGE_BITS}")

    @property
    def edge_weights(self) -> WeightKind | None:
        """The kind of the first and the last layer: 8 bits, or shifts where multipliers are out."""
        if self.weights is None or self.edges is not None:
            return self.edges
        pow2 = WeightKind(Kind.POW2, EDGE_POW2_BITS)
        return pow2 if self.pow2_scales else WeightKind(Kind.INT, EDGE_BITS)

    def resolve(self, layers: Iterable[Layer]) -> dict[str, LayerRecipe]:
        """Return the recipe of each layer by op name; CompileError for a rule that fits none."""
        found = tuple(layers)
        edges = {op.name for op in (*found[:1], *found[-1:])}
        for rule in self.rules:
            if not any(matches(rule.match, op) for op in found):
                names = ", ".join(repr(op.loc) for op in found)
                raise CompileError(
                    f"recipe: no layer is called {rule.match!r}; the layers with weights are {names}"
                )
        return {op.name: self._layer(op, edge=op.name in edges) for op in found}

    def _layer(self, op: Layer, *, edge: bool) -> LayerRecipe:
        result = replace(self.base, weights=self.edge_weights if edge else self.weights)
        for rule in self.rules:
            if matches(rule.match, op):
                result = replace(result, **rule.choices)
        return result


def matches(pattern: str, op: Layer) -> bool:
    """Tell whether a pattern is the layer's node name or its result's, or fits one of them."""
    names = (op.loc, op.name)
    return pattern in names or any(fnmatchcase(n, pattern) for n in names)
