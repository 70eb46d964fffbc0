"""What a model loses when one layer alone is compressed, for each of several choices."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import ArgMax, Reshape, Softmax
from bitwright.passes.compress.choose import Tell, needs_shifts, prepare
from bitwright.passes.compress.kinds import WeightKind, parse_weights
from bitwright.passes.compress.layer import compress_layer, rectified
from bitwright.passes.compress.plan import Layer, layers_of
from bitwright.passes.compress.prune import BY_NETWORK, Pruning, parse_pruning
from bitwright.passes.compress.prune_layer import LayerRows
from bitwright.passes.compress.recipe import LayerRecipe, Recipe, Refit, Rule, matches
from bitwright.passes.compress.side_by_side import SideBySide, fitting_samples
from bitwright.passes.weights import Weights

SAMPLES = 256
_SPREAD = 3.0  # deviation of the scores of one sample
_FLOAT = "float"
_AFTER_SCORES = (ArgMax, Softmax, Reshape)


@dataclass(frozen=True, slots=True)
class Choice:
    """A kind of weights, None for floats, and a pruning, None for what the recipe says."""

    weights: WeightKind | None
    prune: Pruning | None = None

    def __str__(self) -> str:
        """Return the spelling that `parse_choice` reads."""
        kind = _FLOAT if self.weights is None else str(self.weights)
        return kind if self.prune is None else f"{kind}@{self.prune}"

    @property
    def changes(self) -> dict[str, Any]:
        """The fields of a LayerRecipe that this choice sets."""
        pruned = {} if self.prune is None else {"prune": self.prune}
        return {"weights": self.weights, **pruned}


@dataclass(frozen=True, slots=True)
class Cost:
    """What a layer takes: bytes of weights and biases; multiplications by the bits of both sides."""

    bytes: int
    mac_bits: int


@dataclass(frozen=True, slots=True)
class Trial:
    """One choice for one layer, None for its recipe as it stands: what it costs and what is lost.

    `damage` is the Kullback-Leibler divergence, in nats, of the classes that the model chooses with
    this layer changed from those of the float model, the mean over the samples; the outputs' squared
    error over their energy where the model has a single output or is no classifier.
    """

    choice: Choice | None
    how: LayerRecipe
    cost: Cost
    damage: float
    density: float


@dataclass(frozen=True, slots=True)
class LayerTrials:
    """What was tried for a layer; `pattern` is what a rule of a recipe calls it."""

    loc: str
    name: str
    pattern: str
    trials: tuple[Trial, ...]


Price = Callable[[Layer, Weights | None, LayerRecipe], Cost]

DEFAULT_CHOICES = tuple(
    Choice(parse_weights(text))
    for text in ("binary", "ternary", *(f"int:{bits}" for bits in range(2, 9)), "pow2:3", "pow2:4")
)


def parse_choice(text: str) -> Choice:
    """Return the choice in `KIND` or `KIND@PRUNING`, such as int:4 or ternary@magnitude:0.5.

    CompileError for other texts, and for prunings that rank by the loss of the whole network.
    """
    kind, _, pruning = text.partition("@")
    weights = None if kind == _FLOAT else parse_weights(kind)
    prune = parse_pruning(pruning) if pruning else None
    if prune is not None and prune.method in BY_NETWORK:
        raise CompileError(
            f"choice {text!r}: {prune.method.value} looks at the whole network; choose magnitude, "
            "wanda, obd, l-obs, net-trim or N:M"
        )
    return Choice(weights, prune)


def offered(recipe: Recipe, choices: Sequence[Choice]) -> tuple[Choice, ...]:
    """Return the choices that a recipe allows; those that multiply are out with pow2 scales.

    CompileError where none is left.
    """
    allowed = tuple(
        c
        for c in dict.fromkeys(choices)
        if not (recipe.pow2_scales and c.weights is not None and c.weights.multiplies)
    )
    if not allowed:
        names = ", ".join(map(str, choices))
        raise CompileError(
            f"the choices {names} need multipliers, which scales = pow2 excludes; add binary, ternary "
            "or pow2:B"
        )
    return allowed


def sensitivity(
    graph: Graph,
    recipe: Recipe,
    choices: Sequence[Choice],
    samples: Mapping[str, Array],
    *,
    price: Callable[[Graph], Price],
    tell: Tell | None = None,
) -> tuple[LayerTrials, ...]:
    """Return, for each layer of a float graph in execution order, the damage of each choice.

    The output's divergence stands for the loss (as a cheap form of HAWQ's criterion, Dong et al.
    2019). `recipe` says all but the weights; layers that a rule of it gives weights or a codebook,
    and all when it shares weights by itself, keep what it says. `samples` are inputs (samples,
    *shape), of which at most `SAMPLES`, evenly spread, are looked at. `price` is given the graph
    that is compressed. Activations stay real.
    """
    prepared = prepare(graph, recipe, samples)
    few = fitting_samples(prepared, _thinned(samples))
    walk = _Walk(prepared, recipe, SideBySide(prepared, few), price(prepared))
    layers = layers_of(prepared)
    found: list[LayerTrials] = []
    for index, op in enumerate(prepared.ops):
        if op.name in walk.recipes:
            layer = layers[len(found)]
            if tell:
                tell(f"{op.loc} alone", len(found), len(layers))
            fixed = is_fixed(recipe, layer)
            tried = walk.trials(layer, index, (None,) if fixed else offered(recipe, choices))
            found.append(LayerTrials(op.loc, op.name, _pattern(layer, layers), tried))
        walk.sides.step(op)
    return tuple(found)


class _Walk:
    """The float graph up to one layer, and the choices tried from there on."""

    def __init__(self, graph: Graph, recipe: Recipe, sides: SideBySide, price: Price) -> None:
        self.sides = sides
        self.recipes = recipe.resolve(layers_of(graph))
        self._graph, self._recipe, self._price = graph, recipe, price
        self._last = layers_of(graph)[-1].name
        self._scores = score_names(graph)
        self._want = sides.onward(graph.ops, {}, self._scores)

    def trials(self, op: Layer, index: int, choices: Sequence[Choice | None]) -> tuple[Trial, ...]:
        """Return what each choice for the op at `index` costs and loses."""
        rows = LayerRows(op, self.sides, rectified=rectified(self._graph, op))
        return tuple(self._trial(rows, index, choice) for choice in choices)

    def _trial(self, rows: LayerRows, index: int, choice: Choice | None) -> Trial:
        how = self.recipes[rows.op.name]
        if choice is not None:
            how = replace(how, **choice.changes)
        if how.weights is None and how.share is None and how.prune is None:
            how = replace(how, refit=Refit.NONE)
        shifts = needs_shifts(self._recipe, last=rows.op.name == self._last)
        found = compress_layer(self._graph, rows, how, self.sides, pow2_scale=shifts)
        got = self.sides.onward(self._graph.ops[index:], found.constants, self._scores)
        damage = sum(divergence(self._want[n], y) for n, y in got.items())
        cost = self._price(rows.op, found.weights, how)
        return Trial(choice, how, cost, damage, found.density)


def is_fixed(recipe: Recipe, op: Layer) -> bool:
    """Tell whether a recipe itself says what becomes of a layer's weights."""
    named = (r.choices for r in recipe.rules if matches(r.match, op))
    return recipe.base.share is not None or any({"weights", "share"} & set(c) for c in named)


