"""A pruned network of few shared weights, its C with each form of weights in flash."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

import bitwright
from bitwright.backends.c.options import STORES
from bitwright.options import Target
from bitwright.sim.outcome import Status

KEPT = 0.12  # of the weights


@pytest.fixture(scope="module")
def pruned(examples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The float digits without the smaller weights of each layer."""
    model = onnx.load(examples / "digits-conv" / "digits-conv-float.onnx")
    for tensor in model.graph.initializer:
        w = numpy_helper.to_array(tensor)
        if w.ndim > 1:
            bar = np.quantile(np.abs(w), 1 - KEPT)
            small = numpy_helper.from_array(np.where(np.abs(w) < bar, 0, w), tensor.name)
            tensor.CopyFrom(small)
    path = tmp_path_factory.mktemp("pruned") / "pruned.onnx"
    onnx.save(model, path)
    return path


@pytest.mark.parametrize("store", STORES)
def test_the_c_equals_the_integers(
    pruned: Path, examples: Path, tmp_path: Path, store: str
) -> None:
    folder = examples / "digits-conv"
    compiled = bitwright.compile(
        pruned, tmp_path / "b", targets="c", weights="int:5", store=store, output="argmax",
        calibrate=folder / "calibration.npz", data=folder / "heldout.npz",
    )  # fmt: skip
    rows = [r for r in bitwright.verify(tmp_path / "b") if r.rung >= 4]

    assert {r.what: r.outcome.detail for r in rows if r.outcome.status is Status.FAIL} == {}
    assert sum(r.outcome.status is Status.PASS for r in rows) >= 3
    report = compiled.artifacts[Target.C].report
    layers = [x["weights"] for x in report["layers"] if "weights" in x]
    forms = {w["form"] for w in layers}
    assert forms <= {store, "plain"} or store == "small"
    assert forms != {"plain"} or store == "plain"
    if store == "small":
        bits = [w["bits_per_weight"] for w in layers]
        assert min(bits) < 2 < max(bits) <= 8
