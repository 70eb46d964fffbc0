"""What a fine-tuning run is told: plain frozen values, readable without torch."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Graph
from bitwright.passes.compress.plan import Plan


class Method(Enum):
    """How the weights of a layer are quantized while it trains; docs/recipes.md names the papers."""

    FLOAT = "float"
    BINARY_CONNECT = "binaryconnect"
    BINARY_CONNECT_STOCHASTIC = "binaryconnect:stochastic"
    BNN = "bnn"
    BWN = "bwn"
    LINEAR = "qnn"
    LOG = "qnn:log"
    DOREFA = "dorefa"
    TWN = "twn"
    TTQ = "ttq"
    INQ = "inq"
    LSQ = "lsq"
    INT = "int"
    SHARED = "shared"


class Act(Enum):
    """How a tensor is quantized while the network trains."""

    NONE = "none"
    BINARY = "binary"
    LSQ = "lsq"  # unsigned or signed, the step is learned
    FIXED = "fixed"  # unsigned or signed, the step is calibrated once
    DOREFA = "dorefa"  # clip(x, 0, 1) in 2^bits - 1 steps


_BITS = {
    Method.LINEAR: (2, 8),
    Method.LOG: (2, 6),
    Method.DOREFA: (1, 7),
    Method.INQ: (2, 6),
    Method.LSQ: (2, 8),
    Method.INT: (2, 8),
    Method.SHARED: (1, 8),
}
INQ_SCHEDULE = (0.5, 0.75, 0.875, 1.0)


@dataclass(frozen=True, slots=True)
class WeightRule:
    """The weights of one layer: a method and, for those that have widths, the bits of a weight.

    `schedule` is INQ's: the share of frozen weights, one equal part of the epochs each.
    `k` is XNOR-Net's scaling map of a layer whose input is binary: the mean magnitude under each
    window, which multiplies the output at run time. `pow2_scale` keeps scales powers of two.
    `values` is the number of shared values of a layer, 0 among them where it is pruned; 0 means
    2^bits.
    """

    method: Method
    bits: int = 8
    schedule: tuple[float, ...] = INQ_SCHEDULE
    k: bool = False
    pow2_scale: bool = False
    values: int = 0

    def __post_init__(self) -> None:
        """Reject widths and schedules that have no meaning."""
        lo, hi = _BITS.get(self.method, (0, 64))
        if not lo <= self.bits <= hi:
            raise CompileError(f"{self.method.value}:{self.bits}: bits must be {lo} to {hi}")
        rising = list(self.schedule) == sorted(self.schedule) and min(self.schedule, default=0) > 0
        if not rising or self.schedule[-1] != 1:
            raise CompileError(f"the schedule {self.schedule} must rise from above 0 to 1")
        if self.values and not 2 <= self.values <= 256:  # noqa: PLR2004
            raise CompileError(f"{self.values} shared values: choose 2 to 256")
        if self.k and self.method is not Method.BWN:
            raise CompileError(f"K belongs to bwn (XNOR-Net), not to {self.method.value}")


@dataclass(frozen=True, slots=True)
class ActRule:
    """The input of a layer: a method, the bits of a code, and whether its step is a power of two."""

    method: Act
    bits: int = 8
    pow2_scale: bool = False

    def __post_init__(self) -> None:
        """Reject widths that are not offered."""
        if not 1 <= self.bits <= 8:  # noqa: PLR2004
            raise CompileError(f"activations of {self.bits} bits: bits must be 1 to 8")


class Soft(Enum):
    """What a student learns from its teacher's scores."""

    NONE = "none"
    LOGITS = "logits"  # Ba and Caruana: half the squared distance
    HINTON = "hinton"  # cross-entropy at a temperature


@dataclass(frozen=True, slots=True)
class Distill:
    """The teacher's part of the loss.

    Hinton: label_share * CE(y) + (1 - label_share) * T^2 * CE(softmax(teacher / T)); LOGITS is
    weighed alike. Without labels the label's part is left out. `hints` are FitNets' pairs (tensor
    of the teacher, tensor of the student), which share a shape; `hint_share` weighs them.
    """

    soft: Soft = Soft.HINTON
    temperature: float = 4.0
    label_share: float = 0.5
    hints: tuple[tuple[str, str], ...] = ()
    hint_share: float = 1.0

    def __post_init__(self) -> None:
        """Reject temperatures and shares that have no meaning."""
        if self.temperature <= 0:
            raise CompileError(f"the temperature is {self.temperature}; it must be positive")
        if not 0 <= self.label_share <= 1:
            raise CompileError(f"the share of the labels is {self.label_share}; it is from 0 to 1")


