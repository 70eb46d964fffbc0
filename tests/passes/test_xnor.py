"""XNOR layers: popcount p in 0..n, s = 2p - n, y = gamma (alpha s - mu) / sigma + beta, sign."""

from fractions import Fraction
from math import ceil, floor

import numpy as np
import pytest

from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import (
    BatchNorm,
    Binarize,
    Dequantize,
    IntLinear,
    Linear,
    Quantize,
    Sign,
    Steps,
    Value,
)
from bitwright.ir.types import Bipolar, Int, TensorType, Ternary
from bitwright.passes import INTEGER, run
from bitwright.passes.integerize import integerize

SIGMAS = np.array([0.5, 1.0, 2.0, 3.0])


def draw(rng: np.random.Generator, n: int, channels: int) -> dict[str, Array]:
    """Return parameters that often vanish, and often put the edge on an integer."""
    whole = rng.random(channels) < 0.5
    alpha = np.where(whole, rng.choice([0.25, 0.5, 1], channels), rng.uniform(0.01, 2, channels))
    alpha = np.where(rng.random(channels) < 0.1, 0, alpha)
    mu = np.where(whole, alpha * rng.integers(-n, n + 1, channels), rng.normal(0, n / 3, channels))
    gamma = np.where(rng.random(channels) < 0.1, 0, rng.choice([-1.5, -0.5, 0.25, 1, 2], channels))
    beta = np.where(rng.random(channels) < 0.5, 0, rng.choice([-1, -0.5, 0.5, 2], channels))
    found = {"gamma": gamma, "beta": beta, "mu": mu, "sigma": rng.choice(SIGMAS, channels),
             "alpha": alpha}  # fmt: skip
    return {k: v.astype(np.float32).astype(np.float64) for k, v in found.items()}


def network(n: int, p: dict[str, Array], quantizer: type[Binarize | Sign]) -> Graph:
    """Return a layer whose weights are all +1 (so that s is seen), XNOR scale, batch norm, sign."""
    channels = p["alpha"].size
    b = Builder(["x"])
    x = Value("x", TensorType(Bipolar(), (1, n)))
    one, zero = b.constant("one", np.ones(1)), b.constant("zero", np.zeros(1))
    real = b.op(Dequantize, (x, one, zero), "real", "in")
    w = b.constant("w", np.ones((channels, n), np.int64))
    scaled = b.op(Dequantize, (w, b.constant("alpha", p["alpha"]), zero), "wr", "w", axis=0)
    y = b.op(Linear, (real, scaled), "y", "fc")
    bn = [b.constant(k, v) for k, v in
          (("g", p["gamma"]), ("b", p["beta"]), ("m", p["mu"]), ("v", p["sigma"] ** 2))]  # fmt: skip
    y = b.op(BatchNorm, (y, *bn), "bn", "bn", epsilon=0.0)
    return b.graph("xnor", [x], [b.op(quantizer, (y,), "q", "sign")])


def fraction_of(p: dict[str, Array], c: int) -> dict[str, Fraction]:
    return {k: Fraction(float(v[c])) for k, v in p.items()}


def textbook(p: dict[str, Fraction], n: int) -> list[int]:
    """Return the sign for every popcount by the closed form of the literature."""
    at_zero = p["gamma"] * -p["mu"] / p["sigma"] + p["beta"]
    if p["gamma"] == 0 or p["alpha"] == 0:
        return [1 if at_zero >= 0 else -1] * (n + 1)
    tau = (p["mu"] - p["beta"] * p["sigma"] / p["gamma"]) / p["alpha"]
    if p["gamma"] > 0:
        t = min(max(ceil((tau + n) / 2), 0), n + 1)
        return [1 if k >= t else -1 for k in range(n + 1)]
    t = floor((tau + n) / 2)
    return [1 if k <= t else -1 for k in range(n + 1)]


def every_popcount(n: int) -> dict[str, Array]:
    x = np.where(np.arange(n)[None, :] < np.arange(n + 1)[:, None], 1, -1)
    return {"x": x[:, None, :]}


@pytest.mark.parametrize("n", [1, 8, 13, 64])
def test_thresholds_equal_the_closed_form(n: int) -> None:
    p = draw(np.random.default_rng(n), n, 400)
    program = integerize(network(n, p, Binarize))
    body = run(program.body, INTEGER)
    linear, steps = body.ops
    assert isinstance(linear, IntLinear)
    assert isinstance(steps, Steps)
    assert steps.inputs[1].shape == (400, 1), "scale, batch norm and sign are one compare"
    got = evaluate(body, every_popcount(n))["q"][:, 0]
    for c in range(400):
        assert got[:, c].tolist() == textbook(fraction_of(p, c), n), f"channel {c}"


@pytest.mark.parametrize("n", [7, 8])
def test_a_ternary_sign_keeps_its_zero(n: int) -> None:
    p = draw(np.random.default_rng(n), n, 300)
    body = run(integerize(network(n, p, Sign)).body, INTEGER)
    got = evaluate(body, every_popcount(n))["q"][:, 0]
    seen = set()
    for c in range(300):
        f = fraction_of(p, c)
        for k in range(n + 1):
            y = f["gamma"] * (f["alpha"] * (2 * k - n) - f["mu"]) / f["sigma"] + f["beta"]
            assert got[k, c] == (y > 0) - (y < 0), f"channel {c}, popcount {k}"
            seen.add(int(got[k, c]))
    assert seen == {-1, 0, 1}


@pytest.mark.parametrize(("n", "elem"), [(7, Bipolar()), (8, Ternary())])
def test_a_sign_that_never_sees_zero_takes_one_bit(n: int, elem: Bipolar | Ternary) -> None:
    plain = {"gamma": [1.0, -1.0], "beta": [0.0] * 2, "mu": [0.0] * 2, "sigma": [1.0] * 2,
             "alpha": [0.3, 0.7]}  # fmt: skip
    body = run(
        integerize(network(n, {k: np.array(v) for k, v in plain.items()}, Sign)).body, INTEGER
    )
    assert body.outputs[0].elem == elem


SCALES = [float(np.float32(v)) for v in (0.1, 0.2, 0.5)]


def test_two_quantizers_in_a_row_are_two_functions() -> None:
    """Composed into one rounding, 0.3 in steps of 0.2 and then of 0.5 would differ."""
    b = Builder(["x"])
    x = Value("x", TensorType(Int(-64, 63), (1, 1)))
    s = [b.constant(f"s{i}", np.array([v])) for i, v in enumerate(SCALES)]
    z = b.constant("z", np.zeros(1))
    y = b.op(Dequantize, (x, s[0], z), "y", "in")
    for i in (1, 2):
        q = b.op(Quantize, (y, s[i], z), f"q{i}", f"q{i}", elem=Int(-128, 127))
        y = b.op(Dequantize, (q, s[i], z), f"y{i}", f"q{i}")
    graph = b.graph("two", [x], [y])
    program = integerize(graph)
    codes = {"x": np.arange(-64, 64).reshape(-1, 1, 1)}
    np.testing.assert_array_equal(program.run(codes)["y2"], evaluate(graph, codes)["y2"])
    assert len(program.body.ops) == 2
