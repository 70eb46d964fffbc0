// y = (a - ZERO_A) * (b - ZERO_B) of two streams; a pixel of b can serve several pixels of a.
// With REPEAT > 1 the BEATS beats of a pixel of b come in beside the first of REPEAT pixels of a, are
// kept in a memory and met again by the others. An operand of two bits needs no multiplier.
`default_nettype none

module bw_mul #(
    parameter               N        = 2,   // lanes
    parameter               A_W      = 8,   // bits of a
    parameter               A_SIGNED = 1,   // 1: a is two's complement, 0: unsigned
    parameter               B_W      = 8,   // bits of b
    parameter               B_SIGNED = 1,   // 1: b is two's complement, 0: unsigned
    parameter signed [31:0] ZERO_A   = 0,   // zero point of a
    parameter signed [31:0] ZERO_B   = 0,   // zero point of b
    parameter               OUT_W    = 16,  // bits of a product, two's complement
    parameter               REPEAT   = 1,   // pixels of a that meet one pixel of b
    parameter               BEATS    = 1    // beats of a pixel; unused unless REPEAT > 1
) (
    input  wire               clk,             // clock
    input  wire               rst_n,           // synchronous reset, active low
    input  wire [N*A_W-1:0]   s0_axis_tdata,   // N values a, first in the low bits
    input  wire               s0_axis_tvalid,  // beat of a present
    output wire               s0_axis_tready,  // beat of a taken; a register
    input  wire [N*B_W-1:0]   s1_axis_tdata,   // N values b, first in the low bits
    input  wire               s1_axis_tvalid,  // beat of b present
    output wire               s1_axis_tready,  // beat of b taken; a register
    output wire [N*OUT_W-1:0] m_axis_tdata,    // N products, first in the low bits
    output wire               m_axis_tvalid,   // output beat present
    input  wire               m_axis_tready    // output beat taken
);

    // Bits of the differences: those of the larger end.
    localparam signed [63:0] ZA   = {{32{ZERO_A[31]}}, ZERO_A};
    localparam signed [63:0] ZB   = {{32{ZERO_B[31]}}, ZERO_B};
    localparam signed [63:0] A_LO = ((A_SIGNED != 0) ? -(64'sd1 << (A_W-1)) : 64'sd0) - ZA;
    localparam signed [63:0] B_LO = ((B_SIGNED != 0) ? -(64'sd1 << (B_W-1)) : 64'sd0) - ZB;
    localparam signed [63:0] A_HI = A_LO + (64'sd1 << A_W) - 64'sd1;
    localparam signed [63:0] B_HI = B_LO + (64'sd1 << B_W) - 64'sd1;
    localparam A_FAR = (A_HI >= -A_LO) ? $clog2(A_HI + 1) : $clog2(-A_LO);
    localparam B_FAR = (B_HI >= -B_LO) ? $clog2(B_HI + 1) : $clog2(-B_LO);
    localparam D_W   = A_FAR + 1;
    localparam E_W   = B_FAR + 1;
    localparam P_W   = D_W + E_W;

    wire               ce;
    wire               a_valid;
    wire               b_valid;
    wire               fresh;  // the beat of a meets a beat of b, not its copy
    wire               both = a_valid && (b_valid || !fresh);
    wire               valid_late;
    wire [N*A_W-1:0]   a_in;
    wire [N*B_W-1:0]   b_in;
    wire [N*A_W-1:0]   a;
    wire [N*B_W-1:0]   b;
    wire [N*OUT_W-1:0] products;

    bw_skid #(.W(N*A_W)) u_a (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(s0_axis_tdata),
        .s_axis_tvalid(s0_axis_tvalid),
        .s_axis_tready(s0_axis_tready),
        .m_axis_tdata(a_in),
        .m_axis_tvalid(a_valid),
        .m_axis_tready(ce && (b_valid || !fresh))
    );

    bw_skid #(.W(N*B_W)) u_b (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(s1_axis_tdata),
        .s_axis_tvalid(s1_axis_tvalid),
        .s_axis_tready(s1_axis_tready),
        .m_axis_tdata(b_in),
        .m_axis_tvalid(b_valid),
        .m_axis_tready(ce && a_valid && fresh)
    );

    // ---- the pixel of b that is kept: read a cycle after it may have been written ----------------
    localparam KEEP = (REPEAT > 1) ? 2 : 0;  // registers

    generate
        if (REPEAT == 1) begin : g_fresh
            assign fresh = 1'b1;
            assign b     = b_in;
        end else begin : g_keep
            reg            fresh_reg;
            reg [N*B_W-1:0] b_reg;
            wire           step = ce && both;
            wire           pixel_last;
            wire           frame_last;
            bw_counter #(.N(BEATS)) u_pixel (.clk(clk), .rst_n(rst_n), .step(step), .last(pixel_last));
            bw_counter #(.N(REPEAT)) u_frame (.clk(clk), .rst_n(rst_n), .step(step && pixel_last), .last(frame_last));
            always @(posedge clk) begin
                if (!rst_n) fresh_reg <= 1'b1;
                else if (step && pixel_last) fresh_reg <= frame_last;
            end
            if (BEATS == 1) begin : g_held
                reg [N*B_W-1:0] held_reg;
                always @(posedge clk) begin
                    if (ce && fresh) held_reg <= b_in;
                    if (ce) b_reg <= held_reg;
                end
            end else begin : g_memory
                localparam I_W = $clog2(BEATS);
                reg [N*B_W-1:0] mem [0:BEATS-1];
                reg [I_W-1:0]   index_reg;
                reg [I_W-1:0]   index_late_reg;
                always @(posedge clk) begin
                    if (!rst_n) index_reg <= {I_W{1'b0}};
                    else if (step) index_reg <= pixel_last ? {I_W{1'b0}} : index_reg + 1'b1;
                    if (ce && fresh) mem[index_reg] <= b_in;
                    if (ce) index_late_reg <= index_reg;
                    if (ce) b_reg <= mem[index_late_reg];
                end
            end
            assign fresh = fresh_reg;
            assign b     = b_reg;
        end
    endgenerate

    bw_delay #(.W(N*A_W), .N(KEEP)) u_late (.clk(clk), .ce(ce), .d(a_in), .q(a));

    // ---- differences and their product ------------------------------------------------------------
    wire [D_W-1:0] zero_a;
    wire [E_W-1:0] zero_b;
    bw_resize #(.IN_W(32), .OUT_W(D_W), .SIGNED(1)) u_zero_a (.d(ZERO_A), .q(zero_a));
    bw_resize #(.IN_W(32), .OUT_W(E_W), .SIGNED(1)) u_zero_b (.d(ZERO_B), .q(zero_b));

    genvar i;
    generate
        for (i = 0; i < N; i = i + 1) begin : g_lane
            wire [D_W-1:0]        a_wide;
            wire [E_W-1:0]        b_wide;
            reg signed [D_W-1:0]  a_reg;
            reg signed [E_W-1:0]  b_reg;
            reg [P_W-1:0]         product_reg;
            wire [P_W-1:0]        product;
            bw_resize #(.IN_W(A_W), .OUT_W(D_W), .SIGNED(A_SIGNED)) u_a_wide (.d(a[i*A_W +: A_W]), .q(a_wide));
            bw_resize #(.IN_W(B_W), .OUT_W(E_W), .SIGNED(B_SIGNED)) u_b_wide (.d(b[i*B_W +: B_W]), .q(b_wide));
            if (D_W <= 2) begin : g_few_a
                wire [P_W-1:0] wide;
                bw_resize #(.IN_W(E_W), .OUT_W(P_W), .SIGNED(1)) u_wide (.d(b_reg), .q(wide));
                if (D_W == 1) begin : g_sign
                    assign product = -(wide & {P_W{a_reg[0]}});
                end else begin : g_pair
                    assign product = (wide & {P_W{a_reg[0]}}) - ((wide << 1) & {P_W{a_reg[1]}});
                end
            end else if (E_W <= 2) begin : g_few_b
                wire [P_W-1:0] wide;
                bw_resize #(.IN_W(D_W), .OUT_W(P_W), .SIGNED(1)) u_wide (.d(a_reg), .q(wide));
                if (E_W == 1) begin : g_sign
                    assign product = -(wide & {P_W{b_reg[0]}});
                end else begin : g_pair
                    assign product = (wide & {P_W{b_reg[0]}}) - ((wide << 1) & {P_W{b_reg[1]}});
                end
            end else begin : g_multiply
                wire signed [P_W-1:0] exact = a_reg * b_reg;
                assign product = exact;
            end
            always @(posedge clk) begin
                if (ce) begin
                    a_reg       <= a_wide - zero_a;
                    b_reg       <= b_wide - zero_b;
                    product_reg <= product;
                end
            end
            bw_resize #(.IN_W(P_W), .OUT_W(OUT_W), .SIGNED(1)) u_cut (.d(product_reg), .q(products[i*OUT_W +: OUT_W]));
        end
    endgenerate

    bw_valid #(.N(KEEP + 2)) u_valid (
        .clk(clk),
        .rst_n(rst_n),
        .ce(ce),
        .d(both),
        .q(valid_late)
    );

    bw_skid #(.W(N*OUT_W)) u_out (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(products),
        .s_axis_tvalid(valid_late),
        .s_axis_tready(ce),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule

`default_nettype wire
