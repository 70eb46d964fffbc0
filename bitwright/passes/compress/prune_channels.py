"""Choose the channels that matter least, remove them, and let the next layers make up for them."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil, inf

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import BatchNorm, Op, Value
from bitwright.passes.compress.channel_classes import (
    Channels,
    WeightedLayer,
    constant_layer,
    depthwise,
    find_channels,
    sources,
)
from bitwright.passes.compress.channel_ties import STAYS
from bitwright.passes.compress.reconstruct import reconstruct
from bitwright.passes.compress.remove_channels import remove_channels
from bitwright.passes.fold_constants import real_constants

Densities = float | Mapping[str, float]
Samples = Mapping[str, Array]
SALIENCIES = ("l1", "l2", "batch-norm", "activation")
_BATCH = 32  # samples evaluated at once


def prune_channels(
    graph: Graph,
    densities: Densities,
    saliency: str | Mapping[str, Array] = "l1",
    samples: Samples | None = None,
    *,
    multiple: int = 1,
) -> Graph:
    """Return `graph` with only the given share of each layer's output channels.

    Weights that are codes become the numbers they stand for. Arguments are those of
    `choose_channels`. With samples, the layers that read fewer channels
    than before are then fitted to what they gave: see `reconstruct`.
    """
    graph = real_constants(graph)
    dead = choose_channels(graph, densities, saliency, samples, multiple=multiple)
    pruned = remove_channels(graph, dead)
    return pruned if samples is None else reconstruct(graph, pruned, dead, samples)


def choose_channels(
    graph: Graph,
    densities: Densities,
    saliency: str | Mapping[str, Array] = "l1",
    samples: Samples | None = None,
    *,
    multiple: int = 1,
) -> dict[str, Array]:
    """Return the output channels to remove: layer name -> indices, ascending.

    `densities` is the share of channels that stays, above 0 and at most 1, for all layers or by
    layer name; a layer that is not named keeps all of its channels, and of layers tied by a sum
    the greatest density counts. At least one channel stays, and where possible a multiple of
    `multiple`. Channels that are tied are ranked by the sum of their saliencies, each over the
    mean of its layer:

    - `l1`, `l2`: the norm of a channel's weights (Li et al. 2017, Pruning filters);
    - `batch-norm`: the magnitude of its factor in a batch norm (Liu et al. 2017, Network slimming);
    - `activation`: its mean magnitude over `samples`, where the next layers read it;
    - arrays by layer name, (channels,), such as Fisher information.

    Channels without any saliency, such as those without a batch norm, stay.
    CompileError when a density, a name or the saliency is not one of these.
    """
    layers = [op for op in graph.ops if constant_layer(graph, op)]
    shares = _shares(layers, densities)
    channels = find_channels(graph)
    scores = _scores(graph, channels, saliency, samples)
    dead: set[int] = set()
    for family in _families(graph, channels):
        density = max(shares.get(op.name, 1.0) for op in family.layers)
        dead |= family.least(scores, density, multiple)
    found = {
        op.name: np.flatnonzero(np.isin(channels.along(op.output), sorted(dead))) for op in layers
    }
    return {name: which for name, which in found.items() if which.size}


def _shares(layers: list[Op], densities: Densities) -> dict[str, float]:
    names = {op.name: op for op in layers}
    shares = densities if isinstance(densities, Mapping) else dict.fromkeys(names, densities)
    for name, share in shares.items():
        if name not in names:
            raise CompileError(f"no layer with weights is called {name!r}; cannot prune channels")
        if not 0 < share <= 1:
            raise CompileError(
                f"{names[name].loc}: a share of {share} of its channels; choose above 0, at most 1"
            )
    return dict(shares)


@dataclass(frozen=True, slots=True)
class _Family:
    """Layers whose channels are tied to one another, and the class of each layer's channels."""

    layers: tuple[WeightedLayer, ...]
    classes: tuple[Array, ...]

    def least(self, scores: Array, density: float, multiple: int) -> set[int]:
        """Return the classes with the least scores, so many that every layer keeps its share."""
        free = np.unique(np.concatenate(self.classes))
        free = free[(free != STAYS) & np.isfinite(scores[free])]
        order = free[np.argsort(scores[free], kind="stable")]
        for count in range(order.size, 0, -1):
            if self._enough(order[:count], density, multiple):
                return {int(c) for c in order[:count]}
        return set()

    def _enough(self, dead: Array, density: float, multiple: int) -> bool:
        for classes in self.classes:
            kept = int((~np.isin(classes, dead)).sum())
            if kept < max(1, ceil(density * classes.size - 1e-9)) or kept % multiple:
                return False
        return True


