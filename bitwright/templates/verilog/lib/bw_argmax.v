// Index of the greatest of PE*BEATS elements, the lowest index when several are equal.
// One output beat a vector; the next vector follows without a bubble.
`default_nettype none

module bw_argmax #(
    parameter PE       = 2,  // elements of a beat
    parameter BEATS    = 5,  // beats of a vector
    parameter W        = 8,  // bits of an element
    parameter X_SIGNED = 1,  // 1: two's complement, 0: unsigned
    parameter IDX_W    = 4   // bits of the index
) (
    input  wire             clk,            // clock
    input  wire             rst_n,          // synchronous reset, active low
    input  wire [PE*W-1:0]  s_axis_tdata,   // PE elements, first in the low bits
    input  wire             s_axis_tvalid,  // input beat present
    output wire             s_axis_tready,  // input beat taken; a register
    output wire [IDX_W-1:0] m_axis_tdata,   // index of the maximum, unsigned
    output wire             m_axis_tvalid,  // output beat present
    input  wire             m_axis_tready   // output beat taken
);

    localparam LEVELS = $clog2(PE);
    localparam L_W    = (PE > 1) ? $clog2(PE) : 1;
    localparam CNT_W  = (BEATS > 1) ? $clog2(BEATS) : 1;
    localparam LAST_INT = BEATS - 1;
    localparam [CNT_W-1:0] LAST = LAST_INT[CNT_W-1:0];
    localparam [31:0] STEP_INT = PE;

    wire ce;

    assign s_axis_tready = ce;

    // Level l holds the ceil(PE / 2^l) candidates left of a beat; the order of signed values is
    // that of unsigned ones with the sign flipped.
    genvar i;
    genvar l;
    generate
        for (l = 0; l <= LEVELS; l = l + 1) begin : g_level
            localparam LEFT = (PE + (1 << l) - 1) >> l;
            wire [LEFT*W-1:0]   values;
            wire [LEFT*L_W-1:0] lanes;
            if (l == 0) begin : g_first
                for (i = 0; i < PE; i = i + 1) begin : g_lane
                    localparam [31:0] LANE_INT = i;
                    if (W == 1) begin : g_bit
                        assign values[i] = s_axis_tdata[i] ^ (X_SIGNED != 0);
                    end else begin : g_word
                        assign values[i*W +: W] = {s_axis_tdata[i*W+W-1] ^ (X_SIGNED != 0), s_axis_tdata[i*W +: W-1]};
                    end
                    assign lanes[i*L_W +: L_W] = LANE_INT[L_W-1:0];
                end
            end else begin : g_join
                bw_argmax_level #(.N((PE + (1 << (l-1)) - 1) >> (l-1)), .W(W), .L_W(L_W)) u_join (
                    .clk(clk),
                    .ce(ce),
                    .values(g_level[l-1].values),
                    .lanes(g_level[l-1].lanes),
                    .values_out(values),
                    .lanes_out(lanes)
                );
            end
        end
    endgenerate

    wire             valid_late;
    wire [W-1:0]     value = g_level[LEVELS].values;
    wire [IDX_W-1:0] lane;
    wire [IDX_W-1:0] step;
    reg [CNT_W-1:0]  beat_reg;   // beat of the vector
    reg [IDX_W-1:0]  base_reg;   // index of its first element
    reg [W-1:0]      best_reg;   // greatest value so far
    reg [IDX_W-1:0]  index_reg;  // its index
    reg              done_reg;   // the vector is complete

    wire first = (beat_reg == {CNT_W{1'b0}});
    wire last  = (beat_reg == LAST);

    bw_resize #(.IN_W(L_W), .OUT_W(IDX_W), .SIGNED(0)) u_lane (.d(g_level[LEVELS].lanes), .q(lane));
    bw_resize #(.IN_W(32), .OUT_W(IDX_W), .SIGNED(0)) u_step (.d(STEP_INT), .q(step));

    bw_valid #(.N(LEVELS)) u_valid (
        .clk(clk),
        .rst_n(rst_n),
        .ce(ce),
        .d(s_axis_tvalid),
        .q(valid_late)
    );

    always @(posedge clk) begin
        if (!rst_n) begin
            beat_reg <= {CNT_W{1'b0}};
            base_reg <= {IDX_W{1'b0}};
            done_reg <= 1'b0;
        end else if (ce) begin
            done_reg <= valid_late && last;
            if (valid_late) begin
                beat_reg <= last ? {CNT_W{1'b0}} : beat_reg + 1'b1;
                base_reg <= last ? {IDX_W{1'b0}} : base_reg + step;
            end
        end
        if (ce && valid_late && (first || value > best_reg)) begin
            best_reg  <= value;
            index_reg <= base_reg + lane;
        end
    end

    bw_skid #(.W(IDX_W)) u_out (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(index_reg),
        .s_axis_tvalid(done_reg),
        .s_axis_tready(ce),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule

`default_nettype wire
