// One step of a binary search that carries its candidates: bit B of the count is x >= the middle
// one, and the half on that side goes on. Latency 1.
`default_nettype none

module bw_steps_stage #(
    parameter X_W = 16,  // bits of x, two's complement
    parameter C_W = 2,   // bits of the count
    parameter B   = 1    // bit decided here
) (
    input  wire                                            clk,        // clock
    input  wire                                            ce,         // clock enable of the pipeline
    input  wire [X_W-1:0]                                  x,          // value
    input  wire [C_W-1:0]                                  count,      // bits decided before, rest 0
    input  wire [((2<<B)-1)*(X_W+1)-1:0]                   steps,      // candidates, ascending
    output wire [X_W-1:0]                                  x_out,      // value, late
    output wire [C_W-1:0]                                  count_out,  // count with bit B
    output wire [(B > 0 ? ((1<<B)-1)*(X_W+1) : 1)-1:0]     steps_out   // candidates left; none when B is 0
);

    localparam T_W  = X_W + 1;
    localparam HALF = (1 << B) - 1;  // candidates on either side of the middle
    localparam LEFT_W = (B > 0) ? HALF * T_W : 1;

    wire signed [T_W-1:0] wide   = {x[X_W-1], x};
    wire signed [T_W-1:0] middle = steps[HALF*T_W +: T_W];
    wire                  reached = (wide >= middle);
    wire [C_W-1:0]        count_now;
    wire [LEFT_W-1:0]     left;

    genvar i;
    generate
        for (i = 0; i < C_W; i = i + 1) begin : g_bit
            assign count_now[i] = (i == B) ? reached : count[i];
        end
        if (B > 0) begin : g_halve
            assign left = reached ? steps[(HALF+1)*T_W +: LEFT_W] : steps[LEFT_W-1:0];
        end else begin : g_last
            assign left = 1'b0;
        end
    endgenerate

    wire unused_bit = count[B];

    bw_delay #(.W(X_W+C_W+LEFT_W), .N(1)) u_register (
        .clk(clk),
        .ce(ce),
        .d({x, count_now, left}),
        .q({x_out, count_out, steps_out})
    );

endmodule

`default_nettype wire
