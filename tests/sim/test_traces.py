"""What designs with several inputs, forks and reordered tensors tell of their layers."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bitwright.backends import c
from bitwright.backends.trace import layer_crc
from bitwright.ir.graph import Graph
from bitwright.sim.bisect import layers_c, layers_rtl, points_of, values_of
from bitwright.sim.host_c import trace_c
from bitwright.sim.rtl import RtlOptions, Simulator, Stalls, run_design
from bitwright.sim.samples import random_inputs
from tests.backends.verilog import bodies

BODIES = [bodies.two_inputs, bodies.residual, bodies.mixed, bodies.single]


@pytest.mark.parametrize("make", BODIES)
def test_every_layer_of_the_rtl(make: Callable[[], Graph], tmp_path: Path) -> None:
    body = make()
    folder, data = bodies.design(body, tmp_path / "d"), random_inputs(body, 3)
    options = RtlOptions(Stalls.BOTH, simulator=Simulator.ICARUS, trace=True, taps=True)

    result = run_design(folder, data, work=tmp_path, options=options)

    points, values = points_of(folder), values_of(body, data)
    want = {p.name: layer_crc(values[p.value][-1]) for p in points}
    assert result.trace == want
    assert layers_rtl(folder, body, data, options, tmp_path) is None
    names = [p.name for p in points if p.is_input]
    assert names == (["input"] if len(body.inputs) == 1 else ["input.a", "input.c"])


@pytest.mark.parametrize("make", BODIES)
def test_every_layer_of_the_c(make: Callable[[], Graph], tmp_path: Path) -> None:
    body = make()
    folder, data = bodies.write(c.emit(body, "net"), tmp_path / "c"), random_inputs(body, 3)

    _, trace = trace_c(folder, data, work=tmp_path)

    points, values = points_of(folder), values_of(body, data)
    want = [{p.name: layer_crc(values[p.value][i]) for p in points} for i in range(3)]
    assert trace.crc == want
    assert layers_c(folder, body, data, "gcc", tmp_path) is None
