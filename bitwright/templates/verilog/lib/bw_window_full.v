// Line buffers and sliding window over a raster H, W of whole pixels: a whole window a beat.
// Element (ky * KW + kx) * C + c of an output beat is channel c of tap ky, kx; positions leave in
// raster order, one a cycle under stride 1. A tap outside the image is PAD_VALUE.
// Each row of the kernel has a ring of its own; a column of KH pixels is read a cycle, into a shift
// register of the columns before. Windows that reach over the right edge leave while the next row's
// first columns are read, if all that are needed for it are there, and else by themselves.
`default_nettype none

module bw_window_full #(
    parameter               W_ELEM    = 8,  // bits of an element
    parameter               C         = 1,  // elements of a pixel
    parameter               BIPOLAR   = 0,  // 1: elements are one bit and leave as two's complement of two, +1 or -1
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
    parameter signed [31:0] PAD_VALUE = 0,  // padded element, as it leaves
    parameter               DEPTH     = ((KH-1)*DH + SH) * IW + 4  // pixels of the first ring; the next ones hold DH*IW less each
) (
    input  wire                                        clk,            // clock
    input  wire                                        rst_n,          // synchronous reset, active low
    input  wire [C*W_ELEM-1:0]                         s_axis_tdata,   // pixel, first element in the low bits
    input  wire                                        s_axis_tvalid,  // pixel present
    output wire                                        s_axis_tready,  // pixel taken; from registers only
    output wire [KH*KW*C*(BIPOLAR+W_ELEM)-1:0]         m_axis_tdata,   // window, first tap in the low bits
    output wire                                        m_axis_tvalid,  // window present
    input  wire                                        m_axis_tready   // window taken
);

    localparam PIX_W = C * W_ELEM;
    localparam COL_W = KH * PIX_W;
    localparam E_W   = W_ELEM + BIPOLAR;
    localparam OUT_W = KH * KW * C * E_W;
    localparam OH    = (IH + PAD_T + PAD_B - (KH-1)*DH - 1) / SH + 1;
    localparam OW    = (IW + PAD_L + PAD_R - (KW-1)*DW - 1) / SW + 1;
    localparam DOWN  = (KH-1)*DH;  // rows from a window's first tap to its last
    localparam SIDE  = (KW-1)*DW;  // columns likewise

    localparam FILL  = SIDE - PAD_L;          // column that completes a row's first window
    localparam LAST  = (OW-1)*SW + FILL;      // that which completes its last one
    localparam COLS  = (LAST < IW) ? LAST + 1 : IW;  // columns read
    localparam OVER  = LAST + 1 - COLS;       // columns beyond, no more than FILL

    generate
        if (IH + PAD_T + PAD_B <= DOWN || IW + PAD_L + PAD_R <= SIDE) begin : g_error_kernel
            bw_error_window_kernel_beyond_padded_image u_error ();
        end
        if (PAD_T > DOWN || PAD_L > SIDE || (OH-1)*SH >= IH || (OW-1)*SW >= IW) begin : g_error_pads
            bw_error_window_full_pads_beyond_kernel u_error ();
        end
        if (FILL >= IW) begin : g_error_narrow
            bw_error_window_full_no_window_ends_in_the_image u_error ();
        end
        if (BIPOLAR != 0 && W_ELEM != 1) begin : g_error_bipolar
            bw_error_window_full_bipolar_element_is_one_bit u_error ();
        end
        if (DEPTH <= DOWN*IW) begin : g_error_depth
            bw_error_window_ring_too_small u_error ();
        end
    endgenerate

    // ---- steps: a column is fetched, or a window moves over the right edge, or both ---------------
    wire ce;      // the output side moves
    wire enough;  // the columns that are wanted came in
    wire over;    // windows over the right edge are due
    wire over_issue;
    wire due;     // the column completes a window
    wire x_last;
    wire y_last;
    wire fetch = ce && enough;
    wire step  = ce && (enough || over);
    wire issue = over ? over_issue : due && enough;

    bw_counter #(.N(COLS)) u_x (.clk(clk), .rst_n(rst_n), .step(fetch), .last(x_last));
    bw_counter #(.N(OH)) u_y (.clk(clk), .rst_n(rst_n), .step(fetch && x_last), .last(y_last));

    localparam WAIT_MOST = (FILL > SW-1) ? FILL : SW-1;
    localparam WAIT_W    = (WAIT_MOST > 0) ? $clog2(WAIT_MOST + 1) : 1;
    localparam [31:0] WAIT_ROW_INT  = FILL;
    localparam [31:0] WAIT_NEXT_INT = SW - 1;
    reg [WAIT_W-1:0] wait_reg;  // columns before that which completes the next window

    assign due = (wait_reg == {WAIT_W{1'b0}});

    always @(posedge clk) begin
        if (!rst_n) wait_reg <= WAIT_ROW_INT[WAIT_W-1:0];
        else if (fetch && x_last) wait_reg <= WAIT_ROW_INT[WAIT_W-1:0];
        else if (fetch) wait_reg <= due ? WAIT_NEXT_INT[WAIT_W-1:0] : wait_reg - 1'b1;
    end

    // ---- distances in the stream -------------------------------------------------------------------
    // A column waits for its last row, or the image's: HELD is the row of windows from which on
    // it is this one, PART the rows from the one before to it.
    localparam ROOM_Y   = IH - 1 - (DOWN - PAD_T);
    localparam HELD     = (ROOM_Y > 0) ? (ROOM_Y + SH - 1) / SH : 0;
    localparam PART     = (HELD > 0) ? ROOM_Y - (HELD-1)*SH : 0;
    localparam LAST_ROW = (OH-1 < HELD) ? (OH-1)*SH + DOWN - PAD_T : IH - 1;
    localparam FRONT    = (HELD > 0) ? DOWN - PAD_T : IH - 1;  // row that the first windows wait for

    localparam D_W = $clog2((IH + PAD_T + PAD_B + SH + 2) * IW + DEPTH + OVER + 1) + 1;
    localparam [31:0] AHEAD_INT      = -(FRONT*IW + 1);
    localparam [31:0] LESS_COL_INT   = -1;
    localparam [31:0] LESS_ROW_INT   = COLS - 1 - SH*IW;
    localparam [31:0] LESS_PART_INT  = COLS - 1 - PART*IW;
    localparam [31:0] LESS_HELD_INT  = COLS - 1;
    localparam [31:0] LESS_FRAME_INT = COLS - 1 - (IH + FRONT - LAST_ROW)*IW;
    localparam TO_ROW   = SH*IW - (COLS-1);
    localparam TO_FRAME = (IH - (OH-1)*SH)*IW - (COLS-1);
    localparam [31:0] ROOM_INT       = DEPTH - PAD_T*IW - 1;
    localparam [31:0] FREE_NONE_INT  = -1;  // each less by one, which a pixel that does not come in gives back
    localparam [31:0] FREE_COL_INT   = 0;
    localparam [31:0] FREE_ROW_INT   = TO_ROW - 1;
    localparam [31:0] FREE_FRAME_INT = TO_FRAME - 1;

    wire          row_full;  // the next row of windows waits for a row SH further on
    wire          row_part;  // for PART further on
    wire          write = s_axis_tvalid && s_axis_tready;
    reg [D_W-1:0] ahead_reg;  // pixels that came in after the column; negative: it is still to come
    reg [D_W-1:0] room_reg;   // pixels that fit, less one; negative: none
    reg [D_W-1:0] less;
    reg [D_W-1:0] free;

    assign s_axis_tready = rst_n && !room_reg[D_W-1];

    always @* begin
        if (!fetch) begin
            less = {D_W{1'b0}};
            free = FREE_NONE_INT[D_W-1:0];
        end else if (!x_last) begin
            less = LESS_COL_INT[D_W-1:0];
            free = FREE_COL_INT[D_W-1:0];
        end else if (y_last) begin
            less = LESS_FRAME_INT[D_W-1:0];
            free = FREE_FRAME_INT[D_W-1:0];
        end else begin
            less = row_full ? LESS_ROW_INT[D_W-1:0] : row_part ? LESS_PART_INT[D_W-1:0] : LESS_HELD_INT[D_W-1:0];
            free = FREE_ROW_INT[D_W-1:0];
        end
    end

    always @(posedge clk) begin
        if (!rst_n) begin
            ahead_reg <= AHEAD_INT[D_W-1:0];
            room_reg  <= ROOM_INT[D_W-1:0];
        end else begin
            ahead_reg <= ahead_reg + less + {{(D_W-1){1'b0}}, write};
            room_reg  <= room_reg + free + {{(D_W-1){1'b0}}, !write};
        end
    end

    // ---- rows: which taps of the column lie in the image -------------------------------------------
    localparam TOP_MAX = (OH-1)*SH;
    localparam TOP_W   = (TOP_MAX > 0) ? $clog2(TOP_MAX + 1) : 1;
    wire [KH-1:0] rows;  // of the row that is fetched

    genvar k;
    generate
        if (OH == 1) begin : g_one_row
            wire unused_row = &{1'b0, LESS_ROW_INT[0]};
            assign row_full = 1'b0;
            assign row_part = 1'b0;
            for (k = 0; k < KH; k = k + 1) begin : g_real
                assign rows[k] = (k*DH >= PAD_T) && (k*DH < IH + PAD_T);
            end
        end else begin : g_rows
            localparam [31:0] STRIDE_INT = SH;
            localparam PART_AT_INT = (HELD > 0) ? (HELD-1)*SH : 0;
            reg [TOP_W-1:0] top_reg;  // row of the window, the padded one 0
            always @(posedge clk) begin
                if (!rst_n) top_reg <= {TOP_W{1'b0}};
                else if (fetch && x_last) top_reg <= y_last ? {TOP_W{1'b0}} : top_reg + STRIDE_INT[TOP_W-1:0];
            end
            if (HELD == 0) begin : g_held
                assign row_full = 1'b0;
                assign row_part = 1'b0;
            end else if (PART_AT_INT > TOP_MAX) begin : g_never_held
                assign row_full = 1'b1;
                assign row_part = 1'b0;
            end else if (PART_AT_INT == 0) begin : g_first_part
                assign row_full = 1'b0;
                assign row_part = (top_reg == {TOP_W{1'b0}});
            end else begin : g_may_hold
                assign row_full = (top_reg < PART_AT_INT[TOP_W-1:0]);
                assign row_part = (top_reg == PART_AT_INT[TOP_W-1:0]);
            end
            for (k = 0; k < KH; k = k + 1) begin : g_real
                localparam LO_INT = PAD_T - k*DH;       // first row of windows, times SH, with it in the image
                localparam HI_INT = IH + PAD_T - k*DH;  // first one, times SH, with it below
                wire begun;
                wire ended;
                if (LO_INT <= 0) begin : g_within
                    assign begun = 1'b1;
                end else if (LO_INT > TOP_MAX) begin : g_above
                    assign begun = 1'b0;
                end else begin : g_from
                    assign begun = (top_reg >= LO_INT[TOP_W-1:0]);
                end
                if (HI_INT > TOP_MAX) begin : g_inside
                    assign ended = 1'b0;
                end else if (HI_INT <= 0) begin : g_below
                    assign ended = 1'b1;
                end else begin : g_to
                    assign ended = (top_reg >= HI_INT[TOP_W-1:0]);
                end
                assign rows[k] = begun && !ended;
            end
        end
    endgenerate

    // ---- columns, and windows over the right edge ---------------------------------------------------
    wire [KW-1:0] left;  // which taps do not lie left of the image
    wire [KW-1:0] columns;
    wire [KH-1:0] window_rows;

    genvar s;
    generate
        if (PAD_L == 0) begin : g_no_left
            assign left = {KW{1'b1}};
        end else begin : g_left
            reg [SIDE-1:0] seen_reg;  // bit d: the column d before the one to come is of the same row
            wire [SIDE:0] seen = {seen_reg, 1'b1};
            always @(posedge clk) begin
                if (!rst_n) seen_reg <= {SIDE{1'b0}};
                else if (fetch) seen_reg <= x_last ? {SIDE{1'b0}} : seen[SIDE-1:0];
            end
            for (k = 0; k < KW; k = k + 1) begin : g_tap
                assign left[k] = seen[(KW-1-k)*DW];
            end
        end
        if (OVER == 0) begin : g_no_over
            assign over        = 1'b0;
            assign over_issue  = 1'b0;
            assign enough      = !ahead_reg[D_W-1];
            assign columns     = left;
            assign window_rows = rows;
        end else begin : g_over
            localparam O_W = $clog2(OVER + 1);
            localparam OVER_INT = OVER;
            reg [O_W-1:0] over_reg;  // steps to go
            reg [KH-1:0]  rows_reg;  // of the row that they belong to
            wire [OVER:0] issues;
            wire [D_W-1:0] spare;
            assign over       = (over_reg != {O_W{1'b0}});
            assign over_issue = issues[over_reg];
            assign enough     = !spare[D_W-1];
            always @(posedge clk) begin
                if (!rst_n) over_reg <= {O_W{1'b0}};
                else if (fetch && x_last) over_reg <= OVER_INT[O_W-1:0];
                else if (step && over) over_reg <= over_reg - 1'b1;
                if (fetch && x_last) rows_reg <= rows;
            end
            if (OVER == 1) begin : g_one
                assign spare = ahead_reg;
            end else begin : g_many
                wire [O_W-1:0] more = over ? over_reg - 1'b1 : {O_W{1'b0}};
                assign spare = ahead_reg - {{(D_W-O_W){1'b0}}, more};
            end
            for (k = 0; k <= OVER; k = k + 1) begin : g_issue
                assign issues[k] = ((k + SW - 1) % SW == 0);
            end
            for (k = 0; k < KW; k = k + 1) begin : g_tap
                localparam AT = LAST + 1 - (KW-1-k)*DW;  // column of the tap and steps to go
                wire [OVER:0] reals;
                for (s = 0; s <= OVER; s = s + 1) begin : g_step
                    assign reals[s] = (AT - s >= 0) && (AT - s < IW);
                end
                assign columns[k] = over ? reals[over_reg] : left[k];
            end
            assign window_rows = over ? rows_reg : rows;
        end
    endgenerate

    // ---- a column, and those before ---------------------------------------------------------------
    wire [COL_W-1:0]            column;
    wire [(SIDE+1)*COL_W-1:0]   wide;
    reg [KH-1:0]                rows_late_reg;
    reg [KW-1:0]                columns_late_reg;

    always @(posedge clk) begin
        if (step) rows_late_reg <= window_rows;
        if (step) columns_late_reg <= columns;
    end

    generate
        for (k = 0; k < KH; k = k + 1) begin : g_bank
            bw_window_bank #(
                .W(PIX_W),
                .DEPTH((DEPTH > k*DH*IW) ? DEPTH - k*DH*IW : 1),
                .FIRST((k*DH - PAD_T) * IW),
                .TO_ROW(TO_ROW),
                .TO_FRAME(TO_FRAME)
            ) u_bank (
                .clk(clk),
                .rst_n(rst_n),
                .write(write),
                .pixel(s_axis_tdata),
                .read(step),
                .next(fetch),
                .row_last(x_last),
                .frame_last(y_last),
                .data(column[k*PIX_W +: PIX_W])
            );
        end
        if (SIDE == 0) begin : g_no_side
            assign wide = column;
        end else begin : g_side
            reg [SIDE*COL_W-1:0] side_reg;
            always @(posedge clk) if (step) side_reg <= wide[SIDE*COL_W-1:0];
            assign wide = {side_reg, column};
        end
    endgenerate

    // ---- out ----------------------------------------------------------------------------------------
    wire             valid_late;
    wire [E_W-1:0]   pad;
    wire [OUT_W-1:0] window;

    bw_resize #(.IN_W(32), .OUT_W(E_W), .SIGNED(1)) u_pad (.d(PAD_VALUE), .q(pad));

    genvar y;
    genvar x;
    genvar c;
    generate
        for (y = 0; y < KH; y = y + 1) begin : g_y
            for (x = 0; x < KW; x = x + 1) begin : g_x
                wire is_real = rows_late_reg[y] && columns_late_reg[x];
                for (c = 0; c < C; c = c + 1) begin : g_c
                    wire [W_ELEM-1:0] raw = wide[(KW-1-x)*DW*COL_W + y*PIX_W + c*W_ELEM +: W_ELEM];
                    wire [E_W-1:0]    element;
                    if (BIPOLAR != 0) begin : g_bipolar
                        assign element = {!raw, 1'b1};
                    end else begin : g_plain
                        assign element = raw;
                    end
                    assign window[((y*KW + x)*C + c)*E_W +: E_W] = is_real ? element : pad;
                end
            end
        end
    endgenerate

    bw_valid #(.N(1)) u_valid (
        .clk(clk),
        .rst_n(rst_n),
        .ce(ce),
        .d(issue),
        .q(valid_late)
    );

    bw_skid #(.W(OUT_W)) u_out (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(window),
        .s_axis_tvalid(valid_late),
        .s_axis_tready(ce),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule

`default_nettype wire
