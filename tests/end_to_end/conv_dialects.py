"""Small convolutional models as different exporters write them."""

from typing import Any

import numpy as np

from bitwright.ir.graph import Array
from tests.onnx_models import MICROSOFT, QONNX, f32, i64, model, node

SIDE, CLASSES = 8, 5


class Draw:
    """Random weights, the same each time."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)

    def real(self, *shape: int) -> Array:
        """Return weights of He's size for an output-first shape."""
        fan_in = int(np.prod(shape[1:])) or 1
        return self.rng.normal(0, np.sqrt(2 / fan_in), shape).astype(np.float32)

    def signs(self, *shape: int) -> Array:
        return self.rng.choice([-1, 1], shape).astype(np.float32)

    def codes(self, *shape: int) -> Array:
        return self.rng.integers(-127, 127, shape, endpoint=True).astype(np.int8)

    def norm(self, name: str, channels: int, spread: float = 1.0) -> dict[str, Array]:
        """Return the four parameters of a batch norm; some gains are negative."""
        values = {
            "gain": self.rng.uniform(0.5, 1.5, channels) * self.rng.choice([-1, 1, 1], channels),
            "offset": self.rng.normal(0, 0.3, channels),
            "mean": self.rng.normal(0, spread / 4, channels),
            "var": self.rng.uniform(0.5, 2, channels) * spread**2,
        }
        return {f"{name}.{k}": v.astype(np.float32) for k, v in values.items()}


def norm_node(name: str, reads: str, sets: str) -> Any:
    parameters = " ".join(f"{name}.{k}" for k in ("gain", "offset", "mean", "var"))
    return node("BatchNormalization", f"{reads} {parameters}", sets, epsilon=1e-5)


# ---------------------------------------------------------------- float


def channels_last() -> Any:
    """Keras by tf2onnx: images NHWC, SAME padding, Tanh, average pools, Softmax."""
    d = Draw(1)
    constants = {"w1": d.real(6, 1, 5, 5), "b1": d.real(6), "w2": d.real(8, 6, 3, 3), "b2": d.real(8),
                 "shape": i64(1, 32), "w3": d.real(32, CLASSES), "b3": d.real(CLASSES)}  # fmt: skip
    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t w1 b1", "c1", auto_pad="SAME_UPPER"),
        node("Tanh", "c1", "t1"),
        node("AveragePool", "t1", "p1", kernel_shape=[2, 2], strides=[2, 2]),
        node("Conv", "p1 w2 b2", "c2", auto_pad="VALID"),
        node("Tanh", "c2", "t2"),
        node("Transpose", "t2", "back", perm=[0, 2, 3, 1]),
        node("Reshape", "back shape", "flat"),
        node("MatMul", "flat w3", "m"),
        node("Add", "m b3", "scores"),
        node("Softmax", "scores", "y", axis=1),
    ]
    return model(nodes, constants, {"x": (1, SIDE, SIDE, 1)})


def residual() -> Any:
    """PyTorch: a shortcut by a 1x1 of stride 2, a pool that rounds up, global average pool."""
    d = Draw(2)
    constants = {"w1": d.real(8, 3, 3, 3), "w2": d.real(8, 8, 3, 3), "ws": d.real(8, 3, 1, 1),
                 "w3": d.real(CLASSES, 8), "b3": d.real(CLASSES),
                 **d.norm("n1", 8), **d.norm("n2", 8)}  # fmt: skip
    nodes = [
        node("Conv", "x w1", "c1", pads=[1] * 4, strides=[2, 2]),
        norm_node("n1", "c1", "b1"),
        node("Relu", "b1", "r1"),
        node("Conv", "r1 w2", "c2", pads=[1] * 4),
        norm_node("n2", "c2", "b2"),
        node("Conv", "x ws", "short", strides=[2, 2]),
        node("Add", "b2 short", "sum"),
        node("Relu", "sum", "r2"),
        node("MaxPool", "r2", "p", kernel_shape=[2, 2], strides=[2, 2], ceil_mode=1),
        node("GlobalAveragePool", "p", "g"),
        node("Flatten", "g", "flat"),
        node("Gemm", "flat w3 b3", "y", transB=1),
    ]
    return model(nodes, constants, {"x": (1, 3, 9, 9)})


