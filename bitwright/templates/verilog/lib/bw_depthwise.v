// Depthwise convolution: PE channels per cycle, each with a kernel of its own, weights from ROM.
// Block after block of PE channels enters as KK beats, its taps, and leaves as one beat of sums;
// NB blocks make a position. Input beats that are masked add nothing.
`default_nettype none

module bw_depthwise #(
    parameter KIND        = 3,   // 0 xnor, 1 ternary, 2 shift, 3 integer, 4 binary weights
    parameter PE          = 2,   // channels per cycle
    parameter KK          = 9,   // taps of a kernel
    parameter NB          = 2,   // blocks until the weights repeat
    parameter X_W         = 8,   // bits of an input; 1 for KIND 0
    parameter X_SIGNED    = 1,   // 1: inputs are two's complement, 0: unsigned
    parameter X_BIPOLAR   = 0,   // 1: inputs are one bit, 1 = +1 and 0 = -1; implied by KIND 0
    parameter W_W         = 8,   // bits of a weight, as in bw_mvu
    parameter ACC_W       = 20,  // bits of an output, two's complement
    parameter USE_BIAS    = 0,   // 1: accumulators start from BIAS_FILE, 0: from zero
    parameter USE_MASK    = 0,   // 1: s_axis_tuser tells which input beats count
    parameter WEIGHT_FILE = "",  // NB*KK words at block*KK+tap; weight of lane p at p*W_W
    parameter BIAS_FILE   = "",  // NB words of PE*ACC_W bits
    parameter VALUES      = 0,   // above 0: WEIGHT_FILE holds indices into so many values, as in bw_mvu
    parameter TABLE_FILE  = ""   // VALUES words of W_W bits; unused unless VALUES > 0
) (
    input  wire                clk,            // clock
    input  wire                rst_n,          // synchronous reset, active low
    input  wire [PE*X_W-1:0]   s_axis_tdata,   // PE inputs, first in the low bits
    input  wire                s_axis_tuser,   // 0: the beat adds nothing; unused unless USE_MASK
    input  wire                s_axis_tvalid,  // input beat present
    output wire                s_axis_tready,  // input beat taken; a register
    output wire [PE*ACC_W-1:0] m_axis_tdata,   // PE outputs, first in the low bits
    output wire                m_axis_tvalid,  // output beat present
    input  wire                m_axis_tready   // output beat taken
);

    localparam DEPTH  = NB * KK;
    localparam ADDR_W = (DEPTH > 1) ? $clog2(DEPTH) : 1;
    localparam NB_W   = (NB > 1) ? $clog2(NB) : 1;
    localparam LAST_NB_INT = NB - 1;

    // A product of signs is that of a binary weight and a bipolar input.
    localparam TERM_KIND = (KIND == 0) ? 4 : KIND;
    localparam BIPOLAR   = (KIND == 0 || X_BIPOLAR != 0) ? 1 : 0;

    // Narrowest width that holds every term, cut to that of the result, as in bw_dot_terms.
    localparam V_W    = (BIPOLAR != 0) ? 2 : (X_SIGNED != 0) ? X_W : X_W + 1;
    localparam NEG_W  = (BIPOLAR == 0 && X_SIGNED != 0) ? V_W + 1 : V_W;
    localparam EXTRA  = (KIND == 2 && W_W > 2) ? (1 << (W_W - 2)) - 1 : 0;
    localparam FULL_W = (KIND != 3) ? NEG_W + EXTRA : (BIPOLAR != 0) ? W_W + 1 : V_W + W_W;
    localparam TERM_W = (FULL_W < ACC_W) ? FULL_W : ACC_W;

    generate
        if (BIPOLAR != 0 && X_W != 1) begin : g_error_bipolar
            bw_error_depthwise_bipolar_input_is_one_bit u_error ();
        end
    endgenerate

    // ---- schedule: which tap and block the input beat is -------------------------------------------
    wire             ce;  // the pipeline moves
    wire             step = ce && s_axis_tvalid;
    wire             tap_last;
    wire             block_last;
    reg              first_reg;  // the first tap of a block
    reg [ADDR_W-1:0] addr_reg;
    reg [NB_W-1:0]   block_reg;

    assign s_axis_tready = ce;
    assign block_last    = (block_reg == LAST_NB_INT[NB_W-1:0]);

    bw_counter #(.N(KK)) u_tap (.clk(clk), .rst_n(rst_n), .step(step), .last(tap_last));

    always @(posedge clk) begin
        if (!rst_n) begin
            first_reg <= 1'b1;
            addr_reg  <= {ADDR_W{1'b0}};
            block_reg <= {NB_W{1'b0}};
        end else if (step) begin
            first_reg <= tap_last;
            addr_reg  <= (tap_last && block_last) ? {ADDR_W{1'b0}} : addr_reg + 1'b1;
            if (tap_last) block_reg <= block_last ? {NB_W{1'b0}} : block_reg + 1'b1;
        end
    end

    // ---- operands, products, sums --------------------------------------------------------------------
    wire                valid_late;  // a product is present
    wire                first_late;  // it begins a sum
    wire                last_late;   // it ends a sum
    wire                masked;      // the operands count for nothing
    wire [PE*W_W-1:0]   weights;
    wire [PE*ACC_W-1:0] start;
    reg [PE*X_W-1:0]    x_reg;
    reg [PE*ACC_W-1:0]  acc_reg;
    reg                 done_reg;    // the accumulators hold finished outputs

    always @(posedge clk) if (ce) x_reg <= s_axis_tdata;

    bw_weights #(
        .W_W(W_W),
        .LANES(PE),
        .DEPTH(DEPTH),
        .VALUES(VALUES),
        .FILE(WEIGHT_FILE),
        .TABLE_FILE(TABLE_FILE)
    ) u_weights (
        .clk(clk),
        .ce(ce),
        .addr(addr_reg),
        .data(weights)
    );

    bw_valid #(.N(2)) u_valid (
        .clk(clk),
        .rst_n(rst_n),
        .ce(ce),
        .d(s_axis_tvalid),
        .q(valid_late)
    );

    bw_delay #(.W(2), .N(2)) u_marks (
        .clk(clk),
        .ce(ce),
        .d({tap_last, first_reg}),
        .q({last_late, first_late})
    );

    genvar p;
    generate
        if (USE_MASK == 0) begin : g_no_mask
            wire unused_mask = &{1'b0, s_axis_tuser};
            assign masked = 1'b0;
        end else begin : g_mask
            reg masked_reg;
            always @(posedge clk) if (ce) masked_reg <= !s_axis_tuser;
            assign masked = masked_reg;
        end
        if (USE_BIAS == 0) begin : g_no_bias
            assign start = {PE*ACC_W{1'b0}};
        end else begin : g_bias
            reg [NB_W-1:0] block_late_reg;
            always @(posedge clk) if (ce) block_late_reg <= block_reg;
            bw_rom #(.W(PE*ACC_W), .DEPTH(NB), .FILE(BIAS_FILE)) u_bias (
                .clk(clk),
                .ce(ce),
                .addr(block_late_reg),
                .data(start)
            );
        end
        for (p = 0; p < PE; p = p + 1) begin : g_lane
            wire [TERM_W-1:0] term;
            reg [TERM_W-1:0]  term_reg;
            wire [ACC_W-1:0]  wide;
            wire [ACC_W-1:0]  so_far = first_late ? start[p*ACC_W +: ACC_W] : acc_reg[p*ACC_W +: ACC_W];
            bw_term #(
                .KIND(TERM_KIND),
                .X_W(X_W),
                .X_SIGNED(X_SIGNED),
                .X_BIPOLAR(BIPOLAR),
                .W_W(W_W),
                .OUT_W(TERM_W)
            ) u_term (
                .x(x_reg[p*X_W +: X_W]),
                .w(weights[p*W_W +: W_W]),
                .y(term)
            );
            bw_resize #(.IN_W(TERM_W), .OUT_W(ACC_W), .SIGNED(1)) u_wide (.d(term_reg), .q(wide));
            always @(posedge clk) begin
                if (ce) term_reg <= term & {TERM_W{!masked}};
                if (ce && valid_late) acc_reg[p*ACC_W +: ACC_W] <= so_far + wide;
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
