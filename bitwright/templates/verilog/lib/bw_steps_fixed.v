// Number of thresholds that x reaches, by a pipelined binary search in a small constant table.
// Latency clog2(T+1).
`default_nettype none

module bw_steps_fixed #(
    parameter T   = 3,   // thresholds of a channel
    parameter NF  = 1,   // channels
    parameter X_W = 16   // bits of x; a threshold has one more
) (
    input  wire                                 clk,    // clock
    input  wire                                 ce,     // clock enable of the pipeline
    input  wire [X_W-1:0]                       x,      // value, two's complement
    input  wire [(NF > 1 ? $clog2(NF) : 1)-1:0] nf,     // its channel
    input  wire [NF*T*(X_W+1)-1:0]              steps,  // thresholds, ascending, channel 0 lowest; constant
    output wire [$clog2(T+1)-1:0]               count   // how many are at most x
);

    localparam C_W   = $clog2(T + 1);
    localparam NF_W  = (NF > 1) ? $clog2(NF) : 1;
    localparam T_W   = X_W + 1;
    localparam SLOTS = 1 << (NF_W + C_W);  // {channel, index}
    localparam POS_W = $clog2(SLOTS * T_W);
    localparam [POS_W-1:0] STRIDE = T_W[POS_W-1:0];
    localparam [T_W-1:0]   NEVER  = {1'b0, {X_W{1'b1}}};

    wire [SLOTS*T_W-1:0] padded;

    genvar i;
    genvar n;
    generate
        for (n = 0; n < (1 << NF_W); n = n + 1) begin : g_channel
            for (i = 0; i < (1 << C_W); i = i + 1) begin : g_slot
                if (n < NF && i < T) begin : g_real
                    assign padded[(n*(1<<C_W)+i)*T_W +: T_W] = steps[(n*T+i)*T_W +: T_W];
                end else begin : g_never
                    assign padded[(n*(1<<C_W)+i)*T_W +: T_W] = NEVER;
                end
            end
        end
        for (i = 0; i < C_W; i = i + 1) begin : g_stage
            localparam B = C_W - 1 - i;
            localparam BIT_INT   = 1 << B;
            localparam BELOW_INT = (1 << B) - 1;
            localparam [C_W-1:0] BIT   = BIT_INT[C_W-1:0];
            localparam [C_W-1:0] BELOW = BELOW_INT[C_W-1:0];
            wire [X_W-1:0]        x_now;
            wire [NF_W-1:0]       nf_now;
            wire [C_W-1:0]        before_now;  // bits decided before, rest 0
            wire [POS_W-1:0]      slot;
            wire signed [T_W-1:0] wide   = {x_now[X_W-1], x_now};
            wire signed [T_W-1:0] middle = padded[slot*STRIDE +: T_W];
            reg [X_W-1:0]         x_reg;
            reg [NF_W-1:0]        nf_reg;
            reg [C_W-1:0]         found_reg;
            if (i == 0) begin : g_first
                assign x_now      = x;
                assign nf_now     = nf;
                assign before_now = {C_W{1'b0}};
            end else begin : g_next
                assign x_now      = g_stage[i-1].x_reg;
                assign nf_now     = g_stage[i-1].nf_reg;
                assign before_now = g_stage[i-1].found_reg;
            end
            bw_resize #(.IN_W(NF_W+C_W), .OUT_W(POS_W), .SIGNED(0)) u_slot (
                .d({nf_now, before_now | BELOW}),
                .q(slot)
            );
            always @(posedge clk) begin
                if (ce) begin
                    x_reg     <= x_now;
                    nf_reg    <= nf_now;
                    found_reg <= (wide >= middle) ? before_now | BIT : before_now;
                end
            end
        end
    endgenerate

    wire unused_rest = &{1'b0, g_stage[C_W-1].x_reg, g_stage[C_W-1].nf_reg};
    assign count = g_stage[C_W-1].found_reg;

endmodule

`default_nettype wire