def _families(graph: Graph, channels: Channels) -> list[_Family]:
    """Return the layers that make channels, those together that share classes."""
    groups: list[tuple[set[int], list[WeightedLayer]]] = []
    for op in sources(graph):
        classes = {int(c) for c in np.unique(channels.along(op.output))} - {STAYS}
        near = [g for g in groups if g[0] & classes]
        groups = [g for g in groups if not g[0] & classes]
        members = [m for g in near for m in g[1]]
        groups.append((classes.union(*(g[0] for g in near)), [*members, op]))
    return [_Family(tuple(m), tuple(channels.along(op.output) for op in m)) for _, m in groups]


def _scores(
    graph: Graph,
    channels: Channels,
    saliency: str | Mapping[str, Array],
    samples: Samples | None,
) -> Array:
    """Return the score of each class, infinity for those that nothing scores: they stay."""
    total, counted = np.zeros(channels.count), np.zeros(channels.count, bool)
    for v, found in _saliencies(graph, saliency, samples):
        classes = channels.along(v)
        if classes.size == found.size:
            mean = float(found.mean())
            np.add.at(total, classes, found / mean if mean > 0 else found)
            counted[classes] = True
    return np.where(counted, total, inf)


def _saliencies(
    graph: Graph, saliency: str | Mapping[str, Array], samples: Samples | None
) -> list[tuple[Value, Array]]:
    """Return values with the saliency of each of their channels."""
    layers = [op for op in graph.ops if constant_layer(graph, op)]
    if isinstance(saliency, Mapping):
        return _given(layers, saliency)
    if saliency == "activation":
        return _magnitudes(graph, layers, samples)
    if saliency == "batch-norm":
        norms = [
            (op.output, np.abs(graph.constant(op.inputs[1])))
            for op in graph.ops
            if isinstance(op, BatchNorm) and graph.is_constant(op.inputs[1])
        ]
        if not norms:
            raise CompileError(
                "saliency batch-norm: the model has no batch norm left, or none that was not merged "
                "into its weights; choose l1, l2 or activation"
            )
        return norms
    if saliency not in SALIENCIES:
        raise CompileError(f"saliency {saliency!r}: choose {', '.join(SALIENCIES)}")
    order = 1 if saliency == "l1" else 2
    weights = ((op, np.asarray(graph.constant(op.inputs[1]), np.float64)) for op in layers)
    rows = ((op, w.reshape(w.shape[0], -1)) for op, w in weights)
    return [(op.output, np.linalg.norm(w, ord=order, axis=1)) for op, w in rows]


def _given(layers: list[Op], saliency: Mapping[str, Array]) -> list[tuple[Value, Array]]:
    found = []
    for op in layers:
        if op.name in saliency:
            array = np.asarray(saliency[op.name], np.float64)
            if array.shape != op.output.shape[-1:]:
                raise CompileError(
                    f"{op.loc}: its saliencies have the shape {array.shape}, expected one for each "
                    f"of {op.output.shape[-1]} channels"
                )
            found.append((op.output, array))
    return found


def _magnitudes(
    graph: Graph, layers: list[Op], samples: Samples | None
) -> list[tuple[Value, Array]]:
    """Return the mean magnitude of each channel that a layer reads, over the samples."""
    if not samples:
        raise CompileError("saliency activation needs calibration samples")
    channels = find_channels(graph)
    inputs = {v.name for v in graph.inputs}
    read = {op.inputs[0].name: op.inputs[0] for op in layers if not depthwise(op)}
    total: dict[str, Array] = {}
    count = next(iter(samples.values())).shape[0]

    def tap(op: Op, y: Array) -> None:
        if op.name in read:
            axis = channels.axis(op.output) + 1
            others = tuple(i for i in range(y.ndim) if i != axis)
            total[op.name] = total.get(op.name, 0) + np.abs(y).sum(axis=others)

    for start in range(0, count, _BATCH):
        batch = {n: np.asarray(a[start : start + _BATCH]) for n, a in samples.items()}
        evaluate(graph, batch, tap=tap)
    return [(v, total[n]) for n, v in read.items() if n not in inputs and n in total]
