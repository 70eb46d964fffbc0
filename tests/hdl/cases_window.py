"""Reference model of the sliding window, its unstalled run, and its cases."""

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from bitwright.backends.verilog import window_timing as timing
from bitwright.backends.verilog.window_timing import PADDING, Axis, Ring, Window
from tests.hdl.streams import Case, pack

FRAMES = 4
Pixels = npt.NDArray[np.int64]


def window(shape: Window, simd: int = 2, w_elem: int = 3, depth: int | None = None) -> Case:
    """Return the case of a window over random images; `depth` None is the smooth one."""
    depth = shape.smooth_depth if depth is None else depth
    rng = np.random.default_rng(12)
    pad = -2 if w_elem > 1 else 0
    images = rng.integers(0, 1 << w_elem, (FRAMES, shape.beats_in, simd))
    ins = [pack(beat.tolist(), w_elem) for image in images for beat in image]
    outs, real = [], []
    for image in images:
        beats, inside = im2col(shape, image, pad)
        outs += [pack(beat.tolist(), w_elem) for beat in beats]
        real += [int(bit) for bit in inside]
    _, issued = unstalled(shape, depth, FRAMES)
    return Case(
        "bw_window",
        parameters(shape, depth) | {"SIMD": simd, "W_ELEM": w_elem, "PAD_VALUE": pad},
        {"s_axis": ins},
        {"m_axis": outs},
        FRAMES,
        None,
        issued[0] + timing.SHOW,
        output_user={"m_axis": real},
    )


def parameters(shape: Window, depth: int) -> dict[str, int | str]:
    """Return the parameters of bw_window but for those of its elements."""
    down, across = shape.down, shape.across
    values: dict[str, int | str] = {"CB": shape.beats, "BLOCKS": shape.blocks, "DEPTH": depth}
    for axis, name, (before, after) in ((down, "H", "TB"), (across, "W", "LR")):
        values[f"I{name}"] = axis.size
        values[f"K{name}"] = axis.kernel
        values[f"S{name}"] = axis.stride
        values[f"D{name}"] = axis.dilation
        values[f"PAD_{before}"], values[f"PAD_{after}"] = axis.pads
    return values


def im2col(shape: Window, image: Pixels, pad: int) -> tuple[Pixels, Pixels]:
    """Return the output beats (beats, SIMD) of an image by slicing the padded one; which are real."""
    down, across = shape.down, shape.across
    pixels = image.reshape(down.size, across.size, shape.blocks, -1, image.shape[-1])
    edges = (down.pads, across.pads, (0, 0), (0, 0), (0, 0))
    padded = np.pad(pixels, edges, constant_values=pad)
    inside = np.pad(np.ones_like(pixels), edges)
    beats: list[Pixels] = []
    real: list[Pixels] = []
    for y in range(0, down.windows * down.stride, down.stride):
        for x in range(0, across.windows * across.stride, across.stride):
            rows = slice(y, y + down.reach + 1, down.dilation)
            columns = slice(x, x + across.reach + 1, across.dilation)
            for source, sink in ((padded, beats), (inside, real)):
                blocks = source[rows, columns].transpose(2, 0, 1, 3, 4)
                sink.append(blocks.reshape(-1, image.shape[-1]))
    return np.concatenate(beats), np.concatenate(real)[:, 0]


def unstalled(shape: Ring, depth: int, frames: int) -> tuple[list[int], list[int]]:
    """Return the cycles of input handshakes and of issues, the first input at 0."""
    needs, frees = shape.needs.tolist(), shape.frees(depth).tolist()
    taken: list[int] = []
    issued: list[int] = []

    def take() -> None:
        frame, beat = divmod(len(taken), shape.beats_in)
        after = frees[beat] + frame * shape.beats_out
        soonest = issued[after] + timing.FREE if after >= 0 else 0
        taken.append(max(soonest, taken[-1] + 1 if taken else 0))

    for index in range(frames * shape.beats_out):
        frame, beat = divmod(index, shape.beats_out)
        soonest = issued[-1] + 1 if issued else 0
        if needs[beat] != PADDING:
            want = needs[beat] + frame * shape.beats_in
            while len(taken) <= want:
                take()
            soonest = max(soonest, taken[want] + timing.READ)
        issued.append(soonest)
    return taken, issued


def square(size: int, kernel: int, stride: int = 1, pad: int = 0, beats: int = 2) -> Window:
    axis = Axis(size, kernel, stride, 1, (pad, pad))
    return Window(axis, axis, beats)


SAME = square(5, 3, pad=1)
SHAPES: dict[str, Window] = {
    "same": SAME,
    "valid": square(6, 3),
    "grouped": replace(square(4, 3, pad=1, beats=6), blocks=3),
    "depthwise": replace(square(4, 3, 2, 1, beats=3), blocks=3),
    "odd": Window(Axis(7, 3, 2, 1, (1, 0)), Axis(4, 2, 1, 2, (0, 3)), 3),
    "dilated": Window(Axis(9, 3, 1, 3, (2, 1)), Axis(6, 2, 1, 4), 1),
    "stride_over_kernel": Window(Axis(8, 2, 3), Axis(9, 1, 4), 2),
    "leaves_a_rest": Window(Axis(8, 2, 3), Axis(7, 2, 2), 1),
    "pads_never_read": Window(Axis(5, 3, 4, 1, (0, 3)), Axis(4, 2, 3, 1, (0, 1)), 2),
    "pool": replace(square(6, 2, 2, beats=2), blocks=2),
    "one_pixel": square(1, 3, pad=1, beats=1),
    "one_pixel_only": square(1, 1, beats=1),
    "whole_image": square(4, 4, beats=2),
    "whole_padded_image": Window(Axis(3, 5, 1, 1, (1, 1)), Axis(2, 4, 1, 1, (2, 0)), 2),
    "line": Window(Axis(1, 1), Axis(11, 4, 2, 1, (1, 2)), 2),
    "column": Window(Axis(11, 3, 1, 2, (2, 2)), Axis(1, 1), 2),
    "one_column_2d": Window(Axis(6, 3, 1, 1, (1, 1)), Axis(1, 3, 1, 1, (1, 1)), 1),
    "huge_pads": Window(Axis(3, 2, 1, 1, (4, 5)), Axis(2, 2, 1, 1, (3, 6)), 2),
    "full_pads": Window(Axis(3, 3, 1, 1, (2, 2)), Axis(3, 3, 1, 1, (2, 2)), 1),
    "point_padded": Window(Axis(3, 1, 1, 1, (1, 1)), Axis(4, 1, 2, 1, (1, 2)), 1),
    "even_pad": Window(Axis(4, 2, 1, 1, (1, 1)), Axis(4, 2, 1, 1, (1, 1)), 1),
    "holes": Window(Axis(4, 2, 2, 5, (1, 3)), Axis(5, 2, 1, 6, (3, 2)), 1),
}
