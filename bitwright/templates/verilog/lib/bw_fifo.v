// First-word fall-through FIFO of any depth: memory with a registered read, and a bypass for the
// word that is written as it becomes the head. One beat per cycle from DEPTH 2 on.
`default_nettype none

module bw_fifo #(
    parameter W     = 8,  // bits of a beat
    parameter DEPTH = 4   // beats held, any integer from 1
) (
    input  wire                         clk,            // clock
    input  wire                         rst_n,          // synchronous reset, active low
    input  wire [W-1:0]                 s_axis_tdata,   // input beat
    input  wire                         s_axis_tvalid,  // input beat present
    output wire                         s_axis_tready,  // room for a beat; from registers only
    output wire [W-1:0]                 m_axis_tdata,   // oldest beat
    output wire                         m_axis_tvalid,  // oldest beat present
    input  wire                         m_axis_tready,  // oldest beat taken
    output wire [$clog2(DEPTH+1)-1:0]   count           // beats held now
);

    localparam PTR_W = (DEPTH > 1) ? $clog2(DEPTH) : 1;
    localparam CNT_W = $clog2(DEPTH + 1);
    localparam LAST_INT = DEPTH - 1;
    localparam [PTR_W-1:0] LAST = LAST_INT[PTR_W-1:0];
    localparam [CNT_W-1:0] FULL = DEPTH[CNT_W-1:0];

    reg [W-1:0]     mem [0:DEPTH-1];
    reg [W-1:0]     head_reg;         // word read from memory
    reg [W-1:0]     bypass_reg;       // word written as it became the head
    reg             use_bypass_reg;
    reg [PTR_W-1:0] wr_ptr_reg;
    reg [PTR_W-1:0] rd_ptr_reg;
    reg [CNT_W-1:0] count_reg;

    wire             push = s_axis_tvalid && s_axis_tready;
    wire             pop  = m_axis_tvalid && m_axis_tready;
    wire [PTR_W-1:0] wr_ptr_next = !push ? wr_ptr_reg : (wr_ptr_reg == LAST) ? {PTR_W{1'b0}} : wr_ptr_reg + 1'b1;
    wire [PTR_W-1:0] rd_ptr_next = !pop ? rd_ptr_reg : (rd_ptr_reg == LAST) ? {PTR_W{1'b0}} : rd_ptr_reg + 1'b1;

    wire             collide     = push && (wr_ptr_reg == rd_ptr_next);  // no memory need read what it is written

    assign s_axis_tready = rst_n && (count_reg != FULL);
    assign m_axis_tvalid = (count_reg != {CNT_W{1'b0}});
    assign m_axis_tdata  = use_bypass_reg ? bypass_reg : head_reg;
    assign count         = count_reg;

    always @(posedge clk) begin
        if (!rst_n) begin
            wr_ptr_reg <= {PTR_W{1'b0}};
            rd_ptr_reg <= {PTR_W{1'b0}};
            count_reg  <= {CNT_W{1'b0}};
        end else begin
            wr_ptr_reg <= wr_ptr_next;
            rd_ptr_reg <= rd_ptr_next;
            if (push && !pop) count_reg <= count_reg + 1'b1;
            else if (pop && !push) count_reg <= count_reg - 1'b1;
        end
        if (push) mem[wr_ptr_reg] <= s_axis_tdata;
        if (!collide) head_reg <= mem[rd_ptr_next];
        bypass_reg     <= s_axis_tdata;
        use_bypass_reg <= collide;
    end

endmodule

`default_nettype wire
