from itertools import product

import numpy as np
import pytest

from bitwright.errors import CompileError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Builder, Graph
from bitwright.ir.ops import Activation, BatchNorm, Function, IntLinear, Linear, Requantize, Value
from bitwright.ir.ops.integer import Encoding
from bitwright.ir.types import Real, TensorType
from bitwright.passes.compress import Kind, Recipe, WeightKind, compress, parse_weights
from bitwright.passes.compress.fold_batch_norm import fold_batch_norm
from bitwright.passes.compress.kinds import (
    binarize,
    inq_exponents,
    linear,
    power_levels,
    power_of_two,
    quantize_weights,
    ternarize,
    ternarize_by_rule,
)
from bitwright.passes.compress.ranges import choose_range
from bitwright.passes.integerize import integerize

RNG = np.random.default_rng(5)


def squared_error(w: np.ndarray, codes: np.ndarray, scale: np.ndarray) -> np.ndarray:
    return np.asarray(((w - codes * scale[:, None]) ** 2).sum(axis=1))


def test_binary_alpha_is_the_least_squares_one() -> None:
    w = RNG.normal(0, 1, (20, 33))
    found = binarize(w)
    best = squared_error(w, found.codes, found.scale)
    for factor in (0.99, 1.01):
        assert (squared_error(w, found.codes, found.scale * factor) > best).all()


def test_binary_sign_of_zero_is_plus_one() -> None:
    found = binarize(np.zeros((1, 3)))
    assert found.codes.tolist() == [[1, 1, 1]]
    assert found.scale.tolist() == [1.0]


def test_ternary_equals_brute_force() -> None:
    for n in (1, 2, 5, 7):
        w = RNG.normal(0, 1, (1, n))
        supports = np.array(list(product([-1, 0, 1], repeat=n)))
        best = np.inf
        for t in supports:
            alpha = max(float((w[0] * t).sum()) / max(int((t != 0).sum()), 1), 0)
            best = min(best, float(((w[0] - alpha * t) ** 2).sum()))
        found = ternarize(w)
        assert squared_error(w, found.codes, found.scale)[0] == pytest.approx(best)


def test_gaussian_weights_have_the_known_errors() -> None:
    w = np.random.default_rng(0).normal(0, 1, (1, 200_000))
    ternary, binary = ternarize(w), binarize(w)
    assert (ternary.codes == 0).mean() == pytest.approx(0.459, abs=0.01)
    assert squared_error(w, ternary.codes, ternary.scale)[0] / w.size == pytest.approx(
        0.1902, abs=0.003
    )
    assert squared_error(w, binary.codes, binary.scale)[0] / w.size == pytest.approx(
        0.3634, abs=0.003
    )
    rule = ternarize_by_rule(w)
    assert squared_error(w, rule.codes, rule.scale)[0] / w.size == pytest.approx(0.1916, abs=0.003)


def test_inq_exponents_are_the_known_ones() -> None:
    assert inq_exponents(1.0, 5) == (0, -7)
    assert inq_exponents(0.74, 5)[0] == -1
    assert inq_exponents(0.75, 5)[0] == 0
    n1, n2 = inq_exponents(1.0, 2)
    assert n1 == n2  # two bits are ternary


def test_power_levels_round_to_the_nearest_with_ties_up() -> None:
    w = np.array([0.49, 0.5, 0.74, 1.49, 1.5, 2.99, 3.0, 5.9, 6.0, 400.0])
    assert power_levels(w, 3).tolist() == [0, 1, 1, 1, 2, 2, 4, 4, 8, 8]
    assert power_levels(-w, 3).tolist() == [0, -1, -1, -1, -2, -2, -4, -4, -8, -8]


@pytest.mark.parametrize("bits", [2, 3, 4, 5, 6])
def test_power_of_two_codes_are_powers(bits: int) -> None:
    w = RNG.normal(0, 1, (6, 50))
    w[2] = 0
    found = power_of_two(w, bits)
    magnitude = np.abs(found.codes)
    assert ((magnitude & (magnitude - 1)) == 0).all()
    assert np.unique(found.codes[magnitude > 0]).size <= 2 ** (bits - 1)
    assert (found.codes[2] == 0).all()


@pytest.mark.parametrize(
    "kind", [parse_weights(t) for t in ("binary", "ternary", "pow2:4", "int:3", "int:8")]
)
def test_pow2_scales_are_powers_of_two(kind: WeightKind) -> None:
    found = quantize_weights(RNG.normal(0, 1, (9, 30)), kind, pow2_scale=True)
    assert np.array_equal(np.log2(found.scale), np.rint(np.log2(found.scale)))


def test_more_bits_cost_less_error() -> None:
    w = RNG.normal(0, 1, (4, 500))
    errors = [squared_error(w, (f := linear(w, b)).codes, f.scale).sum() for b in range(2, 9)]
    assert errors == sorted(errors, reverse=True)


