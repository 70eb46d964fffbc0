"""Net-Trim: the sparsest weights, by the sum of magnitudes, whose outputs stay within an error."""

from dataclasses import dataclass

import numpy as np

from bitwright.ir.graph import Array

_ON = 1e-6  # outputs above this fraction of the greatest are positive
_LARGE = 1 << 28  # products in one pass over the data from which float32 is used
_RELAXATION = 1.6  # of ADMM: 1 is none (Boyd et al. 2011, section 3.4.3)
_TOLERANCE = 1e-5
_BALANCE_EVERY, _BALANCE_UNTIL = 10, 100  # iterations; a penalty that never rests need not converge
_REFIT_PASSES = 4
_DAMPING = 1e-2  # of the mean diagonal, as OBC and GPTQ have it


@dataclass(frozen=True, slots=True)
class Affine:
    """Weights (O, n) and biases (O,) of one layer."""

    weights: Array
    bias: Array

    def __call__(self, x: Array) -> Array:
        """Return the outputs (rows, O) for inputs (rows, n), before any activation."""
        return np.asarray(x @ self.weights.T + self.bias)


@dataclass(frozen=True, slots=True)
class _Target:
    """What the outputs must meet: within `radius` of `y` where `on`, at most `y` elsewhere."""

    y: Array
    on: Array
    radius: float

    def project(self, z: Array) -> Array:
        """Return the outputs nearest to z (rows, O) that meet it."""
        d = np.where(self.on, z - self.y, 0)
        norm = float(np.linalg.norm(d))
        if norm > self.radius:
            d *= self.radius / norm
        return np.where(self.on, self.y + d, np.minimum(z, self.y))


def net_trim(
    x: Array,
    y: Array,
    epsilon: float,
    original: Affine,
    *,
    rectified: bool,
    max_iterations: int = 150,
) -> Affine:
    """Return sparse weights, zeros exact, and free biases for inputs x (rows, n), outputs y (rows, O).

    Minimises sum |w| with the outputs within epsilon * ||Y|| of Y; a rectified layer (y = relu) is
    held to that only where y > 0, and to at most 0 elsewhere. Where x comes from layers that are
    pruned already, `original` may miss that: its own miss is then allowed on top, so that the program
    stays feasible. Net-Trim (Aghasi et al. 2017, 2020), solved by ADMM; `refit` ought to follow.
    """
    dtype: type = np.float32 if x.size * y.shape[1] > _LARGE else np.float64
    alive = x.any(axis=0)  # what is always 0 needs no weight
    wide: Array = _joined(x[:, alive], np.ones(x.shape[0])).astype(dtype)
    start: Array = _joined(original.weights[:, alive], original.bias).T.astype(dtype)
    gram = (wide.T @ wide).astype(np.float64)
    unit = 0.3 * float(np.sqrt(gram.max())) or 1.0
    wide = wide / unit  # a Python float: it leaves float32 as it is
    target = _target(wide @ start, (y / unit).astype(dtype), epsilon, rectified=rectified)
    inverse: Array = _inverse(gram / unit**2).astype(dtype)
    found = _Admm(wide, inverse, target, start).run(max_iterations)
    weights = np.zeros(original.weights.shape)
    weights[:, alive] = found[:-1].T
    return Affine(weights, found[-1].astype(np.float64))


def _joined(a: Array, column: Array) -> Array:
    return np.concatenate([a, column[:, None]], axis=1)


def _target(now: Array, y: Array, epsilon: float, *, rectified: bool) -> _Target:
    """Return the constraint for outputs y; `now` is what the original layer computes."""
    on = _positive(y) if rectified else np.ones(y.shape, bool)
    own = float(np.linalg.norm((now - y)[on]))
    radius = epsilon * float(np.linalg.norm(y[on])) + own
    return _Target(np.where(on, y, np.maximum(now, 0)), on, radius)


def _positive(y: Array) -> Array:
    return np.asarray(y > _ON * float(y.max(initial=0)))


def _inverse(gram: Array) -> Array:
    """Return the inverse of the Gram matrix with 1 added for each weight, not for the bias."""
    added = np.ones(gram.shape[0])
    added[-1] = 1e-9
    return np.linalg.inv(gram + np.diag(added))


