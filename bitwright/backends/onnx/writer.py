"""Collect the nodes, tensors and shapes of an ONNX file; `model` makes the file of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from bitwright.ir.graph import Array

OPSET = 14
IR_VERSION = 8
QONNX = "qonnx.custom_op.general"
FLOAT, INT64, BOOL = int(TensorProto.FLOAT), int(TensorProto.INT64), int(TensorProto.BOOL)
INT8, UINT8, INT32 = int(TensorProto.INT8), int(TensorProto.UINT8), int(TensorProto.INT32)
_TYPES = {"f": np.dtype(np.float32), "b": np.dtype(np.bool_)}
Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Tensor:
    """A tensor of the file: its name, shape and ONNX element type."""

    name: str
    shape: Shape
    type: int = FLOAT


class Writer:
    """The nodes and constants written so far, each under a name of its own."""

    def __init__(self, taken: Sequence[str]) -> None:
        """Start empty; a tensor gets a name in `taken` only by asking for it as `out`."""
        self._nodes: list[dict[str, Any]] = []
        self._names: set[str] = set()  # of nodes
        self._taken = set(taken)
        self._tensors: dict[str, Tensor] = {}
        self._constants: dict[str, Array] = {}
        self._shared: dict[tuple[Any, ...], Tensor] = {}

    def unique(self, name: str) -> str:
        """Return a tensor name that nothing has, `name` with a number where it is taken."""
        candidate, n = name, 1
        while candidate in self._taken or candidate in self._tensors:
            candidate, n = f"{name}.{n}", n + 1
        return candidate

    def free(self, name: str) -> str:
        """Return `name`, the name of a value of the graph, unless a tensor has it already."""
        return self.unique(name) if name in self._tensors else name

    def place(self, t: Tensor) -> Tensor:
        """Take note of a tensor that no node sets: an input."""
        self._tensors[t.name] = t
        return t

    def op(
        self,
        kind: str,
        inputs: Sequence[Tensor | None],
        result: Tensor,
        loc: str,
        domain: str = "",
        **attributes: Any,
    ) -> Tensor:
        """Append a node named after `loc` that sets `result`; an input None is left out."""
        self._tensors[result.name] = result
        self._nodes.append({
            "op_type": kind,
            "inputs": ["" if t is None else t.name for t in inputs],
            "outputs": [result.name],
            "name": self._node_name(loc, kind),
            "domain": domain,
            **attributes,
        })  # fmt: skip
        return result

    def more_outputs(self, names: Sequence[str]) -> None:
        """Replace the names that the last node sets; an empty name is an output left out."""
        self._nodes[-1]["outputs"] = list(names)

    def constant(self, name: str, array: Array) -> Tensor:
        """Return an initializer of these numbers; equal ones asked for by one name are one."""
        a = np.ascontiguousarray(array, _TYPES.get(array.dtype.kind, array.dtype))
        a = a.reshape(array.shape)  # ascontiguousarray gives a scalar an axis
        key = (name, a.dtype.str, a.shape, sha256(a.tobytes()).digest())
        if key not in self._shared:
            kind = helper.np_dtype_to_tensor_dtype(a.dtype)
            made = Tensor(self.unique(name), a.shape, kind)
            self._tensors[made.name], self._constants[made.name] = made, a
            self._shared[key] = made
        return self._shared[key]

    def integers(self, name: str, numbers: Sequence[int]) -> Tensor:
        """Return an initializer of int64 numbers along one axis."""
        return self.constant(name, np.array(numbers, np.int64).reshape(-1))

    def is_set(self, name: str) -> bool:
        """Tell whether a node sets this tensor."""
        return any(name in n["outputs"] for n in self._nodes)

    def rename(self, old: str, new: str) -> None:
        """Give a tensor that a node sets another name."""
        for n in self._nodes:
            for side in ("inputs", "outputs"):
                n[side] = [new if t == old else t for t in n[side]]
        tensor = self._tensors.pop(old)
        self._tensors[new] = Tensor(new, tensor.shape, tensor.type)

    def model(self, name: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> bytes:
        """Return the file; the same calls give the same bytes."""
        edges = {t.name for t in (*inputs, *outputs)} | self._constants.keys()
        nodes = [helper.make_node(**n) for n in self._nodes]
        graph = helper.make_graph(
            nodes,
            name,
            [_info(t) for t in inputs],
            [_info(t) for t in outputs],
            [numpy_helper.from_array(a, n) for n, a in self._constants.items()],
            value_info=[_info(t) for n, t in self._tensors.items() if n not in edges],
        )
        opsets = [helper.make_opsetid("", OPSET)]
        if any(n["domain"] == QONNX for n in self._nodes):
            opsets.append(helper.make_opsetid(QONNX, 1))
        model = helper.make_model(
            graph, ir_version=IR_VERSION, opset_imports=opsets, producer_name="bitwright"
        )
        return bytes(model.SerializeToString(deterministic=True))

    def _node_name(self, loc: str, kind: str) -> str:
        base = loc if loc not in self._names else f"{loc}/{kind}"
        candidate, n = base, 1
        while candidate in self._names:
            candidate, n = f"{base}.{n}", n + 1
        self._names.add(candidate)
        return candidate


def _info(t: Tensor) -> Any:
    return helper.make_tensor_value_info(t.name, t.type, t.shape)
