// One product of a dot product, combinational: activation times weight, as the weight's kind has it.
`default_nettype none

module bw_term #(
    parameter KIND      = 3,  // 1 ternary, 2 shift, 3 integer, 4 binary
    parameter X_W       = 8,  // bits of the activation
    parameter X_SIGNED  = 1,  // 1: two's complement, 0: unsigned
    parameter X_BIPOLAR = 0,  // 1: one bit, 1 = +1 and 0 = -1
    parameter W_W       = 8,  // bits of the weight
    parameter OUT_W     = 16  // bits of the product
) (
    input  wire [X_W-1:0]   x,  // activation
    input  wire [W_W-1:0]   w,  // weight
    output wire [OUT_W-1:0] y   // product, modulo 2^OUT_W
);

    // The activation as a signed number.
    localparam V_W   = (X_BIPOLAR != 0) ? 2 : (X_SIGNED != 0) ? X_W : X_W + 1;
    localparam EXP_W = (KIND == 2) ? W_W - 2 : 0;
    localparam RAW_W = V_W + 1 + ((EXP_W > 0) ? (1 << EXP_W) - 1 : 0);  // before a product is cut

    wire signed [V_W-1:0] value;

    generate
        if (KIND == 3 && X_BIPOLAR != 0) begin : g_sign_only
            wire unused_value = &{1'b0, value};
        end
        if (X_BIPOLAR != 0) begin : g_bipolar
            assign value = {!x[0], 1'b1};
        end else if (X_SIGNED != 0) begin : g_signed
            assign value = x;
        end else begin : g_unsigned
            assign value = {1'b0, x};
        end
        if (KIND == 3) begin : g_integer
            if (X_BIPOLAR != 0) begin : g_negate
                wire [W_W:0] wide = {w[W_W-1], w};
                wire [W_W:0] raw  = x[0] ? wide : -wide;
                bw_resize #(.IN_W(W_W+1), .OUT_W(OUT_W), .SIGNED(1)) u_cut (.d(raw), .q(y));
            end else begin : g_multiply
                wire signed [W_W-1:0]     weight = w;
                wire signed [V_W+W_W-1:0] raw    = value * weight;
                bw_resize #(.IN_W(V_W+W_W), .OUT_W(OUT_W), .SIGNED(1)) u_cut (.d(raw), .q(y));
            end
        end else begin : g_select
            wire                    negative = (KIND == 1) ? w[W_W-1] : (KIND == 2) ? w[W_W-1] : !w[0];
            wire                    nonzero  = (KIND == 1) ? w[0] : (KIND == 2) ? w[(KIND == 2) ? W_W-2 : 0] : 1'b1;
            wire [RAW_W-1:0]        value_wide;
            wire [RAW_W-1:0]        wide;
            wire [RAW_W-1:0]        signed_wide = negative ? -wide : wide;
            wire [RAW_W-1:0]        raw         = nonzero ? signed_wide : {RAW_W{1'b0}};
            bw_resize #(.IN_W(V_W), .OUT_W(RAW_W), .SIGNED(1)) u_extend (.d(value), .q(value_wide));
            if (EXP_W > 0) begin : g_shift
                assign wide = value_wide << w[EXP_W-1:0];
            end else begin : g_no_shift
                assign wide = value_wide;
            end
            bw_resize #(.IN_W(RAW_W), .OUT_W(OUT_W), .SIGNED(1)) u_cut (.d(raw), .q(y));
        end
    endgenerate

endmodule

`default_nettype wire
