"""What everything that runs in torch stands on; importing it needs torch."""

from collections.abc import Mapping
from typing import Any

import torch

from bitwright.ir.graph import Array

Tensor = Any  # torch.Tensor: the type checker does not see into torch


class Module(torch.nn.Module):  # type: ignore[misc]
    """A torch module, known to the type checker."""


class Function(torch.autograd.Function):  # type: ignore[misc]
    """A torch function with a gradient of its own, known to the type checker."""


def tensor(array: Array, dtype: Any = None) -> Tensor:
    """Return a tensor of its own memory; reals as float32 unless `dtype` is given, integers as int64."""
    if dtype is None:
        dtype = torch.float32 if array.dtype.kind == "f" else torch.int64
    return torch.tensor(array, dtype=dtype)


def tensors(arrays: Mapping[str, Array]) -> dict[str, Tensor]:
    """Return the arrays as tensors, by name."""
    return {name: tensor(a) for name, a in arrays.items()}


def per_row(values: Tensor, rank: int) -> Tensor:
    """Shape numbers (O,) or (1,) so that they broadcast along axis 0 of a rank-`rank` tensor."""
    return values.reshape(-1, *(1,) * (rank - 1))


def rows(w: Tensor) -> Tensor:
    """Return weights (O, ..., I) as (O, n)."""
    return w.reshape(w.shape[0], -1)
