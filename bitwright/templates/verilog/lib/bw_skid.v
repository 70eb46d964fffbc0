// Two-deep register slice: cuts every path between its two sides, one beat per cycle.
`default_nettype none

module bw_skid #(
    parameter W = 8  // bits of a beat
) (
    input  wire         clk,            // clock
    input  wire         rst_n,          // synchronous reset, active low
    input  wire [W-1:0] s_axis_tdata,   // input beat
    input  wire         s_axis_tvalid,  // input beat present
    output wire         s_axis_tready,  // room for a beat; a register
    output wire [W-1:0] m_axis_tdata,   // output beat; a register
    output wire         m_axis_tvalid,  // output beat present; a register
    input  wire         m_axis_tready   // output beat taken
);

    reg [W-1:0] out_reg;   // the beat on show
    reg [W-1:0] temp_reg;  // the last beat that came in, kept when the output had just stalled
    reg         out_valid_reg;
    reg         temp_valid_reg;
    reg         ready_reg;

    reg out_valid_next;
    reg temp_valid_next;

    assign s_axis_tready = ready_reg;
    assign m_axis_tdata  = out_reg;
    assign m_axis_tvalid = out_valid_reg;

    always @* begin
        out_valid_next  = out_valid_reg;
        temp_valid_next = temp_valid_reg;
        if (ready_reg) begin
            if (m_axis_tready || !out_valid_reg) out_valid_next = s_axis_tvalid;
            else temp_valid_next = s_axis_tvalid;
        end else if (m_axis_tready) begin
            out_valid_next  = temp_valid_reg;
            temp_valid_next = 1'b0;
        end
    end

    always @(posedge clk) begin
        if (!rst_n) begin
            out_valid_reg  <= 1'b0;
            temp_valid_reg <= 1'b0;
            ready_reg      <= 1'b0;
        end else begin
            out_valid_reg  <= out_valid_next;
            temp_valid_reg <= temp_valid_next;
            ready_reg      <= !temp_valid_next;
        end
        if (m_axis_tready || !out_valid_reg) out_reg <= ready_reg ? s_axis_tdata : temp_reg;
        if (ready_reg) temp_reg <= s_axis_tdata;
    end

endmodule

`default_nettype wire
