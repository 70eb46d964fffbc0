"""Damage of one layer alone, against running the whole changed model."""

from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from bitwright.backends.report.price import price_list
from bitwright.errors import CompileError
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import Activation, Arith, Arithmetic, Function, Linear, Softmax, Value
from bitwright.ir.types import Real, TensorType
from bitwright.passes.compress.choose import compress
from bitwright.passes.compress.plan import layers_of
from bitwright.passes.compress.recipe import LayerRecipe, Recipe
from bitwright.passes.compress.recipe_file import read_recipe
from bitwright.passes.compress.sensitivity import (
    Choice,
    LayerTrials,
    divergence,
    offered,
    parse_choice,
    sensitivity,
    with_choices,
)

PLAIN = read_recipe('weights = "int:8"\nactivations = "float"\nscales = "any"', "test")


def tried(
    graph: Graph, recipe: Recipe, samples: dict[str, Array], *texts: str
) -> tuple[LayerTrials, ...]:
    choices = [parse_choice(t) for t in texts]
    prices = partial(price_list, recipe=recipe)
    return sensitivity(graph, recipe, choices, samples, price=prices)


def branched(*, softmax: bool = True) -> tuple[Graph, dict[str, Array]]:
    """Return a net whose first layer is read twice: by a second layer and by the sum behind it."""
    rng = np.random.default_rng(2)
    x = Value("x", TensorType(Real(), (6,)))
    b = Builder([x.name])
    weights = {n: b.constant(f"w{n}", rng.normal(size=s) / 4) for n, s in
               (("a", (8, 6)), ("b", (8, 8)), ("c", (4, 8)))}  # fmt: skip
    a = b.op(Activation, (b.op(Linear, (x, weights["a"]), "a", "a"),), "r", "r",
             kind=Function.RELU)  # fmt: skip
    inner = b.op(Linear, (a, weights["b"]), "b", "b")
    joined = b.op(Arithmetic, (inner, a), "sum", "sum", kind=Arith.ADD)
    y = b.op(Linear, (joined, weights["c"]), "c", "c")
    if softmax:
        y = b.op(Softmax, (y,), "p", "p", axis=0, end=1)
    graph = b.graph("branched", (x,), (y,))
    return graph, {"x": rng.normal(size=(64, 6)).astype(np.float32)}


def test_damage_is_that_of_the_changed_model() -> None:
    graph, samples = branched()
    want = evaluate(graph, samples)["p"]
    for row in tried(graph, PLAIN, samples, "binary", "ternary", "int:3"):
        for trial in row.trials:
            recipe = replace(PLAIN, weights=None, base=LayerRecipe())
            alone = with_choices(recipe, [replace(row, trials=(trial,))], [0])
            got = evaluate(compress(graph, alone, samples), samples)["p"]
            assert trial.damage == pytest.approx(
                (want * np.log(want / got)).sum(1).mean(), rel=1e-3
            )


def test_eight_bits_do_less_damage_than_one_and_none_do_nothing() -> None:
    graph, samples = branched()
    for row in tried(graph, PLAIN, samples, "binary", "int:4", "int:8", "float"):
        binary, four, eight, same = (t.damage for t in row.trials)
        assert binary > four > eight > 0
        assert same == 0


def test_bytes_and_densities_are_told() -> None:
    graph, samples = branched()
    (row, *_) = tried(graph, PLAIN, samples, "int:4", "int:4@magnitude:0.5", "float")
    assert [t.cost.bytes for t in row.trials] == [24 + 32, 24 + 32, 4 * 48 + 32]
    assert row.trials[1].density <= 0.5 < row.trials[0].density
    assert row.trials[0].cost.mac_bits == 48 * 4 * 32


def test_a_rule_fixes_its_layer() -> None:
    graph, samples = branched()
    recipe = read_recipe('activations = "float"\n[[layer]]\nmatch = "b"\nweights = "int:8"', "test")
    found = tried(graph, recipe, samples, "binary", "int:4")
    assert [len(r.trials) for r in found] == [2, 1, 2]
    chosen = with_choices(recipe, found, [0, 0, 1])
    kinds = [str(r.weights) for r in chosen.resolve(layers_of(graph)).values()]
    assert kinds == ["binary", "int:8", "int:4"]


def test_only_evenly_spread_samples_are_read() -> None:
    graph, samples = branched()
    many = {"x": np.repeat(samples["x"], 16, axis=0)}
    few, all_of_them = tried(graph, PLAIN, samples, "int:3"), tried(graph, PLAIN, many, "int:3")
    for a, b in zip(few, all_of_them, strict=True):
        assert a.trials[0].damage == pytest.approx(b.trials[0].damage, rel=1e-4)


def test_divergence_of_scores() -> None:
    p, q = np.array([[0.5, 0.25, 0.25]]), np.array([[0.25, 0.25, 0.5]])
    assert divergence(np.log(p), np.log(q) + 3) == pytest.approx((p * np.log(p / q)).sum())
    assert divergence(np.log(p), np.log(p)) == 0
    assert divergence(np.array([[2.0]]), np.array([[1.0]])) == pytest.approx(0.25)
    certain = divergence(np.array([[9000.0, 0, 0]]), np.array([[9000.0, 0, 60]]))
    assert 0 < certain < divergence(np.array([[9000.0, 0, 0]]), np.array([[9000.0, 0, 600]]))
    image = np.ones((2, 3, 3))
    assert divergence(image, 1.5 * image) == pytest.approx(0.25)


def test_choices_are_read_and_written() -> None:
    for text in ("binary", "int:4", "float", "ternary@magnitude:0.25", "int:4@2:4"):
        assert str(parse_choice(text)) == text
    with pytest.raises(CompileError, match="looks at the whole network"):
        parse_choice("int:4@fisher:0.5")
    with pytest.raises(CompileError, match="octal"):
        parse_choice("octal")


def test_shifts_leave_no_choice_that_multiplies() -> None:
    recipe = read_recipe('scales = "pow2"', "test")
    choices = [parse_choice(t) for t in ("int:8", "binary", "pow2:4")]
    assert [str(c) for c in offered(recipe, choices)] == ["binary", "pow2:4"]
    with pytest.raises(CompileError, match="need multipliers"):
        offered(recipe, [Choice(None), *choices][1:2])
