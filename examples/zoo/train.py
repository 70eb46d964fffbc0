"""Train a network of the zoo in float and write it as ONNX, with a JSON that says how.

`python -m examples.zoo.train NAME --data mnist.npz -o FILE.onnx`. With one thread, one version of
torch and one machine, the same command writes the same weights.
"""

import argparse
import json
import shlex
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from examples.zoo.data import Images, Split, load
from examples.zoo.export import export
from examples.zoo.table import ZOO

PIXELS_TO_UNIT = "0,1,0.00392156862745098"  # mean, std, scale: grey levels 0..255 to 0..1


@dataclass(frozen=True)
class Schedule:
    """AdamW whose rate rises, then falls to nothing (one cycle), over `epochs`.

    Each batch is moved by up to `shift` pixels, all its images by as many.
    """

    epochs: int
    rate: float
    decay: float
    batch: int
    shift: int


def prepared(images: Images, preprocess: tuple[float, float, float]) -> torch.Tensor:
    """Return (images * scale - mean) / std in float32, as `bitwright --preprocess` does."""
    mean, std, scale = preprocess
    return torch.from_numpy(((images * scale - mean) / std).astype(np.float32))


def shifted(images: torch.Tensor, most: int) -> torch.Tensor:
    """Return the images moved by up to `most` pixels in each direction, around the edges."""
    if most == 0:
        return images
    by = torch.randint(-most, most + 1, (2,)).tolist()
    return torch.roll(images, by, dims=(2, 3))


def train(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, how: Schedule) -> None:
    """Minimize cross entropy; a line for each epoch."""
    optimizer = torch.optim.AdamW(model.parameters(), how.rate, weight_decay=how.decay)
    steps = -(-len(images) // how.batch)
    cycle = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, how.rate, epochs=how.epochs, steps_per_epoch=steps
    )
    start = time.monotonic()
    model.train()
    for epoch in range(how.epochs):
        total = 0.0
        for batch in torch.randperm(len(images)).split(how.batch):
            loss = functional.cross_entropy(model(shifted(images[batch], how.shift)), labels[batch])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            cycle.step()
            total += loss.item() * len(batch)
        seconds = time.monotonic() - start
        print(
            f"epoch {epoch + 1} of {how.epochs}: loss {total / len(images):.5f}, {seconds:.0f} s",
            flush=True,
        )
    model.eval()


@torch.no_grad()
def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> float:
    """Return the share of images whose largest logit is that of their label."""
    right = [
        (model(x).argmax(dim=1) == y).sum().item()
        for x, y in zip(images.split(500), labels.split(500), strict=True)
    ]
    return float(sum(right) / len(images))


def parse(arguments: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=ZOO)
    parser.add_argument("--data", type=Path, required=True, help="npz: x_train, y_train, x_test...")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--preprocess", default=PIXELS_TO_UNIT, help="mean,std,scale")
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--rate", type=float, default=3e-3, help="the largest rate of the cycle")
    parser.add_argument("--decay", type=float, default=0.05)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--shift", type=int, default=0, help="move batches by up to so many pixels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args(arguments)


def run(args: argparse.Namespace, split: Split) -> dict[str, object]:
    """Train, write the model, and return what the JSON says."""
    mean, std, scale = (float(text) for text in args.preprocess.split(","))
    entry = ZOO[args.name]
    if split.train_images.shape[1:] != entry.shape:
        raise SystemExit(
            f"{args.name} reads images {entry.shape}, the data holds {split.train_images.shape[1:]}"
        )
    torch.set_num_threads(args.threads)
    torch.use_deterministic_algorithms(mode=True)
    torch.manual_seed(args.seed)
    model = entry.build().to(memory_format=torch.channels_last)  # almost twice as fast
    images, held = (
        prepared(x, (mean, std, scale)) for x in (split.train_images, split.held_images)
    )
    start = time.monotonic()
    how = Schedule(args.epochs, args.rate, args.decay, args.batch, args.shift)
    train(model, images, torch.from_numpy(split.train_labels), how)
    seconds = time.monotonic() - start
    args.output.parent.mkdir(parents=True, exist_ok=True)
    export(model, entry.shape, args.output)
    return {
        "name": args.name,
        "accuracy": accuracy(model, held, torch.from_numpy(split.held_labels)),
        "held_out": len(held),
        "parameters": sum(p.numel() for p in model.parameters()),
        "seconds": round(seconds, 1),
        "preprocess": args.preprocess,
        "torch": torch.__version__,
        "command": "python -m examples.zoo.train " + shlex.join(sys.argv[1:]),
    }


def main() -> None:
    """Train the network that the command line names."""
    args = parse(sys.argv[1:])
    said = run(args, load(args.data))
    args.output.with_suffix(".json").write_text(json.dumps(said, indent=2) + "\n")
    print(f"{args.output}: {said['accuracy']:.2%} of {said['held_out']} held-out images")


if __name__ == "__main__":
    main()
