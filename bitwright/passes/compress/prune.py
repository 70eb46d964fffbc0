"""Which weights stay: masks, true where a weight is kept, from a saliency for each weight."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array


class Method(Enum):
    """How weights are ranked, or found, and what the number behind the name says."""

    MAGNITUDE = "magnitude"  # |w|; density
    THRESHOLD = "magnitude:std"  # |w| > quality * std(w); quality
    WANDA = "wanda"  # |w| times the norm of its input, by output; density
    OBD = "obd"  # h w^2 / 2, h the second derivative of the layer's own error; density
    OBD_NETWORK = "obd:network"  # the same, h that of the network's loss; density
    FISHER = "fisher"  # F w^2, F the Fisher information; density
    L_OBS = "l-obs"  # w^2 / (2 [H^-1]), the others compensating; density
    NET_TRIM = "net-trim"  # least sum of |w| within an error of the outputs; epsilon
    PATTERN = "N:M"  # N weights of M consecutive ones


BY_DENSITY = (
    Method.MAGNITUDE,
    Method.WANDA,
    Method.OBD,
    Method.OBD_NETWORK,
    Method.FISHER,
    Method.L_OBS,
)
BY_NETWORK = (Method.OBD_NETWORK, Method.FISHER)
COMPENSATING = (Method.L_OBS, Method.NET_TRIM)
_CHOICES = (
    "magnitude:D, magnitude:std:Q, wanda:D, obd:D, obd:network:D, fisher:D, "
    "l-obs:D (D the density that is kept, "
    "above 0 and at most 1), net-trim:E (E the relative error of the outputs) or N:M such as 2:4"
)


@dataclass(frozen=True, slots=True)
class Pruning:
    """A method with its number: a density, a quality or an epsilon; or `kept` of each `block`."""

    method: Method
    amount: float = 1.0
    kept: int = 0
    block: int = 0

    def __post_init__(self) -> None:
        """Reject numbers that the method has no use for."""
        if self.method in BY_DENSITY and not 0 < self.amount <= 1:
            raise CompileError(f"pruning {self}: the density must be above 0 and at most 1")
        if self.method is Method.PATTERN and not 0 < self.kept < self.block:
            raise CompileError(f"pruning {self}: N:M keeps N of M weights, N from 1 to M - 1")
        if not 0 <= self.amount < np.inf:
            raise CompileError(f"pruning {self}: the number must be finite and not negative")

    def __str__(self) -> str:
        """Return the spelling that `parse_pruning` reads."""
        if self.method is Method.PATTERN:
            return f"{self.kept}:{self.block}"
        return f"{self.method.value}:{self.amount:g}"


def parse_pruning(text: str) -> Pruning:
    """Return the pruning in a text such as `magnitude:0.1`, `net-trim:0.02` or `2:4`."""
    name, _, number = text.rpartition(":")
    if name.isdecimal() and number.isdecimal():
        return Pruning(Method.PATTERN, kept=int(name), block=int(number))
    named = {m.value: m for m in Method if m is not Method.PATTERN}
    try:
        amount = float(number)
    except ValueError:
        amount = None
    if name not in named or amount is None:
        raise CompileError(f"pruning {text!r}: choose {_CHOICES}")
    return Pruning(named[name], amount)


def magnitude(w: Array) -> Array:
    """Return |w| (Learning both weights and connections, Han et al. 2015)."""
    return np.abs(w)


def input_energy(w: Array, rows: Array) -> Array:
    """Return E[x_j^2] for each weight of w (O, ..., I), from input rows (groups, rows, n).

    It is the second derivative of a layer's own squared error, the diagonal that OBD takes where the
    network's is not at hand.
    """
    energy = np.mean(np.square(rows, dtype=np.float64), axis=1)[:, None, :]
    split = (rows.shape[0], w.shape[0] // rows.shape[0], rows.shape[2])
    return np.asarray(np.broadcast_to(energy, split).reshape(w.shape))


def wanda(w: Array, rows: Array) -> Array:
    """Return |w| * ||x_j|| (Sun et al. 2023); it ranks the weights of one output, not of a layer."""
    return np.asarray(np.abs(w) * np.sqrt(input_energy(w, rows) * rows.shape[1]))


def obd(w: Array, second_derivative: Array) -> Array:
    """Return h w^2 / 2, the loss of deleting each weight alone (Optimal Brain Damage, LeCun 1990)."""
    return np.asarray(second_derivative * w**2 / 2)


def fisher(w: Array, information: Array) -> Array:
    """Return F w^2 for the Fisher information F = E[g^2] of each weight (Tu et al. 2016).

    The paper ranks by F alone, which deletes large weights as readily as small ones.
    """
    return np.asarray(information * w**2)


def kept_count(size: int, density: float) -> int:
    """Return how many of `size` weights a density keeps: the nearest number, but at least one."""
    return min(max(round(size * density), 1), size)


def keep_greatest(saliency: Array, density: float) -> Array:
    """Return the mask of the greatest entries, `kept_count` of them; of equals the first stay."""
    flat = saliency.reshape(1, -1)
    return _greatest(flat, kept_count(flat.shape[1], density)).reshape(saliency.shape)


def keep_greatest_rows(saliency: Array, density: float) -> Array:
    """Return the mask that keeps as many weights of each output: saliency (O, ...)."""
    flat = saliency.reshape(saliency.shape[0], -1)
    return _greatest(flat, kept_count(flat.shape[1], density)).reshape(saliency.shape)


def keep_greatest_overall(saliencies: Mapping[str, Array], density: float) -> dict[str, Array]:
    """Return masks by layer that keep the greatest entries of all layers together.

    Only saliencies in one unit can be compared so: those of `obd` and `fisher` on network-wide
    derivatives.
    """
    flat = np.concatenate([s.reshape(-1) for s in saliencies.values()])
    kept = keep_greatest(flat, density)
    ends = np.cumsum([s.size for s in saliencies.values()])[:-1]
    parts = zip(saliencies.items(), np.split(kept, ends), strict=True)
    return {name: part.reshape(s.shape) for (name, s), part in parts}


def keep_above_std(w: Array, quality: float) -> Array:
    """Return the mask |w| > quality * std(w), the threshold of Han et al. (2015), section 3.4."""
    return np.asarray(np.abs(w) > quality * w.std())


def keep_pattern(saliency: Array, kept: int, block: int) -> Array:
    """Return the mask of the `kept` greatest of every `block` consecutive entries of an output.

    Entries are counted along the flattened input axes of saliency (O, ...); a last block that is
    short keeps as many, or all.
    """
    flat = saliency.reshape(saliency.shape[0], -1)
    rows, n = flat.shape
    wide = np.full((rows, -(-n // block) * block), -np.inf)
    wide[:, :n] = flat
    mask = _greatest(wide.reshape(-1, block), kept).reshape(rows, -1)
    return np.asarray(mask[:, :n]).reshape(saliency.shape)


def choose_mask(
    pruning: Pruning, w: Array, rows: Array, *, derivative: Array | None = None
) -> Array:
    """Return the mask (shape of w) of a method that only deletes weights.

    `rows` are the layer's inputs (groups, rows, n). `derivative`, of the shape of w, is OBD's second
    derivative or the Fisher information; without it the layer's own, `input_energy`, is taken.
    ValueError for l-obs and net-trim, which also change the weights that stay.
    """
    if pruning.method in COMPENSATING:
        raise ValueError(f"{pruning} does more than delete weights")
    if pruning.method is Method.THRESHOLD:
        return keep_above_std(w, pruning.amount)
    if pruning.method is Method.PATTERN:
        return keep_pattern(wanda(w, rows), pruning.kept, pruning.block)
    if pruning.method is Method.WANDA:
        return keep_greatest_rows(wanda(w, rows), pruning.amount)
    if pruning.method is Method.MAGNITUDE:
        return keep_greatest(magnitude(w), pruning.amount)
    found = input_energy(w, rows) if derivative is None else derivative
    rank = fisher if pruning.method is Method.FISHER else obd
    return keep_greatest(rank(w, found), pruning.amount)


def _greatest(rows: Array, count: int) -> Array:
    """Return the mask of the `count` greatest of each row, the first of equals."""
    order = np.argsort(-rows, axis=1, kind="stable")[:, :count]
    mask = np.zeros(rows.shape, bool)
    np.put_along_axis(mask, order, True, axis=1)
    return mask
