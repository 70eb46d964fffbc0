"""Write a random network as an ONNX model, in the words of one dialect."""

from typing import Any

import numpy as np

from bitwright.ir.graph import Array
from tests.end_to_end.fuzz_specs import Net, Stage
from tests.graphs import draw_weights, on_grid
from tests.onnx_models import QONNX, model, node

OPSET = 13
_QONNX_TYPES = {"u2": (2, 0), "s4": (4, 1), "s8": (8, 1), "u8": (8, 0)}
_WEIGHT_BITS = {"ternary": 2.0, "pow2": 4.0, "int4": 4.0, "int8": 8.0}
_ZEROS = {"s8": 0, "u8": 0, "u8 zero": 117, "s8 zero": -5}


class Writer:
    """Nodes and constants so far, and the tensor that the next node reads: (1, channels, *size)."""

    def __init__(self, net: Net) -> None:
        self.net = net
        self.rng = np.random.default_rng(net.seed)
        self.nodes: list[Any] = []
        self.constants: dict[str, Any] = {}
        self.x = "x"
        self.channels = net.channels
        self.size = net.size[: net.rank]
        self.scale = 0.0  # of the codes behind x; 0 where x is no multiple of one number
        self.count = 0

    @property
    def rank(self) -> int:
        """Number of spatial axes."""
        return len(self.size)

    def constant(self, array: Any) -> str:
        """Add an initializer and return its name."""
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(array)
        return name

    def add(self, op: str, *reads: str, domain: str = "", outs: int = 1, **attributes: Any) -> str:
        """Append a node and return its first result."""
        self.count += 1
        names = [f"t{self.count}" + ("" if i == 0 else f"_{i}") for i in range(outs)]
        made = node(op, " ".join(reads), " ".join(names), domain, **attributes)
        made.name = f"{op.lower()}_{self.count}"
        self.nodes.append(made)
        return names[0]

    def step(self) -> Array:
        """Return a scale of few bits, so that float64 sums are exact."""
        return np.asarray(self.rng.integers(4, 200) / 256, np.float32)


def write(net: Net) -> Any:
    """Return the ONNX model of `net`: input `x`, output `y`."""
    w = Writer(net)
    if not net.device_input and net.dialect != "float":
        quantizer = "s8" if net.dialect in ("qdq", "qonnx") else "sign"
        w.x = quantized(w, w.x, quantizer)
    for stage in net.stages:
        _STAGES[stage.kind](w, stage)
    if net.dense:
        w.x = dense(w)
    w.nodes.append(node("Identity", w.x, "y"))
    shape = (1, net.channels, *net.size[: net.rank])
    return model(w.nodes, w.constants, {"x": shape}, OPSET)


# -- quantizers and weights ----------------------------------------------------------------------


def quantized(w: Writer, x: str, kind: str, scale: Array | None = None) -> str:
    """Append a quantizer in the dialect's words, and return its result."""
    dialect = w.net.dialect
    if dialect == "float":
        return x
    if dialect == "sign":
        w.scale = 1.0
        if kind == "sign0":
            x = w.add("Add", w.add("Sign", x), w.constant(np.float32(0.5)))
        return w.add("Sign", x)
    scale = w.step() if scale is None else scale
    w.scale = float(scale)
    if dialect == "qdq":
        zero = np.array(_ZEROS[kind], np.uint8 if kind.startswith("u8") else np.int8)
        parameters = w.constant(scale), w.constant(zero)
        return w.add("DequantizeLinear", w.add("QuantizeLinear", x, *parameters), *parameters)
    if kind == "bipolar":
        return w.add("BipolarQuant", x, w.constant(scale), domain=QONNX)
    bits, signed = _QONNX_TYPES[kind]
    more = w.constant(np.float32(0)), w.constant(np.float32(bits))
    return w.add("Quant", x, w.constant(scale), *more, domain=QONNX, signed=signed, narrow=0,
                 rounding_mode="ROUND")  # fmt: skip


