// Weights of LANES lanes from a ROM with a registered read: as they are, or, with VALUES > 0, as
// indices into a table of the distinct values, which every lane looks up behind the register.
`default_nettype none

module bw_weights #(
    parameter W_W        = 8,   // bits of a weight
    parameter LANES      = 4,   // weights of a word
    parameter DEPTH      = 16,  // words, at least 1
    parameter VALUES     = 0,   // values of the table; 0: none, FILE holds the weights themselves
    parameter FILE       = "",  // DEPTH words; weight or index of lane p at p times its bits
    parameter TABLE_FILE = ""   // VALUES words of W_W bits
) (
    input  wire                                       clk,   // clock
    input  wire                                       ce,    // clock enable of the read
    input  wire [(DEPTH > 1 ? $clog2(DEPTH) : 1)-1:0] addr,  // word to read
    output wire [LANES*W_W-1:0]                       data   // its weights, one enabled cycle later
);

    localparam INDEX_W = (VALUES > 1) ? $clog2(VALUES) : 1;
    localparam ITEM_W  = (VALUES > 0) ? INDEX_W : W_W;  // bits of a lane in the ROM

    wire [LANES*ITEM_W-1:0] items;

    bw_rom #(.W(LANES*ITEM_W), .DEPTH(DEPTH), .FILE(FILE)) u_rom (
        .clk(clk),
        .ce(ce),
        .addr(addr),
        .data(items)
    );

    genvar p;
    generate
        if (VALUES == 0) begin : g_plain
            assign data = items;
        end else begin : g_table
            reg [W_W-1:0] mem [0:VALUES-1];
            if (TABLE_FILE != "") begin : g_file
                initial $readmemh(TABLE_FILE, mem);
            end else begin : g_no_file
                initial mem[0] = {W_W{1'b0}};
            end
            if (VALUES == 1) begin : g_one
                wire unused_items = &{1'b0, items};
                assign data = {LANES{mem[0]}};
            end else begin : g_values
                for (p = 0; p < LANES; p = p + 1) begin : g_lane
                    assign data[p*W_W +: W_W] = mem[items[p*ITEM_W +: ITEM_W]];
                end
            end
        end
    endgenerate

endmodule

`default_nettype wire
