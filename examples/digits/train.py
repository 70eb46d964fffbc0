"""Train the two digit networks and write the files of this folder, the same bytes each time.

Run it with `python examples/digits/train.py`. It needs torch, scikit-learn, onnx and onnxruntime.
"""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
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
PIXELS, CLASSES = 64, 10
HELD_OUT, CALIBRATION = 360, 200
FLOAT_WIDTHS = (PIXELS, 32, 32, CLASSES)
BINARY_WIDTHS = (PIXELS, 64, 64, CLASSES)
PIXEL_THRESHOLD = 7.5  # between two grey levels: no pixel of 0..16 can tie with it
QONNX = "qonnx.custom_op.general"

Images = NDArray[np.float32]
Labels = NDArray[np.int64]


# ---------------------------------------------------------------- data


@dataclass(frozen=True)
class Digits:
    """Grey levels 0..16 as float32 [n, 64], labels as int64 [n]."""

    train_images: Images
    train_labels: Labels
    held_images: Images
    held_labels: Labels


def load() -> Digits:
    """Split the 1,797 digits: 360 held out, every class in proportion."""
    digits = load_digits()
    images, labels = digits.data.astype(np.float32), digits.target.astype(np.int64)
    train_x, held_x, train_y, held_y = train_test_split(
        images, labels, test_size=HELD_OUT, stratify=labels, random_state=SEED
    )
    return Digits(train_x, train_y, held_x, held_y)


def save_data(digits: Digits) -> None:
    """Write the held-out images with labels, and some training images for calibration."""
    np.savez_compressed(
        HERE / "heldout.npz",
        image=digits.held_images.astype(np.uint8),
        y=digits.held_labels.astype(np.uint8),
    )
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


