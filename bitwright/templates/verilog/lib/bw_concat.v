// Joins two streams pixel by pixel: B0 beats of the first, then B1 beats of the second.
`default_nettype none

module bw_concat #(
    parameter W  = 8,  // bits of a beat
    parameter B0 = 2,  // beats of a pixel of the first stream
    parameter B1 = 1   // beats of a pixel of the second stream
) (
    input  wire         clk,             // clock
    input  wire         rst_n,           // synchronous reset, active low
    input  wire [W-1:0] s0_axis_tdata,   // beat of the first stream
    input  wire         s0_axis_tvalid,  // beat of the first stream present
    output wire         s0_axis_tready,  // beat of the first stream taken; from registers only
    input  wire [W-1:0] s1_axis_tdata,   // beat of the second stream
    input  wire         s1_axis_tvalid,  // beat of the second stream present
    output wire         s1_axis_tready,  // beat of the second stream taken; from registers only
    output wire [W-1:0] m_axis_tdata,    // output beat
    output wire         m_axis_tvalid,   // output beat present
    input  wire         m_axis_tready    // output beat taken
);

    wire ready;  // of the output slice
    wire last0;
    wire last1;
    wire valid = second_reg ? s1_axis_tvalid : s0_axis_tvalid;
    reg  second_reg;  // the second stream's turn

    assign s0_axis_tready = ready && !second_reg;
    assign s1_axis_tready = ready && second_reg;

    bw_counter #(.N(B0)) u_first (.clk(clk), .rst_n(rst_n), .step(s0_axis_tvalid && s0_axis_tready), .last(last0));
    bw_counter #(.N(B1)) u_second (.clk(clk), .rst_n(rst_n), .step(s1_axis_tvalid && s1_axis_tready), .last(last1));

    always @(posedge clk) begin
        if (!rst_n) second_reg <= 1'b0;
        else if (ready && valid) second_reg <= second_reg ? !last1 : last0;
    end

    bw_skid #(.W(W)) u_out (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(second_reg ? s1_axis_tdata : s0_axis_tdata),
        .s_axis_tvalid(valid),
        .s_axis_tready(ready),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule

`default_nettype wire
