"""Random small networks: numpy, C and RTL agree on every layer, down to the odd shapes.

Hypothesis shrinks what fails and prints the smallest network that still does.
"""

import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from bitwright.backends import c, verilog
from bitwright.backends.artifact import Artifact
from bitwright.compiler import lower
from bitwright.ir.program import Program
from bitwright.ir.types import Bipolar, Int, Integral, Ternary
from bitwright.options import CompileOptions, Cpu, Fold, OutputKind
from bitwright.sim.bisect import layers_c, layers_rtl
from bitwright.sim.rtl import RtlOptions, Simulator, Stalls
from bitwright.sim.samples import random_inputs
from tests.graphs import LayerSpec, mlp

FRAMES = 6
INPUTS: tuple[Integral, ...] = (
    Bipolar(), Ternary(), Int(0, 1), Int(0, 3), Int(-8, 7), Int(0, 255), Int(-128, 127),
)  # fmt: skip
WIDTHS = (1, 2, 3, 5, 7, 8, 9, 17, 31, 32, 33, 64, 65)


def specs(widths: tuple[int, ...]) -> st.SearchStrategy[LayerSpec]:
    return st.builds(
        LayerSpec,
        outputs=st.sampled_from(widths),
        weights=st.sampled_from(["bipolar", "ternary", "pow2", "int8"]),
        batch_norm=st.booleans(),
        relu=st.booleans(),
        quantizer=st.sampled_from(["bipolar", "sign", "u2", "s4", "s8"]),
        bias=st.sampled_from(["none", "real", "grid"]),
        corner=st.sampled_from(["", "", "zero row", "plus", "minus", "gamma 0"]),
    )


@dataclass(frozen=True)
class Net:
    """A network as the failing case is printed; `program` is what both backends are given."""

    layers: list[LayerSpec]
    inputs: int
    x: Integral
    output: OutputKind
    seed: int

    @property
    def program(self) -> Program:
        graph = mlp(self.layers, inputs=self.inputs, x=self.x, seed=self.seed)
        return lower(graph, CompileOptions(output=self.output))


def networks(layers: int, widths: tuple[int, ...]) -> st.SearchStrategy[Net]:
    return st.builds(
        Net,
        layers=st.lists(specs(widths), min_size=1, max_size=layers),
        inputs=st.sampled_from(widths),
        x=st.sampled_from(INPUTS),
        output=st.sampled_from([OutputKind.CODES, OutputKind.ARGMAX]),
        seed=st.integers(0, 1 << 16),
    )


nets, small = networks(4, WIDTHS), networks(2, WIDTHS[:7])
cpus = st.sampled_from([Cpu.GENERIC, Cpu.CORTEX_M4, Cpu.X86_64])
folds = st.sampled_from([None, Fold.MIN, Fold.MAX])
QUIET = [HealthCheck.too_slow, HealthCheck.data_too_large]
PHASES = [Phase.generate, Phase.shrink]


def some(count: int) -> settings:
    """Return how hard CI tries: always the same cases."""
    return settings(max_examples=count, derandomize=True, suppress_health_check=QUIET,
                    phases=PHASES, deadline=None)  # fmt: skip


def write_files(artifact: Artifact, folder: Path) -> Path:
    for path, data in artifact.files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(data)
    return folder


def check_c(net: Net, cpu: Cpu) -> None:
    body = net.program.body
    with tempfile.TemporaryDirectory() as name:
        folder = write_files(c.emit(body, "net", c.COptions(cpu=cpu)), Path(name))
        found = layers_c(folder, body, random_inputs(body, FRAMES), "gcc", folder / "work")
        assert found is None, str(found)


def check_rtl(net: Net, fold: Fold | None) -> None:
    body = net.program.body
    options = RtlOptions(
        Stalls.BOTH, 1 + net.seed % 1000, reset_midframe=True, simulator=Simulator.ICARUS
    )
    with tempfile.TemporaryDirectory() as name:
        artifact = verilog.emit(body, "net", verilog.VerilogOptions(fold=fold))
        folder = write_files(artifact, Path(name))
        found = layers_rtl(folder, body, random_inputs(body, FRAMES), options, folder / "work")
        assert found is None, str(found)


@some(25)
@given(net=nets, cpu=cpus)
def test_c(net: Net, cpu: Cpu) -> None:
    check_c(net, cpu)


@some(3)
@given(net=small, fold=folds)
def test_rtl(net: Net, fold: Fold | None) -> None:
    check_rtl(net, fold)


@pytest.mark.slow
@settings(suppress_health_check=QUIET)
@given(net=nets, cpu=cpus, fold=folds)
def test_many(net: Net, cpu: Cpu, fold: Fold | None) -> None:
    check_c(net, cpu)
    check_rtl(net, fold)


def test_a_failure_prints_the_smallest_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """A layer of int8 weights that miscounts is shrunk to a single such layer."""
    monkeypatch.setattr(f"{__name__}.check_c", _dislikes_int8)
    with pytest.raises(AssertionError) as failure:
        test_c()
    note = "".join(failure.value.__notes__)
    assert note.count("LayerSpec(") == 1
    assert "weights='int8'" in note


def _dislikes_int8(net: Net, cpu: Cpu) -> None:
    del cpu
    assert all(layer.weights != "int8" for layer in net.layers)
