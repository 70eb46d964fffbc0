"""What the C tests share: write an artifact, compile it, compare with numpy."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bitwright.backends.c import COptions, emit
from bitwright.ir.evaluate import evaluate
from bitwright.ir.graph import Array, Graph
from bitwright.sim.host_c import run_c

Writer = Callable[..., Path]


def write(folder: Path, graph: Graph, name: str = "net", options: COptions | None = None) -> Path:
    """Write the C of `graph` below `folder`."""
    for path, data in emit(graph, name, options or COptions()).files.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
    return folder


def differences(folder: Path, graph: Graph, data: dict[str, Array], **how: object) -> list[str]:
    """Name every output of the C in `folder` that differs from numpy."""
    want = evaluate(graph, data)
    got = run_c(folder, data, work=folder / "work", **how)  # type: ignore[arg-type]
    producers = graph.producers()
    return [
        f"{name}: {producers[name]}" for name in want if not np.array_equal(want[name], got[name])
    ]


@pytest.fixture
def tree(tmp_path: Path) -> Writer:
    def make(graph: Graph, name: str = "net", options: COptions | None = None) -> Path:
        return write(tmp_path / "c", graph, name, options)

    return make
