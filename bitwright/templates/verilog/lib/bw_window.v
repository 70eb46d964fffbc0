// Line buffer and sliding window over a raster H, W, C: one tap of one output position a beat.
// Order out: output position in raster order; block of channels; ky; kx; beat within the block.
// A tap outside the image is PAD_VALUE with m_axis_tuser 0; of a frame nothing leaves before its
// first beat came. The buffer is a ring of DEPTH beats, in which a window's end frees what lies
// before the next window's first tap. Rows and columns that no window reads are taken and passed
// over; the next frame comes in while this one is read.
`default_nettype none

module bw_window #(
    parameter               W_ELEM    = 8,  // bits of an element
    parameter               SIMD      = 2,  // elements a beat, of one pixel
    parameter               CB        = 2,  // beats of a pixel
    parameter               BLOCKS    = 1,  // blocks of CB/BLOCKS beats whose windows leave one after another
    parameter               IH        = 5,  // rows of the image
    parameter               IW        = 5,  // columns of the image
    parameter               KH        = 3,  // rows of the kernel
    parameter               KW        = 3,  // columns of the kernel
    parameter               SH        = 1,  // stride down
    parameter               SW        = 1,  // stride across
    parameter               DH        = 1,  // rows from tap to tap
    parameter               DW        = 1,  // columns from tap to tap
    parameter               PAD_T     = 1,  // padded rows above
    parameter               PAD_L     = 1,  // padded columns at the left
    parameter               PAD_B     = 1,  // padded rows below
    parameter               PAD_R     = 1,  // padded columns at the right
    parameter signed [31:0] PAD_VALUE = 0,  // padded element
    parameter               DEPTH     = ((KH-1)*DH + 1 + SH) * IW * CB  // beats of the ring
) (
    input  wire                   clk,            // clock
    input  wire                   rst_n,          // synchronous reset, active low
    input  wire [SIMD*W_ELEM-1:0] s_axis_tdata,   // SIMD elements of a pixel, first in the low bits
    input  wire                   s_axis_tvalid,  // input beat present
    output wire                   s_axis_tready,  // input beat taken; from registers only
    output wire [SIMD*W_ELEM-1:0] m_axis_tdata,   // SIMD elements of a tap
    output wire                   m_axis_tuser,   // 1: a tap of the image, 0: padding
    output wire                   m_axis_tvalid,  // output beat present
    input  wire                   m_axis_tready   // output beat taken
);

    localparam IN_W = SIMD * W_ELEM;
    localparam OH   = (IH + PAD_T + PAD_B - (KH-1)*DH - 1) / SH + 1;
    localparam OW   = (IW + PAD_L + PAD_R - (KW-1)*DW - 1) / SW + 1;
    localparam ROW  = IW * CB;      // beats of a row
    localparam PART = CB / BLOCKS;  // beats of a block
    localparam DOWN = (KH-1)*DH * ROW;
    localparam SIDE = (KW-1)*DW * CB;
    localparam LAST = DOWN + SIDE + CB - 1;  // beats from a window's first to its last tap

    // What lies behind: rows after HOLD_Y and, when COLS is 0, all columns free nothing (huge pads).
    localparam COLS   = ((OW-1)*SW <= IW) ? 1 : 0;
    localparam HOLD_Y = ((OH-1)*SH < IH) ? OH - 1 : (IH-1) / SH;
    localparam WIDE   = (COLS != 0) ? (OW-1)*SW * CB : 0;
    localparam SPAN   = (COLS != 0) ? LAST + 1 : DOWN + (IW + PAD_L) * CB;
    localparam REST   = (HOLD_Y == OH-1) ? 0 : (IH - HOLD_Y*SH + PAD_T) * ROW + PAD_L*CB - WIDE;
    localparam LEAST  = (SPAN > REST) ? SPAN : REST;

    generate
        if (IH + PAD_T + PAD_B <= (KH-1)*DH || IW + PAD_L + PAD_R <= (KW-1)*DW) begin : g_error_kernel
            bw_error_window_kernel_beyond_padded_image u_error ();
        end
        if (PART * BLOCKS != CB) begin : g_error_blocks
            bw_error_window_blocks_do_not_divide_a_pixel u_error ();
        end
        if (DEPTH < LEAST) begin : g_error_depth
            bw_error_window_ring_too_small u_error ();
        end
    endgenerate

    // ---- the taps in their order --------------------------------------------------------------
    wire ce;       // the output side moves
    wire present;  // the tap can be read
    wire issue = ce && present;
    wire c_last;
    wire x_last;
    wire y_last;
    wire block_last;
    wire across_last;
    wire down_last;
    wire end_x      = c_last && x_last;
    wire end_block  = end_x && y_last;
    wire end_window = end_block && block_last;
    wire end_row    = end_window && across_last;

    bw_counter #(.N(PART)) u_c (.clk(clk), .rst_n(rst_n), .step(issue), .last(c_last));
    bw_counter #(.N(KW)) u_x (.clk(clk), .rst_n(rst_n), .step(issue && c_last), .last(x_last));
    bw_counter #(.N(KH)) u_y (.clk(clk), .rst_n(rst_n), .step(issue && end_x), .last(y_last));
    bw_counter #(.N(BLOCKS)) u_block (.clk(clk), .rst_n(rst_n), .step(issue && end_block), .last(block_last));
    bw_counter #(.N(OW)) u_across (.clk(clk), .rst_n(rst_n), .step(issue && end_window), .last(across_last));
    bw_counter #(.N(OH)) u_down (.clk(clk), .rst_n(rst_n), .step(issue && end_row), .last(down_last));

    // ---- from tap to tap, in beats of the input stream; padding lies in the rows around it -------
    localparam TO_X     = DW*CB - (PART-1);
    localparam TO_Y     = DH*ROW - SIDE - (PART-1);
    localparam TO_BLOCK = 1 - DOWN - SIDE;
    localparam TO_RIGHT = SW*CB - LAST;
    localparam TO_DOWN  = SH*ROW - (OW-1)*SW*CB - LAST;
    localparam TO_FRAME = IH*ROW - (OH-1)*SH*ROW - (OW-1)*SW*CB - LAST;

    // A frame's first tap, when padding, waits for the frame's first beat, as if it lay there.
    localparam FRONT      = PAD_T*ROW + PAD_L*CB;  // it lies so far before
    localparam FIRST_STEP = (PART > 1) ? 1 : (KW > 1) ? TO_X : (KH > 1) ? TO_Y : (BLOCKS > 1) ? TO_BLOCK
                          : (OW > 1) ? TO_RIGHT : (OH > 1) ? TO_DOWN : TO_FRAME;

    // Distances in the stream: no two of interest are further apart than a padded frame and the ring.
    localparam REACH = (IH + PAD_T + PAD_B + SH) * ROW + (IW + PAD_L + PAD_R + SW) * CB;
    localparam D_W   = $clog2(REACH + DEPTH + 1) + 1;
    localparam [31:0] LESS_FIRST_INT = FRONT - FIRST_STEP;
    localparam [31:0] LESS_C_INT     = -1;
    localparam [31:0] LESS_X_INT     = -(TO_X);
    localparam [31:0] LESS_Y_INT     = -(TO_Y);
    localparam [31:0] LESS_BLOCK_INT = -(TO_BLOCK);
    localparam [31:0] LESS_RIGHT_INT = -(TO_RIGHT);
    localparam [31:0] LESS_DOWN_INT  = -(TO_DOWN);
    localparam [31:0] LESS_FRAME_INT = -(TO_FRAME + FRONT);

    // The same steps around the ring, 0 to DEPTH-1.
    localparam A_W = (DEPTH > 1) ? $clog2(DEPTH) : 1;
    localparam [31:0] TURN_C_INT     = 1 % DEPTH;
    localparam [31:0] TURN_X_INT     = (TO_X % DEPTH + DEPTH) % DEPTH;
    localparam [31:0] TURN_Y_INT     = (TO_Y % DEPTH + DEPTH) % DEPTH;
    localparam [31:0] TURN_BLOCK_INT = (TO_BLOCK % DEPTH + DEPTH) % DEPTH;
    localparam [31:0] TURN_RIGHT_INT = (TO_RIGHT % DEPTH + DEPTH) % DEPTH;
    localparam [31:0] TURN_DOWN_INT  = (TO_DOWN % DEPTH + DEPTH) % DEPTH;
    localparam [31:0] TURN_FRAME_INT = (TO_FRAME % DEPTH + DEPTH) % DEPTH;

    wire          first;  // the tap is such a first one
    reg [D_W-1:0] less;
    reg [A_W-1:0] turn;

    generate
        if (FRONT == 0) begin : g_no_front
            assign first = 1'b0;
        end else begin : g_front
            reg first_reg;
            always @(posedge clk) begin
                if (!rst_n) first_reg <= 1'b1;
                else if (issue) first_reg <= end_row && down_last;
            end
            assign first = first_reg;
        end
    endgenerate

    always @* begin
        if (!c_last) begin
            less = LESS_C_INT[D_W-1:0];
            turn = TURN_C_INT[A_W-1:0];
        end else if (!x_last) begin
            less = LESS_X_INT[D_W-1:0];
            turn = TURN_X_INT[A_W-1:0];
        end else if (!y_last) begin
            less = LESS_Y_INT[D_W-1:0];
            turn = TURN_Y_INT[A_W-1:0];
        end else if (!block_last) begin
            less = LESS_BLOCK_INT[D_W-1:0];
            turn = TURN_BLOCK_INT[A_W-1:0];
        end else if (!across_last) begin
            less = LESS_RIGHT_INT[D_W-1:0];
            turn = TURN_RIGHT_INT[A_W-1:0];
        end else if (!down_last) begin
            less = LESS_DOWN_INT[D_W-1:0];
            turn = TURN_DOWN_INT[A_W-1:0];
        end else begin
            less = LESS_FRAME_INT[D_W-1:0];
            turn = TURN_FRAME_INT[A_W-1:0];
        end
        if (first) less = LESS_FIRST_INT[D_W-1:0];
    end

    // ---- what a window's end frees ----------------------------------------------------------------
    localparam [31:0] FREE_NONE_INT  = -1;  // each less by one, which a beat that does not come in gives back
    localparam [31:0] FREE_RIGHT_INT = ((COLS != 0) ? SW*CB : 0) - 1;
    localparam [31:0] FREE_DOWN_INT  = SH*ROW - WIDE - 1;
    localparam [31:0] FREE_FRAME_INT = (IH - HOLD_Y*SH) * ROW - WIDE - 1;

    wire hold;      // this row of windows frees nothing
    wire hold_end;  // nor does its end
    reg [D_W-1:0] free;

    always @* begin
        if (!(issue && end_window)) free = FREE_NONE_INT[D_W-1:0];
        else if (across_last && down_last) free = FREE_FRAME_INT[D_W-1:0];
        else if (hold || (across_last && hold_end)) free = FREE_NONE_INT[D_W-1:0];
        else if (across_last) free = FREE_DOWN_INT[D_W-1:0];
        else free = FREE_RIGHT_INT[D_W-1:0];
    end

    generate
        if (HOLD_Y == OH-1) begin : g_no_hold
            assign hold     = 1'b0;
            assign hold_end = 1'b0;
        end else begin : g_hold
            localparam Y_W = $clog2(OH);
            localparam HOLD_INT = HOLD_Y;
            reg [Y_W-1:0] down_reg;
            always @(posedge clk) begin
                if (!rst_n) down_reg <= {Y_W{1'b0}};
                else if (issue && end_row) down_reg <= down_last ? {Y_W{1'b0}} : down_reg + 1'b1;
            end
            assign hold     = (down_reg > HOLD_INT[Y_W-1:0]);
            assign hold_end = (down_reg == HOLD_INT[Y_W-1:0]);
        end
    endgenerate

    // ---- which taps lie in the image ---------------------------------------------------------------
    wire row_in;
    wire col_in;
    wire is_real = row_in && col_in;

    generate
        if (PAD_T == 0 && PAD_B == 0) begin : g_rows
            assign row_in = 1'b1;
        end else begin : g_padded_rows
            bw_window_axis #(.I(IH), .K(KH), .S(SH), .D(DH), .BEFORE(PAD_T), .AFTER(PAD_B)) u_axis (
                .clk(clk),
                .rst_n(rst_n),
                .tap(issue && end_x),
                .tap_last(y_last),
                .next(block_last && across_last),
                .next_last(down_last),
                .is_real(row_in)
            );
        end
        if (PAD_L == 0 && PAD_R == 0) begin : g_cols
            assign col_in = 1'b1;
        end else begin : g_padded_cols
            bw_window_axis #(.I(IW), .K(KW), .S(SW), .D(DW), .BEFORE(PAD_L), .AFTER(PAD_R)) u_axis (
                .clk(clk),
                .rst_n(rst_n),
                .tap(issue && c_last),
                .tap_last(x_last),
                .next(y_last && block_last),
                .next_last(across_last),
                .is_real(col_in)
            );
        end
    endgenerate

    // ---- the ring ------------------------------------------------------------------------------------
    localparam LAST_A_INT = DEPTH - 1;
    localparam [31:0] FIRST_A_INT    = (DEPTH - FRONT % DEPTH) % DEPTH;
    localparam [31:0] FIRST_ROOM_INT = DEPTH - FRONT - 1;

    reg [IN_W-1:0] mem [0:DEPTH-1];
    reg [IN_W-1:0] data_reg;
    reg            real_reg;
    reg [A_W-1:0]  wr_reg;     // where the next beat goes
    reg [A_W-1:0]  rd_reg;     // where the tap lies
    reg [D_W-1:0]  ahead_reg;  // beats that came in after the tap; negative: it is still to come
    reg [D_W-1:0]  room_reg;   // beats that fit, less one; negative: none
    wire           write = s_axis_tvalid && s_axis_tready;
    wire [A_W-1:0] rd_next;

    assign present       = !(is_real || first) || !ahead_reg[D_W-1];
    assign s_axis_tready = rst_n && !room_reg[D_W-1];

    generate
        if (DEPTH == (1 << A_W)) begin : g_binary
            assign rd_next = rd_reg + turn;
        end else begin : g_wrap
            localparam [A_W:0] SIZE = DEPTH[A_W:0];
            wire [A_W:0] sum  = {1'b0, rd_reg} + {1'b0, turn};
            wire [A_W:0] over = {1'b0, rd_reg} + ({1'b0, turn} - SIZE);
            wire unused_top = sum[A_W];
            assign rd_next = over[A_W] ? sum[A_W-1:0] : over[A_W-1:0];
        end
    endgenerate

    always @(posedge clk) begin
        if (!rst_n) begin
            wr_reg    <= {A_W{1'b0}};
            rd_reg    <= FIRST_A_INT[A_W-1:0];
            ahead_reg <= {D_W{1'b1}};
            room_reg  <= FIRST_ROOM_INT[D_W-1:0];
        end else begin
            if (write) wr_reg <= (wr_reg == LAST_A_INT[A_W-1:0]) ? {A_W{1'b0}} : wr_reg + 1'b1;
            if (issue) rd_reg <= rd_next;
            ahead_reg <= ahead_reg + (less & {D_W{issue}}) + {{(D_W-1){1'b0}}, write};
            room_reg  <= room_reg + free + {{(D_W-1){1'b0}}, !write};
        end
        if (write) mem[wr_reg] <= s_axis_tdata;
        if (ce) data_reg <= mem[rd_reg];
        if (ce) real_reg <= is_real;
    end

    // ---- out -------------------------------------------------------------------------------------------
    wire              valid_late;
    wire [W_ELEM-1:0] pad;

    bw_resize #(.IN_W(32), .OUT_W(W_ELEM), .SIGNED(1)) u_pad (.d(PAD_VALUE), .q(pad));

    bw_valid #(.N(1)) u_valid (
        .clk(clk),
        .rst_n(rst_n),
        .ce(ce),
        .d(present),
        .q(valid_late)
    );

    bw_skid #(.W(IN_W+1)) u_out (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata({real_reg, real_reg ? data_reg : {SIMD{pad}}}),
        .s_axis_tvalid(valid_late),
        .s_axis_tready(ce),
        .m_axis_tdata({m_axis_tuser, m_axis_tdata}),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule

`default_nettype wire
