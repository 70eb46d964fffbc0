"""Write a network of the zoo as ONNX: `python -m examples.zoo.export NAME -o FILE`."""

import argparse
import warnings
from pathlib import Path

import torch
from torch import nn

from examples.zoo.table import ZOO

OPSET = 17


def export(model: nn.Module, shape: tuple[int, int, int], path: Path) -> None:
    """Write `model` for one image of `shape`, from input `image` to output `logits`.

    Batch norms stay as they are, so that the file can be trained on, and tensors keep torch's
    names. The exporter that needs no package beside torch is the one torch calls legacy.
    """
    image = torch.zeros(1, *shape)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        torch.onnx.export(
            model.eval(), (image,), str(path),
            input_names=["image"], output_names=["logits"], opset_version=OPSET,
            training=torch.onnx.TrainingMode.PRESERVE, do_constant_folding=False, dynamo=False,
        )  # fmt: skip


def main() -> None:
    """Write the network that the command line names, with the random weights of a seed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=ZOO)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    torch.manual_seed(args.seed)
    entry = ZOO[args.name]
    args.output.parent.mkdir(parents=True, exist_ok=True)
    export(entry.build(), entry.shape, args.output)
    print(f"{args.output}: {args.name}, random weights, image {entry.shape}")


if __name__ == "__main__":
    main()
