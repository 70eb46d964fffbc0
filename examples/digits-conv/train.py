"""Train the two convolutional digit networks and write the files of this folder.

Run it with `python examples/digits-conv/train.py`. It needs torch, scikit-learn, onnx and
onnxruntime.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from torch import nn
from torch.nn import functional

HERE = Path(__file__).parent
SEED = 0
SIDE, CLASSES = 8, 10
HELD_OUT, CALIBRATION = 360, 200
FLOAT_CHANNELS = (8, 16, 16)
BINARY_CHANNELS = (32, 32, 64)
QONNX = "qonnx.custom_op.general"
EPSILON = 1e-5


@dataclass(frozen=True)
class Digits:
    """Grey levels 0..16 as float32 [n, 1, 8, 8], labels as int64 [n]."""

    train_images: NDArray[np.float32]
    train_labels: NDArray[np.int64]
    held_images: NDArray[np.float32]
    held_labels: NDArray[np.int64]


def load() -> Digits:
    """Split the 1,797 digits as examples/digits does: 360 held out."""
    digits = load_digits()
    images = digits.images.astype(np.float32)[:, None]
    train_x, held_x, train_y, held_y = train_test_split(
        images, digits.target.astype(np.int64), test_size=HELD_OUT, stratify=digits.target,
        random_state=SEED,
    )  # fmt: skip
    return Digits(train_x, train_y, held_x, held_y)


def save_data(digits: Digits) -> None:
    """Write the held-out images with labels, and some training images for calibration."""
    held, labels = digits.held_images.astype(np.uint8), digits.held_labels.astype(np.uint8)
    np.savez_compressed(HERE / "heldout.npz", image=held, y=labels)
    np.savez_compressed(HERE / "calibration.npz", image=digits.train_images[:CALIBRATION])


# ---------------------------------------------------------------- models


class Sign(torch.autograd.Function):
    """+1 where x >= 0, else -1; the gradient passes straight through where |x| <= 1."""

    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        """Return the signs, and keep x for the way back."""
        ctx.save_for_backward(x)
        return torch.where(x >= 0, 1.0, -1.0)

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> torch.Tensor:
        """Pass the gradient on (Hubara et al., Binarized Neural Networks, 2016, section 1.3)."""
        (x,) = ctx.saved_tensors
        return grads[0] * (x.abs() <= 1)


def sign(x: torch.Tensor) -> torch.Tensor:
    """Binarize x to {-1, +1} with a straight-through gradient."""
    result: torch.Tensor = Sign.apply(x)
    return result


class Network(nn.Module):
    """Three 3x3 convolutions, the last two pooled by 2, and a fully connected layer.

    A binary network has weights and activations of one bit: only its first convolution reads grey
    levels. Behind its last layer stand one gain and one offset for all classes.
    """

    def __init__(self, channels: tuple[int, int, int], *, binary: bool) -> None:
        """Start the latent weights of a binary network near zero, where signs change easily."""
        super().__init__()
        self.binary = binary
        widths = (1, *channels)
        last = channels[-1] * (SIDE // 4) ** 2
        self.convs = nn.ModuleList(
            nn.Conv2d(i, o, 3, padding=1, bias=False)
            for i, o in zip(widths, channels, strict=False)
        )
        self.norms = nn.ModuleList(nn.BatchNorm2d(o, eps=EPSILON) for o in channels)
        self.classifier = nn.Linear(last, CLASSES, bias=not binary)
        self.tail = nn.BatchNorm1d(1, eps=EPSILON)
        if binary:
            for layer in (*self.convs, self.classifier):
                nn.init.uniform_(layer.weight, -0.1, 0.1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, classes] of images [n, 1, 8, 8]."""
        x = image
        for k, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = functional.conv2d(x, self.weight(conv), padding=1)
            x = functional.max_pool2d(x, 2) if k else x
            x = sign(norm(x)) if self.binary else functional.relu(norm(x))
        x = functional.linear(x.flatten(1), self.weight(self.classifier), self.classifier.bias)
        logits: torch.Tensor = self.tail(x.reshape(-1, 1)).reshape(x.shape) if self.binary else x
        return logits

    def weight(self, layer: nn.Module) -> torch.Tensor:
        """Return the weights that a layer computes with."""
        latent: torch.Tensor = layer.weight
        return sign(latent) if self.binary else latent

    def clip_weights(self) -> None:
        """Keep the latent weights where their gradient is not cut off."""
        with torch.no_grad():
            for layer in (*self.convs, self.classifier):
                layer.weight.clamp_(-1, 1)


@dataclass(frozen=True)
class Schedule:
    """How long, how fast and with how much noise on the grey levels to train."""

    epochs: int
    rate: float
    noise: float
    batch: int = 64


