// Maximum, minimum or sum of KK beats, lane by lane, as one output beat. The beats to join follow
// one another (a window's taps) or, with BLOCKS > 1, come every BLOCKS beats: whole pixels are
// joined, and BLOCKS beats leave with the last. Masked input beats are left out: of none at all the
// maximum is the least code, the minimum the greatest, the sum 0.
`default_nettype none

module bw_pool #(
    parameter MODE      = 0,  // 0 maximum, 1 minimum, 2 sum
    parameter PE        = 2,  // lanes
    parameter KK        = 4,  // beats that make one
    parameter BLOCKS    = 1,  // beats of a pixel, when pixel after pixel is to be joined; 1: beat after beat
    parameter X_W       = 8,  // bits of an input
    parameter X_SIGNED  = 1,  // 1: inputs are two's complement, 0: unsigned
    parameter X_BIPOLAR = 0,  // 1: inputs are one bit, 1 = +1 and 0 = -1
    parameter OUT_W     = 8,  // bits of an output: X_W for a maximum or minimum; a sum is cut to them
    parameter USE_MASK  = 0   // 1: s_axis_tuser tells which input beats count
) (
    input  wire                clk,            // clock
    input  wire                rst_n,          // synchronous reset, active low
    input  wire [PE*X_W-1:0]   s_axis_tdata,   // PE inputs, first in the low bits
    input  wire                s_axis_tuser,   // 0: the beat is left out; unused unless USE_MASK
    input  wire                s_axis_tvalid,  // input beat present
    output wire                s_axis_tready,  // input beat taken; a register
    output wire [PE*OUT_W-1:0] m_axis_tdata,   // PE outputs, first in the low bits
    output wire                m_axis_tvalid,  // output beat present
    input  wire                m_axis_tready   // output beat taken
);

    localparam SIGNED = (X_BIPOLAR == 0 && X_SIGNED != 0) ? 1 : 0;

    generate
        if (MODE != 2 && OUT_W != X_W) begin : g_error_width
            bw_error_pool_maximum_keeps_the_width u_error ();
        end
        if (X_BIPOLAR != 0 && X_W != 1) begin : g_error_bipolar
            bw_error_pool_bipolar_input_is_one_bit u_error ();
        end
    endgenerate

    wire                ce;  // the pipeline moves
    wire                step = ce && s_axis_tvalid;
    wire                block_last;
    wire                tap_last;
    wire                masked;
    wire [PE*OUT_W-1:0] values;      // inputs in the form in which they are joined
    wire [PE*OUT_W-1:0] joined;
    wire [PE*OUT_W-1:0] so_far;      // what the beats so far make
    reg                 first_reg;   // the beat begins an output
    reg [PE*OUT_W-1:0]  x_reg;
    reg                 valid_reg;
    reg                 first_late_reg;
    reg                 last_late_reg;
    reg [PE*OUT_W-1:0]  acc_reg;
    reg                 done_reg;    // acc_reg is a finished output

    assign s_axis_tready = ce;

    bw_counter #(.N(BLOCKS)) u_block (.clk(clk), .rst_n(rst_n), .step(step), .last(block_last));
    bw_counter #(.N(KK)) u_tap (.clk(clk), .rst_n(rst_n), .step(step && block_last), .last(tap_last));

    // Codes are joined as unsigned numbers (the sign flipped), the least for a masked one, and the
    // minimum as the maximum of their complements; sums as two's complement.
    genvar p;
    generate
        if (USE_MASK == 0) begin : g_no_mask
            wire unused_mask = &{1'b0, s_axis_tuser};
            assign masked = 1'b0;
        end else begin : g_mask
            assign masked = !s_axis_tuser;
        end
        for (p = 0; p < PE; p = p + 1) begin : g_lane
            wire [X_W-1:0]   x     = s_axis_tdata[p*X_W +: X_W];
            wire [OUT_W-1:0] value = x_reg[p*OUT_W +: OUT_W];
            wire [OUT_W-1:0] last  = so_far[p*OUT_W +: OUT_W];
            if (MODE == 2) begin : g_sum
                wire [OUT_W-1:0] wide;
                if (X_BIPOLAR != 0) begin : g_bipolar
                    bw_resize #(.IN_W(2), .OUT_W(OUT_W), .SIGNED(1)) u_wide (.d({!x[0], 1'b1}), .q(wide));
                end else begin : g_number
                    bw_resize #(.IN_W(X_W), .OUT_W(OUT_W), .SIGNED(SIGNED)) u_wide (.d(x), .q(wide));
                end
                assign values[p*OUT_W +: OUT_W] = wide & {OUT_W{!masked}};
                assign joined[p*OUT_W +: OUT_W] = value + (last & {OUT_W{!first_late_reg}});
            end else begin : g_choose
                localparam [0:0] FLIP_TOP  = (SIGNED != 0) != (MODE == 1);
                localparam [0:0] FLIP_REST = (MODE == 1);
                wire [OUT_W-1:0] flip;
                wire [OUT_W-1:0] best = (first_late_reg || value > last) ? value : last;
                if (OUT_W == 1) begin : g_bit
                    assign flip = FLIP_TOP;
                end else begin : g_word
                    assign flip = {FLIP_TOP, {(OUT_W-1){FLIP_REST}}};
                end
                assign values[p*OUT_W +: OUT_W]       = (x ^ flip) & {OUT_W{!masked}};
                assign joined[p*OUT_W +: OUT_W]       = best;
            end
        end
    endgenerate

    // ---- what the beats so far make: the last result, or one of BLOCKS from memory ------------------
    generate
        if (BLOCKS == 1) begin : g_last
            assign so_far = acc_reg;
        end else begin : g_memory
            localparam B_W = $clog2(BLOCKS);
            localparam LAST_INT = BLOCKS - 1;
            reg [PE*OUT_W-1:0] mem [0:BLOCKS-1];
            reg [PE*OUT_W-1:0] so_far_reg;
            reg [B_W-1:0]      block_reg;       // of the beat that comes in
            reg [B_W-1:0]      block_late_reg;  // of x_reg
            always @(posedge clk) begin
                if (!rst_n) block_reg <= {B_W{1'b0}};
                else if (step) block_reg <= (block_reg == LAST_INT[B_W-1:0]) ? {B_W{1'b0}} : block_reg + 1'b1;
                if (step) block_late_reg <= block_reg;
                if (step) so_far_reg <= mem[block_reg];
                if (ce && valid_reg) mem[block_late_reg] <= joined;
            end
            assign so_far = so_far_reg;
        end
    endgenerate

    always @(posedge clk) begin
        if (!rst_n) begin
            first_reg <= 1'b1;
            valid_reg <= 1'b0;
            done_reg  <= 1'b0;
        end else if (ce) begin
            if (s_axis_tvalid && block_last) first_reg <= tap_last;
            valid_reg <= s_axis_tvalid;
            done_reg  <= valid_reg && last_late_reg;
        end
        if (ce) begin
            x_reg          <= values;
            first_late_reg <= first_reg;
            last_late_reg  <= tap_last;
        end
        if (ce && valid_reg) acc_reg <= joined;
    end

    // ---- out, in the inputs' form --------------------------------------------------------------------
    wire [PE*OUT_W-1:0] codes;

    generate
        for (p = 0; p < PE; p = p + 1) begin : g_code
            if (MODE == 2) begin : g_sum
                assign codes[p*OUT_W +: OUT_W] = acc_reg[p*OUT_W +: OUT_W];
            end else begin : g_choice
                assign codes[p*OUT_W +: OUT_W] = acc_reg[p*OUT_W +: OUT_W] ^ g_lane[p].g_choose.flip;
            end
        end
    endgenerate

    bw_skid #(.W(PE*OUT_W)) u_out (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(codes),
        .s_axis_tvalid(done_reg),
        .s_axis_tready(ce),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule

`default_nettype wire