@dataclass(frozen=True, slots=True)
class Prune:
    """Magnitude pruning while training: the share of zeros by layer name at the end.

    The share rises by 1 - (1 - t)^3 from epoch `start` until, after `over` epochs, it is reached
    (Zhu and Gupta 2017); with `over` 0 it is reached at once.
    """

    sparsity: Mapping[str, float] = field(default_factory=dict)
    start: int = 0
    over: int = 0

    def __post_init__(self) -> None:
        """Reject shares outside [0, 1)."""
        for name, share in self.sparsity.items():
            if not 0 <= share < 1:
                raise CompileError(f"{name}: a sparsity of {share} is not from 0 up to 1")


class Optimizer(Enum):
    """How a step is made of gradients."""

    ADAM = "adam"
    SGD = "sgd"  # with momentum


@dataclass(frozen=True, slots=True)
class FinetuneSettings:
    """All of a run. Rules are by layer name (`op.name`); what is not named follows `inner` or `edge`.

    `edge` is for the first and the last layer with weights, `edge_activations` for the network's
    inputs. `activations` names layers too: the rule holds for what such a layer reads. Sums, pools
    and concatenations whose codes would be binary get `edge_activations` instead.
    """

    inner: WeightRule = WeightRule(Method.LSQ)
    edge: WeightRule = WeightRule(Method.INT)
    weights: Mapping[str, WeightRule] = field(default_factory=dict)
    inner_activations: ActRule = ActRule(Act.LSQ)
    edge_activations: ActRule = ActRule(Act.FIXED)
    activations: Mapping[str, ActRule] = field(default_factory=dict)
    epochs: int = 10
    batch: int = 64
    optimizer: Optimizer = Optimizer.ADAM
    rate: float = 1e-3
    momentum: float = 0.9
    weight_decay: float = 0.0
    seed: int = 0
    threads: int = 1
    validation: float = 0.1
    distill: Distill = Distill()
    prune: Prune = Prune()

    def __post_init__(self) -> None:
        """Reject numbers that cannot train."""
        if min(self.epochs, self.batch, self.threads) < 1:
            raise CompileError("epochs, batch and threads must be at least 1")
        if self.rate <= 0:
            raise CompileError(f"the learning rate is {self.rate}; it must be positive")
        if not 0 <= self.validation < 1:
            raise CompileError(f"the validation share is {self.validation}; it is from 0 up to 1")


@dataclass(frozen=True, slots=True)
class Samples:
    """Inputs by name, each (samples, *shape), and labels (samples,) where there are any.

    Integer labels are classes; real ones are targets of the shape of the first output.
    """

    inputs: Mapping[str, Array]
    labels: Array | None = None

    @property
    def count(self) -> int:
        """Number of samples."""
        return int(next(iter(self.inputs.values())).shape[0]) if self.inputs else 0


@dataclass(frozen=True, slots=True)
class Epoch:
    """What an epoch came to: mean loss of training, then loss and share of right answers after it.

    The latter two are measured on the validation samples, on the first training ones where there
    are none; `accuracy` is the agreement with the teacher where there are no labels.
    """

    number: int
    loss: float
    validation: float
    accuracy: float


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is: batches done out of all, and the epochs behind it."""

    done: int
    total: int
    epochs: tuple[Epoch, ...]


@dataclass(frozen=True, slots=True)
class Run:
    """What surrounds a run: the folder of its checkpoint, and who is told of its progress."""

    folder: Path | None = None
    progress: Callable[[Progress], None] | None = None


@dataclass(frozen=True, slots=True)
class Finetuned:
    """The trained float graph, with batch norms of its own, and the plan to `assemble` it with."""

    graph: Graph
    plan: Plan
    epochs: tuple[Epoch, ...]
