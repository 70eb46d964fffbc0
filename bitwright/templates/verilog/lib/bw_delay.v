// Delay line of N registers with a clock enable; data, so without reset.
`default_nettype none

module bw_delay #(
    parameter W = 1,  // bits
    parameter N = 1   // registers; 0 is a wire
) (
    input  wire         clk,  // clock
    input  wire         ce,   // clock enable of the pipeline
    input  wire [W-1:0] d,    // value now
    output wire [W-1:0] q     // value N enabled cycles ago
);

    generate
        if (N == 0) begin : g_wire
            wire unused_control = &{1'b0, clk, ce};
            assign q = d;
        end else if (N == 1) begin : g_one
            reg [W-1:0] pipe_reg;
            always @(posedge clk) if (ce) pipe_reg <= d;
            assign q = pipe_reg;
        end else begin : g_many
            reg [N*W-1:0] pipe_reg;
            always @(posedge clk) if (ce) pipe_reg <= {pipe_reg[(N-1)*W-1:0], d};
            assign q = pipe_reg[N*W-1 -: W];
        end
    endgenerate

endmodule

`default_nettype wire
