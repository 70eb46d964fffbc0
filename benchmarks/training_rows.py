"""The rows of training.py: which model, which recipes, and what the papers say."""

import hashlib
import tomllib
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from bitwright.passes.compress.recipe_file import preset_text

SEEDS = (0, 1, 2)
ONE_BIT_EVERYWHERE = """preset = "bnn"
[train]
edge = "bnn"
edge_activations = "binary"
"""
PRUNE_300 = """preset = "prune"
[[layer]]
match = "*fc1*"
sparsity = 0.92
[[layer]]
match = "*fc2*"
sparsity = 0.88
[[layer]]
match = "*fc3*"
sparsity = 0.5
[train]
prune_over = 4
label_share = 0.2
"""
SHARE_300 = """preset = "share"
[train]
label_share = 0.2
"""
PRUNE_5 = """preset = "prune"
[[layer]]
match = "*conv1*"
sparsity = 0.35
[[layer]]
match = "*conv2*"
sparsity = 0.85
[[layer]]
match = "*fc1*"
sparsity = 0.945
[[layer]]
match = "*fc2*"
sparsity = 0.8
[train]
prune_over = 3
"""


class Part(Enum):
    """The tables of the result."""

    BINARY = "A"
    DEEP = "B"
    METHODS = "C"


@dataclass(frozen=True)
class Stage:
    """One `finetune`: a preset or the text of a recipe, the zoo's model that teaches, the epochs.

    The model itself teaches where none is named; 0 epochs are the recipe's. With `shifted`, each
    image is there twice, the second time moved by up to one pixel.
    """

    name: str
    recipe: str
    teacher: str = ""
    epochs: int = 0
    shifted: bool = False


@dataclass(frozen=True)
class Row:
    """A model of the zoo, the runs on it one after another, and the figures beside it.

    `least` is the accuracy of each seed in percent, `lost` how many points the mean may lose, and
    `ratio` how many times smaller the mean must be; 0 stands for no demand on accuracy or size.
    """

    name: str
    part: Part
    model: str
    stages: tuple[Stage, ...]
    paper: str
    seeds: tuple[int, ...] = SEEDS
    least: float = 0
    lost: float | None = None
    ratio: float = 0
    targets: str = ""
    store: str = "plain"
    note: str = ""


def _method(
    name: str, epochs: int, paper: str, *, lost: float | None = None, note: str = ""
) -> Row:
    """Return a row of LeNet-5 trained for so many epochs by the preset of that name."""
    stages = (Stage("q", name, epochs=epochs),)
    return Row(name, Part.METHODS, "lenet5", stages, paper, lost=lost, note=note)


TWN_PAPER = "0.59 to 0.65, Li et al. 2016 [2]"
ROWS = (
    Row(
        "tfc-w1a1", Part.BINARY, "tfc", (Stage("q", "bnn"),), "93, the published checkpoint",
        seeds=(0,), least=93, targets="c,verilog",
        note="first and last layer's weights and the pixels have 8 bits",
    ),
    Row(
        "tfc-w1a1-all", Part.BINARY, "tfc", (Stage("q", ONE_BIT_EVERYWHERE, "lenet5"),),
        "93, the published checkpoint", seeds=(0,), least=93, targets="c,verilog",
        note="all weights and the pixels have one bit; LeNet-5 teaches",
    ),
    Row(
        "sfc-w1a1", Part.BINARY, "sfc", (Stage("q", "bnn", "lenet5", 10),), "95.8, FINN [1]",
        seeds=(0,), least=97, note="as tfc-w1a1, from random weights; LeNet-5 teaches",
    ),
    Row(
        "deep-compression-300-100", Part.DEEP, "lenet-300-100",
        (Stage("pruned", PRUNE_300, epochs=10, shifted=True),
         Stage("q", SHARE_300, "lenet-300-100", shifted=True)),
        "40 times, 1.64 to 1.58 [recalled]", lost=0.3, ratio=35, targets="c", store="huffman",
        note="the float model was trained on images moved by up to one pixel; so are these stages: "
        "without, and with 7 % of fc1 kept, seed 0 lost 0.40 points",
    ),
    Row(
        "deep-compression-lenet5", Part.DEEP, "lenet5",
        (Stage("pruned", PRUNE_5, epochs=6), Stage("q", "share", "lenet5", 2)),
        "39 times [2], 0.80 to 0.74 [recalled]", lost=0.3, ratio=35,
    ),
    _method("bwn", 2, "0.59 to 0.95, BPWN in TWN's paper [2]"),
    _method("twn", 2, TWN_PAPER, lost=0.2),
    _method("inq5", 4, "AlexNet 42.76 to 42.61 [1]; no MNIST", lost=0.2),
    _method("inq3", 8, "ResNet-18 31.73 to 31.92 [1]; no MNIST",
            note="the last weights to be frozen matter: in 4 parts and 4 epochs, as inq5 has them, seed "
            "0 lost 1.36 points; the exponents follow the greatest weight, as in the paper"),
    _method("qnn-w1a2", 3, "AlexNet 51.03 % right [2]; no MNIST",
            note="batch norms are inserted behind the layers of one bit"),
    _method("bnn", 3, "0.96, MLP of 3x4096, Hubara et al. 2016 [1]",
            note="a batch norm takes the place of each ReLU before a sign"),
)  # fmt: skip


def text_of(recipe: str) -> str:
    """Return the whole text that a recipe stands for, its preset's below it."""
    if "\n" not in recipe:
        return preset_text(recipe)
    preset = tomllib.loads(recipe).get("preset")
    return recipe if preset is None else preset_text(str(preset)) + recipe


def stage_digest(stage: Stage, model: Path) -> str:
    """Return what tells apart results of a stage: the model's bytes, the recipe and its epochs."""
    found = hashlib.sha256(model.read_bytes())
    how = (stage.name, stage.teacher, stage.epochs, stage.shifted, text_of(stage.recipe))
    found.update(repr(how).encode())
    return found.hexdigest()[:16]


def digest(row: Row, model: Path) -> str:
    """Return what tells apart results of a row: its stages, the model and what is compiled."""
    stages = " ".join(stage_digest(stage, model) for stage in row.stages)
    return f"{stages} {row.targets} {row.store}"
