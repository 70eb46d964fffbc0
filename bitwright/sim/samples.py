"""Random inputs that reach what matters: both ends of every integer, reals of every size."""

import numpy as np

from bitwright.ir.graph import Array, Graph
from bitwright.ir.types import Bipolar, Integral, Real, Ternary

_SIZES = (
    1.0,
    1.0,
    4.0,
    16.0,
    256.0,
)  # pixels come as 0..1, 0..16 or 0..255, features as small reals


def random_inputs(graph: Graph, count: int, seed: int = 0) -> dict[str, Array]:
    """Return random inputs (count, *shape) of each input's own type.

    Integers begin with all least and all greatest; reals alternate between one sign and both, and
    between sizes, so that quantizers of any scale see more than one code.
    """
    rng = np.random.default_rng(seed)
    out: dict[str, Array] = {}
    for v in graph.inputs:
        shape = (count, *v.shape)
        out[v.name] = _reals(rng, shape) if isinstance(v.elem, Real) else _codes(rng, shape, v.elem)
    return out


def _reals(rng: np.random.Generator, shape: tuple[int, ...]) -> Array:
    each = (shape[0], *(1,) * (len(shape) - 1))
    size = np.resize(_SIZES, shape[0]).reshape(each)
    least = np.resize([0.0, -1.0], shape[0]).reshape(each)
    return np.asarray(rng.uniform(least, 1.0, shape) * size, np.float32)


def _codes(rng: np.random.Generator, shape: tuple[int, ...], elem: Integral) -> Array:
    levels = {Bipolar: [-1, 1], Ternary: [-1, 0, 1]}.get(type(elem))
    drawn = rng.choice(levels, shape) if levels else rng.integers(elem.lo, elem.hi + 1, shape)
    drawn[:1], drawn[1:2] = elem.lo, elem.hi
    return np.asarray(drawn)
