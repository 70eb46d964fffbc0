// Row of parameters for each beat of a stream: the beat's place among NF, after NF rows for each class
// of pixel; a ROM tells the class of a pixel, NF beats. One class: no latency and no ROM, else one cycle.
`default_nettype none

module bw_row #(
    parameter W          = 8,  // bits of a beat
    parameter NF         = 2,  // beats of a pixel
    parameter CLASSES    = 1,  // classes of pixels
    parameter POSITIONS  = 1,  // pixels of a frame; unused unless CLASSES > 1
    parameter CLASS_FILE = ""  // POSITIONS words of clog2(CLASSES) bits: the class of each pixel
) (
    input  wire         clk,        // clock
    input  wire         rst_n,      // synchronous reset, active low
    input  wire         ce,         // clock enable of the pipeline
    input  wire [W-1:0] data,       // beat
    input  wire         valid,      // beat present
    output wire [W-1:0] data_out,   // beat
    output wire         valid_out,  // beat present
    output wire [(NF*CLASSES > 1 ? $clog2(NF*CLASSES) : 1)-1:0] row  // its row, class * NF + beat of the pixel
);

    localparam NF_W = (NF > 1) ? $clog2(NF) : 1;
    localparam LAST_NF_INT = NF - 1;
    localparam [NF_W-1:0] LAST_NF = LAST_NF_INT[NF_W-1:0];

    reg [NF_W-1:0] nf_reg;

    wire nf_last = (nf_reg == LAST_NF);

    always @(posedge clk) begin
        if (!rst_n) nf_reg <= {NF_W{1'b0}};
        else if (ce && valid) nf_reg <= nf_last ? {NF_W{1'b0}} : nf_reg + 1'b1;
    end

    generate
        if (CLASSES == 1) begin : g_one_class
            assign data_out  = data;
            assign valid_out = valid;
            assign row       = nf_reg;
        end else begin : g_classes
            localparam CLASS_W = $clog2(CLASSES);
            localparam POS_W   = (POSITIONS > 1) ? $clog2(POSITIONS) : 1;
            localparam ROW_W   = $clog2(NF * CLASSES);
            localparam LAST_POS_INT = POSITIONS - 1;
            localparam [POS_W-1:0] LAST_POS = LAST_POS_INT[POS_W-1:0];
            localparam [31:0] NF_INT = NF;
            reg [POS_W-1:0]    pos_reg;
            reg [NF_W-1:0]     nf_late_reg;
            reg [W-1:0]        data_reg;
            wire [CLASS_W-1:0] pixel;  // class of the pixel
            wire [ROW_W-1:0]   pixel_wide;
            wire [ROW_W-1:0]   nf_wide;
            wire [ROW_W-1:0]   rows;
            always @(posedge clk) begin
                if (!rst_n) pos_reg <= {POS_W{1'b0}};
                else if (ce && valid && nf_last) pos_reg <= (pos_reg == LAST_POS) ? {POS_W{1'b0}} : pos_reg + 1'b1;
                if (ce) nf_late_reg <= nf_reg;
                if (ce) data_reg <= data;
            end
            bw_rom #(.W(CLASS_W), .DEPTH(POSITIONS), .FILE(CLASS_FILE)) u_class (
                .clk(clk),
                .ce(ce),
                .addr(pos_reg),
                .data(pixel)
            );
            bw_valid #(.N(1)) u_valid (.clk(clk), .rst_n(rst_n), .ce(ce), .d(valid), .q(valid_out));
            bw_resize #(.IN_W(CLASS_W), .OUT_W(ROW_W), .SIGNED(0)) u_pixel (.d(pixel), .q(pixel_wide));
            bw_resize #(.IN_W(NF_W), .OUT_W(ROW_W), .SIGNED(0)) u_nf (.d(nf_late_reg), .q(nf_wide));
            if (NF == 1) begin : g_class_is_row
                assign rows = pixel_wide;
                wire unused_nf = &{1'b0, nf_wide};
            end else begin : g_multiply
                assign rows = pixel_wide * NF_INT[ROW_W-1:0] + nf_wide;
            end
            assign data_out = data_reg;
            assign row      = rows;
        end
    endgenerate

endmodule

`default_nettype wire
