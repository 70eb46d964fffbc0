// Output beat b of a frame is the frame's input beat index[b], from ROM: transposes, crops, depth to
// space. Two frames fit in memory: one comes in while the other leaves, as often as the index says.
`default_nettype none

module bw_reorder #(
    parameter W          = 8,  // bits of a beat
    parameter N_IN       = 6,  // input beats of a frame
    parameter N_OUT      = 6,  // output beats of a frame
    parameter INDEX_FILE = ""  // N_OUT words of clog2(N_IN) bits, at least 1
) (
    input  wire         clk,            // clock
    input  wire         rst_n,          // synchronous reset, active low
    input  wire [W-1:0] s_axis_tdata,   // input beat
    input  wire         s_axis_tvalid,  // input beat present
    output wire         s_axis_tready,  // input beat taken; from registers only
    output wire [W-1:0] m_axis_tdata,   // output beat
    output wire         m_axis_tvalid,  // output beat present
    input  wire         m_axis_tready   // output beat taken
);

    localparam A_W   = $clog2(2 * N_IN);
    localparam IDX_W = (N_IN > 1) ? $clog2(N_IN) : 1;
    localparam OUT_A = (N_OUT > 1) ? $clog2(N_OUT) : 1;
    localparam LAST_A_INT   = 2 * N_IN - 1;
    localparam LAST_OUT_INT = N_OUT - 1;
    localparam SECOND_INT   = N_IN;

    reg [W-1:0]      mem [0:2*N_IN-1];
    reg [A_W-1:0]    wr_reg;
    reg [1:0]        free_reg;    // frames that may begin to come in, the one that does included
    reg [1:0]        full_reg;    // frames that came in and did not begin to leave
    reg [OUT_A-1:0]  out_reg;     // beat to leave
    reg              begun_reg;   // its frame has begun to leave
    reg              second_reg;  // its frame is in the second half of memory
    reg              second_late_reg;
    reg              last_late_reg;
    reg [W-1:0]      data_reg;
    wire             ce;          // the output side moves
    wire             write = s_axis_tvalid && s_axis_tready;
    wire             in_last;
    wire             complete = write && in_last;
    wire             out_last = (out_reg == LAST_OUT_INT[OUT_A-1:0]);
    wire             present  = begun_reg || (full_reg != 2'd0) || complete;
    wire             begin_out = ce && present && !begun_reg;
    wire             index_valid;
    wire             data_valid;
    wire             done = ce && index_valid && last_late_reg;  // a frame is read for the last time
    wire [IDX_W-1:0] index;
    wire [A_W-1:0]   index_wide;

    assign s_axis_tready = rst_n && (free_reg != 2'd0);

    bw_counter #(.N(N_IN)) u_in (.clk(clk), .rst_n(rst_n), .step(write), .last(in_last));

    always @(posedge clk) begin
        if (!rst_n) begin
            wr_reg     <= {A_W{1'b0}};
            free_reg   <= 2'd2;
            full_reg   <= 2'd0;
            out_reg    <= {OUT_A{1'b0}};
            begun_reg  <= 1'b0;
            second_reg <= 1'b0;
        end else begin
            if (write) wr_reg <= (wr_reg == LAST_A_INT[A_W-1:0]) ? {A_W{1'b0}} : wr_reg + 1'b1;
            free_reg <= free_reg + {1'b0, done} - {1'b0, complete};
            full_reg <= full_reg + {1'b0, complete} - {1'b0, begin_out};
            if (ce && present) begin
                out_reg   <= out_last ? {OUT_A{1'b0}} : out_reg + 1'b1;
                begun_reg <= !out_last;
                if (out_last) second_reg <= !second_reg;
            end
        end
        if (ce) begin
            second_late_reg <= second_reg;
            last_late_reg   <= out_last;
        end
        if (write) mem[wr_reg] <= s_axis_tdata;
        if (ce) data_reg <= mem[index_wide + (second_late_reg ? SECOND_INT[A_W-1:0] : {A_W{1'b0}})];
    end

    bw_rom #(.W(IDX_W), .DEPTH(N_OUT), .FILE(INDEX_FILE)) u_index (
        .clk(clk),
        .ce(ce),
        .addr(out_reg),
        .data(index)
    );
    bw_resize #(.IN_W(IDX_W), .OUT_W(A_W), .SIGNED(0)) u_wide (.d(index), .q(index_wide));

    bw_valid #(.N(1)) u_index_valid (.clk(clk), .rst_n(rst_n), .ce(ce), .d(present), .q(index_valid));
    bw_valid #(.N(1)) u_data_valid (.clk(clk), .rst_n(rst_n), .ce(ce), .d(index_valid), .q(data_valid));

    bw_skid #(.W(W)) u_out (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(data_reg),
        .s_axis_tvalid(data_valid),
        .s_axis_tready(ce),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule

`default_nettype wire
