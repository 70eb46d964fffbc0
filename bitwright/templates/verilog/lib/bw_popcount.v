// Number of ones, as a count and one loose bit for the carry input of whoever adds it. Leaves of
// three bits (a full adder, one LUT6 pair), then levels of pairs with a loose bit on each carry
// input; a register after every ADD_STAGES levels, leaves included, and at least one in all.
// Latency max(1, (1 + clog2(L)) / ADD_STAGES), L = (N + 3) / 4 leaves.
`default_nettype none

module bw_popcount #(
    parameter N          = 64,  // bits in
    parameter ADD_STAGES = 3    // levels between registers
) (
    input  wire                       clk,    // clock
    input  wire                       ce,     // clock enable of the pipeline
    input  wire [N-1:0]               bits,   // bits to count
    output wire [$clog2(N+1)-1:0]     count,  // how many are one, but for the loose bit
    output wire                       loose   // one more bit to count
);

    localparam LEAVES = (N + 3) / 4;
    localparam LEVELS = $clog2(LEAVES);
    localparam TOP_W  = LEVELS + 2;
    localparam OUT_W  = $clog2(N + 1);
    localparam LEAF_REG = (ADD_STAGES == 1) ? 1 : 0;
    localparam LAST_REG = (LEVELS + 1 < ADD_STAGES) ? 1 : 0;

    wire [4*LEAVES-1:0] padded;
    wire [2*LEAVES-1:0] leaf;
    wire [TOP_W-1:0]    total;
    wire [TOP_W-1:0]    total_late;

    bw_resize #(.IN_W(N), .OUT_W(4*LEAVES), .SIGNED(0)) u_padded (
        .d(bits),
        .q(padded)
    );

    genvar i;
    generate
        for (i = 0; i < LEAVES; i = i + 1) begin : g_leaf
            wire a = padded[3*i];
            wire b = padded[3*i+1];
            wire c = padded[3*i+2];
            assign leaf[2*i +: 2] = {(a & b) | (a & c) | (b & c), a ^ b ^ c};
        end
    endgenerate

    // Level l holds ceil(LEAVES / 2^l) counts of l+2 bits; level 0 is the leaves; as many
    // single bits are still to be counted.
    genvar l;
    generate
        for (l = 0; l <= LEVELS; l = l + 1) begin : g_level
            localparam CNT_N = (LEAVES + (1 << l) - 1) >> l;
            wire [CNT_N*(l+2)-1:0] counts;
            wire [CNT_N-1:0]       single;
            if (l == 0) begin : g_first
                bw_delay #(.W(3*LEAVES), .N(LEAF_REG)) u_register (
                    .clk(clk),
                    .ce(ce),
                    .d({padded[4*LEAVES-1:3*LEAVES], leaf}),
                    .q({single, counts})
                );
            end else begin : g_join
                bw_popcount_level #(
                    .N((LEAVES + (1 << (l-1)) - 1) >> (l-1)),
                    .W(l+1),
                    .REG(((l + 1) % ADD_STAGES == 0) ? 1 : 0)
                ) u_join (
                    .clk(clk),
                    .ce(ce),
                    .counts(g_level[l-1].counts),
                    .loose(g_level[l-1].single),
                    .sums(counts),
                    .loose_out(single)
                );
            end
        end
    endgenerate

    assign total = g_level[LEVELS].counts;

    bw_delay #(.W(TOP_W+1), .N(LAST_REG)) u_last (
        .clk(clk),
        .ce(ce),
        .d({g_level[LEVELS].single, total}),
        .q({loose, total_late})
    );

    bw_resize #(.IN_W(TOP_W), .OUT_W(OUT_W), .SIGNED(0)) u_count (
        .d(total_late),
        .q(count)
    );

endmodule

`default_nettype wire
