// Dot product of bipolar vectors, as the number of agreeing signs:
// dot = 2 * (count + loose) - SIMD.
// Latency that of bw_popcount.
`default_nettype none

module bw_dot_xnor #(
    parameter SIMD       = 64,  // elements
    parameter ADD_STAGES = 3    // levels between registers
) (
    input  wire                      clk,    // clock
    input  wire                      ce,     // clock enable of the pipeline
    input  wire [SIMD-1:0]           x,      // activations, 1 = +1 and 0 = -1
    input  wire [SIMD-1:0]           w,      // weights, likewise
    output wire [$clog2(SIMD+1)-1:0] count,  // elements in which they agree, but for the loose one
    output wire                      loose   // 1: they agree in one more
);

    bw_popcount #(.N(SIMD), .ADD_STAGES(ADD_STAGES)) u_count (
        .clk(clk),
        .ce(ce),
        .bits(x ~^ w),
        .count(count),
        .loose(loose)
    );

endmodule

`default_nettype wire
