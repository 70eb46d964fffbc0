"""Cells of dot products and pools, with the sliding window in front where there is one."""

import numpy as np

from bitwright.backends.verilog import cell_timing as timing
from bitwright.backends.verilog.cell import (
    RING,
    Cell,
    Lanes,
    Pipeline,
    Rom,
    Sliding,
    Split,
    rom,
    text,
)
from bitwright.backends.verilog.formats import (
    Format,
    accumulator_of,
    bits_of,
    format_of,
    to_raw,
)
from bitwright.backends.verilog.weights import WeightCode, weight_code
from bitwright.backends.verilog.window_timing import Axis, FullWindow, Window
from bitwright.errors import UnsupportedError
from bitwright.ir.graph import Graph
from bitwright.ir.ops import IntConv, IntLinear, MaxPool, MinPool, SumPool
from bitwright.ir.types import Bipolar, Int, Integral

Pool = SumPool | MaxPool | MinPool
_MODES: dict[type, int] = {MaxPool: 0, MinPool: 1, SumPool: 2}
_AXES = 2  # spatial axes at most
FEW = 16  # channels of a pixel up to which whole windows can leave


def is_depthwise(op: IntConv) -> bool:
    """Tell whether every channel has one kernel of its own."""
    return op.groups > 1 and op.groups == op.inputs[0].shape[-1] == op.output.shape[-1]


def has_window(op: IntConv | Pool) -> bool:
    """Tell whether the taps have to be put in order: not those of pixels or of the whole image."""
    w, spatial = op.window, op.inputs[0].shape[1:-1]
    if w.padded:
        return True
    if w.taps == 1:
        return any(s != 1 and n > 1 for s, n in zip(w.strides, spatial, strict=True))
    whole = w.kernel == spatial
    return not (whole and (not isinstance(op, IntConv) or op.groups == 1))


def leaves_whole(op: IntConv) -> bool:
    """Tell whether the taps of a window can leave in one beat: pixels of few channels, no mask."""
    few = op.inputs[0].shape[-1] <= FEW and op.groups == 1 and op.window.taps > 1
    if not few or is_masked(op) or not has_window(op) or op.window.rank > _AXES:
        return False
    return FullWindow(*_axes(op)).fits


def is_whole(op: IntConv, simd: int) -> bool:
    """Tell whether a convolution that takes `simd` elements a cycle has all taps in one beat."""
    return leaves_whole(op) and simd > op.inputs[0].shape[-1]


def linear_cells(op: IntLinear, graph: Graph, x: Format, lanes: Lanes) -> tuple[Cell, ...]:
    """Return the matrix-vector unit of a fully connected layer."""
    return (_mvu(op, graph, x, lanes),)


def conv_cells(op: IntConv, graph: Graph, x: Format, lanes: Lanes) -> tuple[Cell, ...]:
    """Return the window, where there is one, and the dot products of a convolution."""
    masked = is_masked(op)
    if op.window.padded and not masked:
        x = _holding(x, op.inputs[0].type.integer, op.pad)
    if is_depthwise(op):
        dot = _depthwise(op, graph, x, lanes.pe, masked=masked)
        blocks = op.groups // lanes.pe
    else:
        dot = _mvu(op, graph, x, lanes, groups=op.groups, masked=masked)
        blocks = op.groups
    if not has_window(op):
        return (dot,)
    pad = 0 if masked else int(to_raw(x, np.array([op.pad]))[0])
    if is_whole(op, lanes.simd):
        return (*_whole_window(op, x, lanes.simd, pad), dot)
    return (_window(op, x, dot.enters, (blocks, pad)), dot)


def is_masked(op: IntConv) -> bool:
    """Tell whether taps outside the image are left out, for no code stands for 0."""
    return op.window.padded and isinstance(op.inputs[0].elem, Bipolar) and op.pad == 0


def _holding(x: Format, elem: Integral, pad: int) -> Format:
    """Return the format of a convolution's input that holds its padded code too."""
    if x.bipolar and pad in {-1, 1}:
        return x
    wide = format_of(Int(min(elem.lo, pad), max(elem.hi, pad)))
    return wide if (wide.bits, wide.signed) != (x.bits, x.signed) or x.bipolar else x


def _mvu(
    op: IntLinear | IntConv,
    graph: Graph,
    x: Format,
    lanes: Lanes,
    *,
    groups: int = 1,
    masked: bool = False,
) -> Cell:
    """Return the matrix-vector unit of `groups` matrices that follow one another."""
    code = weight_code(op, graph.constant(op.inputs[1]), x)
    pe, simd = lanes.pe, lanes.simd
    rows = code.raw.shape[0] // groups
    nf, sf = rows // pe, code.raw[0].size // simd
    bits = bits_of(code.raw, code.bits).reshape(groups, nf, pe, sf, simd * code.bits)
    words = bits.transpose(0, 1, 3, 2, 4).reshape(groups * nf * sf, -1)
    roms = (rom("weight", "WEIGHT_FILE", words), *_bias(op, graph, groups * nf))
    parameters = text(
        KIND=code.kind,
        PE=pe,
        SIMD=simd,
        SF=sf,
        NF=nf,
        **({"GROUPS": groups} if groups > 1 else {}),
        **_operand(x, code),
        **_accumulator(op, roms, masked=masked),
    )
    schedule = Pipeline(sf, nf, timing.mvu_latency(code.kind, simd, sf) - sf)
    gives = accumulator_of(op.elem)
    return Cell("bw_mvu", parameters, (x,), gives, simd, pe, schedule, roms, code)


