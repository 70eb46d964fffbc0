// Dot product by terms: one bw_term an element, a register, an adder tree.
// Latency 1 + clog2(SIMD) / ADD_STAGES.
`default_nettype none

module bw_dot_terms #(
    parameter KIND       = 3,   // as in bw_term
    parameter SIMD       = 8,   // elements
    parameter X_W        = 8,   // bits of an activation
    parameter X_SIGNED   = 1,   // 1: two's complement, 0: unsigned
    parameter X_BIPOLAR  = 0,   // 1: one bit, 1 = +1 and 0 = -1
    parameter W_W        = 8,   // bits of a weight
    parameter OUT_W      = 20,  // bits of the dot product
    parameter ADD_STAGES = 3    // levels between registers
) (
    input  wire                  clk,  // clock
    input  wire                  ce,   // clock enable of the pipeline
    input  wire [SIMD*X_W-1:0]   x,    // activations, first in the low bits
    input  wire [SIMD*W_W-1:0]   w,    // weights, likewise
    output wire [OUT_W-1:0]      dot   // dot product, modulo 2^OUT_W
);

    // Narrowest width that holds every term, cut to that of the result.
    localparam V_W    = (X_BIPOLAR != 0) ? 2 : (X_SIGNED != 0) ? X_W : X_W + 1;
    localparam NEG_W  = (X_BIPOLAR == 0 && X_SIGNED != 0) ? V_W + 1 : V_W;
    localparam EXTRA  = (KIND == 2 && W_W > 2) ? (1 << (W_W - 2)) - 1 : 0;
    localparam FULL_W = (KIND != 3) ? NEG_W + EXTRA : (X_BIPOLAR != 0) ? W_W + 1 : V_W + W_W;
    localparam TERM_W = (FULL_W < OUT_W) ? FULL_W : OUT_W;

    wire [SIMD*TERM_W-1:0] term;
    wire [SIMD*TERM_W-1:0] term_late;

    genvar s;
    generate
        for (s = 0; s < SIMD; s = s + 1) begin : g_term
            bw_term #(
                .KIND(KIND),
                .X_W(X_W),
                .X_SIGNED(X_SIGNED),
                .X_BIPOLAR(X_BIPOLAR),
                .W_W(W_W),
                .OUT_W(TERM_W)
            ) u_term (
                .x(x[s*X_W +: X_W]),
                .w(w[s*W_W +: W_W]),
                .y(term[s*TERM_W +: TERM_W])
            );
        end
    endgenerate

    bw_delay #(.W(SIMD*TERM_W), .N(1)) u_register (
        .clk(clk),
        .ce(ce),
        .d(term),
        .q(term_late)
    );

    bw_addtree #(.N(SIMD), .W(TERM_W), .OUT_W(OUT_W), .ADD_STAGES(ADD_STAGES)) u_tree (
        .clk(clk),
        .ce(ce),
        .values(term_late),
        .sum(dot)
    );

endmodule

`default_nettype wire
