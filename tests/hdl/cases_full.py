"""Reference model of the window that leaves whole, and its cases."""

from dataclasses import replace

import numpy as np

from bitwright.backends.verilog import window_timing as timing
from bitwright.backends.verilog.window_timing import Axis, FullWindow, Window
from tests.hdl.cases_window import FRAMES, im2col, parameters, unstalled
from tests.hdl.streams import Case, pack


def full_window(
    shape: FullWindow, c: int = 2, w_elem: int = 3, depth: int | None = None, bipolar: bool = False
) -> Case:
    """Return the case of whole windows over random images; `depth` None is the smooth one."""
    depth = shape.smooth_depth if depth is None else depth
    rng = np.random.default_rng(19)
    pad = 0 if bipolar else -2
    images = rng.integers(0, 1 << w_elem, (FRAMES, shape.beats_in, c))
    ins = [pack(pixel.tolist(), w_elem) for image in images for pixel in image]
    outs: list[int] = []
    for image in images:
        values = 2 * image - 1 if bipolar else image
        taps, _ = im2col(Window(shape.down, shape.across), values, pad)
        windows = taps.reshape(shape.beats_out, -1)
        outs += [pack(window.tolist(), w_elem + int(bipolar)) for window in windows]
    _, issued = unstalled(shape, depth, FRAMES)
    return Case(
        "bw_window_full",
        full_parameters(shape, depth)
        | {"C": c, "W_ELEM": w_elem, "BIPOLAR": int(bipolar), "PAD_VALUE": pad},
        {"s_axis": ins},
        {"m_axis": outs},
        FRAMES,
        None,
        issued[0] + timing.SHOW,
    )


def full_parameters(shape: FullWindow, depth: int) -> dict[str, int | str]:
    """Return the parameters of bw_window_full but for those of its elements."""
    values = parameters(Window(shape.down, shape.across), depth)
    return {name: value for name, value in values.items() if name not in {"CB", "BLOCKS"}}


def square(size: int, kernel: int, stride: int = 1, pad: int = 0) -> FullWindow:
    axis = Axis(size, kernel, stride, 1, (pad, pad))
    return FullWindow(axis, axis)


SAME = square(5, 3, pad=1)
FULL_SHAPES: dict[str, FullWindow] = {
    "same": SAME,
    "same_5": square(8, 5, pad=2),
    "same_7": square(4, 7, pad=3),
    "valid": square(6, 3),
    "stride_2": square(8, 3, 2, 1),
    "stem": square(9, 7, 2, 3),
    "odd": FullWindow(Axis(7, 3, 2, 1, (1, 0)), Axis(5, 2, 1, 2, (0, 2))),
    "right_only": FullWindow(Axis(4, 3, 1, 1, (0, 2)), Axis(5, 4, 1, 1, (0, 3))),
    "left_only": FullWindow(Axis(4, 3, 1, 1, (2, 0)), Axis(5, 4, 1, 1, (3, 0))),
    "dilated": FullWindow(Axis(9, 3, 1, 3, (3, 3)), Axis(6, 2, 1, 4, (1, 2))),
    "dilated_holes": FullWindow(Axis(4, 2, 2, 5, (1, 3)), Axis(5, 2, 2, 6, (3, 2))),
    "stride_over_kernel": FullWindow(Axis(8, 2, 3), Axis(9, 1, 4)),
    "leaves_a_rest": FullWindow(Axis(8, 2, 3), Axis(7, 2, 2)),
    "strided_overhang": FullWindow(Axis(6, 5, 2, 1, (2, 2)), Axis(7, 7, 2, 1, (3, 3))),
    "point": square(3, 1),
    "point_strided": square(5, 1, 2),
    "one_pixel_only": square(1, 1),
    "whole_image": square(4, 4),
    "line": FullWindow(Axis(1, 1), Axis(11, 4, 2, 1, (1, 2))),
    "column": FullWindow(Axis(11, 3, 1, 2, (2, 2)), Axis(1, 1)),
    "pads_never_read": FullWindow(Axis(5, 3, 4, 1, (0, 3)), Axis(4, 2, 3, 1, (0, 1))),
}
UNFIT = {  # shapes for bw_window alone, and the cell's complaint
    "even_pad": (replace(SAME, across=Axis(5, 2, 1, 1, (1, 1))), "pads_beyond_kernel"),
    "wide_pad": (replace(SAME, across=Axis(5, 3, 1, 1, (3, 0))), "pads_beyond_kernel"),
    "high_pad": (replace(SAME, down=Axis(5, 3, 1, 1, (3, 0))), "pads_beyond_kernel"),
    "full_pad": (replace(SAME, down=Axis(5, 3, 1, 1, (2, 2))), "pads_beyond_kernel"),
    "one_pixel": (square(1, 3, pad=1), "no_window_ends_in_the_image"),
}
