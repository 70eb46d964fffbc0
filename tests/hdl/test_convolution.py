"""Window and matrix-vector unit, depthwise or pool together: a convolution, as numpy has it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from tests.hdl.cases_window import parameters, square
from tests.hdl.run_case import run_case
from tests.hdl.streams import Case, pack, write_mem

FRAMES, LANES, ACC_W = 3, 2, 12
Values = npt.NDArray[np.int64]
CHAIN = """`default_nettype none
module chain #(
    parameter CB = 1, parameter BLOCKS = 1, parameter DEPTH = 64, parameter IH = 5, parameter IW = 5,
    parameter KH = 3, parameter KW = 3, parameter SH = 1, parameter SW = 1, parameter DH = 1,
    parameter DW = 1, parameter PAD_T = 1, parameter PAD_B = 1, parameter PAD_L = 1,
    parameter PAD_R = 1, parameter WEIGHT_FILE = ""
) (
    input wire clk, input wire rst_n,
    input wire [1:0] s_axis_tdata, input wire s_axis_tvalid, output wire s_axis_tready,
    output wire [23:0] m_axis_tdata, output wire m_axis_tvalid, input wire m_axis_tready
);
    wire [1:0] tap;
    wire tap_user;
    wire tap_valid;
    wire tap_ready;
    bw_window #(
        .W_ELEM(1), .SIMD(2), .CB(CB), .BLOCKS(BLOCKS), .IH(IH), .IW(IW), .KH(KH), .KW(KW), .SH(SH),
        .SW(SW), .DH(DH), .DW(DW), .PAD_T(PAD_T), .PAD_L(PAD_L), .PAD_B(PAD_B), .PAD_R(PAD_R),
        .DEPTH(DEPTH)
    ) u_window (
        .clk(clk), .rst_n(rst_n),
        .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
        .m_axis_tdata(tap), .m_axis_tuser(tap_user), .m_axis_tvalid(tap_valid), .m_axis_tready(tap_ready)
    );
    UNIT u_unit (
        .clk(clk), .rst_n(rst_n), .s_axis_tdata(tap), .s_axis_tuser(tap_user),
        .s_axis_tvalid(tap_valid), .s_axis_tready(tap_ready),
        .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready)
    );
endmodule
`default_nettype wire
"""
SHARED = ".KIND(0), .PE(2), .X_W(1), .X_SIGNED(0), .USE_MASK(1), .W_W(1), .ACC_W(12), "
UNITS = {  # channels are 4; the matrices have 8 rows in all
    "dense": "bw_mvu #(.SIMD(2), .SF(18), .NF(4), .GROUPS(1), ",
    "grouped": "bw_mvu #(.SIMD(2), .SF(9), .NF(2), .GROUPS(2), ",
    "depthwise": "bw_depthwise #(.KK(9), .NB(2), ",
}
BLOCKS = {"dense": 1, "grouped": 2, "depthwise": 2}


@pytest.mark.parametrize("name", UNITS)
def test_padded_bipolar(name: str, tmp_path: Path) -> None:
    shape = replace(square(5, 3, 2, 1, beats=2), blocks=BLOCKS[name])
    rng = np.random.default_rng(17)
    images = rng.choice([-1, 1], (FRAMES, 5, 5, 4))
    rows = 4 if name == "depthwise" else 8
    inputs = {"dense": 4, "grouped": 2, "depthwise": 1}[name]
    weights = rng.choice([-1, 1], (rows, 3, 3, inputs))
    source = tmp_path / "chain.v"
    files = ".WEIGHT_FILE(WEIGHT_FILE))"
    source.write_text(CHAIN.replace("UNIT", UNITS[name] + SHARED + files))

    run_case(
        Case(
            "chain",
            parameters(shape, shape.smooth_depth)
            | {"WEIGHT_FILE": write_mem(tmp_path / "weight.mem", words(weights, name))},
            {"s_axis": beats((images + 1) // 2, 1)},
            {"m_axis": beats(convolution(images, weights), ACC_W)},
            FRAMES,
        ),
        tmp_path,
        "icarus",
        [source],
    )


WHOLE = """`default_nettype none
module whole #(parameter WEIGHT_FILE = "") (
    input wire clk, input wire rst_n,
    input wire [3:0] s_axis_tdata, input wire s_axis_tvalid, output wire s_axis_tready,
    output wire [23:0] m_axis_tdata, output wire m_axis_tvalid, input wire m_axis_tready
);
    wire [71:0] window;
    wire window_valid;
    wire window_ready;
    wire [23:0] part;
    wire part_valid;
    wire part_ready;
    bw_window_full #(.W_ELEM(1), .BIPOLAR(1), .C(4), .SH(2), .SW(2)) u_window (
        .clk(clk), .rst_n(rst_n),
        .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
        .m_axis_tdata(window), .m_axis_tvalid(window_valid), .m_axis_tready(window_ready)
    );
    bw_width #(.W_ELEM(2), .N_IN(36), .N_OUT(12)) u_width (
        .clk(clk), .rst_n(rst_n),
        .s_axis_tdata(window), .s_axis_tvalid(window_valid), .s_axis_tready(window_ready),
        .m_axis_tdata(part), .m_axis_tvalid(part_valid), .m_axis_tready(part_ready)
    );
    bw_mvu #(
        .KIND(4), .PE(2), .SIMD(12), .SF(3), .NF(4), .X_W(2), .X_SIGNED(1), .W_W(1), .ACC_W(12),
        .WEIGHT_FILE(WEIGHT_FILE)
    ) u_unit (
        .clk(clk), .rst_n(rst_n), .s_axis_tdata(part), .s_axis_tuser(1'b1),
        .s_axis_tvalid(part_valid), .s_axis_tready(part_ready),
        .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready)
    );
endmodule
`default_nettype wire
"""


def test_padded_bipolar_in_whole_windows(tmp_path: Path) -> None:
    rng = np.random.default_rng(20)
    images = rng.choice([-1, 1], (FRAMES, 5, 5, 4))
    weights = rng.choice([-1, 1], (8, 3, 3, 4))
    rom = words(weights, "dense", simd=12)
    source = tmp_path / "whole.v"
    source.write_text(WHOLE)

    run_case(
        Case(
            "whole",
            {"WEIGHT_FILE": write_mem(tmp_path / "weight.mem", rom)},
            {"s_axis": [pack(pixel.tolist(), 1) for pixel in ((images + 1) // 2).reshape(-1, 4)]},
            {"m_axis": beats(convolution(images, weights), ACC_W)},
            FRAMES,
        ),
        tmp_path,
        "icarus",
        [source],
    )


def beats(values: Values, bits: int) -> list[int]:
    return [pack(beat.tolist(), bits) for beat in values.reshape(-1, LANES)]


def convolution(images: Values, weights: Values) -> Values:
    """Return the grouped 3 x 3 convolution of stride 2, padded by 1, channels last."""
    padded = np.pad(images, ((0, 0), (1, 1), (1, 1), (0, 0)))
    rows, _, _, inputs = weights.shape
    groups = images.shape[-1] // inputs
    out = np.zeros((len(images), 3, 3, rows), dtype=np.int64)
    for y, x, row in np.ndindex(3, 3, rows):
        first = row // (rows // groups) * inputs
        taps = padded[:, 2 * y : 2 * y + 3, 2 * x : 2 * x + 3, first : first + inputs]
        out[:, y, x, row] = (taps * weights[row]).sum((1, 2, 3))
    return out


def words(weights: Values, name: str, simd: int = LANES) -> list[int]:
    """Return the words of the weight ROM: by block of two rows, then by beat of the window."""
    lanes = 1 if name == "depthwise" else simd
    by_row = (weights > 0).astype(int).reshape(weights.shape[0] // LANES, LANES, -1, lanes)
    by_beat = by_row.transpose(0, 2, 1, 3)
    return [pack(word.tolist(), 1) for word in by_beat.reshape(-1, LANES * lanes)]
