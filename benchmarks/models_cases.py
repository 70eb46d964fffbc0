"""The rows of models.py: which model, for which target, compiled how, fed with what."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

KINDS = ("int:8", "int:4", "pow2:4", "ternary", "binary")
BLOCKS = (
    "fire", "shuffle-unit", "shuffle-unit-stride2", "mobilenet-v1", "mobilenet-v2", "sep-net",
)  # fmt: skip
FLOAT = "Float models in C"
THEIRS = "Models that bring their own quantizers"
OURS = "Float models, compressed by bitwright"
C, VERILOG = "c", "verilog"
FEW, SOME = 20, 400


@dataclass(frozen=True)
class Case:
    """One row. `options` are those of `bitwright.compile`, `samples` a name in models_data.

    `rtl_images` run through the simulated RTL; `check` is a further check by name; `size` reduces
    the side of the model's images; `most_seconds` and `most_megabytes` bound the compile.
    """

    group: str
    model: str
    target: str
    options: Mapping[str, Any] = field(default_factory=dict)
    samples: str = ""
    rtl_images: int = FEW
    check: str = ""
    size: int = 0
    most_seconds: float | None = None
    most_megabytes: float | None = None

    @property
    def text(self) -> str:
        """The options as the command line has them."""
        return " ".join(f"--{_flag(name)} {value}" for name, value in self.options.items())

    @property
    def key(self) -> str:
        """What tells this row from all others."""
        return f"{self.model} {self.target} {self.text}".strip()


def _flag(name: str) -> str:
    return {"inputs": "input"}.get(name, name)


def cases() -> list[Case]:
    """Return every row, in the order of the table."""
    return [*float_models(), *quantized_models(), *compressed_models()]


def float_models() -> list[Case]:
    """Return the float models, whole, in C."""
    samples = {
        "tfl-helloworld": "sine",
        "mnist-pytorch-onnx2c": "mnist",
        "vnn-mnistfc-256x2": "mnist",
        "tfl-ad-autoencoder-fp32": "",
        "mnist-conv-cntk": "mnist-standard",
        "lenet5-onnx-srp": "mnist",
        "vnn-verivital-convnet-maxpool": "mnist",
        "vnn-verivital-convnet-avgpool": "mnist",
        "vnn-cifar10-resnet2b": "cifar-standard",
        "vnn-collins-rul-small-w20": "",
        "micro-kws-m-fp32": "speech-40",
        "tfl-kws-dscnn-fp32": "speech-10",
        "qonnx-residual-block": "",
        "hls4ml-conv1d_small_keras": "",
        "commonconv-image-classifier32": "cifar-signed",
        "light-squeezenet": "",
        "light-shufflenet": "",
    }
    rows = [Case(FLOAT, m, C, {"output": "model"}, s) for m, s in samples.items()]
    special: dict[str, dict[str, Any]] = {
        "mnist-conv-cntk": {"check": "reference io"},
        "light-squeezenet": {"most_seconds": 20, "most_megabytes": 1000},
    }
    return [replace(row, **special.get(row.model, {})) for row in rows]


def quantized_models() -> list[Case]:
    """Return the models that other people quantized, on both targets."""
    one = [
        Case(THEIRS, "tfc-1w1a", C, {}, "mnist", SOME),
        Case(THEIRS, "tfc-1w1a", C, {"output": "argmax"}, "mnist", SOME),
        Case(THEIRS, "tfc-1w2a", C, {}, "mnist", SOME),
        Case(THEIRS, "tfc-2w2a", C, {}, "mnist", SOME),
        Case(THEIRS, "finn-tfc-w1a1-dataflow", C, {"inputs": "uint8"}, "mnist-raw", SOME),
        Case(THEIRS, "unsw-nb15-mlp-w2a2", C, {"inputs": "bipolar"}),
        Case(THEIRS, "jettag-qkeras", C, {"inputs": "int8:1/16"}),
        Case(THEIRS, "tfl-ad-autoencoder-int8", C),
        Case(THEIRS, "tfl-kws-dscnn-int8", C, {}, "speech-10-codes", most_seconds=5),
        Case(THEIRS, "micro-kws-m-static-qdq", C, {}, "speech-40"),
        Case(THEIRS, "micro-kws-m-static-qoperator", C, {}, "speech-40"),
        Case(THEIRS, "gtsrb-bnn-30", C, {"inputs": "uint8"}, "gtsrb", check="classes"),
        Case(THEIRS, "espcn-subpixel-quant", C, {"inputs": "uint8:1/255"}, size=12),
    ]
    return [row for case in one for row in on_both(case)]


def compressed_models() -> list[Case]:
    """Return float models and blocks with each kind of weights, on both targets."""
    samples = {
        "tfl-helloworld": "sine",
        "mnist-pytorch-onnx2c": "mnist",
        "vnn-mnistfc-256x2": "mnist",
        "mnist-conv-cntk": "mnist-standard",
        "vnn-cifar10-resnet2b": "cifar-standard",
        "tfl-kws-dscnn-fp32": "speech-10",
        **dict.fromkeys(BLOCKS, "blocks"),
    }
    flat = {"tfl-helloworld", "mnist-pytorch-onnx2c", "vnn-mnistfc-256x2"}
    return [
        row
        for model, fed in samples.items()
        for kind in KINDS
        for row in on_both(
            Case(OURS, model, C, {"weights": kind}, fed, SOME if model in flat else FEW)
        )
    ]


def on_both(case: Case) -> tuple[Case, Case]:
    """Return the row for C and the one for Verilog; bounds on the compile are for C alone."""
    return case, replace(case, target=VERILOG, most_seconds=None, most_megabytes=None)