def _depthwise(op: IntConv, graph: Graph, x: Format, pe: int, *, masked: bool) -> Cell:
    """Return the unit of one kernel a channel."""
    code = weight_code(op, graph.constant(op.inputs[1]), x)
    taps, blocks = op.window.taps, op.groups // pe
    bits = bits_of(code.raw, code.bits).reshape(blocks, pe, taps, code.bits)
    words = bits.transpose(0, 2, 1, 3).reshape(blocks * taps, -1)
    roms = (rom("weight", "WEIGHT_FILE", words), *_bias(op, graph, blocks))
    parameters = text(
        KIND=code.kind,
        PE=pe,
        KK=taps,
        NB=blocks,
        **_operand(x, code),
        **_accumulator(op, roms, masked=masked),
    )
    schedule = Pipeline(taps, 1, timing.depthwise_latency(taps) - taps)
    gives = accumulator_of(op.elem)
    return Cell("bw_depthwise", parameters, (x,), gives, pe, pe, schedule, roms, code)


def _bias(op: IntLinear | IntConv, graph: Graph, words: int) -> tuple[Rom, ...]:
    acc = accumulator_of(op.elem)
    return tuple(
        rom(
            "bias",
            "BIAS_FILE",
            bits_of(to_raw(acc, graph.constant(v)), acc.bits).reshape(words, -1),
        )
        for v in op.inputs[2:]
    )


def _operand(x: Format, code: WeightCode) -> dict[str, int]:
    return {
        "X_W": x.bits,
        "X_SIGNED": int(x.signed),
        "X_BIPOLAR": int(x.bipolar),
        "W_W": code.bits,
    }


def _accumulator(op: IntLinear | IntConv, roms: tuple[Rom, ...], *, masked: bool) -> dict[str, int]:
    found = {"ACC_W": accumulator_of(op.elem).bits, "USE_BIAS": len(roms) - 1}
    return found | ({"USE_MASK": 1} if masked else {})


def pool_cells(op: Pool, x: Format, lanes: Lanes) -> tuple[Cell, ...]:
    """Return the window, where there is one, and the maximum, minimum or sum of its taps."""
    mode, pe = _MODES[type(op)], lanes.pe
    gives = format_of(op.elem) if isinstance(op, SumPool) else x
    beats = op.inputs[0].shape[-1] // pe
    sliding = has_window(op)
    taps, blocks = op.window.taps, 1 if sliding or op.window.taps == 1 else beats
    parameters = text(
        MODE=mode,
        PE=pe,
        KK=taps,
        BLOCKS=blocks,
        X_W=x.bits,
        X_SIGNED=int(x.signed),
        X_BIPOLAR=int(x.bipolar),
        OUT_W=gives.bits,
        USE_MASK=int(op.window.padded),
    )
    latency = timing.pool_latency(taps, blocks)
    schedule = Pipeline(taps, 1, latency - (taps - 1) * blocks - 1, blocks)
    pool = Cell("bw_pool", parameters, (x,), gives, pe, pe, schedule)
    return (_window(op, x, pe, (beats, 0)), pool) if sliding else (pool,)


def _window(op: IntConv | Pool, x: Format, lanes: int, how: tuple[int, int]) -> Cell:
    """Return a sliding window; `how` is its blocks and the raw code of padding."""
    blocks, pad = how
    down, across = _axes(op)
    beats = op.inputs[0].shape[-1] // lanes
    parameters = text(W_ELEM=x.bits, SIMD=lanes, CB=beats, BLOCKS=blocks)
    schedule = Sliding(Window(down, across, beats, blocks))
    parameters += _image(down, across, pad)
    return Cell("bw_window", parameters, (x,), x, lanes, lanes, schedule, user=True)


def _whole_window(op: IntConv, x: Format, simd: int, pad: int) -> tuple[Cell, ...]:
    """Return a window that leaves in one beat, and what splits it into beats of `simd`."""
    down, across = _axes(op)
    channels = op.inputs[0].shape[-1]
    size = op.window.taps * channels
    parameters = text(W_ELEM=x.bits, C=channels) + _image(down, across, pad)
    schedule = Sliding(FullWindow(down, across))
    whole = Cell("bw_window_full", parameters, (x,), x, channels, size, schedule)
    if simd == size:
        return (whole,)
    parameters = text(W_ELEM=x.bits, N_IN=size, N_OUT=simd)
    return whole, Cell("bw_width", parameters, (x,), x, size, simd, Split(size // simd))


def _image(down: Axis, across: Axis, pad: int) -> tuple[tuple[str, str], ...]:
    """Return the parameters that all windows have."""
    return text(
        IH=down.size,
        IW=across.size,
        KH=down.kernel,
        KW=across.kernel,
        SH=down.stride,
        SW=across.stride,
        DH=down.dilation,
        DW=across.dilation,
        PAD_T=down.pads[0],
        PAD_L=across.pads[0],
        PAD_B=down.pads[1],
        PAD_R=across.pads[1],
        PAD_VALUE=pad,
        DEPTH=RING,
    )


def _axes(op: IntConv | Pool) -> tuple[Axis, Axis]:
    """Return the axes down and across; a signal in time is an image of one row."""
    w, spatial = op.window, op.inputs[0].shape[1:-1]
    if w.rank > _AXES:
        raise UnsupportedError(
            f"{op.loc}: {w.rank} spatial axes, the Verilog backend takes 1 or {_AXES}"
        )
    pads = zip(w.before, w.after, strict=True)
    axes = tuple(
        Axis(*a) for a in zip(spatial, w.kernel, w.strides, w.dilations, pads, strict=True)
    )
    return (axes[0] if len(axes) == _AXES else Axis(1, 1)), axes[-1]
