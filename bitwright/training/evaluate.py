"""Run a network over many samples without gradients: scores, and statistics for batch norms."""

from collections.abc import Callable, Mapping

import torch

from bitwright.training.base import Tensor
from bitwright.training.student import Student

_BATCH = 256
_ESTIMATED = 64  # batches that give the statistics of batch norms


def network_scores(
    network: Callable[..., dict[str, Tensor]], name: str, inputs: Mapping[str, Tensor]
) -> Tensor:
    """Return the tensor `name` for all samples as (samples, n), the network in evaluation mode."""
    network.eval()  # type: ignore[attr-defined]
    count = len(next(iter(inputs.values())))
    parts = []
    with torch.no_grad():
        for start in range(0, count, _BATCH):
            batch = {n: x[start : start + _BATCH] for n, x in inputs.items()}
            parts.append(network(batch, (name,))[name].flatten(1).clone())
    return torch.cat(parts)


def estimate_batch_norms(student: Student, inputs: Mapping[str, Tensor], batch: int) -> None:
    """Take the statistics of batch norms anew, with the weights as they are deployed.

    The mean over batches of each batch's statistics, every norm behind quantizers that compute as
    they will; gradients and quantizers stay as they are.
    """
    count = len(next(iter(inputs.values())))
    student.eval()
    student.net.training = True
    kept = student.net.momentum
    with torch.no_grad():
        for i in range(min(count // batch, _ESTIMATED)):
            student.net.momentum = 1 / (i + 1)
            student.net({n: x[i * batch : (i + 1) * batch] for n, x in inputs.items()})
    student.net.momentum = kept
    student.eval()
