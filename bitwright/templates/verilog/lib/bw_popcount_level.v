// One level of a popcount tree: counts are joined in pairs, each pair takes one loose bit on its
// carry input, so that an adder of W+1 cells counts 2^(W+1)-1 bits where it would count two less.
`default_nettype none

module bw_popcount_level #(
    parameter N   = 4,  // counts in
    parameter W   = 2,  // bits of a count in
    parameter REG = 0   // 1: register the outputs
) (
    input  wire                       clk,       // clock
    input  wire                       ce,        // clock enable of the pipeline
    input  wire [N*W-1:0]             counts,    // counts
    input  wire [N-1:0]               loose,     // bits not counted yet
    output wire [((N+1)/2)*(W+1)-1:0] sums,      // counts of the pairs
    output wire [(N+1)/2-1:0]         loose_out  // bits not counted yet
);

    localparam PAIRS = N / 2;
    localparam OUT_N = (N + 1) / 2;
    localparam OUT_W = W + 1;

    wire [OUT_N*OUT_W-1:0] sum;

    genvar i;
    generate
        for (i = 0; i < PAIRS; i = i + 1) begin : g_pair
            wire [OUT_W:0] chain = {1'b0, counts[2*i*W +: W], 1'b1} + {1'b0, counts[(2*i+1)*W +: W], loose[i]};
            wire unused_low = chain[0];
            assign sum[i*OUT_W +: OUT_W] = chain[OUT_W:1];
        end
        if (OUT_N != PAIRS) begin : g_odd
            assign sum[PAIRS*OUT_W +: OUT_W] = {1'b0, counts[2*PAIRS*W +: W]};
        end
    endgenerate

    bw_delay #(.W(OUT_N*(OUT_W+1)), .N(REG)) u_register (
        .clk(clk),
        .ce(ce),
        .d({loose[N-1:PAIRS], sum}),
        .q({loose_out, sums})
    );

endmodule

`default_nettype wire
