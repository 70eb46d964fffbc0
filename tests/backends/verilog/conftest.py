"""Designs for the tests that run RTL: each built once a session."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from bitwright.backends.verilog import VerilogOptions
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.sim.rtl import RtlOptions, RtlResult, run_design
from tests.backends.verilog.bodies import design
from tests.graphs import samples


@dataclass(frozen=True)
class Rig:
    """A body, its written design, and the samples that go through both."""

    body: Graph
    folder: Path
    work: Path
    inputs: dict[str, Array]

    @property
    def report(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((self.folder / "report.json").read_text())
        return found

    def expected(self) -> dict[str, Array]:
        return evaluate(self.body, self.inputs)

    def run(self, options: RtlOptions | None = None) -> RtlResult:
        return run_design(self.folder, self.inputs, work=self.work, options=options or RtlOptions())


MakeRig = Callable[..., Rig]


@pytest.fixture(scope="session")
def rtl_work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rtl")


@pytest.fixture
def rig(tmp_path: Path, rtl_work: Path) -> MakeRig:
    def make(body: Graph, options: VerilogOptions | None = None, frames: int = 6) -> Rig:
        return Rig(body, design(body, tmp_path / "out", options), rtl_work, samples(body, frames))

    return make
