"""A sliding window over the spatial axes: what convolutions and pools share."""

from dataclasses import dataclass
from itertools import product
from math import prod

from bitwright.errors import VerifyError

Sizes = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Window:
    """Kernel, strides, padding before and after, dilations: one number per spatial axis each."""

    kernel: Sizes
    strides: Sizes
    before: Sizes
    after: Sizes
    dilations: Sizes

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.kernel)

    @property
    def taps(self) -> int:
        """Number of positions that the kernel covers."""
        return prod(self.kernel)

    @property
    def extent(self) -> Sizes:
        """From the first tap to the last, both included, along each axis."""
        return tuple((k - 1) * d + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def padded(self) -> bool:
        """Whether any tap can lie outside."""
        return any(self.before) or any(self.after)

    def output(self, spatial: Sizes, loc: str) -> Sizes:
        """Return the spatial shape of the result; VerifyError when the window does not fit."""
        sizes = len({len(spatial), *(len(getattr(self, f)) for f in self.__slots__)})
        if sizes != 1:
            raise VerifyError(f"{loc}: a window of {self.rank} axes on a tensor with {spatial}")
        if min((*self.kernel, *self.strides, *self.dilations), default=1) < 1:
            raise VerifyError(f"{loc}: kernel, strides and dilations must be at least 1")
        if min((*self.before, *self.after), default=0) < 0:
            raise VerifyError(f"{loc}: padding must not be negative")
        out = tuple(
            (d + b + a - e) // s + 1
            for d, b, a, e, s in zip(
                spatial, self.before, self.after, self.extent, self.strides, strict=True
            )
        )
        if min(out, default=1) < 1:
            raise VerifyError(
                f"{loc}: a kernel of {self.extent} does not fit into {spatial} padded by "
                f"{self.before} and {self.after}: the result would have no elements"
            )
        return out

    def tap_counts(self, spatial: Sizes, loc: str = "window") -> tuple[Sizes, ...]:
        """Return, per axis, how many taps of each output position lie inside the tensor."""
        return tuple(
            tuple(
                sum(0 <= o * s - b + k * d < n for k in range(kernel))
                for o in range(size)
            )
            for size, n, kernel, s, b, d in zip(
                self.output(spatial, loc), spatial, self.kernel, self.strides, self.before,
                self.dilations, strict=True,
            )
        )  # fmt: skip

    def offsets(self) -> tuple[Sizes, ...]:
        """Return the position of every tap relative to the first, in row-major order."""
        axes = (range(0, k * d, d) for k, d in zip(self.kernel, self.dilations, strict=True))
        return tuple(product(*axes))


def plain_window(kernel: Sizes, strides: Sizes = ()) -> Window:
    """Return a window without padding or dilation."""
    zeros, ones = (0,) * len(kernel), (1,) * len(kernel)
    return Window(kernel, strides or ones, zeros, zeros, ones)
