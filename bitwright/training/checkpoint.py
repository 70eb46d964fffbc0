"""Save a run after each epoch and take it up again, bit for bit."""

import hashlib
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Graph
from bitwright.training.settings import FinetuneSettings, Samples

NAME = "checkpoint.pt"


def digest(
    graph: Graph,
    settings: FinetuneSettings,
    samples: Samples,
    *more: Mapping[str, Array],
) -> str:
    """Return what tells runs apart: the graph's numbers, the settings, the samples.

    `more` are the masks and the teacher's numbers.
    """
    found = hashlib.sha256(repr((graph.name, graph.ops, settings)).encode())
    labels = {} if samples.labels is None else {"y": samples.labels}
    for arrays in (graph.constants, samples.inputs, labels, *more):
        for name, a in sorted(arrays.items()):
            found.update(f"{name}{a.shape}{a.dtype}".encode())
            found.update(np.ascontiguousarray(a).tobytes())
    return found.hexdigest()


def save(folder: Path, state: dict[str, Any]) -> None:
    """Write the checkpoint whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    part = folder / f"{NAME}.part"
    torch.save(state, part)
    part.replace(folder / NAME)


def load(folder: Path, run: str) -> dict[str, Any] | None:
    """Return the checkpoint of the run with this digest, None where there is none.

    CompileError where the folder holds another run's, or a damaged one.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        state = torch.load(path, weights_only=True)
    except (OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError) as error:
        raise CompileError(f"{path}: the checkpoint cannot be read ({error}); remove it") from None
    if not isinstance(state, dict) or state.get("run") != run:
        raise CompileError(
            f"{path} is the checkpoint of a run with other data or settings; remove it or choose "
            "another folder"
        )
    return state
