// y = clamp(round(t / 2^SHIFT) + ZERO, LO, HI) of one lane; one register, before the clamp.
`default_nettype none

module bw_round_clamp #(
    parameter               T_W   = 32,    // bits of t, two's complement
    parameter               SHIFT = 8,     // bits dropped, 0 to 62
    parameter               ROUND = 1,     // 0: towards minus infinity, 1: to nearest, ties to even
    parameter signed [31:0] ZERO  = 0,     // zero point added after rounding
    parameter signed [31:0] LO    = -128,  // least output
    parameter signed [31:0] HI    = 127,   // greatest output
    parameter               OUT_W = 8      // bits of the output
) (
    input  wire             clk,  // clock
    input  wire             ce,   // clock enable of the pipeline
    input  wire [T_W-1:0]   t,    // value
    output wire [OUT_W-1:0] y     // code, one enabled cycle later
);

    localparam WIDE_W = (T_W > SHIFT + 1) ? T_W : SHIFT + 2;  // t, and always a quotient bit or two
    localparam Q_W    = WIDE_W - SHIFT;

    // Bits of the greatest of the three constants, so that narrow codes get narrow adders.
    localparam [31:0] ZERO_MAG = (ZERO < 0) ? -ZERO : ZERO;
    localparam [31:0] LO_MAG   = (LO < 0) ? -LO : LO;
    localparam [31:0] HI_MAG   = (HI < 0) ? -HI : HI;
    localparam [31:0] MAG      = ZERO_MAG | LO_MAG | HI_MAG;
    localparam        MAG_W    = (MAG > 32'd1073741823) ? 33 : $clog2(MAG + 1) + 1;
    localparam        V_W      = ((Q_W > MAG_W) ? Q_W : MAG_W) + 2;

    wire [WIDE_W-1:0]     wide;
    wire [Q_W-1:0]        quotient = wide[WIDE_W-1:SHIFT];
    wire                  up;  // rounding adds one
    wire [V_W-1:0]        quotient_wide;
    wire signed [V_W-1:0] zero;
    wire signed [V_W-1:0] lo;
    wire signed [V_W-1:0] hi;
    reg  signed [V_W-1:0] v_reg;

    bw_resize #(.IN_W(T_W), .OUT_W(WIDE_W), .SIGNED(1)) u_wide (.d(t), .q(wide));
    bw_resize #(.IN_W(Q_W), .OUT_W(V_W), .SIGNED(1)) u_quotient (.d(quotient), .q(quotient_wide));
    bw_resize #(.IN_W(32), .OUT_W(V_W), .SIGNED(1)) u_zero (.d(ZERO), .q(zero));
    bw_resize #(.IN_W(32), .OUT_W(V_W), .SIGNED(1)) u_lo (.d(LO), .q(lo));
    bw_resize #(.IN_W(32), .OUT_W(V_W), .SIGNED(1)) u_hi (.d(HI), .q(hi));

    generate
        if (SHIFT == 0) begin : g_whole
            assign up = 1'b0;
        end else if (ROUND == 0) begin : g_floor
            wire unused_bits = &{1'b0, wide[SHIFT-1:0]};
            assign up = 1'b0;
        end else if (SHIFT == 1) begin : g_half
            assign up = wide[0] & wide[1];
        end else begin : g_even
            assign up = wide[SHIFT-1] & (wide[SHIFT] | (|wide[SHIFT-2:0]));
        end
    endgenerate

    always @(posedge clk) if (ce) v_reg <= quotient_wide + zero + {{(V_W-1){1'b0}}, up};

    wire [V_W-1:0] clamped = (v_reg < lo) ? lo : (v_reg > hi) ? hi : v_reg;

    bw_resize #(.IN_W(V_W), .OUT_W(OUT_W), .SIGNED(1)) u_code (.d(clamped), .q(y));

endmodule

`default_nettype wire
