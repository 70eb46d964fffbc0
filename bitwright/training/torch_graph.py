"""Run an imported float graph in torch, with gradients, its layers' numbers being parameters."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch.nn import functional

from bitwright.errors import CompileError, UnsupportedError
from bitwright.ir.evaluate import evaluate_constant
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import (
    Arithmetic,
    BatchNorm,
    Compare,
    Concat,
    Conv,
    ConvTranspose,
    Linear,
    MatMul,
    Op,
    PRelu,
    Select,
    Value,
)
from bitwright.ir.types import Real
from bitwright.passes.fold_constants import real_constants
from bitwright.training import run_spatial  # noqa: F401 - it registers its ops
from bitwright.training.base import Module, Tensor, tensor
from bitwright.training.run import run

_BROADCAST = (Arithmetic, Compare, Select, MatMul)
_TRAINED: dict[type[Op], slice] = {
    Linear: slice(1, 3),
    Conv: slice(1, 3),
    ConvTranspose: slice(1, 3),
    PRelu: slice(1, 2),
    BatchNorm: slice(1, 3),
}
_RUNNING = slice(3, 5)  # mean and variance of a BatchNorm
Change = Callable[[Tensor], Tensor]


class TorchGraph(Module):
    """A float graph as a torch module.

    `weights` may change the weight of a layer, by its name, and `values` any tensor, by its name,
    before others read it: there the quantizers hang. In training mode batch norms take the
    statistics of the batch and update the running ones.
    """

    def __init__(self, graph: Graph) -> None:
        """Take the constants of `graph`; UnsupportedError names the first op that cannot be run."""
        super().__init__()
        graph = real_constants(graph)
        self.graph = graph
        self.weights: dict[str, Change] = {}
        self.values: dict[str, Change] = {}
        self.momentum = 0.1
        constants, self._ops = _without_constant_ops(graph)
        trained = {v.name for op in self._ops for v in op.inputs[_TRAINED.get(type(op), slice(0))]}
        running = {
            v.name for op in self._ops if isinstance(op, BatchNorm) for v in op.inputs[_RUNNING]
        }
        read = {v.name for op in self._ops for v in op.inputs} | {v.name for v in graph.outputs}
        names = sorted(constants.keys() & read)
        self._keys = {name: f"c{i}" for i, name in enumerate(names)}
        self._learned = [n for n in names if n in trained | running]
        for name in names:
            held = tensor(np.asarray(constants[name]))
            if name in trained and held.is_floating_point():
                self.register_parameter(self._keys[name], torch.nn.Parameter(held))
            else:
                self.register_buffer(self._keys[name], held)
        for op in self._ops:
            if not isinstance(op, BatchNorm) and run.dispatch(type(op)) is run.dispatch(Op):
                run(op)

    def held(self, value: Value | str) -> Tensor:
        """Return the parameter or buffer of a constant."""
        name = value if isinstance(value, str) else value.name
        return getattr(self, self._keys[name])

    def holds(self, value: Value) -> bool:
        """Tell whether `value` is a constant here."""
        return value.name in self._keys

    def forward(
        self, inputs: Mapping[str, Tensor], taps: Collection[str] = ()
    ) -> dict[str, Tensor]:
        """Return the outputs by name, and the tensors named in `taps`.

        Inputs and outputs are (samples, *shape). Taps see values after `values` changed them.
        """
        samples = next(iter(inputs.values())).shape[0]
        known = {v.name: self._changed(v.name, inputs[v.name]) for v in self.graph.inputs}
        for op in self._ops:
            y = self._run(op, known)
            if y.shape[:1] != (samples,) or y.ndim != len(op.output.shape) + 1:
                y = y.expand(samples, *op.output.shape)
            known[op.name] = self._changed(op.name, y)
        for v in self.graph.outputs:
            if v.name not in known:
                known[v.name] = self.held(v).expand(samples, *v.shape)
        return {n: known[n] for n in (*(v.name for v in self.graph.outputs), *taps)}

    def _changed(self, name: str, x: Tensor) -> Tensor:
        change = self.values.get(name)
        return change(x) if change else x

    def _run(self, op: Op, known: Mapping[str, Tensor]) -> Tensor:
        if isinstance(op, BatchNorm):
            return self._batch_norm(op, known[op.inputs[0].name])
        args = [self._operand(op, v, known) for v in op.inputs]
        if isinstance(op, Linear | Conv) and op.name in self.weights:
            args[1] = self.weights[op.name](args[1])
        if isinstance(op, Concat):
            samples = max(
                a.shape[0] for v, a in zip(op.inputs, args, strict=True) if v.name in known
            )
            args = [
                a if v.name in known else a.expand(samples, *v.shape)
                for v, a in zip(op.inputs, args, strict=True)
            ]
        return run(op, *args)

    def _operand(self, op: Op, value: Value, known: Mapping[str, Tensor]) -> Tensor:
        if value.name not in known:
            return self.held(value)
        x = known[value.name]
        if not isinstance(op, _BROADCAST):
            return x
        missing = len(op.output.shape) - x.ndim + 1
        return x.reshape(x.shape[0], *(1,) * missing, *x.shape[1:])

    def _batch_norm(self, op: BatchNorm, x: Tensor) -> Tensor:
        gamma, beta, mean, var = (self.held(v) for v in op.inputs[1:])
        moved = x.movedim(op.axis + 1, -1)
        flat = moved.reshape(-1, moved.shape[-1])
        training = self.training and flat.shape[0] > 1
        y = functional.batch_norm(
            flat, mean, var, gamma, beta,
            training=training, momentum=self.momentum, eps=op.epsilon,
        )  # fmt: skip
        return y.reshape(moved.shape).movedim(-1, op.axis + 1)

    def to_graph(self) -> Graph:
        """Return the graph with what training made of its numbers."""
        constants = dict(self.graph.constants)
        for name in self._learned:
            constants[name] = self.held(name).detach().to(torch.float64).numpy().copy()
        return replace(self.graph, constants=constants)


def _without_constant_ops(graph: Graph) -> tuple[dict[str, Array], list[Op]]:
    """Return the constants, with the results of ops that read nothing else, and the ops that stay."""
    constants: dict[str, Array] = dict(graph.constants)
    ops: list[Op] = []
    for op in graph.ops:
        if op.inputs and all(v.name in constants for v in op.inputs):
            arrays = [constants[v.name] for v in op.inputs]
            y = evaluate_constant(op, arrays, np.float64)
            constants[op.name] = y
        else:
            ops.append(op)
    for op in ops:
        if isinstance(op, BatchNorm) and not all(v.name in constants for v in op.inputs[1:]):
            raise UnsupportedError(f"{op.loc}: fine-tuning needs batch norms of constants")
    if any(not isinstance(v.elem, Real) for v in graph.inputs):
        raise CompileError("fine-tuning starts from real inputs; leave --input away")
    return constants, ops