class _Admm:
    """min |z2| with z1 feasible, z1 = X w and z2 = w without its bias; u1 and u2 the scaled duals."""

    def __init__(self, x: Array, inverse: Array, target: _Target, start: Array) -> None:
        self.x, self.inverse, self.target = x, inverse, target
        self.w = start
        self.out = x @ start
        self.z1, self.z2 = target.project(self.out), start[:-1].copy()
        self.u1, self.u2 = np.zeros_like(self.z1), np.zeros_like(self.z2)
        nonzero = np.abs(start[:-1][start[:-1] != 0])
        self.threshold = float(np.median(nonzero)) if nonzero.size else 1.0

    def run(self, iterations: int) -> Array:
        """Return the sparse weights (n + 1, O), the biases in the last row."""
        for i in range(iterations):
            primal, dual = self._step()
            if max(primal, dual) < _TOLERANCE:
                break
            if i < _BALANCE_UNTIL and i % _BALANCE_EVERY == _BALANCE_EVERY - 1:
                self._balance(primal, dual)
        return np.concatenate([self.z2, self.w[-1:]])

    def _step(self) -> tuple[float, float]:
        """Advance once; return the primal and the dual residual, both relative."""
        side = self.x.T @ (self.z1 - self.u1)
        side[:-1] += self.z2 - self.u2
        self.w = self.inverse @ side
        self.out = self.x @ self.w
        seen1 = _RELAXATION * self.out + (1 - _RELAXATION) * self.z1 + self.u1
        seen2 = _RELAXATION * self.w[:-1] + (1 - _RELAXATION) * self.z2 + self.u2
        z1 = self.target.project(seen1)
        z2 = np.sign(seen2) * np.maximum(np.abs(seen2) - self.threshold, 0)
        moved = _norm(z1 - self.z1, z2 - self.z2)
        self.u1, self.u2 = seen1 - z1, seen2 - z2
        self.z1, self.z2 = z1, z2
        size = max(_norm(self.out, self.w[:-1]), _norm(z1, z2), 1e-30)
        missed = _norm(self.out - z1, self.w[:-1] - z2)
        return missed / size, moved / max(_norm(self.u1, self.u2), 1e-3 * size)

    def _balance(self, primal: float, dual: float) -> None:
        """Change the penalty, whose inverse the threshold is, so that both residuals shrink alike."""
        factor = float(np.clip(np.sqrt(dual / max(primal, 1e-30)), 0.5, 2))
        if 0.7 < factor < 1.4:  # noqa: PLR2004
            return
        self.threshold *= factor
        self.u1 *= factor
        self.u2 *= factor


def _norm(a: Array, b: Array) -> float:
    return float(np.hypot(np.linalg.norm(a), np.linalg.norm(b)))


def refit(x: Array, y: Array, found: Affine, *, rectified: bool) -> Affine:
    """Return the least-squares values of the nonzero weights and the biases.

    For a rectified layer an output counts where y > 0, and where it comes out positive although
    y = 0; that set is found anew a few times. Directions that the data leave open stay as they are.
    """
    wide = _joined(x, np.ones(x.shape[0])).astype(np.float64)
    params = _joined(found.weights, found.bias)
    on = _positive(y) if rectified else np.ones(y.shape, bool)
    for o in range(params.shape[0]):
        alive = np.append(np.flatnonzero(found.weights[o]), params.shape[1] - 1)
        params[o, alive] = _refit_one(wide[:, alive], y[:, o], params[o, alive], on[:, o])
    return Affine(params[:, :-1], params[:, -1])


def _refit_one(x: Array, y: Array, w: Array, on: Array) -> Array:
    """Return the weights (n,) of one output that fit y (rows,) where on, and stay below 0 elsewhere."""
    gram, before = np.zeros((w.size, w.size)), np.zeros(y.shape, bool)
    for _ in range(_REFIT_PASSES):
        z = x @ w
        counted = on | (z > 0)
        came, went = x[counted & ~before], x[before & ~counted]
        if not came.size and not went.size:
            break
        gram, before = gram + came.T @ came - went.T @ went, counted
        damped = gram + _DAMPING * (np.trace(gram) / w.size or 1.0) * np.eye(w.size)
        w = w + np.linalg.solve(damped, x.T @ np.where(counted, y - z, 0))
    return w
