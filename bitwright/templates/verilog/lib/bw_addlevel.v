// One level of an adder tree: neighbours are added in pairs, an odd one is passed on.
`default_nettype none

module bw_addlevel #(
    parameter N     = 4,  // values in, at least 2
    parameter W     = 8,  // bits of a value in, two's complement
    parameter OUT_W = 9,  // bits of a value out, at least W
    parameter REG   = 0   // 1: register the outputs
) (
    input  wire                         clk,     // clock
    input  wire                         ce,      // clock enable of the pipeline
    input  wire [N*W-1:0]               values,  // values
    output wire [((N+1)/2)*OUT_W-1:0]   sums     // sums of the pairs, modulo 2^OUT_W
);

    localparam OUT_N = (N + 1) / 2;

    wire [N*OUT_W-1:0]     wide;
    wire [OUT_N*OUT_W-1:0] sum;

    genvar i;
    generate
        for (i = 0; i < N; i = i + 1) begin : g_wide
            bw_resize #(.IN_W(W), .OUT_W(OUT_W), .SIGNED(1)) u_extend (
                .d(values[i*W +: W]),
                .q(wide[i*OUT_W +: OUT_W])
            );
        end
        for (i = 0; i < N / 2; i = i + 1) begin : g_pair
            assign sum[i*OUT_W +: OUT_W] = wide[2*i*OUT_W +: OUT_W] + wide[(2*i+1)*OUT_W +: OUT_W];
        end
        if (OUT_N != N / 2) begin : g_odd
            assign sum[(OUT_N-1)*OUT_W +: OUT_W] = wide[(N-1)*OUT_W +: OUT_W];
        end
    endgenerate

    bw_delay #(.W(OUT_N*OUT_W), .N(REG)) u_register (
        .clk(clk),
        .ce(ce),
        .d(sum),
        .q(sums)
    );

endmodule

`default_nettype wire
