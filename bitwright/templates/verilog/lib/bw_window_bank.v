// One kernel row of bw_window_full: a ring of the last DEPTH pixels, read pixel by pixel in rows.
`default_nettype none

module bw_window_bank #(
    parameter W        = 8,   // bits of a pixel
    parameter DEPTH    = 16,  // pixels of the ring
    parameter FIRST    = 0,   // pixel of the stream that is read first; below 0: before the first one
    parameter TO_ROW   = 1,   // from a row's last pixel read to the next row's first
    parameter TO_FRAME = 1    // from a frame's last pixel read to the next frame's first
) (
    input  wire         clk,         // clock
    input  wire         rst_n,       // synchronous reset, active low
    input  wire         write,       // a pixel comes in
    input  wire [W-1:0] pixel,       // which
    input  wire         read,        // show the pixel that is due
    input  wire         next,        // the next one is due
    input  wire         row_last,    // which lies in another row
    input  wire         frame_last,  // which lies in another frame
    output wire [W-1:0] data         // pixel shown; a register
);

    localparam A_W = (DEPTH > 1) ? $clog2(DEPTH) : 1;
    localparam LAST_INT = DEPTH - 1;
    localparam [31:0] FIRST_INT    = (FIRST % DEPTH + DEPTH) % DEPTH;
    localparam [31:0] TO_NEXT_INT  = 1 % DEPTH;
    localparam [31:0] TO_ROW_INT   = (TO_ROW % DEPTH + DEPTH) % DEPTH;
    localparam [31:0] TO_FRAME_INT = (TO_FRAME % DEPTH + DEPTH) % DEPTH;

    reg [W-1:0]    mem [0:DEPTH-1];
    reg [W-1:0]    data_reg;
    reg [A_W-1:0]  wr_reg;
    reg [A_W-1:0]  rd_reg;
    wire [A_W-1:0] rd_next;
    wire [A_W-1:0] turn = !row_last ? TO_NEXT_INT[A_W-1:0] : !frame_last ? TO_ROW_INT[A_W-1:0] : TO_FRAME_INT[A_W-1:0];

    assign data = data_reg;

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
            wr_reg <= {A_W{1'b0}};
            rd_reg <= FIRST_INT[A_W-1:0];
        end else begin
            if (write) wr_reg <= (wr_reg == LAST_INT[A_W-1:0]) ? {A_W{1'b0}} : wr_reg + 1'b1;
            if (next) rd_reg <= rd_next;
        end
        if (write) mem[wr_reg] <= pixel;
        if (read) data_reg <= mem[rd_reg];
    end

endmodule

`default_nettype wire
