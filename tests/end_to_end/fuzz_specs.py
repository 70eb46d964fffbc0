"""What a random convolutional network is made of: numbers that make a model whatever they are.

A stage takes of its numbers what fits its input, so that Hypothesis may drop stages and shrink
numbers freely, and what is left is a model again.
"""

from dataclasses import dataclass, field

from hypothesis import strategies as st

from bitwright.options import CompileOptions, OutputKind

DIALECTS = ("qdq", "qonnx", "sign", "float")
KINDS = (
    "conv",
    "conv",
    "conv",
    "max",
    "average",
    "global",
    "shortcut",
    "concat",
    "shuffle",
    "split",
)


@dataclass(frozen=True)
class Stage:
    """One layer; `groups` is one, two, or all (depthwise)."""

    kind: str = "conv"
    outputs: int = 1
    kernel: tuple[int, int] = (1, 1)
    strides: tuple[int, int] = (1, 1)
    dilations: tuple[int, int] = (1, 1)
    before: tuple[int, int] = (0, 0)
    after: tuple[int, int] = (0, 0)
    groups: str = "one"
    weights: str = "int8"
    quantizer: str = "s8"
    bias: bool = False
    norm: str = ""  # rising, falling, mixed, zero: the signs of gamma
    activation: str = ""
    pad_node: bool = False  # the padding is a node of its own
    counted: bool = False  # an average counts its padding
    ceil: bool = False


@dataclass(frozen=True)
class Net:
    """A network as a failing case is printed."""

    dialect: str = "qonnx"
    stages: tuple[Stage, ...] = ()
    rank: int = 2
    size: tuple[int, int] = (1, 1)
    channels: int = 1
    device_input: str = ""  # as --input has it; empty where the model quantizes its own
    dense: bool = False  # a fully connected layer at the end
    output: OutputKind = OutputKind.CODES
    recipe: tuple[str, int] = ("int:8", 8)  # weights and activation bits of a float model
    seed: int = field(default=0)

    @property
    def options(self) -> CompileOptions:
        """How the model is compiled; samples of a float model are added by who has them."""
        inputs = (self.device_input,) if self.device_input else ()
        output = self.output if self.dense else OutputKind.CODES
        if self.dialect != "float":
            return CompileOptions(output=output, inputs=inputs)
        weights, activations = self.recipe
        return CompileOptions(
            output=output, inputs=inputs, weights=weights, activations=activations
        )


def pairs(*numbers: int) -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.sampled_from(numbers), st.sampled_from(numbers))


WEIGHTS = {
    "qdq": ("int4", "int8", "ternary"),
    "qonnx": ("bipolar", "ternary", "pow2", "int4", "int8"),
    "sign": ("bipolar", "ternary"),
    "float": ("float",),
}
QUANTIZERS = {
    "qdq": ("s8", "u8", "u8 zero", "s8 zero"),
    "qonnx": ("bipolar", "u2", "s4", "s8", "u8"),
    "sign": ("sign", "sign0"),
    "float": ("none",),
}


def stages(dialect: str, widths: tuple[int, ...]) -> st.SearchStrategy[Stage]:
    unfit = {"shortcut", "average", "global"} if dialect == "sign" else set()
    return st.builds(
        Stage,
        kind=st.sampled_from([k for k in KINDS if k not in unfit]),
        outputs=st.sampled_from(widths),
        kernel=pairs(1, 2, 3),
        strides=pairs(1, 1, 2),
        dilations=pairs(1, 1, 2),
        before=pairs(0, 1, 2),
        after=pairs(0, 1, 2),
        groups=st.sampled_from(["one", "one", "two", "all"]),
        weights=st.sampled_from(WEIGHTS[dialect]),
        quantizer=st.sampled_from(QUANTIZERS[dialect]),
        bias=st.booleans(),
        norm=st.sampled_from(["", "rising", "falling", "mixed", "zero"]),
        activation=st.sampled_from(["", "relu", "clip", "leaky"]),
        pad_node=st.booleans(),
        counted=st.booleans(),
        ceil=st.booleans(),
    )


INPUTS = ("", "", "uint8:1/256", "uint8:1/64:117", "uint8:1/64:123.625", "int4:1/4")
SIGNS = ("bipolar", "", "uint8:1/256")
RECIPES = tuple(
    (w, a) for w in ("binary", "ternary", "pow2:4", "int:8", "int:4") for a in (8, 4, 2)
)
WIDTHS, SIZES = (1, 2, 3, 4, 5, 8, 9, 16, 33), (1, 2, 3, 4, 5, 7)


def nets(
    depth: int = 4, widths: tuple[int, ...] = WIDTHS, sizes: tuple[int, ...] = SIZES
) -> st.SearchStrategy[Net]:
    """Return networks of at most `depth` stages."""
    return st.sampled_from(DIALECTS).flatmap(lambda d: _of_dialect(d, depth, widths, sizes))


def _of_dialect(
    dialect: str, depth: int, widths: tuple[int, ...], sizes: tuple[int, ...]
) -> st.SearchStrategy[Net]:
    return st.builds(
        Net,
        dialect=st.just(dialect),
        stages=st.lists(stages(dialect, widths), min_size=1, max_size=depth).map(tuple),
        rank=st.sampled_from([2, 2, 2, 1]),
        size=pairs(*sizes),
        channels=st.sampled_from(widths),
        device_input=st.sampled_from(SIGNS if dialect == "sign" else INPUTS),
        dense=st.booleans(),
        output=st.sampled_from([OutputKind.CODES, OutputKind.CODES, OutputKind.ARGMAX]),
        recipe=st.sampled_from(RECIPES),
        seed=st.integers(0, 1 << 16),
    )
