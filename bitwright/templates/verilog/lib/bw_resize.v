// Extend or truncate a value: two's complement when SIGNED, else unsigned.
`default_nettype none

module bw_resize #(
    parameter IN_W   = 8,   // bits in
    parameter OUT_W  = 16,  // bits out
    parameter SIGNED = 1    // 1: repeat the sign, 0: fill with zeros
) (
    input  wire [IN_W-1:0]  d,  // value
    output wire [OUT_W-1:0] q   // the same value, modulo 2^OUT_W
);

    generate
        if (OUT_W < IN_W) begin : g_truncate
            wire unused_bits = &{1'b0, d[IN_W-1:OUT_W]};
            assign q = d[OUT_W-1:0];
        end else if (OUT_W == IN_W) begin : g_same
            assign q = d;
        end else if (SIGNED != 0) begin : g_sign
            assign q = {{(OUT_W-IN_W){d[IN_W-1]}}, d};
        end else begin : g_zero
            assign q = {{(OUT_W-IN_W){1'b0}}, d};
        end
    endgenerate

endmodule

`default_nettype wire
