"""Read an ONNX file that may be hostile: sizes are checked before anything is allocated."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]

from bitwright.errors import CompileError, UnsupportedError
from bitwright.frontend.messages import plain, show

MAX_FILE = (1 << 31) - 1  # what one protobuf message can hold
MAX_NODES = 100_000
MIN_OPSET = 7  # from here on operands broadcast as in numpy
DEFAULT_OPSET = 13  # for files that forgot to say


def read_model(path: Path) -> Any:
    """Return the ModelProto in `path`.

    Raises:
        CompileError: the file is missing, no ONNX model, truncated, or too large.
        UnsupportedError: its operator set is older than 7.

    """
    model = _parse(path, _read(path))
    nodes = len(model.graph.node)
    if nodes > MAX_NODES:
        raise CompileError(f"{plain(path.name)} has {nodes} nodes, more than {MAX_NODES}")
    if nodes == 0 or not model.graph.output:
        raise CompileError(
            f"{plain(path.name)} is not an ONNX model or is truncated: no nodes in it"
        )
    for text in _texts(model):
        if not isinstance(text, str):
            raise CompileError(f"{plain(path.name)} holds a name that is not UTF-8: {show(text)}")
    if opset_of(model) < MIN_OPSET:
        raise UnsupportedError(
            f"{plain(path.name)} uses operator set {opset_of(model)}, older than {MIN_OPSET}; "
            "convert it with onnx.version_converter"
        )
    return model


def _texts(model: Any) -> Iterator[str | bytes]:
    """Yield every name that the import reads; one that is no UTF-8 comes as bytes."""
    for node in model.graph.node:
        yield from (node.name, node.op_type, node.domain, *node.input, *node.output)
        yield from (a.name for a in node.attribute)
    graph = model.graph
    yield from (v.name for v in (*graph.initializer, *graph.input, *graph.output))
    yield from (o.domain for o in model.opset_import)
    yield from (text for f in model.functions for text in (f.domain, f.name))


def opset_of(model: Any) -> int:
    """Return the version of the default operator set."""
    versions = [o.version for o in model.opset_import if o.domain in {"", "ai.onnx"}]
    return max(versions) if versions else DEFAULT_OPSET


def _read(path: Path) -> bytes:
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise CompileError(f"{show(str(path))} is not a file")
        if size > MAX_FILE:
            raise CompileError(f"{plain(path.name)} has {size} bytes, more than 2 GiB")
        return path.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise CompileError(f"cannot read {show(str(path))}: {reason}") from error


def _parse(path: Path, data: bytes) -> Any:
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
    except (DecodeError, RecursionError, ValueError) as error:
        raise CompileError(f"{plain(path.name)} is not an ONNX model or is truncated") from error
    return model
