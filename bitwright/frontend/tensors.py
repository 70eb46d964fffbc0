"""Decode the tensors of an ONNX file to numpy, with every size checked first."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto

from bitwright.errors import CompileError, UnsupportedError
from bitwright.frontend.messages import show
from bitwright.ir.graph import Array
from bitwright.ir.types import Int

MAX_ELEMENTS = 1 << 31
MAX_BYTES = 256 << 20
MAX_RANK = 32

_PLAIN: dict[int, tuple[str, str]] = {
    TensorProto.FLOAT: ("<f4", "float_data"),
    TensorProto.DOUBLE: ("<f8", "double_data"),
    TensorProto.FLOAT16: ("<f2", "int32_data"),
    TensorProto.INT8: ("<i1", "int32_data"),
    TensorProto.UINT8: ("<u1", "int32_data"),
    TensorProto.INT16: ("<i2", "int32_data"),
    TensorProto.UINT16: ("<u2", "int32_data"),
    TensorProto.INT32: ("<i4", "int32_data"),
    TensorProto.UINT32: ("<u4", "uint64_data"),
    TensorProto.INT64: ("<i8", "int64_data"),
    TensorProto.UINT64: ("<u8", "uint64_data"),
    TensorProto.BOOL: ("?", "int32_data"),
}
_NIBBLES = {TensorProto.INT4: True, TensorProto.UINT4: False}
REAL_TYPES = frozenset({TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16})
INTEGER_TYPES: dict[int, Int] = {
    TensorProto.INT4: Int(-8, 7),
    TensorProto.UINT4: Int(0, 15),
    TensorProto.INT8: Int(-(1 << 7), (1 << 7) - 1),
    TensorProto.UINT8: Int(0, (1 << 8) - 1),
    TensorProto.INT16: Int(-(1 << 15), (1 << 15) - 1),
    TensorProto.UINT16: Int(0, (1 << 16) - 1),
    TensorProto.INT32: Int(-(1 << 31), (1 << 31) - 1),
    TensorProto.UINT32: Int(0, (1 << 32) - 1),
    TensorProto.INT64: Int(-(1 << 63), (1 << 63) - 1),
}

BOOLEAN = int(TensorProto.BOOL)


@dataclass(frozen=True, slots=True)
class Constant:
    """A constant of the model: its numbers, and the ONNX type they were stored as.

    Reals are float32 whatever they were; integers keep a numpy type that holds them.
    """

    array: Array
    data_type: int

    @property
    def real(self) -> bool:
        """Whether the model stores it as a float type."""
        return self.data_type in REAL_TYPES


def type_name(data_type: int) -> str:
    """Return ONNX's name of an element type."""
    try:
        return str(TensorProto.DataType.Name(data_type)).lower()
    except ValueError:
        return f"type {data_type}"


def element_type(data_type: int) -> Int | None:
    """Return all values of an integer type or of bool; None for any other type."""
    return Int(0, 1) if data_type == BOOLEAN else INTEGER_TYPES.get(data_type)


def check_size(what: str, shape: tuple[int, ...], item_bytes: int = 1) -> None:
    """Raise CompileError when a tensor of this shape is negative or too large to hold."""
    size = prod(shape)
    if len(shape) > MAX_RANK:
        raise CompileError(f"{what} has {len(shape)} axes, more than {MAX_RANK}")
    if any(d < 0 for d in shape):
        raise CompileError(f"{what} has the shape {shape}")
    if size > MAX_ELEMENTS or size * item_bytes > MAX_BYTES:
        raise CompileError(f"{what} of shape {_short(shape)} is larger than 256 MiB")


def decode(tensor: Any, folder: Path) -> Constant:
    """Return the numbers of a TensorProto; external data must lie in `folder`.

    Raises:
        CompileError: the data do not fit the shape, or lie outside the folder.
        UnsupportedError: the element type is none that bitwright computes with.

    """
    what = f"tensor {show(tensor.name)}"
    kind = tensor.data_type
    if kind not in _PLAIN and kind not in _NIBBLES:
        raise UnsupportedError(
            f"{what} is of type {type_name(kind)}; float16, float32, float64, integers are accepted"
        )
    dims = tuple(tensor.dims)
    check_size(what, dims)
    reader = _nibbles if kind in _NIBBLES else _numbers
    flat = reader(tensor, prod(dims), lambda: _bytes(tensor, folder, what))
    if flat.size != prod(dims):
        raise CompileError(f"{what} has {flat.size} numbers for the shape {_short(dims)}")
    array = flat.reshape(dims)
    if kind in REAL_TYPES:
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
    return Constant(array, kind)


def _numbers(tensor: Any, size: int, raw: Callable[[], bytes | None]) -> Array:
    code, field = _PLAIN[tensor.data_type]
    dtype = np.dtype(code)
    data = raw()
    if data is not None:
        if len(data) != size * dtype.itemsize:
            raise CompileError(
                f"tensor {show(tensor.name)} has {len(data)} bytes, its shape needs "
                f"{size * dtype.itemsize}"
            )
        return np.frombuffer(data, dtype).copy()
    values = getattr(tensor, field)
    if tensor.data_type == TensorProto.FLOAT16:
        return np.array(values, np.int64).astype(np.uint16).view(np.float16)
    return np.array(values, np.uint64 if "u8" in code else None).astype(dtype)


def _nibbles(tensor: Any, size: int, raw: Callable[[], bytes | None]) -> Array:
    data = raw()
    packed = (
        np.frombuffer(data, np.uint8)
        if data is not None
        else np.array(tensor.int32_data, np.int64).astype(np.uint8)
    )
    both = np.stack([packed & 15, packed >> 4], axis=-1).reshape(-1)[:size].astype(np.int8)
    if _NIBBLES[tensor.data_type]:
        both = np.where(both > 7, both - 16, both).astype(np.int8)  # noqa: PLR2004 - int4's sign
    return both


def _bytes(tensor: Any, folder: Path, what: str) -> bytes | None:
    """Return the raw bytes of a tensor, or None when its numbers lie in a typed field."""
    if tensor.data_location == TensorProto.EXTERNAL:
        return _external({str(e.key): str(e.value) for e in tensor.external_data}, folder, what)
    return bytes(tensor.raw_data) if tensor.HasField("raw_data") else None


def _external(entry: dict[str, str], folder: Path, what: str) -> bytes:
    path = _inside(entry.get("location", ""), folder, what)
    try:
        offset = int(entry.get("offset", "0"))
        size = path.stat().st_size
        length = int(entry.get("length", str(size - offset)))
    except (OSError, ValueError) as error:
        raise CompileError(f"{what}: its external data cannot be read") from error
    if offset < 0 or length < 0 or offset + length > size:
        raise CompileError(
            f"{what}: external data at {offset} of {length} bytes exceed the file of {size} bytes"
        )
    if length > MAX_BYTES:
        raise CompileError(f"{what}: external data of {length} bytes are larger than 256 MiB")
    with path.open("rb") as file:
        file.seek(offset)
        return file.read(length)


def _inside(location: str, folder: Path, what: str) -> Path:
    """Return the path of external data, which must be a plain file below the model's folder."""
    parts = Path(location).parts
    bad = not parts or Path(location).is_absolute() or ".." in parts or "\0" in location
    if not bad:
        root = folder.resolve()
        path = (root / location).resolve()
        if path.is_relative_to(root) and path.is_file():
            return path
    raise CompileError(f"{what}: external data {show(location)} is no file in the model's folder")


def _short(shape: tuple[int, ...]) -> str:
    text = str(shape)
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 - a line's worth
