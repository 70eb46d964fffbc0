// Product of a value and a constant, combinational; a power of two of either sign is wiring and at
// most a negation, so that no multiplier is inferred for it.
`default_nettype none

module bw_scale #(
    parameter               IN_W   = 8,   // bits of the value
    parameter               SIGNED = 1,   // 1: the value is two's complement, 0: unsigned
    parameter signed [63:0] MUL    = 1,   // the constant
    parameter               OUT_W  = 16   // bits of the product
) (
    input  wire [IN_W-1:0]  x,  // value
    output wire [OUT_W-1:0] y   // product, modulo 2^OUT_W
);

    localparam signed [63:0] MAG   = (MUL < 0) ? -MUL : MUL;
    localparam               SHIFT = (MAG > 1) ? $clog2(MAG) : 0;
    localparam               POW2  = (MAG & (MAG - 1)) == 0;  // zero too
    localparam               V_W   = (SIGNED != 0) ? IN_W : IN_W + 1;
    localparam               RAW_W = V_W + SHIFT + 1;

    wire [RAW_W-1:0] raw;

    generate
        if (MUL == 0) begin : g_zero
            wire unused_x = &{1'b0, x};
            assign raw = {RAW_W{1'b0}};
        end else if (POW2) begin : g_shift
            wire [RAW_W-1:0] wide;
            bw_resize #(.IN_W(IN_W), .OUT_W(RAW_W), .SIGNED(SIGNED)) u_wide (.d(x), .q(wide));
            assign raw = (MUL < 0) ? -(wide << SHIFT) : wide << SHIFT;
        end else begin : g_multiply
            wire signed [V_W-1:0]   value;
            wire signed [SHIFT:0]   constant = MUL[SHIFT:0];
            wire signed [RAW_W-1:0] product  = value * constant;
            bw_resize #(.IN_W(IN_W), .OUT_W(V_W), .SIGNED(SIGNED)) u_value (.d(x), .q(value));
            assign raw = product;
        end
    endgenerate

    bw_resize #(.IN_W(RAW_W), .OUT_W(OUT_W), .SIGNED(1)) u_cut (.d(raw), .q(y));

endmodule

`default_nettype wire