def score_names(graph: Graph) -> frozenset[str]:
    """Return the values that the outputs are chosen by: what a final softmax or argmax reads."""
    producers = graph.producers()
    found: set[str] = set()
    for v in graph.outputs:
        name = v.name
        while isinstance(op := producers.get(name), _AFTER_SCORES):
            name = op.inputs[0].name
        found.add(name)
    return frozenset(found)


def divergence(want: Array, got: Array) -> float:
    """Return how far scores `got` are from `want`, both (samples, ...), as `Trial.damage` says.

    Scores that vary more than is common are divided first, all by the same number: a softmax that
    is always certain tells next to nothing.
    """
    want, got = want.astype(np.float64), got.astype(np.float64)
    if max(want.shape[1:], default=1) != want[0].size or want[0].size == 1:
        return float(((got - want) ** 2).sum() / (float((want**2).sum()) or 1.0))
    rows = want.reshape(len(want), -1)
    heat = max(float(np.sqrt(rows.var(axis=1).mean())) / _SPREAD, 1.0)
    p, q = (_log_softmax(a.reshape(rows.shape) / heat) for a in (want, got))
    return max(float((np.exp(p) * (p - q)).sum(axis=1).mean()), 0.0)


def _log_softmax(x: Array) -> Array:
    shifted = x - x.max(axis=1, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))


def _thinned(samples: Mapping[str, Array]) -> dict[str, Array]:
    count = next(iter(samples.values())).shape[0]
    stride = -(-count // SAMPLES)
    return {n: a[::stride] for n, a in samples.items()}


def _pattern(op: Layer, layers: Collection[Layer]) -> str:
    """Return the node's name where it fits this layer alone, and its result's otherwise."""
    alone = sum(matches(op.loc, other) for other in layers) == 1
    return op.loc if alone else op.name


def with_choices(recipe: Recipe, layers: Sequence[LayerTrials], picks: Sequence[int]) -> Recipe:
    """Return the recipe with a rule more for each layer: the trial of the index in `picks`."""
    chosen = ((found, found.trials[pick].choice) for found, pick in zip(layers, picks, strict=True))
    rules = tuple(Rule(found.pattern, c.changes) for found, c in chosen if c is not None)
    return replace(recipe, rules=(*recipe.rules, *rules))
