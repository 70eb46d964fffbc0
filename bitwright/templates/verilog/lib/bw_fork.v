// Copy one stream to two: a beat enters both output registers at once; each leaves at its own time.
`default_nettype none

module bw_fork #(
    parameter W = 8  // bits of a beat
) (
    input  wire         clk,             // clock
    input  wire         rst_n,           // synchronous reset, active low
    input  wire [W-1:0] s_axis_tdata,    // input beat
    input  wire         s_axis_tvalid,   // input beat present
    output wire         s_axis_tready,   // room in both outputs; from registers only
    output wire [W-1:0] m0_axis_tdata,   // first copy
    output wire         m0_axis_tvalid,  // first copy present
    input  wire         m0_axis_tready,  // first copy taken
    output wire [W-1:0] m1_axis_tdata,   // second copy
    output wire         m1_axis_tvalid,  // second copy present
    input  wire         m1_axis_tready   // second copy taken
);

    wire ready0;
    wire ready1;

    assign s_axis_tready = ready0 && ready1;

    bw_skid #(.W(W)) u_first (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(s_axis_tdata),
        .s_axis_tvalid(s_axis_tvalid && ready1),
        .s_axis_tready(ready0),
        .m_axis_tdata(m0_axis_tdata),
        .m_axis_tvalid(m0_axis_tvalid),
        .m_axis_tready(m0_axis_tready)
    );

    bw_skid #(.W(W)) u_second (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(s_axis_tdata),
        .s_axis_tvalid(s_axis_tvalid && ready0),
        .s_axis_tready(ready1),
        .m_axis_tdata(m1_axis_tdata),
        .m_axis_tvalid(m1_axis_tvalid),
        .m_axis_tready(m1_axis_tready)
    );

endmodule

`default_nettype wire