def weights(w: Writer, kind: str, shape: tuple[int, ...]) -> tuple[str, Array]:
    """Append constant weights in the dialect's words; return their name and scale per output."""
    each = (shape[0], *(1,) * (len(shape) - 1))
    scale = on_grid(w.rng.uniform(0.01, 0.1, shape[0])).astype(np.float32)
    if w.net.dialect == "float":
        spread = w.rng.normal(size=shape) / np.sqrt(np.prod(shape[1:]))
        return w.constant(spread.astype(np.float32)), scale
    codes = draw_weights(w.rng, kind, shape)
    real = (codes * scale.reshape(each)).astype(np.float32)
    if w.net.dialect == "sign":
        return w.constant(real), scale
    if w.net.dialect == "qdq":
        parameters = w.constant(scale), w.constant(np.zeros(shape[0], np.int8))
        return w.add(
            "DequantizeLinear", w.constant(codes.astype(np.int8)), *parameters, axis=0
        ), scale
    s = w.constant(scale.reshape(each))
    if kind == "bipolar":
        return w.add("BipolarQuant", w.constant(real), s, domain=QONNX), scale
    more = w.constant(np.float32(0)), w.constant(np.float32(_WEIGHT_BITS[kind]))
    name = w.add("Quant", w.constant(real), s, *more, domain=QONNX, signed=1,
                 narrow=int(kind == "ternary"), rounding_mode="ROUND")  # fmt: skip
    return name, scale


def bias(w: Writer, outputs: int, scale: Array) -> str:
    """Append a bias: integers on the accumulator's grid in QDQ, reals elsewhere."""
    if w.net.dialect != "qdq" or not w.scale:
        return w.constant(w.rng.normal(size=outputs).astype(np.float32))
    codes = w.constant(w.rng.integers(-400, 400, outputs).astype(np.int32))
    grid = w.constant((scale * np.float32(w.scale)).astype(np.float32))
    return w.add("DequantizeLinear", codes, grid, w.constant(np.zeros(outputs, np.int32)), axis=0)


# -- layers --------------------------------------------------------------------------------------


