"""Write the building blocks of small networks as ONNX models, the same bytes each time.

Run it with `python examples/blocks/blocks.py OUT_DIR`. It needs numpy and onnx.
"""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

SEED = 0
PIXELS, COLOURS, CLASSES = 12, 3, 10
COARSE = 4  # pixels of the images before they are enlarged
STATISTICS, CALIBRATION = 16, 64
OPSET, IR_VERSION = 13, 8
EPSILON = 1e-5

Array = NDArray[np.float32]


def images(count: int, seed: int = SEED) -> Array:
    """Return images [count, 3, 12, 12] of 0 to 1: coarse random patches with some noise on them."""
    rng = np.random.default_rng(seed)
    patches = rng.uniform(0, 1, (count, COLOURS, COARSE, COARSE))
    large = patches.repeat(PIXELS // COARSE, axis=2).repeat(PIXELS // COARSE, axis=3)
    noisy = large + rng.normal(0, 0.1, large.shape)
    return np.asarray(np.clip(noisy, 0, 1), np.float32)


class Writer:
    """A model under construction that follows some images through every node it is given.

    So the weights' He initialisation and the batch norms' means and variances fit the data, as
    training would have left them. Tensors are named by the node that makes them.
    """

    def __init__(self, name: str) -> None:
        """Begin with the input `image`, [1, 3, 12, 12]."""
        self.name = name
        self.rng = np.random.default_rng(SEED)
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.values: dict[str, NDArray[Any]] = {"image": images(STATISTICS, SEED + 1)}

    def constant(self, name: str, value: Any, dtype: type = np.float32) -> str:
        """Store a tensor and return its name."""
        self.values[name] = np.asarray(value, dtype)
        self.constants.append(numpy_helper.from_array(self.values[name], name))
        return name

    def node(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        output = f"{kind.lower()}{len(self.nodes)}"
        node = helper.make_node(kind, inputs, [output], name=output, **attributes)
        feeds = {name: self.values[name] for name in inputs}
        single = helper.make_graph(
            [node],
            "node",
            [_info(name, value.dtype, value.shape) for name, value in feeds.items()],
            [_info(output, np.dtype(np.float32), None)],
        )
        opset = [helper.make_opsetid("", OPSET)]
        model = helper.make_model(single, opset_imports=opset, ir_version=IR_VERSION)
        self.values[output] = ReferenceEvaluator(model).run(None, feeds)[0]
        self.nodes.append(node)
        return output

    def channels(self, x: str) -> int:
        """Return the channels of a tensor."""
        return int(self.values[x].shape[1])

    def conv(self, x: str, outputs: int, kernel: int = 1, stride: int = 1, groups: int = 1) -> str:
        """Append a square convolution without bias, padded so that a stride of 1 keeps the size."""
        place = f"conv{len(self.nodes)}"
        shape = (outputs, self.channels(x) // groups, kernel, kernel)
        spread = np.sqrt(2 / np.prod(shape[1:]))
        w = self.constant(f"{place}.weight", self.rng.normal(0, spread, shape))
        return self.node(
            "Conv", x, w, kernel_shape=[kernel] * 2, strides=[stride] * 2,
            pads=[kernel // 2] * 4, group=groups,
        )  # fmt: skip

    def norm(self, x: str) -> str:
        """Append a batch norm with the statistics of what it reads, and some gain and offset."""
        place = f"norm{len(self.nodes)}"
        seen, n = self.values[x], self.channels(x)
        parameters = {
            "gain": self.rng.uniform(0.5, 1.5, n),
            "offset": self.rng.normal(0, 0.3, n),
            "mean": seen.mean(axis=(0, 2, 3)),
            "variance": seen.var(axis=(0, 2, 3)),
        }
        names = [self.constant(f"{place}.{key}", value) for key, value in parameters.items()]
        return self.node("BatchNormalization", x, *names, epsilon=EPSILON)

    def relu(self, x: str) -> str:
        """Append a ReLU."""
        return self.node("Relu", x)

    def relu6(self, x: str) -> str:
        """Append a clip to 0 and 6, as exporters write ReLU6."""
        place = f"clip{len(self.nodes)}"
        ends = [self.constant(f"{place}.{key}", v) for key, v in (("min", 0), ("max", 6))]
        return self.node("Clip", x, *ends)

    def add(self, a: str, b: str) -> str:
        """Append a sum of two tensors."""
        return self.node("Add", a, b)

    def shuffle(self, x: str, groups: int) -> str:
        """Append a channel shuffle: reshape to (groups, channels / groups), swap, reshape back."""
        place = f"shuffle{len(self.nodes)}"
        _, n, *size = self.values[x].shape
        split = self.constant(f"{place}.split", [0, groups, n // groups, *size], np.int64)
        joined = self.constant(f"{place}.joined", [0, n, *size], np.int64)
        swapped = self.node("Transpose", self.node("Reshape", x, split), perm=[0, 2, 1, 3, 4])
        return self.node("Reshape", swapped, joined)

    def classify(self, x: str) -> onnx.ModelProto:
        """End with a global average pool and a fully connected layer: the model gives `scores`."""
        flat = self.node("Flatten", self.node("GlobalAveragePool", x))
        n = self.channels(flat)
        w = self.constant("classifier.weight", self.rng.normal(0, np.sqrt(2 / n), (CLASSES, n)))
        b = self.constant("classifier.bias", self.rng.normal(0, 0.1, CLASSES))
        self.node("Gemm", flat, w, b, transB=1)
        self.nodes[-1].output[0] = "scores"
        single = np.dtype(np.float32)
        graph = helper.make_graph(
            self.nodes,
            self.name,
            [_info("image", single, (1, COLOURS, PIXELS, PIXELS))],
            [_info("scores", single, (1, CLASSES))],
            self.constants,
        )
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", OPSET)], ir_version=IR_VERSION,
            producer_name="bitwright-example",
        )  # fmt: skip


def _info(name: str, dtype: np.dtype[Any], shape: Sequence[int] | None) -> onnx.ValueInfoProto:
    kind = TensorProto.INT64 if dtype == np.int64 else TensorProto.FLOAT
    return helper.make_tensor_value_info(name, kind, shape)


def stem(w: Writer, channels: int) -> str:
    """Begin a model with a 3x3 convolution from colours to `channels`, batch norm and ReLU."""
    return w.relu(w.norm(w.conv("image", channels, 3)))


def fire() -> onnx.ModelProto:
    """Return a Fire module: squeeze to 4 channels, expand to 8 by 1x1 and 8 by 3x3, concat.

    SqueezeNet (Iandola et al. 2016), section 3.2.
    """
    w = Writer("fire")
    x = stem(w, 8)
    x = w.relu(w.norm(w.conv(x, 4)))
    by_one, by_three = (w.relu(w.norm(w.conv(x, 8, kernel))) for kernel in (1, 3))
    return w.classify(w.node("Concat", by_one, by_three, axis=1))


def _shuffle_branch(w: Writer, x: str, outputs: int, stride: int) -> str:
    """Append 1x1 in groups, shuffle, 3x3 depthwise, 1x1 in groups, each with its batch norm."""
    groups, inner = 2, 8
    y = w.relu(w.norm(w.conv(x, inner, groups=groups)))
    y = w.shuffle(y, groups)
    y = w.norm(w.conv(y, inner, 3, stride, groups=inner))
    return w.norm(w.conv(y, outputs, groups=groups))


def shuffle_unit() -> onnx.ModelProto:
    """Return a ShuffleNet unit with a residual sum (Zhang et al. 2017, figure 2b)."""
    w = Writer("shuffle_unit")
    x = stem(w, 16)
    return w.classify(w.relu(w.add(x, _shuffle_branch(w, x, 16, stride=1))))


def shuffle_unit_stride2() -> onnx.ModelProto:
    """Return a ShuffleNet unit of stride 2: its shortcut is an average pool (figure 2c)."""
    w = Writer("shuffle_unit_stride2")
    x = stem(w, 8)
    pooled = w.node(
        "AveragePool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4, count_include_pad=1
    )
    branch = _shuffle_branch(w, x, 8, stride=2)
    return w.classify(w.relu(w.node("Concat", pooled, branch, axis=1)))


def mobilenet_v1() -> onnx.ModelProto:
    """Return a depthwise 3x3 of stride 2 and a pointwise convolution (Howard et al. 2017)."""
    w = Writer("mobilenet_v1")
    x = stem(w, 8)
    x = w.relu6(w.norm(w.conv(x, 8, 3, stride=2, groups=8)))
    return w.classify(w.relu6(w.norm(w.conv(x, 16))))


def mobilenet_v2() -> onnx.ModelProto:
    """Return an inverted residual: expand, depthwise 3x3, project without activation, add.

    MobileNetV2 (Sandler et al. 2018), section 3.3.
    """
    w = Writer("mobilenet_v2")
    x = stem(w, 8)
    y = w.relu6(w.norm(w.conv(x, 16)))
    y = w.relu6(w.norm(w.conv(y, 16, 3, groups=16)))
    return w.classify(w.add(x, w.norm(w.conv(y, 8))))


def sep_net() -> onnx.ModelProto:
    """Return a SEP-Net module: reduce, 1x1 and 3x3 in parallel and added, recover, skip; 4 groups.

    SEP-Net (Li et al. 2017), pattern residual block.
    """
    w = Writer("sep_net")
    groups = 4
    x = stem(w, 16)
    y = w.relu(w.norm(w.conv(x, 8, groups=groups)))
    by_three, by_one = (w.norm(w.conv(y, 8, kernel, groups=groups)) for kernel in (3, 1))
    y = w.relu(w.add(by_three, by_one))
    y = w.norm(w.conv(y, 16, groups=groups))
    return w.classify(w.relu(w.add(x, y)))


BLOCKS: dict[str, Callable[[], onnx.ModelProto]] = {
    "fire": fire,
    "shuffle-unit": shuffle_unit,
    "shuffle-unit-stride2": shuffle_unit_stride2,
    "mobilenet-v1": mobilenet_v1,
    "mobilenet-v2": mobilenet_v2,
    "sep-net": sep_net,
}


def write(folder: Path) -> None:
    """Write every block as NAME.onnx, and images to calibrate with as calibration.npz."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, make in BLOCKS.items():
        model = make()
        onnx.checker.check_model(model, full_check=True)
        (folder / f"{name}.onnx").write_bytes(model.SerializeToString(deterministic=True))
    np.savez_compressed(folder / "calibration.npz", image=images(CALIBRATION, SEED + 2))


def main() -> int:
    """Write the models into the folder that the command line names."""
    if len(sys.argv) != 2:
        print("usage: python examples/blocks/blocks.py OUT_DIR", file=sys.stderr)
        return 2
    write(Path(sys.argv[1]))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
