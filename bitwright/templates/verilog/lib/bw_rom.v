// ROM with a registered read, filled from a $readmemh file: block RAM or LUTs, as synthesis sees fit.
`default_nettype none

module bw_rom #(
    parameter W     = 8,   // bits of a word
    parameter DEPTH = 16,  // words, at least 1
    parameter FILE  = ""   // $readmemh file of DEPTH words
) (
    input  wire                                       clk,   // clock
    input  wire                                       ce,    // clock enable of the read
    input  wire [(DEPTH > 1 ? $clog2(DEPTH) : 1)-1:0] addr,  // word to read
    output wire [W-1:0]                               data   // the word, one enabled cycle later
);

    reg [W-1:0] mem [0:DEPTH-1];
    reg [W-1:0] data_reg;

    generate
        if (FILE != "") begin : g_file
            initial $readmemh(FILE, mem);
        end else begin : g_no_file
            initial mem[0] = {W{1'b0}};
        end
        if (DEPTH == 1) begin : g_word
            wire unused_addr = addr[0];
            always @(posedge clk) if (ce) data_reg <= mem[0];
        end else begin : g_words
            always @(posedge clk) if (ce) data_reg <= mem[addr];
        end
    endgenerate

    assign data = data_reg;

endmodule

`default_nettype wire
