"""Small builds for the tests of what looks into them."""

from pathlib import Path

import bitwright
from bitwright.options import OutputKind, Target
from bitwright.sim.build_folder import Build, read_build_as_is

EXAMPLES = Path(__file__).parents[2] / "examples"


def digits(folder: Path, *targets: Target, output: OutputKind = OutputKind.CODES) -> Build:
    """Compile the binary digits network into `folder` and read it back."""
    model = EXAMPLES / "digits" / "digits-w1a1.onnx"
    data = EXAMPLES / "digits" / "calibration.npz"
    bitwright.compile(model, folder, targets=targets, output=output, data=data)
    return read_build_as_is(folder)


def compressed(folder: Path, weights: str, activations: int) -> Build:
    """Compress the float digits network to such weights and compile it for both targets."""
    place = EXAMPLES / "digits"
    bitwright.compile(
        place / "digits-float.onnx",
        folder,
        targets=(Target.C, Target.VERILOG),
        weights=weights,
        activations=activations,
        calibrate=place / "calibration.npz",
    )
    return read_build_as_is(folder)
