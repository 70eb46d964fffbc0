"""QONNX's spatial nodes in standard operators: channels-last ones stand between transposes."""

from typing import TYPE_CHECKING, Any

from bitwright.errors import UnsupportedError

if TYPE_CHECKING:
    from bitwright.sim.standard_onnx import Writer

CHANNELS_LAST = "qonnx.custom_op.channels_last"
Attributes = dict[str, Any]
_RANK = 4  # of the operators whose names say 2d or NHWC


def _first(w: "Writer", x: str, rank: int) -> str:
    """Return (N, *S, C) as (N, C, *S); weights (O, *K, C) likewise."""
    return w.op("Transpose", x, perm=[0, rank - 1, *range(1, rank - 1)])


def _last(w: "Writer", y: str, rank: int) -> str:
    return w.op("Transpose", y, perm=[0, *range(2, rank), 1])


def _rank(at: list[str], attributes: Attributes, ranks: dict[str, int]) -> int:
    if "kernel_shape" in attributes:
        return len(attributes["kernel_shape"]) + 2
    if at[0] not in ranks:
        raise UnsupportedError(f"the shape of {at[0]!r} is not known")
    return ranks[at[0]]


def conv(w: "Writer", at: list[str], attributes: Attributes, ranks: dict[str, int]) -> str:
    """Write Conv of (N, *S, C) by (O, *K, C / groups)."""
    rank = _rank(at, attributes, ranks)
    operands = (_first(w, at[0], rank), _first(w, at[1], rank), *at[2:])
    return _last(w, w.op("Conv", *operands, **attributes), rank)


def max_pool(w: "Writer", at: list[str], attributes: Attributes, ranks: dict[str, int]) -> str:
    """Write MaxPool of (N, *S, C)."""
    rank = _rank(at, attributes, ranks)
    return _last(w, w.op("MaxPool", _first(w, at[0], rank), **attributes), rank)


def batch_norm(w: "Writer", at: list[str], attributes: Attributes, ranks: dict[str, int]) -> str:
    """Write BatchNormalization of (N, *S, C)."""
    rank = _rank(at, attributes, ranks)
    y = w.op("BatchNormalization", _first(w, at[0], rank), *at[1:], **attributes)
    return _last(w, y, rank)


def average_pool(w: "Writer", at: list[str], attributes: Attributes, _r: dict[str, int]) -> str:
    """Write QuantAvgPool2d: the sum of integers under the window, its low bits dropped."""
    k, stride = int(attributes.get("kernel", 1)), int(attributes.get("stride", 1))
    last = attributes.get("data_layout", b"NCHW") == b"NHWC"
    x = _first(w, at[0], _RANK) if last else at[0]
    taps = k * k
    mean = w.op("AveragePool", x, kernel_shape=[k, k], strides=[stride, stride])
    total = w.op("Add", w.op("Mul", mean, w.const(taps)), w.const(0.5))
    most = (2 ** int(attributes.get("ibits", 1)) - 1) * taps
    shift = max(most.bit_length() - int(attributes.get("obits", 1)), 0)
    y = w.op("Floor", w.op("Div", total, w.const(2.0**shift)))
    return _last(w, y, _RANK) if last else y


EXPAND = {"QuantAvgPool2d": average_pool, "MaxPoolNHWC": max_pool}
EXPAND_LAST = {"Conv": conv, "MaxPool": max_pool, "BatchNormalization": batch_norm}
