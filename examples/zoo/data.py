"""Split a labelled npz into what the commands of bitwright read.

`python -m examples.zoo.data mnist.npz -o DIR` writes train.npz, heldout.npz and calibration.npz,
each with `image` uint8 (n, channels, height, width) and, but for the last, labels `y`.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

CALIBRATION = 500
SEED = 0

Images = NDArray[np.uint8]
Labels = NDArray[np.int64]


@dataclass(frozen=True)
class Split:
    """Images (n, channels, height, width), labels (n,): those to train with and those held out."""

    train_images: Images
    train_labels: Labels
    held_images: Images
    held_labels: Labels


def load(path: Path) -> Split:
    """Read x_train, y_train, x_test and y_test; images have their channels last, or none."""
    with np.load(path, allow_pickle=False) as npz:
        missing = [n for n in ("x_train", "y_train", "x_test", "y_test") if n not in npz.files]
        if missing:
            raise SystemExit(f"{path}: no array {missing[0]!r}; it holds {', '.join(npz.files)}")
        return Split(
            _channels_first(npz["x_train"]), npz["y_train"].astype(np.int64),
            _channels_first(npz["x_test"]), npz["y_test"].astype(np.int64),
        )  # fmt: skip


def _channels_first(images: Images) -> Images:
    return images[:, None] if images.ndim == 3 else images.transpose(0, 3, 1, 2)


def main() -> None:
    """Write the three files; those to calibrate with are drawn from those to train with."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    args = parser.parse_args()
    split, out = load(args.data), args.output
    out.mkdir(parents=True, exist_ok=True)
    chosen = np.random.default_rng(SEED).permutation(len(split.train_images))[:CALIBRATION]
    np.savez_compressed(out / "train.npz", image=split.train_images, y=split.train_labels)
    np.savez_compressed(out / "heldout.npz", image=split.held_images, y=split.held_labels)
    np.savez_compressed(out / "calibration.npz", image=split.train_images[chosen])
    print(f"{out}: {len(split.train_images)} to train, {len(split.held_images)} held out")


if __name__ == "__main__":
    main()
