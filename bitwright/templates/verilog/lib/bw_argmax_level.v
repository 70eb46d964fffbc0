// One level of a maximum tree: of each pair the greater value, the lower lane when they are equal.
// Latency 1.
`default_nettype none

module bw_argmax_level #(
    parameter N   = 4,  // candidates in, at least 2
    parameter W   = 8,  // bits of a value, unsigned
    parameter L_W = 2   // bits of a lane number
) (
    input  wire                       clk,       // clock
    input  wire                       ce,        // clock enable of the pipeline
    input  wire [N*W-1:0]             values,    // values, ascending lanes
    input  wire [N*L_W-1:0]           lanes,     // their lane numbers
    output wire [((N+1)/2)*W-1:0]     values_out,  // the greater ones
    output wire [((N+1)/2)*L_W-1:0]   lanes_out    // their lane numbers
);

    localparam OUT_N = (N + 1) / 2;

    wire [OUT_N*W-1:0]   value;
    wire [OUT_N*L_W-1:0] lane;

    genvar i;
    generate
        for (i = 0; i < N / 2; i = i + 1) begin : g_pair
            wire second = (values[(2*i+1)*W +: W] > values[2*i*W +: W]);
            assign value[i*W +: W]    = second ? values[(2*i+1)*W +: W] : values[2*i*W +: W];
            assign lane[i*L_W +: L_W] = second ? lanes[(2*i+1)*L_W +: L_W] : lanes[2*i*L_W +: L_W];
        end
        if (OUT_N != N / 2) begin : g_odd
            assign value[(OUT_N-1)*W +: W]    = values[(N-1)*W +: W];
            assign lane[(OUT_N-1)*L_W +: L_W] = lanes[(N-1)*L_W +: L_W];
        end
    endgenerate

    bw_delay #(.W(OUT_N*(W+L_W)), .N(1)) u_register (
        .clk(clk),
        .ce(ce),
        .d({lane, value}),
        .q({lanes_out, values_out})
    );

endmodule

`default_nettype wire
