"""The inputs of a model: what they are, and their batch axis made 1."""

from typing import Any

from bitwright.errors import CompileError, UnsupportedError
from bitwright.frontend.messages import plain, show
from bitwright.frontend.tensors import REAL_TYPES, check_size, element_type, type_name
from bitwright.ir.ops import Value
from bitwright.ir.types import Element, Real, TensorType


def real_inputs(proto: Any) -> list[Any]:
    """Return the graph inputs that no initializer sets."""
    constants = {t.name for t in proto.initializer}
    return [v for v in proto.input if v.name not in constants]


def fixed_batch(inputs: list[Any]) -> int:
    """Return the batch size that the model fixes for all its inputs, else 1.

    Only inputs of two or more axes have one, and all of them must agree.
    """
    shapes = [v.type.tensor_type.shape.dim for v in inputs]
    sizes = {d[0].dim_value for d in shapes if len(d) > 1}
    size = sizes.pop() if len(sizes) == 1 else 1
    return size if size > 1 and all(len(d) > 1 for d in shapes) else 1


def input_value(info: Any, batch: int) -> Value:
    """Return a graph input with every dimension fixed; an unknown or fixed batch becomes 1.

    Raises:
        CompileError: a dimension other than the first is unknown.
        UnsupportedError: the element type is none that bitwright computes with.

    """
    name = show(info.name)
    if not info.type.HasField("tensor_type") or not info.type.tensor_type.HasField("shape"):
        raise CompileError(f"input {name} is not a tensor of known shape")
    tensor = info.type.tensor_type
    shape = tuple(_dimension(d, i, batch, name) for i, d in enumerate(tensor.shape.dim))
    check_size(f"input {name}", shape)
    if 0 in shape:
        raise CompileError(f"input {name} of shape {shape} holds nothing")
    return Value(info.name, TensorType(_element(tensor.elem_type, name), shape))


def _dimension(dim: Any, index: int, batch: int, name: str) -> int:
    if index == 0 and (dim.dim_value < 1 or batch > 1):
        return 1
    if dim.dim_value < 1:
        what = f" ({show(dim.dim_param)})" if dim.dim_param else ""
        raise CompileError(
            f"input {name}: dimension {index}{what} is not fixed; only the batch may be, "
            "export the model with a fixed input size"
        )
    return int(dim.dim_value)


def _element(kind: int, name: str) -> Element:
    if kind in REAL_TYPES:
        return Real()
    elem = element_type(kind)
    if elem is not None:
        return elem
    raise UnsupportedError(
        f"input {name} is of type {plain(type_name(kind))}; floats and integers are accepted"
    )
