// Number of thresholds that x reaches, by a pipelined binary search; the thresholds come with x.
// Latency clog2(T+1).
`default_nettype none

module bw_steps_search #(
    parameter T   = 3,  // thresholds
    parameter X_W = 16  // bits of x; a threshold has one more
) (
    input  wire                    clk,    // clock
    input  wire                    ce,     // clock enable of the pipeline
    input  wire [X_W-1:0]          x,      // value, two's complement
    input  wire [T*(X_W+1)-1:0]    steps,  // thresholds, ascending from the low bits
    output wire [$clog2(T+1)-1:0]  count   // how many are at most x
);

    localparam C_W    = $clog2(T + 1);
    localparam T_W    = X_W + 1;
    localparam STEPS  = (1 << C_W) - 1;
    localparam [T_W-1:0] NEVER = {1'b0, {X_W{1'b1}}};

    wire [STEPS*T_W-1:0] padded;

    genvar i;
    generate
        for (i = 0; i < STEPS; i = i + 1) begin : g_pad
            if (i < T) begin : g_real
                assign padded[i*T_W +: T_W] = steps[i*T_W +: T_W];
            end else begin : g_never
                assign padded[i*T_W +: T_W] = NEVER;
            end
        end
        for (i = 0; i < C_W; i = i + 1) begin : g_stage
            localparam B = C_W - 1 - i;
            localparam LEFT_W = (B > 0) ? ((1 << B) - 1) * T_W : 1;
            wire [X_W-1:0]    x_late;
            wire [C_W-1:0]    found;
            wire [LEFT_W-1:0] left;
            if (i == 0) begin : g_first
                bw_steps_stage #(.X_W(X_W), .C_W(C_W), .B(B)) u_stage (
                    .clk(clk),
                    .ce(ce),
                    .x(x),
                    .count({C_W{1'b0}}),
                    .steps(padded),
                    .x_out(x_late),
                    .count_out(found),
                    .steps_out(left)
                );
            end else begin : g_next
                bw_steps_stage #(.X_W(X_W), .C_W(C_W), .B(B)) u_stage (
                    .clk(clk),
                    .ce(ce),
                    .x(g_stage[i-1].x_late),
                    .count(g_stage[i-1].found),
                    .steps(g_stage[i-1].left),
                    .x_out(x_late),
                    .count_out(found),
                    .steps_out(left)
                );
            end
        end
    endgenerate

    wire unused_rest = &{1'b0, g_stage[C_W-1].x_late, g_stage[C_W-1].left};
    assign count = g_stage[C_W-1].found;

endmodule

`default_nettype wire
