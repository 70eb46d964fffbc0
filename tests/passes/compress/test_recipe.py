"""Recipes: what TOML says, what layers get, and the sentence for every mistake."""

from pathlib import Path

import pytest

from bitwright.errors import CompileError
from bitwright.ir.graph import Builder
from bitwright.ir.ops import Linear, Value
from bitwright.ir.types import Real, TensorType
from bitwright.passes.compress.kinds import Kind, WeightKind
from bitwright.passes.compress.plan import Layer, layers_of
from bitwright.passes.compress.recipe import Recipe, Refit, Solver
from bitwright.passes.compress.recipe_file import (
    load_recipe,
    preset_names,
    preset_text,
    read_recipe,
)


def three_layers() -> tuple[Layer, ...]:
    b = Builder(["x"])
    x = Value("x", TensorType(Real(), (1, 4)))
    for name in ("first", "middle", "last"):
        w = b.constant(f"{name}.w", [[0.5] * 4] * 4)
        x = b.op(Linear, (x, w), f"{name}.y", name)
    return layers_of(b.graph("net", (), (x,)))


def read(text: str) -> Recipe:
    return read_recipe(text, "r.toml")


def test_edges_keep_eight_bits_unless_told() -> None:
    found = read('weights = "ternary"\nscales = "any"').resolve(three_layers())
    kinds = [found[f"{n}.y"].weights for n in ("first", "middle", "last")]
    int8 = WeightKind(Kind.INT, 8)
    assert kinds == [int8, WeightKind(Kind.TERNARY), int8]


def test_edges_are_shifts_where_multipliers_are_out() -> None:
    found = read('weights = "ternary"').resolve(three_layers())
    assert found["first.y"].weights == WeightKind(Kind.POW2, 5)


@pytest.mark.parametrize("edges", ["ternary", "same"])
def test_edges_can_be_named(edges: str) -> None:
    found = read(f'weights = "ternary"\nedges = "{edges}"').resolve(three_layers())
    assert {r.weights for r in found.values()} == {WeightKind(Kind.TERNARY)}


def test_later_rules_win_key_by_key() -> None:
    recipe = read(
        'weights = "int:4"\nsolver = "second-order"\n'
        '[[layer]]\nmatch = "m*"\nweights = "binary"\nprune = "magnitude:0.5"\n'
        '[[layer]]\nmatch = "middle"\nweights = "int:2"\n'
        '[[layer]]\nmatch = "last.y"\nweights = "int:3"\nrefit = "scale"\n'
    )
    found = recipe.resolve(three_layers())
    assert found["middle.y"].weights == WeightKind(Kind.INT, 2)
    assert str(found["middle.y"].prune) == "magnitude:0.5"
    assert found["last.y"].weights == WeightKind(Kind.INT, 3)
    assert (found["last.y"].refit, found["first.y"].refit) == (Refit.SCALE, Refit.NONE)
    assert {r.solver for r in found.values()} == {Solver.SECOND_ORDER}


def test_a_preset_lies_below_the_file() -> None:
    recipe = read('preset = "int4"\nsolver = "nearest"\n[train]\nepochs = 3\n')
    assert recipe.weights == WeightKind(Kind.INT, 4)
    assert (recipe.base.solver, recipe.base.refit) == (Solver.NEAREST, Refit.MOMENTS)
    assert recipe.train == {"epochs": 3}


def test_activations_follow_the_scales_unless_told() -> None:
    assert read('weights = "int:8"').activations == 8
    assert read('weights = "ternary"').activations == 4
    assert read('weights = "ternary"\nscales = "any"').activations == 8
    assert read('activations = "float"').activations is None
    assert read("activations = 3").activations == 3


def test_float_weights_are_kept_by_a_recipe_that_only_prunes() -> None:
    recipe = read('weights = "float"\nactivations = "float"\nprune = "magnitude:0.25"')
    assert {r.weights for r in recipe.resolve(three_layers()).values()} == {None}


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_reads(name: str) -> None:
    assert preset_text(name).startswith("# ")
    assert isinstance(load_recipe(name), Recipe)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("wieghts = 3", "no key 'wieghts'; the keys are activations, "),
        ("[[layer]]\nmatch = 'a'\nedges = 'binary'", "layer 'a': no key 'edges'"),
        ("[[layer]]\nweights = 'binary'", "each [[layer]] needs match"),
        ("layer = 3", "write [[layer]], once for each rule"),
        ("train = 3", "[train] must be a table"),
        ("preset = 'int99'", "no recipe 'int99'; the presets are "),
        ("preset = 3", "preset must be a name"),
        ("weights = 'octal'", "r.toml: weights: --weights 'octal': choose binary"),
        ("weights = 3", "weights = 3 is not understood"),
        ("solver = 'magic'", "solver = 'magic' is not understood; choose nearest, second-order"),
        ("refit = 'none of it'", "choose none, bias, scale, moments"),
        ("prune = 'magnitude:0'", "density"),
        ("share = 'kmeans:1x'", "share"),
        ("ranges = 'percentile:x'", "ranges"),
        ("scales = 'round'", "scales = 'round': choose any, pow2"),
        ("store = 'tape'", "store = 'tape': choose plain"),
        ("equalize = 'yes'", "equalize must be true or false"),
        ("channels = 0.0", "channels = 0: give a share above 0"),
        ("activations = 'few'", "activations = 'few' is not understood"),
        ("activations = 99", "activations"),
        ("a = ", "r.toml: "),
    ],
)
def test_a_mistake_gets_a_sentence(text: str, sentence: str) -> None:
    with pytest.raises(CompileError) as caught:
        read(text)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_pattern_without_a_layer_lists_the_layers() -> None:
    recipe = read('[[layer]]\nmatch = "conv*"\nweights = "binary"')
    with pytest.raises(CompileError, match=r"no layer is called 'conv\*'; .*'first', 'middle'"):
        recipe.resolve(three_layers())


def test_a_file_that_is_missing_or_no_text(tmp_path: Path) -> None:
    with pytest.raises(CompileError, match="no such file"):
        load_recipe(str(tmp_path / "none.toml"))
    broken = tmp_path / "broken.toml"
    broken.write_bytes(b"\xff\xfe")
    with pytest.raises(CompileError, match="recipe"):
        load_recipe(str(broken))
