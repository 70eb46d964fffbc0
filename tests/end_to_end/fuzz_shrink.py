"""Make a failing network small: drop layers, shrink sizes and channels, take attributes back."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace
from itertools import product
from typing import Any

from tests.end_to_end.fuzz_specs import Net, Stage

_PLAIN = Stage()
_KEPT = {"kind", "outputs", "weights", "quantizer"}  # not every dialect has the plainest of these


def shrunk(net: Net, fails: Callable[[Net], bool]) -> Net:
    """Return a network that still fails though every simpler one next to it does not."""
    while True:
        simpler = next((n for n in _simpler(net) if fails(n)), None)
        if simpler is None:
            return net
        net = simpler


def _simpler(net: Net) -> Iterator[Net]:
    """Yield networks one step simpler, the longest steps first."""
    for i in range(len(net.stages)):
        yield replace(net, stages=net.stages[:i] + net.stages[i + 1 :])
    plain = Net()
    for name in ("dense", "output", "recipe", "device_input", "rank", "seed"):
        if getattr(net, name) != getattr(plain, name):
            yield replace(net, **{name: getattr(plain, name)})
    for n in _less(net.channels):
        yield replace(net, channels=n)
    for i, size in enumerate(net.size):
        for n in _less(size):
            yield replace(net, size=(n, net.size[1]) if i == 0 else (net.size[0], n))
    for i, stage in enumerate(net.stages):
        for s in _simpler_stages(stage):
            yield replace(net, stages=(*net.stages[:i], s, *net.stages[i + 1 :]))


def _simpler_stages(stage: Stage) -> Iterator[Stage]:
    for f in fields(Stage):
        old, new = getattr(stage, f.name), getattr(_PLAIN, f.name)
        if old == new or f.name in _KEPT:
            continue
        yield _with(stage, f.name, new)
        for a, b in _between(old, new) if isinstance(old, tuple) else ():
            yield _with(stage, f.name, (a, b))
    for n in _less(stage.outputs):
        yield replace(stage, outputs=n)
    if stage.kind not in {"conv", "max"}:
        yield replace(stage, kind="conv")


def _with(stage: Stage, name: str, value: Any) -> Stage:
    return replace(stage, **{name: value})


def _between(old: tuple[int, int], new: tuple[int, int]) -> Iterator[tuple[int, int]]:
    """Yield the pairs from the plain one to the old one, both left out."""
    every = product(*(range(a, b + 1) for a, b in zip(new, old, strict=True)))
    return ((a, b) for a, b in every if (a, b) not in (old, new))


def _less(n: int) -> list[int]:
    """Return smaller numbers to try: 1, half, one less."""
    return sorted({m for m in (1, n // 2, n - 1) if 1 <= m < n})
