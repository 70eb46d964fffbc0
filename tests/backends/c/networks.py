"""Graphs with many small, independent layers, so that one compilation tests them all."""

from collections.abc import Callable
from dataclasses import dataclass, field
from math import isqrt

import numpy as np

from bitwright.ir.graph import Array, Builder, Graph
from bitwright.ir.ops import Encoding, IntLinear, Requantize, Round, Steps, Value
from bitwright.ir.types import Bipolar, Int, Integral, TensorType, Ternary

B, T = Encoding.BIPOLAR, Encoding.TERNARY
P, N = Encoding.POWER_OF_TWO, Encoding.INTEGER


@dataclass
class Many:
    """Collects layers into one graph, and samples for its inputs.

    With `central`, thresholds lie where sums of random terms do, not all over their interval.
    """

    seed: int = 0
    samples: int = 12
    central: bool = False
    builder: Builder = field(default_factory=Builder)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    data: dict[str, Array] = field(default_factory=dict)
    rng: np.random.Generator = field(default_factory=np.random.default_rng)

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)

    def input(self, elem: Integral, *shape: int) -> Value:
        """Add an input with samples that include both extremes."""
        value = Value(f"x{len(self.inputs)}", TensorType(elem, shape))
        self.inputs.append(value)
        data = self.draw(elem, (self.samples, *shape))
        if self.samples > 2:
            data[0], data[1] = elem.lo, elem.hi
        self.data[value.name] = data
        return value

    def draw(self, elem: Integral, shape: tuple[int, ...]) -> Array:
        if isinstance(elem, Bipolar):
            return self.rng.choice([-1, 1], shape)
        return self.rng.integers(elem.lo, elem.hi + 1, shape)

    def weights(self, encoding: Encoding, outputs: int, inputs: int) -> Array:
        """Draw weights; rows 0 and 1 are extreme, row 2 is zero where zeros exist."""
        draw: dict[Encoding, Callable[[], Array]] = {
            B: lambda: self.rng.choice([-1, 1], (outputs, inputs)),
            T: lambda: self.rng.integers(-1, 2, (outputs, inputs)),
            P: lambda: (
                self.rng.choice([-1, 0, 1], (outputs, inputs))
                << self.rng.integers(0, 5, (outputs, inputs))
            ),
            N: lambda: self.rng.integers(-128, 128, (outputs, inputs)),
        }
        w = draw[encoding]()
        top = int(np.abs(w).max(initial=1)) if encoding is not P else 16
        w[0] = top if encoding is not N else 127
        w[min(1, outputs - 1)] = -top
        if encoding is not B and outputs > 2:
            w[2] = 0
        return w

    def linear(
        self,
        x: Value,
        encoding: Encoding,
        outputs: int,
        *,
        bias: bool = False,
        w: Array | None = None,
    ) -> Value:
        """Add an IntLinear whose interval is what its weights can reach."""
        w = self.weights(encoding, outputs, x.shape[-1]) if w is None else w
        elem = x.type.integer
        lo = np.minimum(w * elem.lo, w * elem.hi).sum(axis=1)
        hi = np.maximum(w * elem.lo, w * elem.hi).sum(axis=1)
        operands = [x, self.builder.constant("w", w)]
        if bias:
            b = self.rng.integers(-300, 300, outputs)
            operands.append(self.builder.constant("b", b))
            lo, hi = lo + b, hi + b
        span = Int(int(lo.min()), int(hi.max()))
        return self.builder.op(
            IntLinear, tuple(operands), "acc", "linear", encoding=encoding, elem=span
        )

    def steps(
        self, x: Value, count: int, elem: Integral, *, codes: Array, shared: bool = False
    ) -> Value:
        """Add Steps with `count` thresholds within x's interval."""
        e = x.type.integer
        rows = 1 if shared else x.shape[-1]
        mid, spread = (e.lo + e.hi) // 2, max((e.hi - e.lo) // 4, 2)
        spread = max(isqrt(e.hi - e.lo), 2) if self.central else spread
        t = np.sort(self.rng.integers(mid - spread, mid + spread + 1, (rows, count)), axis=1)
        if rows > 1:
            t[0], t[1] = e.lo, e.hi + 1
        operands = (x, self.builder.constant("t", t), self.builder.constant("c", codes))
        return self.builder.op(Steps, operands, "s", "steps", elem=elem)

    def sign(self, x: Value) -> Value:
        return self.steps(x, 1, Bipolar(), codes=np.array([[-1, 1]]))

    def requantize(self, x: Value, rounding: Round, shift: int, *, shared: bool = False) -> Value:
        """Add a Requantize to int8 with a zero of 3."""
        rows = 1 if shared else x.shape[-1]
        e = x.type.integer
        reach = max(abs(e.lo), abs(e.hi), 1)
        most = (800 << shift) // reach + 1
        mul = self.rng.integers(-most, most, rows, endpoint=True)
        mul[mul == 0] = most
        add = self.rng.integers(-(50 << shift), 50 << shift, rows, endpoint=True)
        operands = (x, self.builder.constant("m", mul), self.builder.constant("a", add))
        return self.builder.op(
            Requantize, operands, "q", "requantize",
            elem=Int(-128, 127), shift=shift, zero=3, rounding=rounding,
        )  # fmt: skip

    def out(self, value: Value) -> None:
        self.outputs.append(value)

    def graph(self, name: str = "many") -> Graph:
        g = self.builder.graph(name, self.inputs, self.outputs)
        g.verify()
        return g


U2, U3, U4, S1, S2, S3, S4 = (
    Int(0, 3), Int(0, 7), Int(0, 15), Int(-1, 0), Int(-2, 1), Int(-4, 3), Int(-8, 7),
)  # fmt: skip
U8, S8, S16 = Int(0, 255), Int(-128, 127), Int(-32768, 32767)
NARROW: tuple[Integral, ...] = (Bipolar(), Ternary(), Int(0, 1), U2, U3, U4, S1, S2, S3, S4)
WIDE: tuple[Integral, ...] = (U8, S8, S16)
