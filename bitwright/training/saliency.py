"""Second derivatives of the loss by weight, network-wide: Fisher information and Gauss-Newton."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch.nn import functional

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Graph
from bitwright.passes.compress.plan import layers_of
from bitwright.training.base import Tensor, tensor
from bitwright.training.losses import classes_of, scores_of
from bitwright.training.torch_graph import TorchGraph

_BATCH = 16  # samples whose gradients are held at once
_MOST_CLASSES = 64  # beyond these, labels are drawn instead of summed over
_DRAWS = 16


def empirical_fisher(graph: Graph, inputs: Mapping[str, Array], labels: Array) -> dict[str, Array]:
    """Return E[g^2] by layer name, like its weights: g the gradient of -log p(label) for a sample.

    Tu et al. (2016), with the data's labels, integers (samples,).
    """
    count = len(next(iter(inputs.values())))
    if len(labels) != count:
        raise CompileError(f"there are {len(labels)} labels for {count} samples")
    net = _Network(graph)
    classes = classes_of(net.scores)
    if labels.size and not 0 <= labels.min() <= labels.max() < classes:
        raise CompileError(
            f"labels reach from {labels.min()} to {labels.max()}, classes from 0 to {classes - 1}"
        )
    y = tensor(labels.reshape(-1).astype(np.int64))

    def squares(start: int, x: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        size = len(next(iter(x.values())))
        grads = net.gradients(_log_likelihood, x, y[start : start + size])
        return [{n: (g**2).sum(dim=0) for n, g in grads.items()}]

    return net.mean(inputs, squares)


def fisher(graph: Graph, inputs: Mapping[str, Array], *, seed: int = 0) -> dict[str, Array]:
    """Return E[g^2] by layer name with labels as the network itself gives them.

    The true Fisher information, which for a softmax is the diagonal of the Gauss-Newton matrix of
    the cross-entropy, what OBD (LeCun et al. 1990) needs: s = h w^2 / 2. Up to 64 classes the
    expectation over labels is a sum; beyond, 16 labels are drawn for each sample.
    """
    net = _Network(graph)
    classes = classes_of(net.scores)
    drawn = torch.Generator().manual_seed(seed)

    def squares(start: int, x: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        del start
        with torch.no_grad():
            p = functional.softmax(
                net.module(x, (net.scores.name,))[net.scores.name].flatten(1), dim=1
            )
        if classes > _MOST_CLASSES:
            picked = torch.multinomial(p, _DRAWS, replacement=True, generator=drawn)
            pairs = [(picked[:, i], torch.full((len(p),), 1 / _DRAWS)) for i in range(_DRAWS)]
        else:
            pairs = [(torch.full((len(p),), c), p[:, c]) for c in range(classes)]
        return [net.weighted(_log_likelihood, x, y, share) for y, share in pairs]

    return net.mean(inputs, squares)


def gauss_newton(graph: Graph, inputs: Mapping[str, Array]) -> dict[str, Array]:
    """Return the diagonal of J^T J by layer name, J the scores' derivative by the weights.

    The Gauss-Newton diagonal of OBD for the loss (1/2) sum of squares, the mean over samples.
    """
    net = _Network(graph)
    size = net.scores.type.size

    def squares(start: int, x: dict[str, Tensor]) -> list[dict[str, Tensor]]:
        del start
        count = len(next(iter(x.values())))
        one = torch.ones(count)
        return [net.weighted(_score, x, torch.full((count,), i), one) for i in range(size)]

    return net.mean(inputs, squares)


def _log_likelihood(scores: Tensor, label: Tensor) -> Tensor:
    return functional.log_softmax(scores, dim=-1).gather(-1, label.reshape(1)).sum()


def _score(scores: Tensor, which: Tensor) -> Tensor:
    return scores.gather(-1, which.reshape(1)).sum()


Objective = Callable[[Tensor, Tensor], Tensor]


class _Network:
    """A float graph and the gradients of its weights, one for each sample."""

    def __init__(self, graph: Graph) -> None:
        self.module = TorchGraph(graph).eval()
        self.scores = scores_of(self.module.graph)
        named = {id(p): key for key, p in self.module.named_parameters()}
        self.keys = {
            op.name: named[id(self.module.held(op.inputs[1]))]
            for op in layers_of(self.module.graph)
        }
        self.fixed = {k: p.detach() for k, p in self.module.named_parameters()} | dict(
            self.module.named_buffers()
        )

    def gradients(
        self, objective: Objective, x: Mapping[str, Tensor], label: Tensor
    ) -> dict[str, Tensor]:
        """Return the gradient of objective(scores, label) by layer name, (samples, *weights) each."""

        def of_one(weights: dict[str, Tensor], sample: dict[str, Tensor], y: Tensor) -> Tensor:
            batch = {n: a[None] for n, a in sample.items()}
            seen = torch.func.functional_call(
                self.module, {**self.fixed, **weights}, (batch, (self.scores.name,))
            )
            return objective(seen[self.scores.name].reshape(-1), y)

        weights = {key: self.fixed[key] for key in self.keys.values()}
        found = torch.func.vmap(torch.func.grad(of_one), (None, 0, 0))(weights, dict(x), label)
        return {name: found[key] for name, key in self.keys.items()}

    def weighted(
        self, objective: Objective, x: Mapping[str, Tensor], label: Tensor, share: Tensor
    ) -> dict[str, Tensor]:
        """Return the sum over samples of share * gradient^2."""
        grads = self.gradients(objective, x, label)
        return {n: torch.einsum("s,s...->...", share, g**2) for n, g in grads.items()}

    def mean(
        self,
        inputs: Mapping[str, Array],
        squares: Callable[[int, dict[str, Tensor]], list[dict[str, Tensor]]],
    ) -> dict[str, Array]:
        """Return the sums that `squares` gives for each batch, over the number of samples."""
        arrays = {
            v.name: tensor(np.asarray(inputs[v.name], np.float32)) for v in self.module.graph.inputs
        }
        count = len(next(iter(arrays.values())))
        total = {n: np.zeros(tuple(self.fixed[key].shape)) for n, key in self.keys.items()}
        for start in range(0, count, _BATCH):
            batch = {n: x[start : start + _BATCH] for n, x in arrays.items()}
            for part in squares(start, batch):
                for n, g in part.items():
                    total[n] += g.to(torch.float64).numpy()
        return {n: t / max(count, 1) for n, t in total.items()}
