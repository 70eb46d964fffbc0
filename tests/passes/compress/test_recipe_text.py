"""A recipe that is written and read again is the same."""

import pytest

from bitwright.passes.compress.recipe_file import preset_names, preset_text, read_recipe
from bitwright.passes.compress.recipe_text import recipe_text

FULL = """
weights = "apot:4"
edges = "float"
activations = 5
scales = "pow2"
ranges = "percentile:99.95"
equalize = true
solver = "exact"
refit = "scale"
prune = "magnitude:0.123456789"
share = "kmeans:12:density"
store = "huffman"
[train]
inner = "inq:5"
schedule = [0.5, 0.75, 1]
epochs = 8
[[layer]]
match = "odd \\"name\\" [1]"
weights = "float"
prune = "none"
share = "none"
activations = "float"
channels = 0.3333333333
store = "plain"
[[layer]]
match = "*"
refit = "none"
prune = "2:4"
train = "ttq"
sparsity = 0.9
"""


@pytest.mark.parametrize("text", [FULL, *map(preset_text, preset_names()), 'weights = "float"'])
def test_round_trip(text: str) -> None:
    recipe = read_recipe(text, "test")
    written = recipe_text(recipe, "one\ntwo")
    assert written.startswith("# one\n# two\nweights = ")
    assert read_recipe(written, "written") == recipe
    assert recipe_text(read_recipe(written, "written"), "one\ntwo") == written
