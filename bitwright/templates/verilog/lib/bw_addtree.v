// Sum of N values in a balanced tree, a register after every ADD_STAGES levels.
// Latency clog2(N) / ADD_STAGES.
`default_nettype none

module bw_addtree #(
    parameter N          = 8,   // values in
    parameter W          = 8,   // bits of a value, two's complement
    parameter OUT_W      = 11,  // bits of the sum, at least W
    parameter ADD_STAGES = 3    // levels between registers
) (
    input  wire             clk,     // clock
    input  wire             ce,      // clock enable of the pipeline
    input  wire [N*W-1:0]   values,  // values, first in the low bits
    output wire [OUT_W-1:0] sum      // their sum, modulo 2^OUT_W
);

    localparam LEVELS = $clog2(N);
    localparam TOP_W  = (W + LEVELS < OUT_W) ? W + LEVELS : OUT_W;

    // Level l holds ceil(N / 2^l) values of min(W+l, OUT_W) bits; level 0 is the input.
    genvar l;
    generate
        for (l = 0; l <= LEVELS; l = l + 1) begin : g_level
            localparam SUM_N = (N + (1 << l) - 1) >> l;
            localparam SUM_W = (W + l < OUT_W) ? W + l : OUT_W;
            wire [SUM_N*SUM_W-1:0] sums;
            if (l == 0) begin : g_first
                assign sums = values;
            end else begin : g_join
                bw_addlevel #(
                    .N((N + (1 << (l-1)) - 1) >> (l-1)),
                    .W((W + l - 1 < OUT_W) ? W + l - 1 : OUT_W),
                    .OUT_W(SUM_W),
                    .REG((l % ADD_STAGES == 0) ? 1 : 0)
                ) u_join (
                    .clk(clk),
                    .ce(ce),
                    .values(g_level[l-1].sums),
                    .sums(sums)
                );
            end
        end
        if (LEVELS == 0) begin : g_no_level
            wire unused_control = &{1'b0, clk, ce};
        end
    endgenerate

    bw_resize #(.IN_W(TOP_W), .OUT_W(OUT_W), .SIGNED(1)) u_sum (
        .d(g_level[LEVELS].sums),
        .q(sum)
    );

endmodule

`default_nettype wire
