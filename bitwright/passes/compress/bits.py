"""What weights cost to store, as arithmetic: entropies, gap coding and weight sharing."""

from collections.abc import Sequence
from math import log2

from bitwright.ir.graph import Array

DENSE_BINARY_BITS = 1.0
MAX_GAP_BITS = 16


def binary_entropy(density: float) -> float:
    """Return H(d) in bits: the least that one entry of a mask with density d can cost."""
    if not 0 <= density <= 1:
        raise ValueError(f"density {density} is outside 0 to 1")
    return -sum(p * log2(p) for p in (density, 1 - density) if p > 0)


def ternary_entropy(density: float) -> float:
    """Return the bits per weight of -1, 0, +1 with P(nonzero) = `density` and even signs: H(d) + d.

    Pruning and then binarizing the survivors leaves the same three states, hence the same bits.
    """
    return binary_entropy(density) + density


def break_even_density() -> float:
    """Return the density below which pruned binary weights are smaller than dense ones: 0.227."""
    low, high = 0.0, 0.5
    for _ in range(60):
        middle = (low + high) / 2
        if ternary_entropy(middle) < DENSE_BINARY_BITS:
            low = middle
        else:
            high = middle
    return low


def fillers(density: float, gap_bits: int) -> float:
    """Return the expected fillers per nonzero for gaps of `gap_bits` bits at random positions.

    A field of b bits spans 2^b - 1 zeros; a filler, a stored zero, takes 2^b positions more (Deep
    Compression, Han et al. 2016, section 2).
    """
    missed = (1 - density) ** (1 << gap_bits)
    return missed / (1 - missed)


def gap_cost(density: float, gap_bits: int, code_bits: float = 0.0) -> float:
    """Return the expected bits per nonzero of gaps and codes, fillers counted.

    Fillers are told from nonzeros by their code, so `code_bits` 0 gives the part of the index alone
    and must not be compared with the entropy of the mask.
    """
    return (gap_bits + code_bits) * (1 + fillers(density, gap_bits))


def best_gap_bits(density: float, code_bits: float) -> int:
    """Return the width of gaps, at least 1, that costs least in expectation."""
    return min(range(1, MAX_GAP_BITS + 1), key=lambda b: gap_cost(density, b, code_bits))


def measured_gap_bits(gaps: Array, code_bits: float) -> tuple[int, float]:
    """Return the width that costs least for the zeros before each nonzero, and the bits in total."""
    costs = {
        b: (b + code_bits) * float(gaps.size + (gaps >> b).sum())
        for b in range(1, MAX_GAP_BITS + 1)
    }
    best = min(costs, key=lambda b: costs[b])
    return best, costs[best]


def bitmap_cost(density: float, code_bits: float = 0.0) -> float:
    """Return the bits per nonzero of a mask with one bit a position, and the codes."""
    return 1 / density + code_bits


def sharing_rate(weights: int, bits: int, entries: int) -> float:
    """Return by what factor sharing shrinks `weights` weights of `bits` bits to `entries` values.

    Deep Compression, equation 1: n b / (n log2 k + k b).
    """
    return weights * bits / (weights * log2(entries) + entries * bits)


def entropy(counts: Sequence[int] | Array) -> float:
    """Return the bits per symbol of symbols that occur `counts` times; 0 when there are none."""
    total = sum(int(c) for c in counts)
    return -sum(int(c) / total * log2(int(c) / total) for c in counts if c > 0)
