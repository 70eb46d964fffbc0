"""Convolutions and pools. Channels lie last: (batch, *spatial, channels); any number of spatial axes."""

from dataclasses import dataclass

from bitwright.ir.ops.base import Op
from bitwright.ir.ops.window import Sizes, Window
from bitwright.ir.types import Element, Int, Integral, Real, TensorType


def window_shape(op: Op, window: Window) -> tuple[int, ...]:
    """Return batch and spatial axes of what a window over the first operand gives."""
    x = op.inputs[0].shape
    op.expect(len(x) == window.rank + 2, f"the operand has shape {x}, the window {window.kernel}")
    return (x[0], *window.output(x[1:-1], op.loc))


def check_filters(op: Op, kernel: Sizes, groups: int) -> int:
    """Return the number of filters; VerifyError unless weight (O, *K, C / groups) and bias fit."""
    x, w = op.inputs[0].shape, op.inputs[1].shape
    op.expect(
        len(w) == len(kernel) + 2 and w[1:-1] == kernel,
        f"the weight has shape {w}, the kernel is {kernel}",
    )
    op.expect(
        groups >= 1 and x[-1] % groups == 0 and w[0] % groups == 0,
        f"{x[-1]} input and {w[0]} output channels do not divide into {groups} groups",
    )
    op.expect(
        w[-1] * groups == x[-1], f"weight {w} in {groups} groups does not fit {x[-1]} channels"
    )
    for bias in op.inputs[2:]:
        op.expect(bias.shape == (w[0],), f"the bias has shape {bias.shape}, expected ({w[0]},)")
    return w[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Conv(Op):
    """`y[n, p, o] = sum_k,c w[o, k, c] * x[n, p*strides + k*dilations - before, g*C/groups + c] (+ b[o])`.

    Operands x (N, *S, C), w (O, *K, C / groups) and, when given, b (O,). Taps outside count 0;
    filter o belongs to group g = o // (O / groups).
    """

    window: Window
    groups: int = 1

    def infer(self) -> TensorType:
        """Take the positions of the window and the number of filters."""
        filters = check_filters(self, self.window.kernel, self.groups)
        return TensorType(Real(), (*window_shape(self, self.window), filters))


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvTranspose(Op):
    """`y[n, p*strides + k*dilations - before, o] += w[o, k, c] * x[n, p, g*C/groups + c]`, from b or 0.

    Operands as those of Conv. `extra` elements are added at the end of each spatial axis.
    """

    window: Window
    groups: int = 1
    extra: Sizes = ()

    def infer(self) -> TensorType:
        """Take the positions that the window reaches and the number of filters."""
        filters = check_filters(self, self.window.kernel, self.groups)
        w, x = self.window, self.inputs[0].shape
        extra = self.extra or (0,) * w.rank
        spatial = tuple(
            (d - 1) * s + e - b - a + more
            for d, s, e, b, a, more in zip(
                x[1:-1], w.strides, w.extent, w.before, w.after, extra, strict=True
            )
        )
        self.expect(min(spatial, default=1) > 0, f"the result would have the shape {spatial}")
        return TensorType(Real(), (x[0], *spatial, filters))


@dataclass(frozen=True, slots=True, kw_only=True)
class MaxPool(Op):
    """Greatest element under the window, by channel; taps outside are left out. Real or integer."""

    window: Window

    def infer(self) -> TensorType:
        """Take the positions of the window, keep channels and element type."""
        return _pooled(self, self.window, self.inputs[0].elem)


@dataclass(frozen=True, slots=True, kw_only=True)
class MinPool(Op):
    """Least element under the window, by channel; taps outside are left out. Real or integer."""

    window: Window

    def infer(self) -> TensorType:
        """Take the positions of the window, keep channels and element type."""
        return _pooled(self, self.window, self.inputs[0].elem)


@dataclass(frozen=True, slots=True, kw_only=True)
class AveragePool(Op):
    """Sum under the window, by channel, over the number of taps inside the counted area.

    That is the tensor with `counted_before` and `counted_after` elements of padding, which count
    as zeros; padding beyond it does not count at all.
    """

    window: Window
    counted_before: Sizes
    counted_after: Sizes

    def infer(self) -> TensorType:
        """Take the positions of the window, keep the channels."""
        return _pooled(self, self.window, Real())

    def divisors(self) -> tuple[Sizes, ...]:
        """Return, per spatial axis, the counted taps at each output position."""
        w, spatial = self.window, self.inputs[0].shape[1:-1]
        area = tuple(
            d + b + a
            for d, b, a in zip(spatial, self.counted_before, self.counted_after, strict=True)
        )
        before = tuple(b - c for b, c in zip(w.before, self.counted_before, strict=True))
        after = tuple(a - c for a, c in zip(w.after, self.counted_after, strict=True))
        return Window(w.kernel, w.strides, before, after, w.dilations).tap_counts(area, self.loc)


@dataclass(frozen=True, slots=True, kw_only=True)
class SumPool(Op):
    """Sum of the integers under the window, by channel; taps outside are left out."""

    window: Window
    elem: Int

    def infer(self) -> TensorType:
        """Take the positions of the window, keep the channels."""
        self.expect(isinstance(self.inputs[0].elem, Integral), "the operand is real")
        return _pooled(self, self.window, self.elem)


def _pooled(op: Op, window: Window, elem: Element) -> TensorType:
    return TensorType(elem, (*window_shape(op, window), op.inputs[0].shape[-1]))
