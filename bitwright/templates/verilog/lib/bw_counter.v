// Counts steps in turns of N and tells, from a register, when the turn's last one is due.
`default_nettype none

module bw_counter #(
    parameter N = 4  // steps of a turn, at least 1
) (
    input  wire clk,    // clock
    input  wire rst_n,  // synchronous reset, active low
    input  wire step,   // count one
    output wire last    // the next step is the turn's last
);

    generate
        if (N == 1) begin : g_always
            wire unused_control = &{1'b0, clk, rst_n, step};
            assign last = 1'b1;
        end else if (N == 2) begin : g_toggle
            reg last_reg;
            always @(posedge clk) begin
                if (!rst_n) last_reg <= 1'b0;
                else if (step) last_reg <= !last_reg;
            end
            assign last = last_reg;
        end else begin : g_count
            localparam CNT_W = $clog2(N);
            localparam BEFORE_INT = N - 2;
            localparam [CNT_W-1:0] BEFORE = BEFORE_INT[CNT_W-1:0];
            reg [CNT_W-1:0] count_reg;
            reg             last_reg;
            always @(posedge clk) begin
                if (!rst_n) begin
                    count_reg <= {CNT_W{1'b0}};
                    last_reg  <= 1'b0;
                end else if (step) begin
                    count_reg <= last_reg ? {CNT_W{1'b0}} : count_reg + 1'b1;
                    last_reg  <= (count_reg == BEFORE);
                end
            end
            assign last = last_reg;
        end
    endgenerate

endmodule

`default_nettype wire