def one_dimension() -> Any:
    """A time series: dilated and grouped convolutions along one axis, LeakyReLU, greatest value."""
    d = Draw(3)
    constants = {"w1": d.real(6, 4, 3), "b1": d.real(6), "w2": d.real(8, 3, 3),
                 "w3": d.real(CLASSES, 8)}  # fmt: skip
    nodes = [
        node("Conv", "x w1 b1", "c1", dilations=[2], pads=[4, 0]),
        node("LeakyRelu", "c1", "r1", alpha=0.1),
        node("Conv", "r1 w2", "c2", group=2, strides=[2]),
        node("HardSwish", "c2", "h"),
        node("ReduceMax", "h", "m", axes=[2], keepdims=0),
        node("Gemm", "m w3", "y", transB=1),
    ]
    return model(nodes, constants, {"x": (1, 4, 17)}, opset=14)


def two_inputs_and_outputs() -> Any:
    """An image and a vector come together; scores and a mask leave."""
    d = Draw(4)
    constants = {"w1": d.real(4, 1, 3, 3), "wt": d.real(4, 1, 2, 2), "w2": d.real(CLASSES, 67),
                 "b2": d.real(CLASSES), "zero": f32(0).reshape(()),
                 "six": f32(6).reshape(())}  # fmt: skip
    nodes = [
        node("Conv", "x w1", "c1", pads=[1] * 4, strides=[2, 2]),
        node("Clip", "c1 zero six", "r1"),
        node("Flatten", "r1", "flat"),
        node("Concat", "flat v", "all", axis=1),
        node("Gemm", "all w2 b2", "y", transB=1),
        node("ConvTranspose", "r1 wt", "up", strides=[2, 2]),
        node("Sigmoid", "up", "mask"),
    ]
    inputs = {"x": (1, 1, SIDE, SIDE), "v": (1, 3)}
    return model(nodes, constants, inputs, outputs=["y", "mask"])


# ---------------------------------------------------------------- integer


def _quantizer(constants: dict[str, Any], name: str, scale: float, zero: Any) -> str:
    constants |= {f"{name}.s": np.float32(scale), f"{name}.z": zero}
    return f"{name}.s {name}.z"


def qdq() -> Any:
    """tf2onnx of a TFLite model: QDQ, weights per channel, int32 bias, zero points; separable."""
    d, constants, nodes = Draw(5), dict[str, Any](), []

    def quantized(reads: str, sets: str, scale: float, zero: int) -> None:
        p = _quantizer(constants, sets, scale, np.int8(zero))
        nodes.append(node("QuantizeLinear", f"{reads} {p}", f"{sets}.q"))
        nodes.append(node("DequantizeLinear", f"{sets}.q {p}", sets))

    def layer(reads: str, sets: str, shape: tuple[int, ...], scale: float, **how: Any) -> None:
        scales = (
            d.rng.uniform(0.5, 1, shape[0]).astype(np.float32) / 127 / np.sqrt(np.prod(shape[1:]))
        )
        zeros = np.zeros(shape[0], np.int8)
        bias = d.rng.integers(-2000, 2000, shape[0]).astype(np.int32)
        constants.update({
            f"{sets}.w": d.codes(*shape), f"{sets}.ws": scales.astype(np.float32),
            f"{sets}.wz": zeros, f"{sets}.b": bias,
            f"{sets}.bs": (scales * np.float32(scale)).astype(np.float32),
            f"{sets}.bz": np.zeros(shape[0], np.int32),
        })  # fmt: skip
        for of in "wb":
            given = f"{sets}.{of} {sets}.{of}s {sets}.{of}z"
            nodes.append(node("DequantizeLinear", given, f"{sets}.{of}r", axis=0))
        nodes.append(node("Conv", f"{reads} {sets}.wr {sets}.br", sets, **how))

    quantized("x", "xq", 0.0157, -3)
    layer("xq", "c1", (8, 3, 3, 3), 0.0157, pads=[0, 0, 1, 1], strides=[2, 2])
    nodes.append(node("Relu", "c1", "r1"))
    quantized("r1", "a1", 0.00993, -128)
    layer("a1", "c2", (8, 1, 3, 3), 0.00993, pads=[1] * 4, group=8)
    nodes.append(node("Relu", "c2", "r2"))
    quantized("r2", "a2", 0.00993, -128)
    layer("a2", "c3", (CLASSES, 8, 1, 1), 0.00993)
    quantized("c3", "a3", 0.02017, 11)
    nodes += [node("GlobalAveragePool", "a3", "g")]
    quantized("g", "gq", 0.01653, 5)
    nodes += [node("Flatten", "gq", "y")]
    return model(nodes, constants, {"x": (1, 3, SIDE, SIDE)})


