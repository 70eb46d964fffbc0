"""Samples for the rows of models.py: what to calibrate with, what to measure on, and labels."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

TEST, CALIBRATION = 1000, 200
SPEECH_TEST = 200
CIFAR_MEAN, CIFAR_STD = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
RATE, HOP, WINDOW, FRAMES = 8000, 160, 320, 49  # 20 ms, 40 ms, one second
LEAST_CODE, GREATEST_CODE = -128, 127


@dataclass(frozen=True)
class Samples:
    """Inputs to calibrate with and to measure on, (samples, ...), and labels where they mean much."""

    calibrate: Array
    test: Array
    labels: Array | None = None

    def shaped(self, shape: tuple[int, ...]) -> "Samples":
        """Return the samples as an input of `shape` takes them; images become channels first."""
        return Samples(_fit(self.calibrate, shape), _fit(self.test, shape), self.labels)


def _fit(a: Array, shape: tuple[int, ...]) -> Array:
    if a.ndim == 4 and a.shape[1:] != shape[1:] and a.shape[-1] == shape[1]:
        a = a.transpose(0, 3, 1, 2)
    return np.ascontiguousarray(a).reshape(-1, *shape)


def samples_of(name: str, data: Path, blocks: Path) -> Samples:
    """Return the samples of this name; `data` holds the npz files, `blocks` the written blocks."""
    family, _, rest = name.partition("-")
    if family == "blocks":
        images = _arrays(blocks / "calibration.npz")["image"]
        return Samples(images[::2], images[1::2])
    readers: dict[str, Callable[[Path, str], Samples]] = {
        "sine": lambda *_: _sine(), "mnist": _mnist, "cifar": _cifar, "gtsrb": _gtsrb,
        "speech": _speech,
    }  # fmt: skip
    return readers[family](data, rest)


def _arrays(path: Path) -> dict[str, Array]:
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def _sine() -> Samples:
    x = np.linspace(0, 2 * np.pi, 400, dtype=np.float32).reshape(-1, 1)
    return Samples(x, x[::2])


def _mnist(data: Path, scaling: str) -> Samples:
    file = _arrays(data / "mnist.npz")
    mean, std = {"standard": (0.1307, 0.3081)}.get(scaling, (0.0, 1.0))

    def scaled(pixels: Array) -> Array:
        if scaling == "raw":
            return pixels
        return np.asarray((pixels / np.float32(255) - mean) / std, np.float32)

    train, test = file["x_train"][:CALIBRATION], file["x_test"][:TEST]
    return Samples(scaled(train), scaled(test), file["y_test"][:TEST])


def _cifar(data: Path, scaling: str) -> Samples:
    """Return images without labels: they were stored as JPEG, so their accuracy says nothing."""
    pixels = _arrays(data / "cifar10_jpeg.npz")["x_test"][: TEST + CALIBRATION] / 255
    signed = scaling == "signed"
    images = 2 * pixels - 1 if signed else (pixels - CIFAR_MEAN) / CIFAR_STD
    images = np.asarray(images, np.float32)
    return Samples(images[TEST:], images[:TEST])


def _gtsrb(data: Path, _: str) -> Samples:
    file = _arrays(data / "gtsrb30.npz")
    return Samples(file["x_test"][:CALIBRATION], file["x_test"][:TEST], file["y_test"][:TEST])


def every_sign(data: Path) -> Array:
    """Return all the images of traffic signs, uint8."""
    return _arrays(data / "gtsrb30.npz")["x_test"]


def _speech(data: Path, form: str) -> Samples:
    """Return features of spoken digits: 40 bands, or 10 cepstral coefficients, or their codes.

    They are made as keyword spotters' are, but not as any one model's own, and without labels.
    """
    file = _arrays(data / "fsdd.npz")
    picked = np.linspace(0, len(file["labels"]) - 1, SPEECH_TEST + CALIBRATION).astype(int)
    ends = file["offsets"]
    bands = np.stack([log_bands(file["samples"][ends[i] : ends[i + 1]]) for i in picked])
    if form.startswith("10"):
        bands = bands @ _cosines(bands.shape[-1], 10)
    bands = ((bands - bands.mean()) / bands.std()).astype(np.float32)
    if form.endswith("codes"):
        bands = np.clip(np.rint(bands * 32), LEAST_CODE, GREATEST_CODE).astype(np.int8)
    return Samples(bands[1::2], bands[::2])


def log_bands(sound: Array, bands: int = 40) -> Array:
    """Return the logarithm of the energy in bands of frequency, (49, bands), of one second."""
    second = np.zeros(RATE + WINDOW)
    second[: min(sound.size, RATE)] = sound[:RATE] / 32768
    frames = np.lib.stride_tricks.sliding_window_view(second, WINDOW)[: FRAMES * HOP : HOP]
    power = np.abs(np.fft.rfft(frames * np.hanning(WINDOW))) ** 2
    mel = 2595 * np.log10(1 + np.fft.rfftfreq(WINDOW, 1 / RATE) / 700)
    centres = np.linspace(0, mel[-1], bands + 2)[1:-1]
    width = centres[1] - centres[0]
    weights = np.maximum(0, 1 - np.abs(mel[:, None] - centres) / width)
    return np.asarray(np.log(power @ weights + 1e-6))


def _cosines(bands: int, count: int) -> Array:
    """Return the first columns of the discrete cosine transform, (bands, count)."""
    at = np.pi * (np.arange(bands)[:, None] + 0.5) * np.arange(count) / bands
    return np.cos(at) * np.sqrt(2 / bands)
