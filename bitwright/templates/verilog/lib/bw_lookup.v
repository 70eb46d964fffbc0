// y = table[x]: the raw bits of each element are the address.
`default_nettype none

module bw_lookup #(
    parameter PE         = 2,  // lanes
    parameter IN_W       = 8,  // bits of an input
    parameter OUT_W      = 8,  // bits of an output
    parameter TABLE_FILE = ""  // 2^IN_W words of OUT_W bits
) (
    input  wire                clk,            // clock
    input  wire                rst_n,          // synchronous reset, active low
    input  wire [PE*IN_W-1:0]  s_axis_tdata,   // PE inputs, first in the low bits
    input  wire                s_axis_tvalid,  // input beat present
    output wire                s_axis_tready,  // input beat taken; a register
    output wire [PE*OUT_W-1:0] m_axis_tdata,   // PE outputs, first in the low bits
    output wire                m_axis_tvalid,  // output beat present
    input  wire                m_axis_tready   // output beat taken
);

    wire                ce;
    wire                valid_late;
    wire [PE*OUT_W-1:0] codes;

    assign s_axis_tready = ce;

    genvar p;
    generate
        for (p = 0; p < PE; p = p + 1) begin : g_lane
            bw_rom #(.W(OUT_W), .DEPTH(1 << IN_W), .FILE(TABLE_FILE)) u_table (
                .clk(clk),
                .ce(ce),
                .addr(s_axis_tdata[p*IN_W +: IN_W]),
                .data(codes[p*OUT_W +: OUT_W])
            );
        end
    endgenerate

    bw_valid #(.N(1)) u_valid (
        .clk(clk),
        .rst_n(rst_n),
        .ce(ce),
        .d(s_axis_tvalid),
        .q(valid_late)
    );

    bw_skid #(.W(PE*OUT_W)) u_out (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(codes),
        .s_axis_tvalid(valid_late),
        .s_axis_tready(ce),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule

`default_nettype wire