@pytest.mark.parametrize(
    "text",
    ["", "binary:2", "ternary:2", "int:²", "int", "int:1", "int:9", "pow2:7", "pow2:x", "float"],
)
def test_unknown_kinds_are_refused(text: str) -> None:
    with pytest.raises(CompileError, match="--weights"):
        parse_weights(text)


def test_range_is_unsigned_without_negatives() -> None:
    found = choose_range(np.array([0.0, 2.55]), 8, pow2=False, loc="x")
    assert (found.elem.lo, found.elem.hi) == (0, 255)
    assert found.scale == pytest.approx(0.01)
    assert choose_range(np.array([-1.0, 1.27]), 8, pow2=False, loc="x").elem.lo == -128
    assert np.log2(choose_range(np.array([0.0, 2.55]), 4, pow2=True, loc="x").scale) % 1 == 0


def float_mlp(activation: Function = Function.RELU, *, batch_norm: bool = True) -> Graph:
    b, rng = Builder(["x"]), np.random.default_rng(3)
    x = Value("x", TensorType(Real(), (1, 20)))
    y = x
    for i, width in enumerate((16, 12, 5)):
        w = b.constant(f"w{i}", rng.normal(0, 0.4, (width, y.shape[-1])))
        y = b.op(Linear, (y, w), f"fc{i}", f"fc{i}")
        if batch_norm:
            names = [b.constant(f"{p}{i}", rng.uniform(0.5, 1.5, width)) for p in "gbmv"]
            y = b.op(BatchNorm, (y, *names), f"bn{i}", f"bn{i}", epsilon=1e-5, axis=1)
        if i < 2:
            y = b.op(Activation, (y,), f"act{i}", f"act{i}", kind=activation, alpha=0.1, beta=1.0)
    return b.graph("mlp", [x], [y])


def test_folded_batch_norm_computes_the_same() -> None:
    graph = float_mlp()
    folded = fold_batch_norm(graph)
    folded.verify()
    assert not any(isinstance(op, BatchNorm) for op in folded.ops)
    x = {"x": RNG.normal(0, 1, (7, 1, 20))}
    np.testing.assert_allclose(evaluate(folded, x)["bn2"], evaluate(graph, x)["bn2"], rtol=1e-9)


@pytest.mark.parametrize("weights", ["binary", "ternary", "ternary:rule", "pow2:4", "int:4"])
@pytest.mark.parametrize("activations", [1, 2, 4, 8])
@pytest.mark.parametrize("pow2", [False, True])
def test_every_recipe_becomes_integers(weights: str, activations: int, pow2: bool) -> None:
    graph = float_mlp()
    samples = {"x": RNG.normal(0, 1, (64, 1, 20))}
    recipe = Recipe(parse_weights(weights), activations, pow2_scales=pow2)
    quantized = compress(graph, recipe, samples)
    quantized.verify()
    program = integerize(quantized)
    program.verify()
    want, got = evaluate(quantized, samples), program.run(samples)
    np.testing.assert_allclose(got["bn2"], want["bn2"], rtol=1e-9, atol=1e-9)


def test_8_bits_stay_close_to_the_float_model() -> None:
    graph = float_mlp()
    samples = {"x": RNG.normal(0, 1, (200, 1, 20))}
    quantized = compress(graph, Recipe(parse_weights("int:8"), 8), samples)
    want, got = evaluate(graph, samples)["bn2"], evaluate(quantized, samples)["bn2"]
    assert np.abs(want - got).max() < 0.05 * np.abs(want).max()


@pytest.mark.parametrize("kind", [WeightKind(Kind.TERNARY), WeightKind(Kind.POW2, 4)], ids=str)
def test_shifts_need_no_multiplier(kind: WeightKind) -> None:
    recipe = Recipe(kind, 8, pow2_scales=True)
    program = integerize(compress(float_mlp(), recipe, {"x": RNG.normal(0, 1, (64, 1, 20))}))
    for op in program.body.ops:
        if isinstance(op, Requantize):
            mul = np.abs(program.body.constant(op.inputs[1]))
            assert ((mul & (mul - 1)) == 0).all()
        if isinstance(op, IntLinear):
            assert op.encoding is not Encoding.INTEGER


def test_an_activation_that_is_not_monotone_gets_a_table() -> None:
    graph = float_mlp(Function.HARD_SWISH, batch_norm=False)
    samples = {"x": RNG.normal(0, 1, (64, 1, 20))}
    quantized = compress(graph, Recipe(parse_weights("int:8"), 8), samples)
    program = integerize(quantized)
    want, got = evaluate(quantized, samples), program.run(samples)
    np.testing.assert_allclose(got["fc2"], want["fc2"], rtol=1e-9, atol=1e-9)


def test_wrong_widths_are_refused() -> None:
    with pytest.raises(CompileError, match="--activations 9"):
        Recipe(parse_weights("binary"), 9)
