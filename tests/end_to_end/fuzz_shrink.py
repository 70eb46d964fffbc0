"""Make a failing network small: drop layers, shrink sizes and channels, take attributes back."""

from collections.abc import Callable, Iterator
from dataclasses import fields, replace

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
            yield replace(net, size=(*net.size[:i], n, *net.size[i + 1 :]))
    for i, stage in enumerate(net.stages):
        for s in _simpler_stages(stage):
            yield replace(net, stages=(*net.stages[:i], s, *net.stages[i + 1 :]))


def _simpler_stages(stage: Stage) -> Iterator[Stage]:
    for f in fields(Stage):
        old, new = getattr(stage, f.name), getattr(_PLAIN, f.name)
        if old == new or f.name in _KEPT:
            continue
        yield replace(stage, **{f.name: new})
        if isinstance(old, tuple):
            yield from (replace(stage, **{f.name: (a, b)}) for a in _upto(new[0], old[0])
                        for b in _upto(new[1], old[1]) if (a, b) not in (old, new))  # fmt: skip
    for n in _less(stage.outputs):
        yield replace(stage, outputs=n)
    if stage.kind not in {"conv", "max"}:
        yield replace(stage, kind="conv")


def _upto(low: int, high: int) -> range:
    return range(low, high + 1)


def _less(n: int) -> list[int]:
    """Return smaller numbers to try: 1, half, one less."""
    return sorted({m for m in (1, n // 2, n - 1) if 1 <= m < n})
