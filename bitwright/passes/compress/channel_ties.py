"""Classes of channels that go together: a union-find over labels, and arrays of labels."""

import numpy as np

from bitwright.ir.graph import Array

STAYS = 0  # the class of everything that can never be removed


def compact(a: Array) -> Array:
    """Return `a` with each axis along which it does not change cut to one element; NaN equals NaN."""
    for axis in range(a.ndim):
        first = a[(slice(None),) * axis + (slice(0, 1),)]
        same = a == first
        if a.dtype.kind == "f":
            same |= np.isnan(a) & np.isnan(first)
        if same.all():
            a = first
    return a


def long_axes(a: Array) -> list[int]:
    """Return the axes that have more than one element."""
    return [i for i, d in enumerate(a.shape) if d > 1]


class Ties:
    """Labels that were found to be of one class; class `STAYS` takes in all that joins it."""

    def __init__(self) -> None:
        """Start with the class `STAYS` alone."""
        self._parent = [STAYS]

    def fresh(self, count: int) -> Array:
        """Return `count` labels, each a class of its own, (count,)."""
        start = len(self._parent)
        self._parent.extend(range(start, start + count))
        return np.arange(start, start + count)

    def find(self, label: int) -> int:
        """Return the class of a label."""
        while self._parent[label] != label:
            self._parent[label] = self._parent[self._parent[label]]
            label = self._parent[label]
        return label

    def resolve(self, labels: Array) -> Array:
        """Return the class of each label, compact."""
        names, places = np.unique(labels, return_inverse=True)
        roots = np.array([self.find(int(n)) for n in names], np.int64)
        return compact(roots[places].reshape(labels.shape))

    def join(self, a: Array, b: Array) -> None:
        """Put each label of `a` into the class of its opposite in `b`; the two broadcast."""
        pairs = np.stack([x.reshape(-1) for x in np.broadcast_arrays(a, b)], axis=1)
        for one, other in np.unique(pairs, axis=0):
            low, high = sorted((self.find(int(one)), self.find(int(other))))
            self._parent[high] = low

    def keep(self, labels: Array) -> None:
        """Make all these labels stay."""
        self.join(labels, np.array(STAYS))

    def tie(self, labels: Array, axis: int) -> None:
        """Join the labels that have one place along `axis`."""
        first = labels[tuple(slice(None) if i == axis else slice(0, 1) for i in range(labels.ndim))]
        self.join(labels, first)

    def settle(self, labels: Array) -> Array:
        """Return the classes, tied as far as a class holds whole slices along one single axis.

        Of several axes the one that leaves most classes to choose among; the last one of equals.
        """
        found = self.resolve(labels)
        axes = long_axes(found)
        if len(axes) > 1:
            best = max(axes, key=lambda a: (_classes_along(found, a), a))
            self.tie(found, best)
            found = self.resolve(found)
        return found


def _classes_along(labels: Array, axis: int) -> int:
    """Count the classes that could still be removed were all of one place along `axis` tied."""
    ties = Ties()
    slices = np.moveaxis(labels, axis, 0).reshape(labels.shape[axis], -1)
    ties.fresh(int(labels.max()))
    ties.join(slices, slices[:, :1])
    left = ties.resolve(slices[:, 0])
    return int(np.unique(left[left != STAYS]).size)
