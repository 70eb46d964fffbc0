// Tiny Net: 3 layers, one frame every 12 cycles, 37 cycles from its first beat in to its last beat out.
// Scale and zero point of each stream stand in README.md.
`default_nettype none

module tiny_net_top #(
    parameter MEM_DIR = "mem/",  // folder of the .mem files, with its final slash
    parameter TRACE   = 0        // 1: a CRC-32 of every layer on trace_crc; computes the same
) (
    input  wire clk,    // clock
    input  wire rst_n,  // synchronous reset, active low, at any moment
    input  wire [7:0] s_axis_tdata,  // tensor x: 2 x bipolar a beat, 3 beats a frame
    input  wire s_axis_tvalid,
    output wire s_axis_tready,
    input  wire s_axis_tlast,   // last beat of a frame; only checked
    output wire [7:0] m_axis_tdata,  // tensor top: 1 x unsigned 2-bit a beat, 1 beats a frame
    output wire m_axis_tvalid,
    input  wire m_axis_tready,
    output wire m_axis_tlast,   // last beat of a frame
    output wire frame_error,         // tlast came at another beat than a frame's last; sticky
    output wire [127:0] trace_crc,  // 32 bits a stream, in the order of README.md
    output wire trace_valid          // every CRC is of the same frame; 0 without TRACE
);

    localparam S_AXIS_ELEMENTS     = 2;  // of a beat
    localparam S_AXIS_ELEMENT_BITS = 1;
    localparam S_AXIS_BEATS        = 3;  // of a frame
    localparam M_AXIS_ELEMENTS     = 1;  // of a beat
    localparam M_AXIS_ELEMENT_BITS = 2;
    localparam M_AXIS_BEATS        = 1;  // of a frame

    wire [1:0] x_in_tdata;  // 2 x bipolar, 3 beats a frame
    wire x_in_tvalid;
    wire x_in_tready;
    wire [0:0] fc_y_tdata;  // 1 x bipolar, 4 beats a frame
    wire fc_y_tvalid;
    wire fc_y_tready;
    wire [0:0] fc_y_fifo_tdata;  // 1 x bipolar, 4 beats a frame
    wire fc_y_fifo_tvalid;
    wire fc_y_fifo_tready;
    wire [3:0] fc_1_y_tdata;  // 1 x signed 4-bit, 3 beats a frame
    wire fc_1_y_tvalid;
    wire fc_1_y_tready;
    wire [1:0] argmax_y_tdata;  // 1 x unsigned 2-bit, 1 beats a frame
    wire argmax_y_tvalid;
    wire argmax_y_tready;

    wire unused_s_axis_pad = &{1'b0, s_axis_tdata[7:2]};
    bw_frame_in #(
        .W(S_AXIS_ELEMENTS * S_AXIS_ELEMENT_BITS),
        .BEATS(S_AXIS_BEATS)
    ) u_x_in (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(s_axis_tdata[1:0]),
        .s_axis_tvalid(s_axis_tvalid),
        .s_axis_tready(s_axis_tready),
        .s_axis_tlast(s_axis_tlast),
        .m_axis_tdata(x_in_tdata),
        .m_axis_tvalid(x_in_tvalid),
        .m_axis_tready(x_in_tready),
        .frame_error(frame_error)
    );

    tiny_net_fc #(
        .MEM_DIR(MEM_DIR)
    ) u_fc (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(x_in_tdata),
        .s_axis_tvalid(x_in_tvalid),
        .s_axis_tready(x_in_tready),
        .m_axis_tdata(fc_y_tdata),
        .m_axis_tvalid(fc_y_tvalid),
        .m_axis_tready(fc_y_tready)
    );

    wire [1:0] unused_u_fc_y_fifo;
    bw_fifo #(
        .W(1),
        .DEPTH(2)
    ) u_fc_y_fifo (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(fc_y_tdata),
        .s_axis_tvalid(fc_y_tvalid),
        .s_axis_tready(fc_y_tready),
        .m_axis_tdata(fc_y_fifo_tdata),
        .m_axis_tvalid(fc_y_fifo_tvalid),
        .m_axis_tready(fc_y_fifo_tready),
        .count(unused_u_fc_y_fifo)
    );

    tiny_net_fc_1 #(
        .MEM_DIR(MEM_DIR)
    ) u_fc_1 (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(fc_y_fifo_tdata),
        .s_axis_tvalid(fc_y_fifo_tvalid),
        .s_axis_tready(fc_y_fifo_tready),
        .m_axis_tdata(fc_1_y_tdata),
        .m_axis_tvalid(fc_1_y_tvalid),
        .m_axis_tready(fc_1_y_tready)
    );

    tiny_net_argmax u_argmax (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(fc_1_y_tdata),
        .s_axis_tvalid(fc_1_y_tvalid),
        .s_axis_tready(fc_1_y_tready),
        .m_axis_tdata(argmax_y_tdata),
        .m_axis_tvalid(argmax_y_tvalid),
        .m_axis_tready(argmax_y_tready)
    );

    assign m_axis_tdata[7:2] = 6'd0;
    bw_frame_out #(
        .W(M_AXIS_ELEMENTS * M_AXIS_ELEMENT_BITS),
        .BEATS(M_AXIS_BEATS)
    ) u_top_out (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(argmax_y_tdata),
        .s_axis_tvalid(argmax_y_tvalid),
        .s_axis_tready(argmax_y_tready),
        .m_axis_tdata(m_axis_tdata[1:0]),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready),
        .m_axis_tlast(m_axis_tlast)
    );

    generate
        if (TRACE != 0) begin : g_trace
            wire [31:0] frames;  // complete ones of each stream
            reg  some_reg;  // a frame was complete
            assign trace_valid = some_reg && (frames == {4{frames[7:0]}});
            always @(posedge clk) begin
                if (!rst_n) some_reg <= 1'b0;
                else if (frames[7:0] != 8'd0) some_reg <= 1'b1;
            end
            bw_trace #(
                .W_ELEM(1),
                .N(2),
                .SIGNED(0),
                .BIPOLAR(1),
                .BEATS(3)
            ) u_x_in (
                .clk(clk),
                .rst_n(rst_n),
                .s_axis_tdata(x_in_tdata),
                .s_axis_tvalid(x_in_tvalid),
                .s_axis_tready(x_in_tready),
                .crc(trace_crc[0 +: 32]),
                .frames(frames[0 +: 8])
            );
            bw_trace #(
                .W_ELEM(1),
                .N(1),
                .SIGNED(0),
                .BIPOLAR(1),
                .BEATS(4)
            ) u_fc (
                .clk(clk),
                .rst_n(rst_n),
                .s_axis_tdata(fc_y_tdata),
                .s_axis_tvalid(fc_y_tvalid),
                .s_axis_tready(fc_y_tready),
                .crc(trace_crc[32 +: 32]),
                .frames(frames[8 +: 8])
            );
            bw_trace #(
                .W_ELEM(4),
                .N(1),
                .SIGNED(1),
                .BIPOLAR(0),
                .BEATS(3)
            ) u_fc_1 (
                .clk(clk),
                .rst_n(rst_n),
                .s_axis_tdata(fc_1_y_tdata),
                .s_axis_tvalid(fc_1_y_tvalid),
                .s_axis_tready(fc_1_y_tready),
                .crc(trace_crc[64 +: 32]),
                .frames(frames[16 +: 8])
            );
            bw_trace #(
                .W_ELEM(2),
                .N(1),
                .SIGNED(0),
                .BIPOLAR(0),
                .BEATS(1)
            ) u_argmax (
                .clk(clk),
                .rst_n(rst_n),
                .s_axis_tdata(argmax_y_tdata),
                .s_axis_tvalid(argmax_y_tvalid),
                .s_axis_tready(argmax_y_tready),
                .crc(trace_crc[96 +: 32]),
                .frames(frames[24 +: 8])
            );
        end else begin : g_no_trace
            assign trace_crc   = 128'd0;
            assign trace_valid = 1'b0;
        end
    endgenerate

endmodule

`default_nettype wire
