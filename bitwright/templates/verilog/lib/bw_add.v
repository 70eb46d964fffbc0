// y = clamp(round((a * MUL_A + b * MUL_B + ADD) / 2^SHIFT) + ZERO, LO, HI) of two streams.
`default_nettype none

module bw_add #(
    parameter               N        = 2,     // lanes
    parameter               A_W      = 8,     // bits of a
    parameter               A_SIGNED = 1,     // 1: a is two's complement, 0: unsigned
    parameter               B_W      = 8,     // bits of b
    parameter               B_SIGNED = 1,     // 1: b is two's complement, 0: unsigned
    parameter signed [63:0] MUL_A    = 1,     // factor of a
    parameter signed [63:0] MUL_B    = 1,     // factor of b
    parameter signed [63:0] ADD      = 0,     // constant added before rounding
    parameter               T_W      = 32,    // bits that hold the sum exactly, two's complement
    parameter               SHIFT    = 0,     // bits dropped, 0 to 62
    parameter               ROUND    = 0,     // 0: towards minus infinity, 1: to nearest, ties to even
    parameter signed [31:0] ZERO     = 0,     // zero point added after rounding
    parameter signed [31:0] LO       = -128,  // least output
    parameter signed [31:0] HI       = 127,   // greatest output
    parameter               OUT_W    = 8      // bits of an output
) (
    input  wire               clk,             // clock
    input  wire               rst_n,           // synchronous reset, active low
    input  wire [N*A_W-1:0]   s0_axis_tdata,   // N values a, first in the low bits
    input  wire               s0_axis_tvalid,  // beat of a present
    output wire               s0_axis_tready,  // beat of a taken; a register
    input  wire [N*B_W-1:0]   s1_axis_tdata,   // N values b, first in the low bits
    input  wire               s1_axis_tvalid,  // beat of b present
    output wire               s1_axis_tready,  // beat of b taken; a register
    output wire [N*OUT_W-1:0] m_axis_tdata,    // N codes, first in the low bits
    output wire               m_axis_tvalid,   // output beat present
    input  wire               m_axis_tready    // output beat taken
);

    wire               ce;
    wire [N*A_W-1:0]   a;
    wire [N*B_W-1:0]   b;
    wire               a_valid;
    wire               b_valid;
    wire               valid_late;
    wire [N*OUT_W-1:0] codes;
    wire               both = a_valid && b_valid;

    bw_skid #(.W(N*A_W)) u_a (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(s0_axis_tdata),
        .s_axis_tvalid(s0_axis_tvalid),
        .s_axis_tready(s0_axis_tready),
        .m_axis_tdata(a),
        .m_axis_tvalid(a_valid),
        .m_axis_tready(ce && b_valid)
    );

    bw_skid #(.W(N*B_W)) u_b (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(s1_axis_tdata),
        .s_axis_tvalid(s1_axis_tvalid),
        .s_axis_tready(s1_axis_tready),
        .m_axis_tdata(b),
        .m_axis_tvalid(b_valid),
        .m_axis_tready(ce && a_valid)
    );

    wire [T_W-1:0] constant;
    bw_resize #(.IN_W(64), .OUT_W(T_W), .SIGNED(1)) u_constant (.d(ADD), .q(constant));

    genvar i;
    generate
        for (i = 0; i < N; i = i + 1) begin : g_lane
            wire [T_W-1:0] a_scaled;
            wire [T_W-1:0] b_scaled;
            reg  [T_W-1:0] a_reg;
            reg  [T_W-1:0] b_reg;
            reg  [T_W-1:0] t_reg;
            bw_scale #(.IN_W(A_W), .SIGNED(A_SIGNED), .MUL(MUL_A), .OUT_W(T_W)) u_a_scale (
                .x(a[i*A_W +: A_W]),
                .y(a_scaled)
            );
            bw_scale #(.IN_W(B_W), .SIGNED(B_SIGNED), .MUL(MUL_B), .OUT_W(T_W)) u_b_scale (
                .x(b[i*B_W +: B_W]),
                .y(b_scaled)
            );
            always @(posedge clk) begin
                if (ce) begin
                    a_reg <= a_scaled;
                    b_reg <= b_scaled;
                    t_reg <= a_reg + b_reg + constant;
                end
            end
            bw_round_clamp #(
                .T_W(T_W),
                .SHIFT(SHIFT),
                .ROUND(ROUND),
                .ZERO(ZERO),
                .LO(LO),
                .HI(HI),
                .OUT_W(OUT_W)
            ) u_code (
                .clk(clk),
                .ce(ce),
                .t(t_reg),
                .y(codes[i*OUT_W +: OUT_W])
            );
        end
    endgenerate

    bw_valid #(.N(3)) u_valid (
        .clk(clk),
        .rst_n(rst_n),
        .ce(ce),
        .d(both),
        .q(valid_late)
    );

    bw_skid #(.W(N*OUT_W)) u_out (
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