def qlinear() -> Any:
    """onnxruntime's QOperator form, with the operators of com.microsoft; uint8."""
    d, constants, nodes = Draw(6), dict[str, Any](), []
    p = {name: _quantizer(constants, name, scale, np.uint8(zero)) for name, scale, zero in
         (("x", 0.0167, 120), ("a", 0.0251, 0), ("b", 0.0247, 128), ("sum", 0.0333, 64),
          ("g", 0.0163, 100))}  # fmt: skip
    for name, shape in (("w1", (6, 2, 3, 3)), ("w2", (6, 3, 3, 3))):
        constants |= {
            name: d.codes(*shape),
            f"{name}.s": np.float32(0.003),
            f"{name}.z": np.int8(0),
        }
    constants["b1"] = d.rng.integers(-900, 900, 6).astype(np.int32)
    given = "w1 w1.s w1.z"
    nodes += [
        node("QuantizeLinear", f"x {p['x']}", "xq"),
        node("QLinearConv", f"xq {p['x']} {given} {p['a']} b1", "a", pads=[1] * 4),
        node("QLinearConv", f"a {p['a']} w2 w2.s w2.z {p['b']}", "b", pads=[1] * 4, group=2),
        node("QLinearAdd", f"a {p['a']} b {p['b']} {p['sum']}", "sum", MICROSOFT),
        node("MaxPool", "sum", "m", kernel_shape=[3, 3], strides=[2, 2]),
        node("QLinearGlobalAveragePool", f"m {p['sum']} {p['g']}", "g", MICROSOFT),
        node("DequantizeLinear", f"g {p['g']}", "r"),
        node("Flatten", "r", "y"),
    ]
    return model(nodes, constants, {"x": (1, 2, SIDE, SIDE)})


def qonnx() -> Any:
    """Brevitas: 2-bit weights and activations, then a binary layer, zeros as padding of both."""
    d = Draw(7)
    constants = {"w1": d.real(6, 2, 3, 3), "w2": d.real(8, 6, 3, 3), "w3": d.real(CLASSES, 8, 1, 1),
                 **d.norm("n1", 6), **d.norm("n2", 8, 7.0), "zero": np.float32(0),
                 "one": np.float32(1), "half": np.float32(0.5), "two": np.float32(2),
                 "eight": np.float32(8), "fine": np.float32(1 / 64)}  # fmt: skip
    signed = {"signed": 1, "narrow": 1, "rounding_mode": "ROUND"}
    nodes = [
        node("Quant", "x fine zero eight", "xq", QONNX, **{**signed, "narrow": 0}),
        node("Quant", "w1 half zero two", "w1q", QONNX, **signed),
        node("Conv", "xq w1q", "c1", pads=[1] * 4),
        norm_node("n1", "c1", "b1"),
        node("BipolarQuant", "b1 one", "a1", QONNX),
        node("BipolarQuant", "w2 half", "w2q", QONNX),
        node("Conv", "a1 w2q", "c2", pads=[1, 1, 0, 0], strides=[2, 2]),
        norm_node("n2", "c2", "b2"),
        node("Relu", "b2", "r2"),
        node("Quant", "r2 half zero two", "a2", QONNX, **{**signed, "signed": 0, "narrow": 0}),
        node("BipolarQuant", "w3 one", "w3q", QONNX),
        node("Conv", "a2 w3q", "c3"),
        node("GlobalAveragePool", "c3", "g"),
        node("Flatten", "g", "y"),
    ]
    return model(nodes, constants, {"x": (1, 2, SIDE, SIDE)})


