"""The integer function that a chain is: for each channel, where its code changes, and to what."""

from dataclasses import dataclass

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array
from bitwright.passes.chain import Chain
from bitwright.passes.direction import is_monotone

WHOLE = 1 << 16  # intervals up to this many integers are evaluated whole
_BLOCK = 1 << 20  # elements evaluated at once
MAX_STEPS = 1024


@dataclass(frozen=True, slots=True)
class Lattice:
    """The integers that each channel of a tensor can take: lo, lo + step, ..., hi (each shape C)."""

    lo: Array
    hi: Array
    step: Array

    @property
    def counts(self) -> Array:
        """How many integers each channel can take."""
        return np.asarray((self.hi - self.lo) // self.step + 1)

    def at(self, index: Array) -> Array:
        """Return the integers at positions `index` (n, C), those past the end replaced by the last."""
        return np.asarray(self.lo + np.minimum(index, self.counts - 1) * self.step)


@dataclass(frozen=True, slots=True)
class StepFunction:
    """`C` functions of an integer. All arrays have one row per channel.

    `left[c, k]` and `right[c, k]` are the neighbouring reachable integers between which the code
    changes from `codes[c, k]` to `codes[c, k + 1]`; rows are valid up to `count[c]` changes.
    """

    count: Array
    left: Array
    right: Array
    codes: Array
    lattice: Lattice

    @property
    def channels(self) -> int:
        """Number of channels, 1 when all share one function."""
        return int(self.count.size)

    @property
    def low(self) -> int:
        """Least code that occurs."""
        return int(self._occurring().min())

    @property
    def high(self) -> int:
        """Greatest code that occurs."""
        return int(self._occurring().max())

    def used_codes(self) -> set[int]:
        """Return every code that occurs."""
        return set(np.unique(self._occurring()).tolist())

    def _occurring(self) -> Array:
        valid = np.arange(self.codes.shape[1]) <= self.count[:, None]
        return np.asarray(self.codes[valid])


def find_steps(chain: Chain, lattice: Lattice) -> StepFunction:
    """Return the step function of `chain` over the integers in `lattice` (one row per element).

    Raises CompileError where a long interval meets a chain that is not monotone.
    """
    if not lattice.lo.size:
        raise CompileError(f"{chain.last.loc}: its input holds no elements")
    longest = int(lattice.counts.max())
    if longest <= WHOLE:
        return _whole(chain, lattice, longest)
    if not is_monotone(chain):
        raise CompileError(
            f"{chain.last.loc}: its input takes {longest} values and the activation in between is "
            "not monotone; quantize the activation's input to 12 bits or fewer"
        )
    return _bisect(chain, lattice)


def chain_codes(chain: Chain, a: Array, *, ordered: bool = False) -> Array:
    """Evaluate the chain on `a` (n, elements), results in the leaf's element order."""
    y = chain.codes(a.reshape(-1, *chain.leaf.shape), ordered=ordered).reshape(a.shape[0], -1)
    if np.array_equal(chain.order, np.arange(y.shape[1])):
        return y
    out = np.empty_like(y)
    out[:, chain.order] = y
    return out


def _whole(chain: Chain, lattice: Lattice, longest: int) -> StepFunction:
    rows, ordered = max(_BLOCK // lattice.lo.size, 1), is_monotone(chain)
    changes: list[tuple[Array, Array, Array, Array]] = []
    before: Array | None = None
    first = np.zeros(lattice.lo.size, np.int64)
    for start in range(0, longest, rows):
        index = np.arange(start, min(start + rows, longest))[:, None]
        y = chain_codes(chain, lattice.at(index), ordered=ordered)
        if before is None:
            first, before = y[0], y[:1]
        stacked = np.concatenate([before, y])
        k, c = np.nonzero(stacked[1:] != stacked[:-1])
        changes.append((c, k + start - 1, k + start, y[k, c]))
        before = y[-1:]
    c, _, right, code = (np.concatenate(parts) for parts in zip(*changes, strict=True))
    order = np.lexsort((right, c))
    c, right, code = c[order], right[order], code[order]
    count = np.bincount(c, minlength=lattice.lo.size)
    slot = np.arange(c.size) - np.repeat(np.cumsum(count) - count, count)
    width = int(count.max(initial=0))
    shape = (lattice.lo.size, width)
    index = np.zeros(shape, np.int64)
    codes = np.zeros((shape[0], width + 1), np.int64)
    codes[:, 0] = first
    index[c, slot], codes[c, slot + 1] = right, code
    step, lo = lattice.step[:, None], lattice.lo[:, None]
    return StepFunction(count, lo + (index - 1) * step, lo + index * step, codes, lattice)


def _bisect(chain: Chain, lattice: Lattice) -> StepFunction:
    """Find each change of a monotone chain between the codes at both ends of its interval."""
    last = lattice.counts - 1
    ends = chain_codes(chain, lattice.at(np.stack([np.zeros_like(last), last])))
    first, final = ends[0], ends[1]
    sign = np.sign(final - first)
    width = int(np.abs(final - first).max())
    if width > WHOLE:
        raise CompileError(f"{chain.last.loc}: {width} codes are more than bitwright folds")
    goal = np.arange(1, width + 1)[:, None]  # reach a distance of `goal` codes from the first
    below, above = np.zeros((width, last.size), np.int64), np.broadcast_to(last, (width, last.size))
    while (above - below > 1).any():
        middle = (below + above) // 2
        y = (chain_codes(chain, lattice.at(middle)) - first) * sign
        below, above = np.where(y < goal, middle, below), np.where(y < goal, above, middle)
    return _merge(first, sign, np.abs(final - first), np.asarray(above), lattice)


def _merge(first: Array, sign: Array, span: Array, above: Array, lattice: Lattice) -> StepFunction:
    """Join the changes that fall on one integer into one change of several codes."""
    channels, width = first.size, above.shape[0]
    count = np.zeros(channels, np.int64)
    index = np.zeros((channels, width), np.int64)
    codes = np.zeros((channels, width + 1), np.int64)
    codes[:, 0] = first
    for c in range(channels):
        places, counts = np.unique(above[: span[c], c], return_counts=True)
        n = places.size
        count[c], index[c, :n] = n, places
        codes[c, 1 : n + 1] = first[c] + sign[c] * np.cumsum(counts)
    step, lo = lattice.step[:, None], lattice.lo[:, None]
    return StepFunction(count, lo + (index - 1) * step, lo + index * step, codes, lattice)


def per_channel(steps: StepFunction, channels: int) -> StepFunction:
    """Reduce rows per element to rows per channel (last axis), or to one where all are equal.

    Where positions of one channel differ, the rows per element stay as they are.
    """
    rows = [
        (tuple(steps.right[c, :n]), tuple(steps.left[c, :n]), tuple(steps.codes[c, : n + 1]),
         int(steps.lattice.lo[c]), int(steps.lattice.hi[c]))
        for c, n in enumerate(steps.count)
    ]  # fmt: skip
    if len(set(rows)) == 1:
        return _rows(steps, np.array([0]))
    repeated = all(rows[i] == rows[i % channels] for i in range(len(rows)))
    return _rows(steps, np.arange(channels)) if repeated else steps


def _rows(steps: StepFunction, keep: Array) -> StepFunction:
    lattice = Lattice(steps.lattice.lo[keep], steps.lattice.hi[keep], steps.lattice.step[keep])
    return StepFunction(
        steps.count[keep], steps.left[keep], steps.right[keep], steps.codes[keep], lattice
    )
