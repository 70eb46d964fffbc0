// Delay line of N resettable bits with a clock enable: the valid bit that runs beside a pipeline.
`default_nettype none

module bw_valid #(
    parameter N = 1  // registers; 0 is a wire
) (
    input  wire clk,    // clock
    input  wire rst_n,  // synchronous reset, active low
    input  wire ce,     // clock enable of the pipeline
    input  wire d,      // valid now
    output wire q       // valid N enabled cycles ago
);

    generate
        if (N == 0) begin : g_wire
            wire unused_control = &{1'b0, clk, rst_n, ce};
            assign q = d;
        end else if (N == 1) begin : g_one
            reg valid_reg;
            always @(posedge clk) begin
                if (!rst_n) valid_reg <= 1'b0;
                else if (ce) valid_reg <= d;
            end
            assign q = valid_reg;
        end else begin : g_many
            reg [N-1:0] valid_reg;
            always @(posedge clk) begin
                if (!rst_n) valid_reg <= {N{1'b0}};
                else if (ce) valid_reg <= {valid_reg[N-2:0], d};
            end
            assign q = valid_reg[N-1];
        end
    endgenerate

endmodule

`default_nettype wire
