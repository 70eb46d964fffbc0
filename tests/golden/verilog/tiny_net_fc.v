// Layer fc.
// 4 x 6 matrix of xnor weights, PE 1, SIMD 2: 3 x 4 cycles a vector.
`default_nettype none

module tiny_net_fc #(
    parameter MEM_DIR = "mem/"  // folder of the .mem files, with its final slash
) (
    input  wire clk,    // clock
    input  wire rst_n,  // synchronous reset, active low
    input  wire [1:0] s_axis_tdata,  // 2 x bipolar
    input  wire s_axis_tvalid,
    output wire s_axis_tready,
    output wire [0:0] m_axis_tdata,  // 1 x bipolar
    output wire m_axis_tvalid,
    input  wire m_axis_tready
);

    wire [3:0] mvu_y_tdata;  // 1 x signed 4-bit
    wire mvu_y_tvalid;
    wire mvu_y_tready;

    bw_mvu #(
        .KIND(0),
        .PE(1),
        .SIMD(2),
        .SF(3),
        .NF(4),
        .X_W(1),
        .X_SIGNED(0),
        .X_BIPOLAR(1),
        .W_W(1),
        .ACC_W(4),
        .USE_BIAS(0),
        .WEIGHT_FILE({MEM_DIR, "fc_weight.mem"})
    ) u_mvu (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(s_axis_tdata),
        .s_axis_tvalid(s_axis_tvalid),
        .s_axis_tready(s_axis_tready),
        .s_axis_tuser(1'b1),
        .m_axis_tdata(mvu_y_tdata),
        .m_axis_tvalid(mvu_y_tvalid),
        .m_axis_tready(mvu_y_tready)
    );

    bw_steps #(
        .PE(1),
        .NF(4),
        .T(1),
        .ACC_W(4),
        .OUT_W(1),
        .OUT_BASE(0),
        .TABLE(0),
        .THRESH_FILE({MEM_DIR, "fc_threshold.mem"})
    ) u_steps (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(mvu_y_tdata),
        .s_axis_tvalid(mvu_y_tvalid),
        .s_axis_tready(mvu_y_tready),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule

`default_nettype wire