def larq() -> Any:
    """Larq: pixels of 0 to 255, weights of -1 and +1, Sign(Sign(x) + 0.1), an NHWC input."""
    d = Draw(8)
    constants = {"w1": d.signs(6, 3, 3, 3), "w2": d.signs(8, 6, 2, 2), "tenth": np.float32(0.1),
                 "shape": i64(1, 200), "w3": d.signs(200, CLASSES),
                 **d.norm("n1", 6, 300.0)}  # fmt: skip

    def sign(reads: str, sets: str) -> list[Any]:
        return [node("Sign", reads, f"{sets}.s"), node("Add", f"{sets}.s tenth", f"{sets}.a"),
                node("Sign", f"{sets}.a", sets)]  # fmt: skip

    nodes = [
        node("Transpose", "x", "t", perm=[0, 3, 1, 2]),
        node("Conv", "t w1", "c1"),
        norm_node("n1", "c1", "b1"),
        *sign("b1", "a1"),
        node("Conv", "a1 w2", "c2"),
        *sign("c2", "a2"),
        node("Transpose", "a2", "back", perm=[0, 2, 3, 1]),
        node("Reshape", "back shape", "flat"),
        node("MatMul", "flat w3", "m"),
        node("Softmax", "m", "y", axis=1),
    ]
    return model(nodes, constants, {"x": (1, SIDE, SIDE, 3)})


def xnor() -> Any:
    """XNOR-Net: plus and minus alpha of each filter in a float tensor, zero padding, int8 ends."""
    d = Draw(9)
    alpha = d.rng.uniform(0.1, 1, (8, 1, 1, 1)).astype(np.float32)
    constants = {"w1": d.codes(8, 3, 3, 3), "w1.s": np.float32(0.01), "w1.z": np.int8(0),
                 "w2": d.signs(8, 8, 3, 3) * alpha, "w3": d.codes(8, CLASSES),
                 "w3.s": np.float32(0.02), "w3.z": np.int8(0), "zero": np.float32(0),
                 "one": np.float32(1), "minus": np.float32(-1), **d.norm("n1", 8),
                 **d.norm("n2", 8, 5.0)}  # fmt: skip
    x, a = (_quantizer(constants, n, s, z) for n, s, z in
            (("x", 1 / 64, np.int8(0)), ("a", 1 / 50, np.uint8(0))))  # fmt: skip
    nodes = [
        node("QuantizeLinear", f"x {x}", "xq"),
        node("DequantizeLinear", f"xq {x}", "xr"),
        node("DequantizeLinear", "w1 w1.s w1.z", "w1r"),
        node("Conv", "xr w1r", "c1", pads=[1] * 4, strides=[2, 2]),
        norm_node("n1", "c1", "b1"),
        node("GreaterOrEqual", "b1 zero", "up"),
        node("Where", "up one minus", "a1"),
        node("Conv", "a1 w2", "c2", pads=[1] * 4),
        norm_node("n2", "c2", "b2"),
        node("Relu", "b2", "r2"),
        node("QuantizeLinear", f"r2 {a}", "aq"),
        node("DequantizeLinear", f"aq {a}", "ar"),
        node("MaxPool", "ar", "p", kernel_shape=[4, 4], strides=[4, 4]),
        node("Flatten", "p", "flat"),
        node("DequantizeLinear", "w3 w3.s w3.z", "w3r"),
        node("MatMul", "flat w3r", "m"),
        node("Add", "m b3", "y"),
    ]
    constants["b3"] = f32(*d.rng.normal(0, 0.1, CLASSES))
    return model(nodes, constants, {"x": (1, 3, SIDE, SIDE)})


FLOAT = {
    "channels last": channels_last,
    "residual": residual,
    "one dimension": one_dimension,
    "two inputs and outputs": two_inputs_and_outputs,
}
INTEGER = {"qdq": qdq, "qlinear": qlinear, "qonnx": qonnx, "larq": larq, "xnor": xnor}
PIXELS = {"larq": ("uint8",)}
