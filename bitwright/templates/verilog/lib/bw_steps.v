// y = OUT_BASE + number of thresholds that x reaches, or a code from a table at that number.
// The channel of lane p in beat b of a stream is (b mod NF) * PE + p; thresholds ascend. With CLASSES > 1
// they, and the table, depend on the class of the pixel too, NF beats.
`default_nettype none

module bw_steps #(
    parameter               PE          = 2,   // lanes
    parameter               NF          = 2,   // beats until the channels repeat
    parameter               T           = 3,   // thresholds of a channel, 1 to 1023
    parameter               ACC_W       = 16,  // bits of x, two's complement; a threshold has one more
    parameter               OUT_W       = 2,   // bits of an output
    parameter signed [31:0] OUT_BASE    = 0,   // output when no threshold is reached; unused when TABLE
    parameter               TABLE       = 0,   // 1: output code j of TABLE_FILE when j are reached
    parameter               THRESH_FILE = "",  // CLASSES*NF words at class*NF+nf; threshold i of lane p at ((p*T)+i)*(ACC_W+1)
    parameter               TABLE_FILE  = "",  // CLASSES*NF words; code j of lane p at ((p*(T+1))+j)*OUT_W
    parameter               CLASSES     = 1,   // classes of pixels
    parameter               POSITIONS   = 1,   // pixels of a frame; unused unless CLASSES > 1
    parameter               CLASS_FILE  = ""   // POSITIONS words of clog2(CLASSES) bits: the class of each pixel
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

    localparam T_W    = ACC_W + 1;
    localparam C_W    = $clog2(T + 1);
    localparam ROWS   = NF * CLASSES;
    localparam ROW_W  = (ROWS > 1) ? $clog2(ROWS) : 1;
    localparam FIXED  = (ROWS == 1 || ROWS * (T + 1) <= 64) ? 1 : 0;  // constants cheaper than candidates in registers
    localparam STAGES = 1 + C_W + ((TABLE != 0) ? 1 : 0);

    wire                ce;
    wire                valid_late;
    wire [PE*C_W-1:0]   counts;
    wire [PE*OUT_W-1:0] codes;
    reg  [PE*ACC_W-1:0] x_reg;
    wire [PE*ACC_W-1:0] x_now;
    wire                valid_now;
    wire [ROW_W-1:0]    row_now;

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
        .row(row_now)
    );

    always @(posedge clk) if (ce) x_reg <= x_now;

    genvar n;
    genvar p;
    generate
        if (FIXED != 0) begin : g_fixed
            reg [PE*T*T_W-1:0]       mem [0:ROWS-1];
            wire [ROWS*PE*T*T_W-1:0] flat;
            reg [ROW_W-1:0]          row_late_reg;
            if (THRESH_FILE != "") begin : g_file
                initial $readmemh(THRESH_FILE, mem);
            end else begin : g_no_file
                initial mem[0] = {PE*T*T_W{1'b0}};
            end
            always @(posedge clk) if (ce) row_late_reg <= row_now;
            for (n = 0; n < ROWS; n = n + 1) begin : g_word
                assign flat[n*PE*T*T_W +: PE*T*T_W] = mem[n];
            end
            for (p = 0; p < PE; p = p + 1) begin : g_lane
                wire [ROWS*T*T_W-1:0] steps;
                for (n = 0; n < ROWS; n = n + 1) begin : g_channel
                    assign steps[n*T*T_W +: T*T_W] = flat[(n*PE+p)*T*T_W +: T*T_W];
                end
                bw_steps_fixed #(.T(T), .NF(ROWS), .X_W(ACC_W)) u_count (
                    .clk(clk),
                    .ce(ce),
                    .x(x_reg[p*ACC_W +: ACC_W]),
                    .nf(row_late_reg),
                    .steps(steps),
                    .count(counts[p*C_W +: C_W])
                );
            end
        end else begin : g_search
            wire [PE*T*T_W-1:0] steps;
            bw_rom #(.W(PE*T*T_W), .DEPTH(ROWS), .FILE(THRESH_FILE)) u_steps (
                .clk(clk),
                .ce(ce),
                .addr(row_now),
                .data(steps)
            );
            for (p = 0; p < PE; p = p + 1) begin : g_lane
                bw_steps_search #(.T(T), .X_W(ACC_W)) u_count (
                    .clk(clk),
                    .ce(ce),
                    .x(x_reg[p*ACC_W +: ACC_W]),
                    .steps(steps[p*T*T_W +: T*T_W]),
                    .count(counts[p*C_W +: C_W])
                );
            end
        end

        if (TABLE != 0) begin : g_table
            localparam CODES_W = (T + 1) * OUT_W;
            localparam POS_W = $clog2(CODES_W);
            localparam [POS_W-1:0] STRIDE = OUT_W[POS_W-1:0];
            wire [ROW_W-1:0]      row_late;
            wire [PE*CODES_W-1:0] rows;
            reg  [PE*OUT_W-1:0] codes_reg;
            bw_delay #(.W(ROW_W), .N(C_W)) u_address (.clk(clk), .ce(ce), .d(row_now), .q(row_late));
            bw_rom #(.W(PE*CODES_W), .DEPTH(ROWS), .FILE(TABLE_FILE)) u_table (
                .clk(clk),
                .ce(ce),
                .addr(row_late),
                .data(rows)
            );
            for (p = 0; p < PE; p = p + 1) begin : g_lane
                wire [CODES_W-1:0] row = rows[p*CODES_W +: CODES_W];
                wire [POS_W-1:0] slot;
                bw_resize #(.IN_W(C_W), .OUT_W(POS_W), .SIGNED(0)) u_slot (.d(counts[p*C_W +: C_W]), .q(slot));
                always @(posedge clk) if (ce) codes_reg[p*OUT_W +: OUT_W] <= row[slot*STRIDE +: OUT_W];
            end
            assign codes = codes_reg;
        end else begin : g_sum
            wire [OUT_W-1:0] base;
            bw_resize #(.IN_W(32), .OUT_W(OUT_W), .SIGNED(1)) u_base (.d(OUT_BASE), .q(base));
            for (p = 0; p < PE; p = p + 1) begin : g_lane
                wire [OUT_W-1:0] count_wide;
                bw_resize #(.IN_W(C_W), .OUT_W(OUT_W), .SIGNED(0)) u_count (
                    .d(counts[p*C_W +: C_W]),
                    .q(count_wide)
                );
                assign codes[p*OUT_W +: OUT_W] = base + count_wide;
            end
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
