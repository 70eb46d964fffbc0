// Matrix-vector unit: PE outputs and SIMD inputs per cycle, weights from ROM, NF*SF cycles a vector.
// A vector enters as SF beats during pass 0 and is replayed from a buffer in passes 1 to NF-1;
// output nf*PE+p leaves in lane p of beat nf. The next vector follows without a bubble; GROUPS
// vectors in turn meet GROUPS matrices. Input beats that are masked add nothing.
// One clock enable, the ready register of the output slice, moves the whole pipeline.
`default_nettype none

module bw_mvu #(
    parameter KIND        = 3,   // 0 xnor, 1 ternary, 2 shift, 3 integer, 4 binary weights
    parameter PE          = 2,   // outputs per cycle
    parameter SIMD        = 4,   // inputs per cycle
    parameter SF          = 2,   // input beats of a vector
    parameter NF          = 2,   // output beats of a vector
    parameter GROUPS      = 1,   // vectors until the weights repeat
    parameter X_W         = 8,   // bits of an input; 1 for KIND 0
    parameter X_SIGNED    = 1,   // 1: inputs are two's complement, 0: unsigned
    parameter X_BIPOLAR   = 0,   // 1: inputs are one bit, 1 = +1 and 0 = -1; implied by KIND 0
    parameter W_W         = 8,   // bits of a weight: 1, 2 {negative, nonzero}, 2+E {negative, nonzero, exponent}, any, 1
    parameter ACC_W       = 24,  // bits of an output, two's complement
    parameter USE_BIAS    = 0,   // 1: accumulators start from BIAS_FILE, 0: from zero
    parameter USE_MASK    = 0,   // 1: s_axis_tuser tells which input beats count
    parameter WEIGHT_FILE = "",  // GROUPS*NF*SF words at (g*NF+nf)*SF+sf; weight of lane p, input s at (p*SIMD+s)*W_W
    parameter BIAS_FILE   = "",  // GROUPS*NF words of PE*ACC_W bits
    parameter VALUES      = 0,   // above 0: WEIGHT_FILE holds indices, of clog2(VALUES) bits or one, into so many values
    parameter TABLE_FILE  = "",  // VALUES words of W_W bits; unused unless VALUES > 0
    parameter ADD_STAGES  = 3    // adder levels between registers
) (
    input  wire                 clk,            // clock
    input  wire                 rst_n,          // synchronous reset, active low
    input  wire [SIMD*X_W-1:0]  s_axis_tdata,   // SIMD inputs, first in the low bits
    input  wire                 s_axis_tuser,   // 0: the beat adds nothing; unused unless USE_MASK
    input  wire                 s_axis_tvalid,  // input beat present
    output wire                 s_axis_tready,  // input beat taken; from registers only
    output wire [PE*ACC_W-1:0]  m_axis_tdata,   // PE outputs, first in the low bits
    output wire                 m_axis_tvalid,  // output beat present
    input  wire                 m_axis_tready   // output beat taken
);

    localparam MASKED  = (USE_MASK != 0) ? 1 : 0;
    localparam IN_W    = SIMD * X_W + MASKED;  // a beat and its mask
    localparam ROWS    = GROUPS * NF;
    localparam DEPTH   = ROWS * SF;
    localparam ADDR_W  = (DEPTH > 1) ? $clog2(DEPTH) : 1;
    localparam SF_W    = (SF > 1) ? $clog2(SF) : 1;
    localparam NF_W    = (NF > 1) ? $clog2(NF) : 1;
    localparam ROW_W   = (ROWS > 1) ? $clog2(ROWS) : 1;
    localparam LAST_SF_INT = SF - 1;
    localparam LAST_NF_INT = NF - 1;
    localparam [SF_W-1:0] LAST_SF = LAST_SF_INT[SF_W-1:0];
    localparam [NF_W-1:0] LAST_NF = LAST_NF_INT[NF_W-1:0];

    // Registers between operands and accumulator: those of bw_dot_xnor or bw_dot_terms.
    localparam COUNT_W  = $clog2(SIMD + 1);
    localparam LEVELS   = $clog2((SIMD + 3) / 4) + 1;
    localparam XNOR_LAT = (LEVELS < ADD_STAGES) ? 1 : LEVELS / ADD_STAGES;
    localparam DOT_LAT  = (KIND == 0) ? XNOR_LAT : 1 + $clog2(SIMD) / ADD_STAGES;

    wire ce;  // the pipeline moves

    generate
        if (PE < 1 || SIMD < 1 || SF < 1 || NF < 1 || GROUPS < 1 || ADD_STAGES < 1) begin : g_error_size
            bw_error_mvu_sizes_start_at_one u_error ();
        end
        if ((KIND == 0 || X_BIPOLAR != 0) && X_W != 1) begin : g_error_bipolar
            bw_error_mvu_bipolar_input_is_one_bit u_error ();
        end
    endgenerate

    // ---- schedule: which input beat meets which rows of the matrix -------------------------------
    reg [SF_W-1:0]   sf_reg;
    reg [NF_W-1:0]   nf_reg;
    reg [ADDR_W-1:0] addr_reg;

    wire first_pass = (nf_reg == {NF_W{1'b0}});
    wire sf_first   = (sf_reg == {SF_W{1'b0}});
    wire sf_last    = (sf_reg == LAST_SF);
    wire nf_last    = (nf_reg == LAST_NF);
    wire row_last;  // the pass is the last one of the last group
    wire [ROW_W-1:0] row;
    wire issue      = !first_pass || s_axis_tvalid;

    assign s_axis_tready = ce && first_pass;

    always @(posedge clk) begin
        if (!rst_n) begin
            sf_reg   <= {SF_W{1'b0}};
            nf_reg   <= {NF_W{1'b0}};
            addr_reg <= {ADDR_W{1'b0}};
        end else if (ce && issue) begin
            sf_reg   <= sf_last ? {SF_W{1'b0}} : sf_reg + 1'b1;
            addr_reg <= (sf_last && row_last) ? {ADDR_W{1'b0}} : addr_reg + 1'b1;
            if (sf_last) nf_reg <= nf_last ? {NF_W{1'b0}} : nf_reg + 1'b1;
        end
    end

    generate
        if (GROUPS == 1) begin : g_one_group
            assign row      = nf_reg;
            assign row_last = nf_last;
        end else begin : g_groups
            localparam LAST_ROW_INT = ROWS - 1;
            reg [ROW_W-1:0] row_reg;
            always @(posedge clk) begin
                if (!rst_n) row_reg <= {ROW_W{1'b0}};
                else if (ce && issue && sf_last) row_reg <= row_last ? {ROW_W{1'b0}} : row_reg + 1'b1;
            end
            assign row      = row_reg;
            assign row_last = (row_reg == LAST_ROW_INT[ROW_W-1:0]);
        end
    endgenerate

    // ---- operands, a cycle later: the input beat or its copy, and its weights -----------------------
    // The first pass reads the buffer too, just after it was written, so that nothing chooses between
    // the two; while the next vector's first beat comes in, the last read still finds the old one.
    reg [ADDR_W-1:0]       addr_late_reg;
    wire [IN_W-1:0]        beat;
    reg [IN_W-1:0]         x_reg;
    wire                   masked_late;  // the dot product is of a masked beat
    wire [PE*SIMD*W_W-1:0] weights;

    always @(posedge clk) if (ce) addr_late_reg <= addr_reg;

    generate
        if (NF == 1 || SF == 1) begin : g_one
            reg [IN_W-1:0] held_reg;
            always @(posedge clk) begin
                if (ce && first_pass) held_reg <= beat;
                if (ce) x_reg <= held_reg;
            end
        end else begin : g_replay
            reg [IN_W-1:0] mem [0:SF-1];
            reg [SF_W-1:0] sf_late_reg;
            always @(posedge clk) begin
                if (ce && first_pass) mem[sf_reg] <= beat;
                if (ce) sf_late_reg <= sf_reg;
                if (ce) x_reg <= mem[sf_late_reg];
            end
        end
    endgenerate

    generate
        if (MASKED == 0) begin : g_no_mask
            wire unused_mask = &{1'b0, s_axis_tuser};
            assign beat        = s_axis_tdata;
            assign masked_late = 1'b0;
        end else begin : g_mask
            assign beat = {!s_axis_tuser, s_axis_tdata};
            bw_delay #(.W(1), .N(DOT_LAT)) u_masked (
                .clk(clk),
                .ce(ce),
                .d(x_reg[IN_W-1]),
                .q(masked_late)
            );
        end
    endgenerate

    bw_weights #(
        .W_W(W_W),
        .LANES(PE*SIMD),
        .DEPTH(DEPTH),
        .VALUES(VALUES),
        .FILE(WEIGHT_FILE),
        .TABLE_FILE(TABLE_FILE)
    ) u_weights (
        .clk(clk),
        .ce(ce),
        .addr(addr_late_reg),
        .data(weights)
    );

    // ---- control and bias, late by as much as the dot product -------------------------------------
    wire valid_late;  // a dot product is present
    wire first_late;  // it begins a sum
    wire last_late;   // it ends a sum
    wire [PE*ACC_W-1:0] start;

    bw_valid #(.N(2 + DOT_LAT)) u_valid (
        .clk(clk),
        .rst_n(rst_n),
        .ce(ce),
        .d(issue),
        .q(valid_late)
    );

    bw_delay #(.W(2), .N(2 + DOT_LAT)) u_marks (
        .clk(clk),
        .ce(ce),
        .d({sf_last, sf_first}),
        .q({last_late, first_late})
    );

    // 2 * count - SIMD is summed as 2 * count, and the vector's length is taken off at the start.
    localparam [31:0] LESS_INT = (KIND == 0) ? SF * SIMD : 0;
    wire [ACC_W-1:0] less;
    bw_resize #(.IN_W(32), .OUT_W(ACC_W), .SIGNED(1)) u_less (.d(LESS_INT), .q(less));

    genvar p;
    generate
        if (USE_BIAS == 0) begin : g_no_bias
            wire unused_row = &{1'b0, row};
            assign start = {PE{-less}};
        end else begin : g_bias
            localparam AHEAD = (KIND == 0) ? DOT_LAT : DOT_LAT + 1;
            wire [ROW_W-1:0]    row_late;
            wire [PE*ACC_W-1:0] bias;
            bw_delay #(.W(ROW_W), .N(AHEAD)) u_address (
                .clk(clk),
                .ce(ce),
                .d(row),
                .q(row_late)
            );
            bw_rom #(.W(PE*ACC_W), .DEPTH(ROWS), .FILE(BIAS_FILE)) u_bias (
                .clk(clk),
                .ce(ce),
                .addr(row_late),
                .data(bias)
            );
            if (KIND == 0) begin : g_less
                reg [PE*ACC_W-1:0] start_reg;
                for (p = 0; p < PE; p = p + 1) begin : g_lane
                    always @(posedge clk) begin
                        if (ce) start_reg[p*ACC_W +: ACC_W] <= bias[p*ACC_W +: ACC_W] - less;
                    end
                end
                assign start = start_reg;
            end else begin : g_plain
                wire unused_less = &{1'b0, less};
                assign start = bias;
            end
        end
    endgenerate

    // ---- dot products and accumulators ------------------------------------------------------------
    reg [PE*ACC_W-1:0] acc_reg;
    reg                done_reg;  // the accumulators hold finished outputs

    generate
        for (p = 0; p < PE; p = p + 1) begin : g_pe
            wire [ACC_W-1:0] sum_in = (SF == 1 || first_late) ? start[p*ACC_W +: ACC_W] : acc_reg[p*ACC_W +: ACC_W];
            if (KIND == 0) begin : g_xnor
                localparam [31:0] SIMD_INT = SIMD;
                wire [COUNT_W-1:0] count;
                wire [ACC_W-2:0]   wide;
                wire [ACC_W-2:0]   half;
                wire               odd = SIMD_INT[0];
                wire               loose;
                bw_dot_xnor #(.SIMD(SIMD), .ADD_STAGES(ADD_STAGES)) u_dot (
                    .clk(clk),
                    .ce(ce),
                    .x(x_reg[SIMD*X_W-1:0]),
                    .w(weights[p*SIMD +: SIMD]),
                    .count(count),
                    .loose(loose)
                );
                bw_resize #(.IN_W(COUNT_W), .OUT_W(ACC_W-1), .SIGNED(0)) u_wide (
                    .d(count),
                    .q(wide)
                );
                bw_resize #(.IN_W(31), .OUT_W(ACC_W-1), .SIGNED(0)) u_half (.d(SIMD_INT[31:1]), .q(half));
                // Twice the count leaves the lowest bit as it started; the loose bit is a carry.
                // SIMD in its place, which the start took off, makes a masked beat add nothing.
                wire [ACC_W-2:0] added = masked_late ? half : wide;
                wire             carry = masked_late ? odd && sum_in[0] : loose;
                wire [ACC_W-1:0] chain = {added, carry} + {sum_in[ACC_W-1:1], 1'b1};
                wire unused_low = &{1'b0, chain[0]};
                always @(posedge clk) begin
                    if (ce && valid_late) acc_reg[p*ACC_W+1 +: ACC_W-1] <= chain[ACC_W-1:1];
                    if (ce && valid_late && (first_late || (MASKED != 0))) acc_reg[p*ACC_W] <= sum_in[0] ^ (masked_late && odd);
                end
            end else begin : g_terms
                wire [ACC_W-1:0] dot;
                bw_dot_terms #(
                    .KIND(KIND),
                    .SIMD(SIMD),
                    .X_W(X_W),
                    .X_SIGNED(X_SIGNED),
                    .X_BIPOLAR(X_BIPOLAR),
                    .W_W(W_W),
                    .OUT_W(ACC_W),
                    .ADD_STAGES(ADD_STAGES)
                ) u_dot (
                    .clk(clk),
                    .ce(ce),
                    .x(x_reg[SIMD*X_W-1:0]),
                    .w(weights[p*SIMD*W_W +: SIMD*W_W]),
                    .dot(dot)
                );
                always @(posedge clk) begin
                    if (ce && valid_late) acc_reg[p*ACC_W +: ACC_W] <= sum_in + (dot & {ACC_W{!masked_late}});
                end
            end
        end
    endgenerate

    always @(posedge clk) begin
        if (!rst_n) done_reg <= 1'b0;
        else if (ce) done_reg <= valid_late && last_late;
    end

    bw_skid #(.W(PE*ACC_W)) u_out (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(acc_reg),
        .s_axis_tvalid(done_reg),
        .s_axis_tready(ce),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule

`default_nettype wire
