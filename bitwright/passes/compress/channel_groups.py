"""Tie channels so that the groups of a grouped convolution stay equal in size."""

from collections.abc import Sequence

import networkx as nx
import numpy as np

from bitwright.ir.graph import Array
from bitwright.passes.compress.channel_ties import STAYS, Ties


def tie_groups(ties: Ties, grouped: Sequence[Array]) -> None:
    """Tie labels until every class has as many members in each group.

    Each of `grouped` is (groups, channels of one): the labels that a grouped convolution reads or
    makes. Where one convolution alone cares, the k-th channels of its groups are tied. Where two
    do, as on both sides of a channel shuffle, each class is a perfect matching of the groups of
    one with the groups of the other, which exists because both have equally many channels a group
    (Koenig 1916).
    """
    waiting = _distinct([_resolved(ties, g) for g in grouped])
    while waiting:
        together = [waiting.pop()]
        reached = set(together[0].reshape(-1))
        while near := [g for g in waiting if reached & set(g.reshape(-1))]:
            waiting = [g for g in waiting if not reached & set(g.reshape(-1))]
            together += near
            reached |= {c for g in near for c in g.reshape(-1)}
        _tie(ties, together)


def _resolved(ties: Ties, labels: Array) -> Array:
    return np.broadcast_to(ties.resolve(labels), labels.shape)


def _distinct(grouped: Sequence[Array]) -> list[Array]:
    """Return the arrays that are not the same groups in the same order as one before."""
    found: dict[tuple[int, ...], Array] = {}
    for g in grouped:
        found.setdefault((*g.shape, *(int(i) for i in g.reshape(-1))), g)
    return list(found.values())


def _tie(ties: Ties, together: Sequence[Array]) -> None:
    if len(together) == 2 and _match(*together):  # noqa: PLR2004
        for blocks in _matchings(*together):
            ties.join(np.array(blocks), np.array(blocks[0]))
        return
    for g in together:
        ties.tie(g, axis=1)


def _match(a: Array, b: Array) -> bool:
    """Tell whether both hold the same labels, each once, in as many groups, and none that stays."""
    flat = np.sort(a.reshape(-1))
    once = np.unique(flat).size == flat.size and flat[0] != STAYS
    return once and a.shape == b.shape and np.array_equal(flat, np.sort(b.reshape(-1)))


def _matchings(a: Array, b: Array) -> list[list[int]]:
    """Return the labels as blocks of one from each group of `a` and one from each group of `b`."""
    place = {int(c): g for g, row in enumerate(b) for c in row}
    left: dict[tuple[int, int], list[int]] = {}
    for g, row in enumerate(a):
        for c in row:
            left.setdefault((g, place[int(c)]), []).append(int(c))
    blocks = []
    rows = [("a", g) for g in range(len(a))]
    for _ in range(a.shape[1]):
        graph = nx.Graph([(("a", g), ("b", h)) for (g, h), labels in left.items() if labels])
        found = nx.bipartite.hopcroft_karp_matching(graph, rows)
        blocks.append([left[g, found["a", g][1]].pop() for _, g in rows])
    return blocks
