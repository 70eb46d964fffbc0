"""RNN, GRU and LSTM, unrolled, against onnxruntime."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bitwright.errors import CompileError, UnsupportedError
from tests.onnx_models import agrees, f32, i32, load, model, node, ops

RNG = np.random.default_rng(12)
GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
HIDDEN, FEATURES, STEPS = 3, 2, 4


def layer(op: str, ways: int = 1, reads: str = "t W R B", **more: Any) -> Any:
    """Return a model whose input (1, T, D) is turned so that time comes first."""
    rows = GATES[op] * HIDDEN
    constants = {
        "W": RNG.normal(size=(ways, rows, FEATURES)).astype(np.float32),
        "R": RNG.normal(size=(ways, rows, HIDDEN)).astype(np.float32),
        "B": RNG.normal(size=(ways, 2 * rows)).astype(np.float32),
        "h": RNG.normal(size=(ways, 1, HIDDEN)).astype(np.float32),
        "c": RNG.normal(size=(ways, 1, HIDDEN)).astype(np.float32),
        "P": RNG.normal(size=(ways, 3 * HIDDEN)).astype(np.float32),
        **more.pop("constants", {}),
    }
    names = ["all", "last", "cell"][: 3 if op == "LSTM" else 2]
    nodes = [
        node("Transpose", "x", "t", perm=[1, 0, 2]),
        node(op, reads, " ".join(names), hidden_size=HIDDEN, **more),
    ]
    return model(nodes, constants, {"x": (1, STEPS, FEATURES)}, opset=14, outputs=names)


@pytest.mark.parametrize("op", GATES)
@pytest.mark.parametrize("way", ["forward", "reverse", "bidirectional"])
def test_directions(tmp_path: Path, op: str, way: str) -> None:
    proto = layer(op, 2 if way == "bidirectional" else 1, direction=way)
    agrees(tmp_path, proto, count=5, spread=0.5)


@pytest.mark.parametrize("op", GATES)
def test_an_initial_state(tmp_path: Path, op: str) -> None:
    reads = "t W R - - h" + (" c P" if op == "LSTM" else "")
    agrees(tmp_path, layer(op, reads=reads), count=5, spread=0.5)


def test_the_reset_gate_may_come_last(tmp_path: Path) -> None:
    agrees(tmp_path, layer("GRU", linear_before_reset=1), count=5, spread=0.5)


def test_other_functions(tmp_path: Path) -> None:
    agrees(tmp_path, layer("RNN", activations=["Relu"]), count=5, spread=0.5)


def test_weights_are_shared_by_all_steps(tmp_path: Path) -> None:
    graph = load(tmp_path, layer("LSTM"))
    products = [op for op in graph.ops if type(op).__name__ == "Linear"]
    assert len(products) == STEPS  # the first step begins with zeros, and is a constant
    assert len({op.inputs[1].name for op in products}) == 2
    assert "Take" in ops(graph)


@pytest.mark.parametrize(
    ("more", "text"),
    [
        ({"clip": 1.0}, "it clips its gates"),
        ({"reads": "t W R B n", "constants": {"n": i32(2)}}, "shorter than the input"),
        ({"activations": ["ThresholdedRelu"]}, "'ThresholdedRelu' is not handled"),
    ],
)
def test_what_is_refused(tmp_path: Path, more: dict[str, Any], text: str) -> None:
    with pytest.raises(UnsupportedError, match=text):
        load(tmp_path, layer("RNN", **more))


def test_a_fixed_batch_may_be_time(tmp_path: Path) -> None:
    proto = model([node("RNN", "x W R", "y", hidden_size=1)],
                  {"W": np.ones((1, 1, 2)), "R": f32(1).reshape(1, 1, 1)},
                  {"x": (8, 1, 2)})  # fmt: skip
    with pytest.raises(UnsupportedError, match="may be time to a recurrent layer"):
        load(tmp_path, proto)


def test_weights_that_do_not_fit(tmp_path: Path) -> None:
    proto = layer("GRU", constants={"R": np.ones((1, 4, HIDDEN), np.float32)})
    with pytest.raises(CompileError, match="do not fit"):
        load(tmp_path, proto)