def train(model: Network, digits: Digits, schedule: Schedule) -> Network:
    """Minimize cross entropy with Adam and a cosine schedule."""
    images, labels = torch.from_numpy(digits.train_images), torch.from_numpy(digits.train_labels)
    optimizer = torch.optim.Adam(model.parameters(), schedule.rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.epochs)
    after_step: Callable[[], None] = model.clip_weights if model.binary else lambda: None
    model.train()
    for _ in range(schedule.epochs):
        for batch in torch.randperm(len(images)).split(schedule.batch):
            noisy = images[batch] + schedule.noise * torch.randn(images[batch].shape)
            loss = functional.cross_entropy(model(noisy), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            after_step()
        cosine.step()
    return model.eval()


# ---------------------------------------------------------------- export


class GraphWriter:
    """A chain of ONNX nodes with their constants; each node reads the one before it."""

    def __init__(self) -> None:
        """Begin the chain at the model input `image`."""
        self.last = "image"
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: torch.Tensor | float) -> str:
        """Store a float32 tensor and return its name."""
        array = np.asarray(torch.as_tensor(value).detach().numpy(), dtype=np.float32)
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, kind: str, name: str, *inputs: str, **attributes: Any) -> str:
        """Append a node and return the name of its output."""
        domain = QONNX if kind == "BipolarQuant" else ""
        output = f"{name}_out"
        node = helper.make_node(kind, inputs, [output], name=name, domain=domain, **attributes)
        self.nodes.append(node)
        return output

    def apply(self, kind: str, name: str, *constants: str, **attributes: Any) -> None:
        """Append a node whose first input is the end of the chain."""
        self.last = self.node(kind, name, self.last, *constants, **attributes)

    def model(self, name: str) -> onnx.ModelProto:
        """Close the chain as output "logits" of a model."""
        self.nodes[-1].output[0] = "logits"
        domains = [helper.make_opsetid("", 13)]
        if any(node.domain == QONNX for node in self.nodes):
            domains.append(helper.make_opsetid(QONNX, 1))
        image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 1, SIDE, SIDE])
        logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES])
        graph = helper.make_graph(self.nodes, name, [image], [logits], self.constants)
        # The IR version is said aloud: by default onnx writes one that is too new for onnxruntime.
        return helper.make_model(
            graph, opset_imports=domains, ir_version=8, producer_name="bitwright-example"
        )


def export(model: Network, name: str) -> onnx.ModelProto:
    """Write a network; a binary one in the QONNX dialect, as Brevitas does: float latent weights."""
    writer = GraphWriter()
    one = writer.constant("one", 1.0) if model.binary else ""

    def weight(place: str, layer: nn.Module) -> str:
        stored = writer.constant(f"{place}.weight", layer.weight)
        return writer.node("BipolarQuant", f"{place}.quant", stored, one) if one else stored

    for k, (conv, norm) in enumerate(zip(model.convs, model.norms, strict=True)):
        writer.apply("Conv", f"conv{k}", weight(f"conv{k}", conv), pads=[1] * 4)
        if k:
            writer.apply("MaxPool", f"pool{k}", kernel_shape=[2, 2], strides=[2, 2])
        values = norm.state_dict()
        keys = ("weight", "bias", "running_mean", "running_var")
        parameters = [writer.constant(f"norm{k}.{key}", values[key]) for key in keys]
        writer.apply("BatchNormalization", f"norm{k}", *parameters, epsilon=EPSILON)
        if one:
            writer.apply("BipolarQuant", f"act{k}", one)
        else:
            writer.apply("Relu", f"act{k}")
    writer.apply("Flatten", "flatten")
    if not one:
        bias = writer.constant("classifier.bias", model.classifier.bias)
        writer.apply("Gemm", "classifier", weight("classifier", model.classifier), bias, transB=1)
        return writer.model(name)
    turned = writer.node("Transpose", "turn", weight("classifier", model.classifier), perm=[1, 0])
    writer.apply("MatMul", "classifier", turned)
    gain, offset = tail_of(model)
    writer.apply("Mul", "tail.mul", writer.constant("tail.gain", gain))
    writer.apply("Add", "tail.add", writer.constant("tail.offset", offset))
    return writer.model(name)


def tail_of(model: Network) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the scalar gain and offset behind the last layer; the gain is positive."""
    tail = {key: value.double().squeeze() for key, value in model.tail.state_dict().items()}
    gain = tail["weight"] / torch.sqrt(tail["running_var"] + EPSILON)
    if gain <= 0:
        raise ValueError(f"the gain of the tail is {gain.item()}: it would turn the argmax over")
    return gain, tail["bias"] - tail["running_mean"] * gain


# ---------------------------------------------------------------- check


def runnable(model: onnx.ModelProto) -> onnx.ModelProto:
    """Return a copy in which BipolarQuant has a body of standard operators."""
    body = [
        helper.make_node("Constant", [], ["zero"], value_float=0.0),
        helper.make_node("GreaterOrEqual", ["x", "zero"], ["positive"]),
        helper.make_node("Neg", ["scale"], ["negated"]),
        helper.make_node("Where", ["positive", "scale", "negated"], ["y"]),
    ]
    opsets = [helper.make_opsetid("", 13)]
    quantizer = helper.make_function(QONNX, "BipolarQuant", ["x", "scale"], ["y"], body, opsets)
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    copy.functions.append(quantizer)
    return copy


def accuracy(path: Path, digits: Digits) -> float:
    """Return the share of held-out digits that the written file gets right."""
    session = onnxruntime.InferenceSession(runnable(onnx.load(path)).SerializeToString())
    logits = [session.run(None, {"image": image[None]})[0][0] for image in digits.held_images]
    return float(np.mean(np.argmax(logits, axis=1) == digits.held_labels))


def main() -> None:
    """Train both networks, write every file and print the accuracies."""
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(mode=True)
    digits = load()
    save_data(digits)
    kinds = {
        "digits-conv-float": (FLOAT_CHANNELS, Schedule(epochs=40, rate=3e-3, noise=1.0)),
        "digits-conv-w1a1": (BINARY_CHANNELS, Schedule(epochs=120, rate=1e-2, noise=2.0)),
    }
    for name, (channels, schedule) in kinds.items():
        torch.manual_seed(SEED)
        network = Network(channels, binary="w1a1" in name)
        model = export(train(network, digits, schedule), name.replace("-", "_"))
        onnx.checker.check_model(model)
        path = HERE / f"{name}.onnx"
        path.write_bytes(model.SerializeToString(deterministic=True))
        print(f"{path.name}: {accuracy(path, digits):.2%} of {HELD_OUT} held-out digits")


if __name__ == "__main__":
    main()