class FloatMlp(nn.Sequential):
    """Fully connected layers with ReLU between them."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        """Make one layer less than there are widths."""
        layers: list[nn.Module] = []
        for fan_in, fan_out in pairwise(widths):
            layers += [nn.Linear(fan_in, fan_out), nn.ReLU()]
        super().__init__(*layers[:-1])


class BinaryMlp(nn.Module):
    """Weights and activations of one bit; one scalar scale and offset behind the last layer."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        """Start the latent weights near zero, where signs change easily."""
        super().__init__()
        self.weights = nn.ParameterList(
            nn.Parameter(torch.empty(fan_out, fan_in).uniform_(-0.1, 0.1))
            for fan_in, fan_out in pairwise(widths)
        )
        self.norms = nn.ModuleList(nn.BatchNorm1d(width) for width in widths[1:-1])
        self.tail = nn.BatchNorm1d(1)  # one channel for all classes: it cannot change the argmax

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        """Return the logits [n, classes] of images [n, pixels]."""
        x = sign(image - PIXEL_THRESHOLD)
        for weight, norm in zip(self.weights, self.norms, strict=False):
            x = sign(norm(x @ sign(weight).T))
        x = x @ sign(self.weights[-1]).T
        logits: torch.Tensor = self.tail(x.reshape(-1, 1)).reshape(x.shape)
        return logits

    def clip_weights(self) -> None:
        """Keep the latent weights where their gradient is not cut off."""
        with torch.no_grad():
            for weight in self.weights:
                weight.clamp_(-1, 1)


# ---------------------------------------------------------------- training


@dataclass(frozen=True)
class Schedule:
    """How long, how fast and with how much noise on the grey levels to train."""

    epochs: int
    rate: float
    noise: float
    batch: int = 64


def train(
    model: nn.Module,
    digits: Digits,
    schedule: Schedule,
    after_step: Callable[[], None] = lambda: None,
) -> None:
    """Minimize cross entropy with Adam and a cosine schedule."""
    images, labels = torch.from_numpy(digits.train_images), torch.from_numpy(digits.train_labels)
    optimizer = torch.optim.Adam(model.parameters(), schedule.rate)
    cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, schedule.epochs)
    model.train()
    for _ in range(schedule.epochs):
        for batch in torch.randperm(len(images)).split(schedule.batch):
            noisy = images[batch] + schedule.noise * torch.randn(len(batch), PIXELS)
            loss = functional.cross_entropy(model(noisy), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            after_step()
        cosine.step()
    model.eval()


def train_float(digits: Digits) -> FloatMlp:
    """Train the float network."""
    torch.manual_seed(SEED)
    model = FloatMlp(FLOAT_WIDTHS)
    train(model, digits, Schedule(epochs=100, rate=3e-3, noise=1.0))
    return model


def train_binary(digits: Digits) -> BinaryMlp:
    """Train the network of one-bit weights and activations."""
    torch.manual_seed(SEED)
    model = BinaryMlp(BINARY_WIDTHS)
    train(model, digits, Schedule(epochs=500, rate=2e-2, noise=3.0), model.clip_weights)
    return model


# ---------------------------------------------------------------- export


class GraphWriter:
    """A chain of ONNX nodes with their constants; each node reads the one before it."""

    def __init__(self, source: str) -> None:
        """Begin the chain at the model input `source`."""
        self.last = source
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
        graph = helper.make_graph(
            self.nodes,
            name,
            [helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, PIXELS])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, CLASSES])],
            self.constants,
        )
        # The IR version is said aloud: by default onnx writes one that is too new for onnxruntime.
        return helper.make_model(
            graph, opset_imports=domains, ir_version=8, producer_name="bitwright-example"
        )


def export_float(model: FloatMlp) -> onnx.ModelProto:
    """Write the float network as Gemm and Relu."""
    writer = GraphWriter("image")
    for k, layer in enumerate(model):
        if isinstance(layer, nn.Linear):
            weight = writer.constant(f"fc{k // 2}.weight", layer.weight)
            bias = writer.constant(f"fc{k // 2}.bias", layer.bias)
            writer.apply("Gemm", f"fc{k // 2}", weight, bias, transB=1)
        else:
            writer.apply("Relu", f"relu{k // 2}")
    return writer.model("digits_float")


def export_binary(model: BinaryMlp) -> onnx.ModelProto:
    """Write the binary network in the QONNX dialect, as Brevitas does: float latent weights."""
    writer = GraphWriter("image")
    one = writer.constant("one", 1.0)
    writer.apply("Sub", "centre", writer.constant("pixel_threshold", PIXEL_THRESHOLD))
    writer.apply("BipolarQuant", "input_quant", one)
    for k, weight in enumerate(model.weights):
        latent = writer.constant(f"fc{k}.weight", weight)
        bipolar = writer.node("BipolarQuant", f"fc{k}.weight_quant", latent, one)
        turned = writer.node("Transpose", f"fc{k}.transpose", bipolar, perm=[1, 0])
        writer.apply("MatMul", f"fc{k}", turned)
        if k < len(model.norms):
            add_batch_norm(writer, f"bn{k}", model.norms[k])
            writer.apply("BipolarQuant", f"act{k}", one)
    gain, offset = tail_of(model)
    writer.apply("Mul", "tail.mul", writer.constant("tail.gain", gain))
    writer.apply("Add", "tail.add", writer.constant("tail.offset", offset))
    return writer.model("digits_w1a1")


def add_batch_norm(writer: GraphWriter, name: str, norm: nn.Module) -> None:
    """Append a batch normalization in inference form."""
    values = norm.state_dict()
    names = ("weight", "bias", "running_mean", "running_var")
    parameters = [writer.constant(f"{name}.{key}", values[key]) for key in names]
    writer.apply("BatchNormalization", name, *parameters, epsilon=1e-5)


def tail_of(model: BinaryMlp) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the scalar gain and offset behind the last layer; the gain is positive."""
    tail = {key: value.double().squeeze() for key, value in model.tail.state_dict().items()}
    gain = tail["weight"] / torch.sqrt(tail["running_var"] + 1e-5)
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
    models = {
        "digits-float.onnx": export_float(train_float(digits)),
        "digits-w1a1.onnx": export_binary(train_binary(digits)),
    }
    for name, model in models.items():
        onnx.checker.check_model(model)
        (HERE / name).write_bytes(model.SerializeToString(deterministic=True))
        print(f"{name}: {accuracy(HERE / name, digits):.2%} of {HELD_OUT} held-out digits")


if __name__ == "__main__":
    main()
