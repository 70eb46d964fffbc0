// Change the number of elements in a beat; one of N_IN and N_OUT is a multiple of the other.
// The narrow side moves one beat per cycle.
`default_nettype none

module bw_width #(
    parameter W_ELEM = 8,  // bits of an element
    parameter N_IN   = 1,  // elements of an input beat
    parameter N_OUT  = 4   // elements of an output beat
) (
    input  wire                    clk,            // clock
    input  wire                    rst_n,          // synchronous reset, active low
    input  wire [N_IN*W_ELEM-1:0]  s_axis_tdata,   // input beat
    input  wire                    s_axis_tvalid,  // input beat present
    output wire                    s_axis_tready,  // input beat taken; from registers only
    output wire [N_OUT*W_ELEM-1:0] m_axis_tdata,   // output beat
    output wire                    m_axis_tvalid,  // output beat present
    input  wire                    m_axis_tready   // output beat taken
);

    localparam WIDEN  = (N_OUT > N_IN);
    localparam RATIO  = WIDEN ? N_OUT / N_IN : N_IN / N_OUT;
    localparam BEAT_W = (WIDEN ? N_IN : N_OUT) * W_ELEM;  // bits of the narrow side
    localparam IDX_W  = (RATIO > 1) ? $clog2(RATIO) : 1;
    localparam LAST_INT = RATIO - 1;
    localparam [IDX_W-1:0] LAST = LAST_INT[IDX_W-1:0];

    wire [N_OUT*W_ELEM-1:0] out_data;
    wire                    out_valid;
    wire                    out_ready;

    generate
        if (RATIO * (WIDEN ? N_IN : N_OUT) != (WIDEN ? N_OUT : N_IN)) begin : g_error
            bw_error_width_not_a_multiple u_error ();
        end
        if (RATIO == 1) begin : g_same
            assign out_data      = s_axis_tdata;
            assign out_valid     = s_axis_tvalid;
            assign s_axis_tready = out_ready;
        end else begin : g_change
            reg [IDX_W-1:0]            idx_reg;   // narrow beat within the wide one
            reg [(RATIO-1)*BEAT_W-1:0] part_reg;  // the narrow beats kept, oldest lowest
            wire                       step;      // a narrow beat moves
            always @(posedge clk) begin
                if (!rst_n) idx_reg <= {IDX_W{1'b0}};
                else if (step) idx_reg <= (idx_reg == LAST) ? {IDX_W{1'b0}} : idx_reg + 1'b1;
            end
            if (WIDEN) begin : g_widen
                wire [RATIO*BEAT_W-1:0] joined = {s_axis_tdata, part_reg};
                assign s_axis_tready = out_ready;
                assign step          = s_axis_tvalid && out_ready;
                assign out_data      = joined;
                assign out_valid     = s_axis_tvalid && (idx_reg == LAST);
                always @(posedge clk) if (step) part_reg <= joined[RATIO*BEAT_W-1:BEAT_W];
            end else begin : g_narrow
                wire first = (idx_reg == {IDX_W{1'b0}});
                assign s_axis_tready = out_ready && first;
                assign step          = out_valid && out_ready;
                assign out_data      = first ? s_axis_tdata[BEAT_W-1:0] : part_reg[BEAT_W-1:0];
                assign out_valid     = !first || s_axis_tvalid;
                always @(posedge clk) begin
                    if (step) part_reg <= first ? s_axis_tdata[RATIO*BEAT_W-1:BEAT_W] : part_reg >> BEAT_W;
                end
            end
        end
    endgenerate

    bw_skid #(.W(N_OUT*W_ELEM)) u_out (
        .clk(clk),
        .rst_n(rst_n),
        .s_axis_tdata(out_data),
        .s_axis_tvalid(out_valid),
        .s_axis_tready(out_ready),
        .m_axis_tdata(m_axis_tdata),
        .m_axis_tvalid(m_axis_tvalid),
        .m_axis_tready(m_axis_tready)
    );

endmodule

`default_nettype wire
