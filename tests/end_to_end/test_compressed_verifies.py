"""A network whose layers are compressed each in another way, through every rung on both targets."""

from pathlib import Path

import bitwright
from bitwright.sim.outcome import Status

EXAMPLE = Path(__file__).parents[2] / "examples" / "digits-conv"
RECIPE = """
equalize = true
ranges = "mse"
scales = "any"
activations = 6
solver = "second-order"
refit = "moments"

[[layer]]
match = "conv0"
weights = "apot:5"
channels = 0.75

[[layer]]
match = "conv1"
weights = "binary"
prune = "l-obs:0.5"

[[layer]]
match = "conv2"
share = "kmeans:8"
prune = "2:4"
store = "codebook"

[[layer]]
match = "classifier"
weights = "pow2:4"
"""


def test_every_kind_of_layer_verifies(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE)
    compiled = bitwright.compile(
        EXAMPLE / "digits-conv-float.onnx", tmp_path / "build", targets="c,verilog",
        recipe=str(recipe), calibrate=EXAMPLE / "calibration.npz", data=EXAMPLE / "heldout.npz",
    )  # fmt: skip
    encodings = [op.encoding.value for op in compiled.program.body.ops if hasattr(op, "encoding")]
    assert encodings == ["integer", "ternary", "integer", "power_of_two"]
    rows = bitwright.verify(tmp_path / "build")
    assert [(r.rung, r.outcome.detail) for r in rows if r.outcome.status is Status.FAIL] == []
    assert {r.rung for r in rows if r.outcome.status is Status.PASS} >= {1, 2, 3, 4, 6}
