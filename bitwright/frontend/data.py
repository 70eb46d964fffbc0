"""Read the user's samples: npz files of arrays named as the model's inputs, labels as `y`."""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bitwright.errors import CompileError
from bitwright.ir.graph import Array, Graph
from bitwright.ir.ops import Dequantize, Value
from bitwright.ir.types import Bipolar, is_integral

LABELS = "y"
_MAX_BYTES = 4 << 30
# What numpy, zipfile and zlib raise on files that are damaged, encrypted or no npz at all.
_UNREADABLE = (
    OSError, ValueError, EOFError, RuntimeError, MemoryError, OverflowError, zipfile.BadZipFile,
    zlib.error,
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Data:
    """Samples by input name, each (samples, *shape); labels (samples,) where the file has them."""

    inputs: Mapping[str, Array]
    labels: Array | None

    @property
    def count(self) -> int:
        """Number of samples."""
        return int(next(iter(self.inputs.values())).shape[0])

    def first(self, count: int) -> "Data":
        """Return the first `count` samples."""
        labels = None if self.labels is None else self.labels[:count]
        return Data({n: a[:count] for n, a in self.inputs.items()}, labels)


def load_data(
    path: Path, graph: Graph, preprocess: tuple[float, float, float] | None = None
) -> Data:
    """Return the samples in `path` for the inputs of `graph`.

    `preprocess` (mean, std, scale) turns raw values into (x * scale - mean) / std. An integer input
    takes integer arrays as codes, and real ones through its scale and zero point. Raises
    CompileError on a wrong file, name, shape, type or range.
    """
    arrays = _read(path)
    names = [v.name for v in graph.inputs]
    unlabelled = [n for n in arrays if n != LABELS]
    if len(names) == 1 and names[0] not in arrays and len(unlabelled) == 1:
        arrays[names[0]] = arrays.pop(unlabelled[0])
    missing = [n for n in names if n not in arrays]
    if missing:
        raise CompileError(
            f"{path.name}: no array for input {missing[0]!r}; it holds {', '.join(map(repr, arrays))}"
        )
    inputs = {v.name: _fit(path, v, arrays[v.name], graph, preprocess) for v in graph.inputs}
    counts = {a.shape[0] for a in inputs.values()}
    labels = arrays.get(LABELS) if LABELS not in names else None
    if labels is not None:
        labels = labels.reshape(-1)
        counts.add(labels.size)
    if len(counts) != 1 or 0 in counts:
        raise CompileError(
            f"{path.name}: its arrays hold {sorted(counts)} samples, expected one number"
        )
    return Data(inputs, labels)


def _read(path: Path) -> dict[str, Array]:
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise CompileError(f"{path.name}: larger than {_MAX_BYTES} bytes")
        with path.open("rb") as file:  # np.load would leave it open where it fails
            npz = np.load(file, allow_pickle=False)
            if isinstance(npz, np.lib.npyio.NpzFile):
                return {n: npz[n] for n in npz.files}
        raise CompileError(f"{path.name}: a single array; save it with np.savez(name=array)")
    except _UNREADABLE as e:
        raise CompileError(
            f"{path.name}: cannot be read as an npz file of plain arrays: {e}"
        ) from None


def _squeezed(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(d for d in shape if d != 1)


def _fit(
    path: Path, v: Value, a: Array, graph: Graph, preprocess: tuple[float, float, float] | None
) -> Array:
    where = f"{path.name}: array for input {v.name!r}"
    if a.dtype.kind not in "iufb":
        raise CompileError(f"{where} has type {a.dtype}, expected numbers")
    if a.ndim == 0 or _squeezed(a.shape[1:]) != _squeezed(v.shape):
        raise CompileError(
            f"{where} has shape {a.shape}, expected (samples, {_shape_text(v.shape)})"
        )
    a = a.reshape(a.shape[0], *v.shape)
    with np.errstate(over="ignore"):
        if preprocess is not None:
            mean, std, scale = preprocess
            a = ((a * scale - mean) / std).astype(np.float32)
        if not is_integral(v.elem):
            a = a.astype(np.float32)
    if a.dtype.kind == "f" and not np.isfinite(a).all():
        raise CompileError(f"{where} holds NaN or infinity, or values beyond float32")
    return _codes(where, v, a, graph) if is_integral(v.elem) else a


def _shape_text(shape: tuple[int, ...]) -> str:
    kept = shape[1:] if shape[:1] == (1,) else shape
    return ", ".join(map(str, kept))


def _codes(where: str, v: Value, a: Array, graph: Graph) -> Array:
    if a.dtype.kind == "f":
        a = _quantized(v, a, graph)
    elem = v.type.integer
    zero_of_bipolar = isinstance(elem, Bipolar) and (a == 0).any()
    if a.size and (a.min() < elem.lo or a.max() > elem.hi or zero_of_bipolar):
        raise CompileError(
            f"{where} holds values from {a.min()} to {a.max()}, but the device takes {elem}"
        )
    return a.astype(np.int64)


def _quantized(v: Value, a: Array, graph: Graph) -> Array:
    """Return the codes of real samples, by the scale and zero point that follow the input."""
    for op in graph.ops:
        if isinstance(op, Dequantize) and op.inputs[0].name == v.name:
            scale, zero = (np.asarray(graph.constant(p), np.float64) for p in op.inputs[1:])
            return np.asarray(np.rint(a / scale.flat[0] + zero.flat[0]))
    return np.asarray(np.rint(a))
