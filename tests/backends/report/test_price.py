"""What is predicted for a layer is what it takes, and the report adds up."""

import json
from pathlib import Path

import numpy as np
import pytest

from bitwright.backends.report.before_after import (
    Accuracy,
    layer_reports,
    macs_by_kind,
    report_json,
    total_of,
)
from bitwright.backends.report.price import input_bits, price_list
from bitwright.compiler import load
from bitwright.ir.graph import Array, Graph
from bitwright.options import CompileOptions
from bitwright.passes.compress.choose import compress_fully
from bitwright.passes.compress.plan import layers_of
from bitwright.passes.compress.recipe_file import read_recipe

EXAMPLE = Path(__file__).parents[3] / "examples" / "digits-conv"


def digits() -> tuple[Graph, dict[str, Array]]:
    graph = load(EXAMPLE / "digits-conv-float.onnx", CompileOptions())
    pixels = np.load(EXAMPLE / "calibration.npz")["image"][:40]
    return graph, {graph.inputs[0].name: pixels.reshape(-1, *graph.inputs[0].shape)}


@pytest.mark.parametrize(
    "text",
    [
        'weights = "ternary"\nedges = "same"',
        'weights = "binary"\nprune = "magnitude:0.5"',
        'weights = "int:4"\nprune = "magnitude:0.3"\nstore = "small"',
        'weights = "int:8"\nshare = "kmeans:16"\nstore = "codebook"',
        'weights = "float"',
    ],
)
def test_prices_are_what_is_paid(text: str) -> None:
    graph, samples = digits()
    recipe = read_recipe(text, "test")
    found = compress_fully(graph, recipe, samples)
    price = price_list(found.float_graph, recipe)
    ops = {op.name: op for op in layers_of(found.float_graph)}
    layers = layer_reports(graph, found, recipe)
    for done, told in zip(found.layers, layers, strict=True):
        cost = price(ops[done.name], found.plan.weights.get(done.name), done.recipe)
        assert cost.bytes == told.bytes
        assert abs(cost.mac_bits - told.mac_bits) <= 1


def test_the_bits_that_layers_read() -> None:
    graph, _ = digits()
    recipe = read_recipe('activations = 4\n[[layer]]\nmatch = "conv2"\nactivations = 2', "test")
    assert list(input_bits(graph, recipe).values()) == [8, 4, 2, 4]
    unquantized = read_recipe('activations = "float"', "test")
    assert set(input_bits(graph, unquantized).values()) == {32}


def test_the_report_adds_up() -> None:
    graph, samples = digits()
    recipe = read_recipe('weights = "int:4"', "test")
    layers = layer_reports(graph, compress_fully(graph, recipe, samples), recipe)
    counts = [op.inputs[1].type.size for op in layers_of(graph)]
    total = total_of(layers, counts)
    assert total.bytes == sum(r.bytes for r in layers)
    assert total.bytes_before == 4 * (
        sum(counts) + sum(op.inputs[1].shape[0] for op in layers_of(graph))
    )
    assert 4 < total.bits < 8
    assert sum(macs_by_kind(layers).values()) == total.macs
    text = report_json(layers, total, Accuracy(40, 0.5, 1 / 3, 0.25), {"model": "m"})
    read = json.loads(text)
    assert read["accuracy"]["after"] == 0.333333
    assert [r["layer"] for r in read["layers"]] == ["conv0", "conv1", "conv2", "classifier"]
    assert set(read["macs_by_kind"]) == {"int:8", "int:4"}
