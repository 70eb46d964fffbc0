// Output edge of a design: a register slice that adds TLAST on a frame's last beat.
`default_nettype none

module bw_frame_out #(
    parameter W     = 8,  // bits of a beat
    parameter BEATS = 16  // beats of a frame
) (
    input  wire         clk,            // clock
    input  wire         rst_n,          // synchronous reset, active low
    input  wire [W-1:0] s_axis_tdata,   // input beat
    input  wire         s_axis_tvalid,  // input beat present
    output wire         s_axis_tready,  // input beat taken; a register
    output wire [W-1:0] m_axis_tdata,   // output beat
    output wire         m_axis_tvalid,  // output beat present
    input  wire         m_axis_tready,  // output beat taken
    output wire         m_axis_tlast    // the output beat ends a frame
);

    localparam CNT_W = (BEATS > 1) ? $clog2(BEATS) : 1;
    localparam LAST_INT = BEATS - 1;
    localparam [CNT_W-1:0] LAST = LAST_INT[CNT_W-1:0];

    reg [CNT_W-1:0] count_reg;

    wire move = s_axis_tvalid && s_axis_tready;
    wire last = (count_reg == LAST);

    always @(posedge clk) begin
        if (!rst_n) count_reg <= {CNT_W{1'b0}};
        else if (move) count_reg <= last ? {CNT_W{1'b0}} : count_reg + 1'b1;
    end

    bw_skid #(.W(W+1)) u_slice (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata({last, s_axis_tdata}),
        .s_axis_tvalid(s_axis_tvalid),
        .s_axis_tready(s_axis_tready),
        .m_axis_tdata({m_axis_tlast, m_axis_tdata}),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule

`default_nettype wire