def fitted(w: Writer, stage: Stage) -> dict[str, Any]:
    """Return kernel, strides, dilations and pads of a stage as far as the input has room."""
    before, after = list(stage.before[: w.rank]), list(stage.after[: w.rank])
    kernel, dilations = list(stage.kernel[: w.rank]), list(stage.dilations[: w.rank])
    for i, size in enumerate(w.size):
        room = size + before[i] + after[i]
        kernel[i] = min(kernel[i], room)
        dilations[i] = min(dilations[i], max((room - 1) // max(kernel[i] - 1, 1), 1))
    return {
        "kernel_shape": kernel, "strides": list(stage.strides[: w.rank]), "dilations": dilations,
        "pads": before + after,
    }  # fmt: skip


def moved(w: Writer, window: dict[str, Any], *, ceil: bool = False) -> None:
    """Take the size that a window leaves; under `ceil` a last window must begin inside."""
    pads, out = window["pads"], []
    for i, size in enumerate(w.size):
        stride, extent = window["strides"][i], _extent(window, i)
        room = size + pads[i] + pads[i + w.rank] - extent
        n = (-(-room // stride) if ceil else room // stride) + 1
        out.append(n - (ceil and (n - 1) * stride >= size + pads[i]))
    w.size = tuple(out)


def _extent(window: dict[str, Any], axis: int) -> int:
    dilation = window["dilations"][axis] if "dilations" in window else 1
    return int((window["kernel_shape"][axis] - 1) * dilation + 1)


def convolved(w: Writer, stage: Stage, outputs: int, window: dict[str, Any], groups: int) -> str:
    """Append a convolution with what follows it up to the quantizer."""
    x, given = w.x, dict(window)
    if stage.pad_node and any(given["pads"]):
        pads = given["pads"]
        ends = [0, 0, *pads[: w.rank], 0, 0, *pads[w.rank :]]
        x = w.add("Pad", x, w.constant(np.array(ends, np.int64)))
        given["pads"] = [0] * len(pads)
    shape = (outputs, w.channels // groups, *window["kernel_shape"])
    name, scale = weights(w, stage.weights, shape)
    operands = (x, name, bias(w, outputs, scale)) if stage.bias else (x, name)
    return behind(w, stage, w.add("Conv", *operands, group=groups, **given), outputs)


def behind(w: Writer, stage: Stage, x: str, channels: int) -> str:
    """Append batch norm and activation."""
    if stage.norm:
        signs = {"rising": [1], "falling": [-1], "mixed": [1, -1, 0.5], "zero": [0, 1]}[stage.norm]
        gamma = w.rng.uniform(0.3, 2, channels) * np.resize(np.array(signs, np.float64), channels)
        others = [w.rng.normal(size=channels) for _ in range(2)]
        values = [gamma, *others, w.rng.uniform(0.1, 2, channels)]
        names = [w.constant(v.astype(np.float32)) for v in values]
        x = w.add("BatchNormalization", x, *names, epsilon=1e-5)
    if stage.activation == "relu":
        return w.add("Relu", x)
    if stage.activation == "leaky":
        return w.add("LeakyRelu", x, alpha=0.125)
    if stage.activation == "clip":
        return w.add("Clip", x, w.constant(np.float32(0)), w.constant(np.float32(6)))
    return x


def conv(w: Writer, stage: Stage) -> None:
    groups = {"one": 1, "all": w.channels, "two": 2 if w.channels % 2 == 0 else 1}[stage.groups]
    outputs, window = max(stage.outputs // groups, 1) * groups, fitted(w, stage)
    w.x = quantized(w, convolved(w, stage, outputs, window, groups), stage.quantizer)
    moved(w, window)
    w.channels = outputs


def same(w: Writer) -> dict[str, Any]:
    """Return a window of three that keeps the size."""
    ones = [1] * w.rank
    return {"kernel_shape": [3] * w.rank, "strides": ones, "dilations": ones, "pads": ones * 2}


def pooled(w: Writer, stage: Stage) -> None:
    """Append a max or an average pool; padding stays smaller than the kernel."""
    window = fitted(w, stage)
    kernel, pads = window["kernel_shape"], window["pads"]
    window["pads"] = [min(p, kernel[i % w.rank] - 1) for i, p in enumerate(pads)]
    for i, size in enumerate(w.size):
        room = size + window["pads"][i] + window["pads"][i + w.rank]
        window["dilations"][i] = 1
        kernel[i] = min(kernel[i], room)
    average = stage.kind == "average"
    more: dict[str, Any] = {"count_include_pad": int(stage.counted)} if average else {}
    if average:
        del window["dilations"]
    ceil = stage.ceil and not any(window["pads"])
    w.x = w.add("AveragePool" if average else "MaxPool", w.x, ceil_mode=int(ceil), **window, **more)
    moved(w, window, ceil=ceil)
    if average:
        w.x = quantized(w, w.x, stage.quantizer)


def overall(w: Writer, stage: Stage) -> None:
    w.x = quantized(w, w.add("GlobalAveragePool", w.x), stage.quantizer)
    w.size = (1,) * w.rank


def shortcut(w: Writer, stage: Stage) -> None:
    """Append `x + layer(x)`, both on one scale."""
    kind, scale = _plain(stage), w.step()
    x = quantized(w, w.x, kind, scale)
    w.x = x
    y = quantized(w, convolved(w, stage, w.channels, same(w), 1), kind, scale)
    total = w.add("Add", *((x, y) if stage.counted else (y, x)))
    total = w.add("Relu", total) if stage.ceil else total
    w.x = quantized(w, total, kind, scale if stage.bias else None)


def concat(w: Writer, stage: Stage) -> None:
    """Append `[x, layer(x)]`, quantized behind where the scales differ."""
    kind, scale = _plain(stage), w.step()
    x = quantized(w, w.x, kind, scale)
    w.x = x
    y = convolved(w, stage, stage.outputs, same(w), 1)
    y = quantized(w, y, kind, scale)
    w.x = w.add("Concat", *((x, y) if stage.counted else (y, x)), axis=1)
    w.channels += stage.outputs
    if stage.ceil:
        w.x = quantized(w, w.x, kind)


def _plain(stage: Stage) -> str:
    """Return the quantizer of a join: one that a sum can have."""
    return "s4" if stage.quantizer == "bipolar" else stage.quantizer


def shuffle(w: Writer, stage: Stage) -> None:
    del stage
    groups = next((g for g in (3, 2) if w.channels % g == 0 and w.channels > g), 1)
    if groups == 1:
        return
    split = np.array([1, groups, w.channels // groups, *w.size], np.int64)
    y = w.add("Reshape", w.x, w.constant(split))
    y = w.add("Transpose", y, perm=[0, 2, 1, *range(3, 3 + w.rank)])
    w.x = w.add("Reshape", y, w.constant(np.array([1, w.channels, *w.size], np.int64)))


def split(w: Writer, stage: Stage) -> None:
    """Append a cut of the channels in two, the second of which goes on."""
    first = min(stage.outputs, w.channels - 1)
    if first == 0:
        return
    sizes = w.constant(np.array([first, w.channels - first], np.int64))
    w.add("Split", w.x, sizes, axis=1, outs=2)
    w.x = f"t{w.count}_1"
    w.channels -= first


def dense(w: Writer) -> str:
    """Append Flatten and Gemm."""
    inputs = w.channels * int(np.prod(w.size))
    kind = {"sign": "bipolar", "float": "float"}.get(w.net.dialect, "int8")
    name, _ = weights(w, kind, (3, inputs))
    flat = w.add("Flatten", w.x, axis=1)
    return w.add("Gemm", flat, name, transB=1)


_STAGES: dict[str, Any] = {
    "conv": conv, "max": pooled, "average": pooled, "global": overall, "shortcut": shortcut,
    "concat": concat, "shuffle": shuffle, "split": split,
}  # fmt: skip
