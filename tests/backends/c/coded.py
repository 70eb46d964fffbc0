"""Layers whose weights are pruned, shared or odd in other ways, for the tests of coded weights."""

from dataclasses import dataclass, replace

import numpy as np

from bitwright.ir.graph import Array
from bitwright.ir.ops import Encoding
from bitwright.ir.types import Bipolar, Integral, Ternary
from tests.backends.c.networks import S8, S16, U2, U8, Many, N, P, T
from tests.backends.c.spatial import Shape, bordered_requantize, bordered_steps, conv, drawn_classes
from tests.backends.c.test_integer_kernels import post

KINDS = ("pruned", "shared", "zero rows", "all zero", "one value", "all values", "wide", "few")


@dataclass
class Odd(Many):
    """Draws the weights of layers of encoding N by `kind`."""

    kind: str = "pruned"

    def weights(self, encoding: Encoding, outputs: int, inputs: int) -> Array:
        """Draw weights of one kind, or as ever for another encoding."""
        if encoding is not N:
            return super().weights(encoding, outputs, inputs)
        rng, shape = self.rng, (outputs, inputs)
        pruned = np.where(rng.random(shape) < 0.1, rng.integers(-15, 16, shape), 0)
        if self.kind == "shared":
            return rng.choice([-77, -3, 0, 40, 41], shape)
        if self.kind == "zero rows":
            return np.where(np.arange(outputs)[:, None] % 2, pruned, 0)
        if self.kind == "wide":
            return np.where(pruned != 0, rng.integers(-9000, 9001, shape), 0)
        if self.kind == "few":
            return np.where(rng.random(shape) < 0.004, -128, 0)
        whole = np.resize(rng.permutation(np.arange(-128, 128)), shape)
        fixed = {"all zero": np.zeros(shape, np.int64), "one value": np.full(shape, -5)}
        return {**fixed, "all values": whole}.get(self.kind, pruned)


def linears() -> Odd:
    """Fully connected layers: every kind by some sorts of input, one position and several."""
    m, n = Odd(71, samples=4), 0
    elements: tuple[Integral, ...] = (S8, U8, S16, Bipolar(), Ternary(), U2)
    for kind in KINDS:
        m.kind = kind
        for elem in elements[n % 2 :: 2]:
            for rows, size, outputs in ((1, (1, 7, 33, 300)[n % 4], 1 + n % 6), (3, 9 + n % 3, 7)):
                post_number = 10 if kind in {"all zero", "few"} else n
                m.out(post(m, m.linear(m.input(elem, rows, size), N, outputs), post_number))
                n += 1
        n += 1
    for encoding in (P, T):
        for elem in (S8, U2):
            m.out(m.sign(m.linear(m.input(elem, 1, 50), encoding, 35)))
            m.out(m.sign(m.linear(m.input(elem, 2, 19), encoding, 35)))
    return m


def convolutions() -> Odd:
    """Convolutions: every kind by windows, groups, paddings, batches and borders."""
    m, n = Odd(72, samples=3), 0
    around = Shape(3, 1, (1, 1))
    shapes = (
        around,
        replace(around, groups=3, pad=-1),
        Shape(3, 2, ((0, 1), (1, 2))),
        Shape(1),
        Shape(1, 2),
        Shape((1, 3), 1, ((0, 1), (0, 1))),
    )
    for kind in KINDS:
        m.kind = kind
        for elem in (S8, Bipolar(), U8):
            for k in (0, 1 + n % 5, 1 + (n + 2) % 5):
                shape = replace(shapes[k], pad=max(shapes[k].pad, elem.lo))
                groups = shape.groups
                x = m.input(elem, 1 + n % 2, 4, 5, (1, 3, 5)[n % 3] * groups)
                a = conv(m, x, N, (1, 4, 6, 35)[n % 4] * groups, shape, bias=n % 2 == 0)
                m.out(post(m, a, 10 if kind in {"all zero", "few"} else n))
                n += 1
    m.kind = "pruned"
    for elem in (S8, Bipolar()):
        x = m.input(elem, 1, 4, 5, 3)
        classes = drawn_classes(m, (4, 5))
        m.out(bordered_requantize(m, conv(m, x, N, 6, around), 16, classes))
        bits = np.array([[-1, 1]])
        m.out(bordered_steps(m, conv(m, x, N, 34, around), 1, Bipolar(), bits, classes))
        m.out(post(m, conv(m, m.input(elem, 1, 9, 5), N, 5, Shape(3, 2, (2, 1))), 0))
    return m
