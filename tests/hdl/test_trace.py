"""The watcher of streams: it tells the CRC of the last frame, whatever the stalls."""

from pathlib import Path

import numpy as np
import pytest

from bitwright.backends.trace import layer_crc
from tests.hdl.run_case import run_case
from tests.hdl.streams import Case, pack
from tests.hdl.test_lint import iverilog_lint, needs_iverilog, verilator_lint

WATCHED = """`default_nettype none
module watched #(
    parameter W_ELEM = 8, parameter N = 1, parameter SIGNED = 0, parameter BIPOLAR = 0,
    parameter BEATS = 16
) (
    input wire clk, input wire rst_n,
    input wire [N*W_ELEM-1:0] s_axis_tdata, input wire s_axis_tvalid, output wire s_axis_tready,
    output wire [N*W_ELEM-1:0] m_axis_tdata, output wire m_axis_tvalid, input wire m_axis_tready,
    output wire [31:0] crc, output wire [7:0] frames
);
    bw_skid #(.W(N*W_ELEM)) u_skid (
        .clk(clk), .rst_n(rst_n),
        .s_axis_tdata(s_axis_tdata), .s_axis_tvalid(s_axis_tvalid), .s_axis_tready(s_axis_tready),
        .m_axis_tdata(m_axis_tdata), .m_axis_tvalid(m_axis_tvalid), .m_axis_tready(m_axis_tready)
    );
    bw_trace #(
        .W_ELEM(W_ELEM), .N(N), .SIGNED(SIGNED), .BIPOLAR(BIPOLAR), .BEATS(BEATS)
    ) u_trace (
        .clk(clk), .rst_n(rst_n), .s_axis_tdata(m_axis_tdata), .s_axis_tvalid(m_axis_tvalid),
        .s_axis_tready(m_axis_tready), .crc(crc), .frames(frames)
    );
endmodule
`default_nettype wire
"""
FRAMES = 5
SHAPES = {  # bits of an element, elements a beat, signed, bipolar, beats a frame
    "bipolar": (1, 3, 0, 1, 7),
    "signed": (5, 2, 1, 0, 4),
    "unsigned": (8, 1, 0, 0, 16),
    "word": (32, 2, 1, 0, 3),
    "wider": (40, 1, 1, 0, 2),
    "one": (1, 1, 0, 0, 1),
}


def parameters(name: str) -> dict[str, int | str]:
    return dict(zip(("W_ELEM", "N", "SIGNED", "BIPOLAR", "BEATS"), SHAPES[name], strict=True))


def case(name: str) -> Case:
    bits, lanes, signed, bipolar, beats = SHAPES[name]
    rng = np.random.default_rng(0)
    low, high = (-(1 << (bits - 1)), 1 << (bits - 1)) if signed else (0, 1 << bits)
    values = rng.integers(low, high, (FRAMES, beats, lanes))
    values[0], values[1] = low, high - 1
    stream = [pack(beat.tolist(), bits) for frame in values for beat in frame]
    last = 2 * values[-1] - 1 if bipolar else values[-1]
    return Case(
        "watched",
        parameters(name),
        {"s_axis": stream},
        {"m_axis": stream},
        FRAMES,
        beats,
        1,
        flags={"crc": layer_crc(last), "frames": FRAMES},
    )


@pytest.mark.parametrize("name", SHAPES)
def test_icarus(name: str, tmp_path: Path) -> None:
    source = tmp_path / "watched.v"
    source.write_text(WATCHED)
    run_case(case(name), tmp_path, "icarus", [source])


@pytest.mark.parametrize("name", ["bipolar", "signed"])
def test_verilator(name: str, tmp_path: Path) -> None:
    source = tmp_path / "watched.v"
    source.write_text(WATCHED)
    run_case(case(name), tmp_path, "verilator", [source])


@needs_iverilog
@pytest.mark.parametrize("name", SHAPES)
def test_lint(name: str) -> None:
    cell = Case("bw_trace", parameters(name), {}, {})
    assert verilator_lint(cell) == ""
    assert iverilog_lint(cell) == ""


def test_the_bench_sees_a_wrong_crc(tmp_path: Path) -> None:
    source = tmp_path / "watched.v"
    source.write_text(WATCHED)
    wrong = case("one")
    wrong.flags["crc"] ^= 1
    with pytest.raises((AssertionError, SystemExit)):
        run_case(wrong, tmp_path, "icarus", [source])
