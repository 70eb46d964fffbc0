// y = clamp(round((x * mul_c + add_c) / 2^SHIFT) + ZERO, LO, HI), mul and add from ROM by channel.
// The channel of lane p in beat b of a stream is (b mod NF) * PE + p; with CLASSES > 1 the parameters
// depend on the class of the pixel too, NF beats.
`default_nettype none

module bw_requantize #(
    parameter               PE         = 2,     // lanes
    parameter               NF         = 2,     // beats until the channels repeat
    parameter               ACC_W      = 24,    // bits of x, two's complement
    parameter               MUL_W      = 16,    // bits of mul, two's complement
    parameter               ADD_W      = 32,    // bits of add, two's complement
    parameter               SHIFT      = 16,    // bits dropped, 0 to 62
    parameter               ROUND      = 1,     // 0: towards minus infinity, 1: to nearest, ties to even
    parameter signed [31:0] ZERO       = 0,     // zero point added after rounding
    parameter signed [31:0] LO         = -128,  // least output
    parameter signed [31:0] HI         = 127,   // greatest output
    parameter               OUT_W      = 8,     // bits of an output
    parameter               USE_MUL    = 1,     // 0: mul is 1; 1: multiplier; 2: mul is {negative, nonzero, exponent}
    parameter               PARAM_FILE = "",    // CLASSES*NF words at class*NF+nf; {add, mul} of lane p at p*(ADD_W+MUL_W)
    parameter               CLASSES    = 1,     // classes of pixels
    parameter               POSITIONS  = 1,     // pixels of a frame; unused unless CLASSES > 1
    parameter               CLASS_FILE = ""     // POSITIONS words of clog2(CLASSES) bits: the class of each pixel
) (
    input  wire                clk,            // clock
    input  wire                rst_n,          // synchronous reset, active low
    input  wire [PE*ACC_W-1:0] s_axis_tdata,   // PE values, first in the low bits
    input  wire                s_axis_tvalid,  // input beat present
    output wire                s_axis_tready,  // input beat taken; a register
    output wire [PE*OUT_W-1:0] m_axis_tdata,   // PE codes, first in the low bits
    output wire                m_axis_tvalid,  // output beat present
    input  wire                m_axis_tready   // output beat taken
);

    localparam ROWS   = NF * CLASSES;
    localparam ROW_W  = (ROWS > 1) ? $clog2(ROWS) : 1;
    localparam PAIR_W = ADD_W + MUL_W;
    localparam EXP_W  = (USE_MUL == 2) ? MUL_W - 2 : 0;
    localparam PROD_W = (USE_MUL == 2) ? ACC_W + (1 << EXP_W) : (USE_MUL != 0) ? ACC_W + MUL_W : ACC_W;
    localparam T_W    = ((PROD_W > ADD_W) ? PROD_W : ADD_W) + 1;
    localparam STAGES = (USE_MUL != 0) ? 4 : 3;

    wire                 ce;
    wire                 valid_late;
    wire [PE*PAIR_W-1:0] pairs;
    wire [PE*OUT_W-1:0]  codes;
    reg  [PE*ACC_W-1:0]  x_reg;
    wire [PE*ACC_W-1:0]  x_now;
    wire                 valid_now;
    wire [ROW_W-1:0]     row;

    assign s_axis_tready = ce;

    bw_row #(
        .W(PE*ACC_W),
        .NF(NF),
        .CLASSES(CLASSES),
        .POSITIONS(POSITIONS),
        .CLASS_FILE(CLASS_FILE)
    ) u_row (
        .clk(clk),
        .rst_n(rst_n),
        .ce(ce),
        .data(s_axis_tdata),
        .valid(s_axis_tvalid),
        .data_out(x_now),
        .valid_out(valid_now),
        .row(row)
    );

    always @(posedge clk) if (ce) x_reg <= x_now;

    bw_rom #(.W(PE*PAIR_W), .DEPTH(ROWS), .FILE(PARAM_FILE)) u_param (
        .clk(clk),
        .ce(ce),
        .addr(row),
        .data(pairs)
    );

    genvar p;
    generate
        for (p = 0; p < PE; p = p + 1) begin : g_lane
            wire signed [ACC_W-1:0] x = x_reg[p*ACC_W +: ACC_W];
            wire [ADD_W-1:0]        add_now = pairs[p*PAIR_W+MUL_W +: ADD_W];
            wire [ADD_W-1:0]        add;
            wire [PROD_W-1:0]       product;
            wire [T_W-1:0]          product_wide;
            wire [T_W-1:0]          add_wide;
            reg  [T_W-1:0]          t_reg;

            if (USE_MUL == 2) begin : g_shift
                wire [PROD_W-1:0] shifted;
                reg  [PROD_W-1:0] product_reg;
                bw_term #(.KIND(2), .X_W(ACC_W), .X_SIGNED(1), .X_BIPOLAR(0), .W_W(MUL_W), .OUT_W(PROD_W)) u_shift (
                    .x(x),
                    .w(pairs[p*PAIR_W +: MUL_W]),
                    .y(shifted)
                );
                always @(posedge clk) if (ce) product_reg <= shifted;
                bw_delay #(.W(ADD_W), .N(1)) u_add (.clk(clk), .ce(ce), .d(add_now), .q(add));
                assign product = product_reg;
            end else if (USE_MUL != 0) begin : g_multiply
                wire signed [MUL_W-1:0]  mul = pairs[p*PAIR_W +: MUL_W];
                reg  signed [PROD_W-1:0] product_reg;
                always @(posedge clk) if (ce) product_reg <= x * mul;
                bw_delay #(.W(ADD_W), .N(1)) u_add (.clk(clk), .ce(ce), .d(add_now), .q(add));
                assign product = product_reg;
            end else begin : g_shift_only
                wire unused_mul = &{1'b0, pairs[p*PAIR_W +: MUL_W]};
                assign product = x;
                assign add     = add_now;
            end

            bw_resize #(.IN_W(PROD_W), .OUT_W(T_W), .SIGNED(1)) u_product (.d(product), .q(product_wide));
            bw_resize #(.IN_W(ADD_W), .OUT_W(T_W), .SIGNED(1)) u_add_wide (.d(add), .q(add_wide));

            always @(posedge clk) if (ce) t_reg <= product_wide + add_wide;

            bw_round_clamp #(
                .T_W(T_W),
                .SHIFT(SHIFT),
                .ROUND(ROUND),
                .ZERO(ZERO),
                .LO(LO),
                .HI(HI),
                .OUT_W(OUT_W)
            ) u_code (
                .clk(clk),
                .ce(ce),
                .t(t_reg),
                .y(codes[p*OUT_W +: OUT_W])
            );
        end
    endgenerate

    bw_valid #(.N(STAGES)) u_valid (
        .clk(clk),
        .rst_n(rst_n),
        .ce(ce),
        .d(valid_now),
        .q(valid_late)
    );

    bw_skid #(.W(PE*OUT_W)) u_out (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(codes),
        .s_axis_tvalid(valid_late),
        .s_axis_tready(ce),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule

`default_nettype wire
